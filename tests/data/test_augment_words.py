"""The text form of augmentations: what each word means, and which are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.data.augment import Augmentation, compose, parse, views
from jaxcnn.errors import InputError

SHAPE = (9, 12, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), np.uint8)


def test_views_are_the_product_of_flips_and_shifts_with_the_image_first():
    images = jnp.asarray(IMAGES)
    found = [np.asarray(view(images)) for view in views(["flip", "shift:1"], SHAPE)]
    np.testing.assert_array_equal(found[0], images)
    padded = np.pad(np.asarray(images), [(0, 0), (1, 1), (1, 1), (0, 0)])
    height, width, _ = SHAPE
    want = {
        padded[:, y : y + height, x : x + width][:, :, ::step].tobytes()
        for y in range(3)
        for x in range(3)
        for step in (1, -1)
    }
    # A flip after a shift is a shift the other way after the flip.
    assert {each.tobytes() for each in found} == want
    assert len(found) == len(want) == 18
    assert len(views([], SHAPE)) == 1
    with pytest.raises(InputError, match="rotate:15 has no fixed views; use flip, shift:1"):
        views(["rotate:15"], SHAPE)


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("shift:2", (2,)),
        ("flip", ()),
        ("rotate:15", (15,)),
        ("rotate:7.5", (7.5,)),
        ("scale:0.9-1.1", (0.9, 1.1)),
        ("elastic:34:4", (34, 4)),
        ("mixup:.2", (0.2,)),
    ],
)
def test_a_word_is_a_name_and_its_numbers(word, values):
    assert parse(word) == Augmentation(word.partition(":")[0], values)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["shif:2"], "augmentation must be one of .* got 'shif'"),
        (["shift"], "augmentation shift: shift takes cells, got 0 numbers; write it as shift:2"),
        (["shift:1.5"], "augmentation shift:1.5: .*whole number.*; write it as shift:2"),
        (["shift:x"], "augmentation shift:x: 'x' is not a number; write it as shift:2"),
        (["shift:-1"], "augmentation shift:-1: '-1' is not a number; write it as shift:2"),
        (["shift:9"], "augmentation shift:9 moves whole images of 9x12 cells; use shift:8 or less"),
        (["cutout:9"], "augmentation cutout:9 erases whole images of 9x12 cells; use cutout:8 or"),
        (["flip:1"], "flip takes no numbers, got 1 numbers; write it as flip"),
        (["rotate:181"], "degrees must be at least 0 and at most 180, got 181; write it as rotate"),
        (["scale:0.9"], "scale takes low and high, got 1 number"),
        (["scale:1.1-0.9"], "low 1.1 is above high 0.9; write it as scale:0.9-1.1"),
        (["scale:0-1"], "low must be above 0, got 0"),
        (["elastic:34"], "elastic takes alpha and sigma"),
        (["elastic:34:0"], "sigma must be at least 0.1, got 0"),
        (["crop:0"], "area must be above 0 and at most 1, got 0"),
        (["color:2"], "strength must be at least 0 and at most 1, got 2"),
        (["mixup:0"], "alpha must be above 0, got 0; write it as mixup:0.2"),
        (["flip", "shift:1", "flip"], "augmentation flip: flip is given twice; leave one out"),
    ],
)
def test_a_wrong_word_is_refused_with_what_to_write(words, message):
    with pytest.raises(InputError, match=message):
        compose(words, SHAPE)


def test_color_is_for_one_or_three_channels_and_a_list_is_for_words():
    for channels in (2, 4):
        with pytest.raises(InputError, match=f"color:0.2 is for images of 1 .* got {channels}"):
            compose(["color:0.2"], (9, 12, channels))
    with pytest.raises(TypeError, match=r"augmentations must be a list of words.* got 'flip'"):
        compose("flip", SHAPE)
    with pytest.raises(InputError, match=r"images of shape \(4, 9, 12, 3\) are not \(N, 9, 9, 3\)"):
        compose(["flip"], (9, 9, 3))(jax.random.key(0), jnp.asarray(IMAGES), jnp.eye(4))
