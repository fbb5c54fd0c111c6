"""Pictures: modes, orientation, sizes, and files that are no pictures."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jaxcnn.data import Resize, open_dataset, read_picture
from jaxcnn.data.pictures import fit_arrays
from tests.cases import many
from tests.data.drawn import drawn_images, save_picture

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def saved(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "gif", "tiff"])
def test_each_lossless_format_gives_the_pixels_that_were_written(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    pixels = np.stack([RAMP, RAMP, RAMP], -1) if suffix != "gif" else RAMP[..., None]
    path = save_picture(tmp_path / f"a.{suffix}", pixels, **options)
    assert np.array_equal(read_picture(path, pixels.shape, None), pixels)


def test_a_jpeg_gives_the_pixels_within_its_loss(tmp_path):
    path = save_picture(tmp_path / "a.jpg", RAMP[..., None], quality=100)
    read = read_picture(path, (16, 16, 1), None)
    assert np.abs(read.astype(int) - RAMP[..., None]).max() <= 2


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "RGB", "RGBA", "CMYK"])
def test_each_mode_becomes_grey_rgb_and_rgba_as_the_documentation_says(tmp_path, mode):
    grey = np.where(RAMP > 127, 255, 0).astype(np.uint8) if mode == "1" else RAMP
    wide = Image.fromarray(RAMP.astype(np.uint16) * 256 + 77)
    image = wide if mode == "I;16" else Image.fromarray(grey).convert(mode)
    path = saved(tmp_path / ("a.tiff" if mode == "CMYK" else "a.png"), image)
    for channels in (1, 3):
        expected = np.repeat(grey[..., None], channels, -1)
        assert np.array_equal(read_picture(path, (16, 16, channels), None), expected), channels
    with_alpha = read_picture(path, (16, 16, 4), None)
    assert np.array_equal(with_alpha[..., :3], np.repeat(grey[..., None], 3, -1))
    assert (with_alpha[..., 3] == 255).all()


def test_a_transparent_picture_is_laid_on_white_unless_alpha_is_asked_for(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:, :2] = (10, 20, 30, 255)
    path = save_picture(tmp_path / "a.png", pixels)
    assert np.array_equal(read_picture(path, (4, 4, 4), None), pixels)
    flat = read_picture(path, (4, 4, 3), None)
    assert flat[0, 0].tolist() == [10, 20, 30]
    assert flat[0, 3].tolist() == [255, 255, 255]
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.putpixel((1, 2), 1)
    path = saved(tmp_path / "p.png", palette, transparency=0)
    assert read_picture(path, (4, 4, 1), None)[2, :, 0].tolist() == [255, 9, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_exif_is_applied(tmp_path, orientation):
    upright = drawn_images(1, (5, 7, 3))[0]
    # The stored picture, from the definition of each orientation: where its row 0 and column 0 are.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save_picture(tmp_path / "a.png", np.ascontiguousarray(stored), exif=exif)
    assert np.array_equal(read_picture(path, (5, 7, 3), None), upright)


@many
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    target=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    how=st.sampled_from(["crop", "stretch"]),
    value=st.integers(0, 255),
)
def test_resizing_gives_the_size_and_keeps_a_constant(size, target, how, value):
    images = np.full((2, *size, 3), value, np.uint8)
    resized = fit_arrays(images, None, Resize(target, how))
    assert resized.shape == (2, *target, 3)
    assert (resized == value).all()


def test_crop_keeps_the_centre_and_stretch_keeps_the_edges(tmp_path):
    pixels = np.zeros((8, 24, 1), np.uint8)
    pixels[:, 8:16] = 200
    path = save_picture(tmp_path / "a.png", pixels)
    assert (read_picture(path, (8, 8, 1), Resize((8, 8))) == 200).all()
    stretched = read_picture(path, (8, 8, 1), Resize((8, 8), "stretch"))
    assert stretched[:, 0].max() == stretched[:, -1].max() == 0
    assert stretched[:, 4].min() >= 200


def test_a_resized_picture_and_a_resized_array_are_the_same(tmp_path):
    pixels, resize = drawn_images(1, (17, 23, 3))[0], Resize((6, 9))
    path = save_picture(tmp_path / "a.png", pixels)
    found = read_picture(path, (6, 9, 3), resize)
    assert np.array_equal(found, fit_arrays(pixels[None], None, resize)[0])
    assert np.array_equal(found, read_picture(path, (6, 9, 3), "crop"))
    with pytest.raises(ValueError, match="resize must be one of 'crop', 'stretch', got 'cut'"):
        read_picture(path, (6, 9, 3), "cut")
    with pytest.raises(TypeError, match="resize must be one of crop, stretch or None, got 6"):
        read_picture(path, (6, 9, 3), 6)


def damaged(tmp_path):
    """Files that cannot be used, with the words that say why."""
    whole = io.BytesIO()
    Image.fromarray(drawn_images(1, (40, 40, 3))[0]).save(whole, "PNG")
    jpeg = io.BytesIO()
    Image.fromarray(drawn_images(1, (40, 40, 3))[0]).save(jpeg, "JPEG")
    png = whole.getvalue()
    contents = {
        "text.png": (b"hello", "no picture"),
        "empty.png": (b"", "no picture"),
        "short.png": (png[: len(png) // 2], "cannot be decoded"),
        "header.png": (png[:40], "no picture"),
        "flipped.png": (png[:2000] + bytes([png[2000] ^ 255]) + png[2001:], "cannot be decoded"),
        "short.jpg": (jpeg.getvalue()[: len(jpeg.getvalue()) // 2], "cannot be decoded"),
    }
    for name, (content, words) in contents.items():
        (tmp_path / name).write_bytes(content)
        yield tmp_path / name, words
    yield saved(tmp_path / "float.tiff", Image.fromarray(RAMP.astype(np.float32))), "floating-point"
    yield saved(tmp_path / "deep.tiff", Image.fromarray(RAMP.astype(np.int32) * 999)), "16 bits"
    yield tmp_path / "missing.png", "cannot be read"


def test_what_is_no_picture_is_refused_with_its_path_and_the_reason(tmp_path):
    for path, words in damaged(tmp_path):
        with pytest.raises(ValueError, match=words) as error:
            read_picture(path, (8, 8, 3), Resize((8, 8)))
        assert str(path) in str(error.value)


@pytest.mark.parametrize(("most", "limits"), [(100, 2), (700, 1)])  # Pillow's error, and ours
def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch, most, limits):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    for name in "ab":
        for index in range(5):
            save_picture(tmp_path / name / f"{index}.png", drawn_images(1, (30, 30, 1))[0])
    with pytest.raises(
        ValueError, match=rf"10 reasons(.|\n)*a/0\.png: .*pixels.* {most * limits} "
    ):
        open_dataset(tmp_path)


def test_a_picture_of_another_size_or_with_two_channels_is_refused(tmp_path):
    path = save_picture(tmp_path / "a.png", drawn_images(1, (5, 7, 1))[0])
    with pytest.raises(ValueError, match=r"a\.png: the picture is 5x7, not 7x5; resize it"):
        read_picture(path, (7, 5, 1), None)
    with pytest.raises(ValueError, match="1, 3 or 4 channels, got channels 2"):
        read_picture(path, (5, 7, 2), None)
