"""Augmentations keep what they should, depend on the key and one image, and mean what they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from jaxcnn.data import augment
from jaxcnn.data.augment import compose, parse
from jaxcnn.data.augment.images import angles, factors, moves, warp
from jaxcnn.data.augment.mixing import cutmix_weights

N, SHAPE = 60, (9, 12, 3)
EPS = np.finfo(np.float32).eps
WORDS = (
    "shift:2",
    "flip",
    "rotate:40",
    "scale:0.7-1.4",
    "elastic:30:2",
    "crop:0.4",
    "color:0.3",
    "cutout:4",
    "mixup:0.4",
    "cutmix:0.4",
)
NOTHING = ("shift:0", "rotate:0", "scale:1-1", "elastic:0:2", "crop:1", "color:0", "cutout:0")
EXACT = ("shift:2", "flip", "cutout:4")
MIXES = ("mixup", "cutmix")


def _images(seed=0, n=N, shape=SHAPE, dtype="float32"):
    drawn = np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)
    return jnp.asarray(drawn) if dtype == "uint8" else jnp.asarray(drawn / 255, dtype)


def _targets(n=N, classes=5):
    return jax.nn.one_hot(jnp.arange(n) % classes, classes)


def _run(word, key, images):
    # Not compiled as a whole: the programs of single operations serve all tests.
    return compose([word], images.shape[1:])(key, images, _targets(len(images)))


KEY = jax.random.key(3)


@pytest.mark.parametrize("word", WORDS)
def test_an_augmentation_keeps_shape_and_range_and_changes_something(word):
    images = _images(dtype="uint8")
    found, targets = _run(word, KEY, images)
    assert (found.shape, found.dtype) == (images.shape, jnp.float32)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1 + 4 * EPS
    assert np.abs(np.asarray(found) - np.asarray(images) / 255).max() > 0.1
    np.testing.assert_allclose(targets.sum(-1), 1, rtol=4 * EPS)


@pytest.mark.parametrize("word", NOTHING)
def test_an_augmentation_of_no_strength_changes_nothing(word):
    images = _images()
    found, targets = _run(word, KEY, images)
    # A crop of the whole image computes its places: (i + 1/2) * n / n - 1/2.
    np.testing.assert_allclose(found, images, rtol=0, atol=64 * EPS)
    np.testing.assert_array_equal(targets, _targets())


@pytest.mark.parametrize("word", WORDS)
def test_the_same_key_gives_the_same_result_and_another_key_another(word):
    images = _images()
    first, again, other = (_run(word, jax.random.key(seed), images) for seed in (1, 1, 2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert (np.asarray(first[0]) != np.asarray(other[0])).any()


@pytest.mark.parametrize("word", WORDS)
def test_the_result_of_an_image_does_not_depend_on_other_images(word):
    """Mixup and cutmix also read the image before; here the images 3 and 4 stay."""
    images = _images()
    others = _images(1).at[3:5].set(images[3:5])
    found, changed = (np.asarray(_run(word, KEY, each)[0]) for each in (images, others))
    np.testing.assert_array_equal(found[4], changed[4])
    if word.partition(":")[0] not in MIXES:
        np.testing.assert_array_equal(found[3], changed[3])


@pytest.mark.parametrize("word", ["rotate:40", "scale:0.7-1.4", "crop:0.4", "color:0.3"])
def test_a_constant_image_stays_constant_where_nothing_enters_from_outside(word):
    found = np.asarray(_run(word, KEY, jnp.full((N, *SHAPE), 0.25))[0])
    inside = found[:, 3:6, 4:8] if word[0] in "rs" else found
    first = inside[:, :1, :1, :1] if word[:5] == "color" else 0.25
    np.testing.assert_allclose(inside, first + np.zeros_like(inside), atol=8 * EPS)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "bfloat16"])
def test_a_shift_is_one_of_the_shifts_by_whole_cells_and_all_occur(dtype):
    images = _images(dtype=dtype)
    found = augment.shift(KEY, images, 1)
    assert found.dtype == images.dtype
    padded = np.pad(np.asarray(images), [(0, 0), (1, 1), (1, 1), (0, 0)])
    height, width, _ = SHAPE
    matches = np.array(
        [
            [
                (padded[:, y : y + height, x : x + width] == np.asarray(found)).all((1, 2, 3))
                for x in range(3)
            ]
            for y in range(3)
        ]
    )
    assert (matches.sum((0, 1)) == 1).all()
    assert matches.any(-1).all()


def test_a_flip_is_the_mirror_image_or_the_image_and_both_occur():
    images = _images()
    found = np.asarray(augment.flip(KEY, images))
    mirrored = (found == np.asarray(images)[:, :, ::-1]).all((1, 2, 3))
    np.testing.assert_array_equal(found[~mirrored], images[~mirrored])
    assert 0 < mirrored.sum() < N
    np.testing.assert_array_equal(augment.flip(KEY, jnp.asarray(found)), images)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_rotation_by_right_angles_is_that_of_numpy(turns):
    images = _images(shape=(8, 8, 2))
    found = warp(images, angles=jnp.full((N,), turns * np.pi / 2))
    # Places are off by some rounding errors of numbers up to 8, and cells differ by at most 1.
    np.testing.assert_allclose(found, np.rot90(images, turns, (1, 2)), rtol=0, atol=64 * EPS)


@given(st.floats(-3, 3), st.floats(0.5, 2), st.integers(0, 99))
def test_a_warp_reads_where_its_formula_says(angle, factor, seed):
    image = _images(seed, 1)
    rng = np.random.default_rng(seed)
    moves = rng.uniform(-2, 2, (2, 1, *SHAPE[:2])).astype(np.float32)
    found = warp(
        image,
        angles=jnp.array([angle], jnp.float32),
        factors=jnp.array([factor], jnp.float32),
        moves=jnp.asarray(moves),
    )
    middle = (np.array(SHAPE[:2]) - 1) / 2
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / factor
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE[:2]), indexing="ij"), -1) - middle
    places = np.moveaxis(grid @ turn.T + middle, -1, 0) + moves[:, 0]
    want = [
        ndimage.map_coordinates(
            np.pad(np.asarray(image[0, ..., c], np.float64), 40), places + 40, order=1
        )
        for c in range(SHAPE[2])
    ]
    # A place is off by rounding errors of numbers up to 40, and the slope is at most 2.
    np.testing.assert_allclose(found[0], np.stack(want, -1), rtol=0, atol=2 * 64 * 40 * EPS)


def test_rotation_scale_and_elastic_distortion_are_one_resampling():
    words = ["rotate:20", "scale:0.8-1.2", "elastic:20:2"]
    images = _images()
    keys = [jax.random.fold_in(KEY, number) for number in range(3)]
    want = warp(
        images,
        angles=angles(keys[0], images, 20),
        factors=factors(keys[1], images, 0.8, 1.2),
        moves=moves(keys[2], images, 20, 2),
    )
    found, _ = compose(words, SHAPE)(KEY, images, _targets())
    np.testing.assert_allclose(found, want, atol=64 * EPS)


def test_the_field_of_an_elastic_distortion_is_smoothed_noise():
    images = jnp.zeros((N, *SHAPE))
    field = np.asarray(moves(KEY, images, 34.0, 1.5))
    noise = jax.random.uniform(KEY, (2, N, *SHAPE[:2]), minval=-1, maxval=1)
    smoothed = ndimage.gaussian_filter(
        np.asarray(noise, np.float64), 1.5, axes=(2, 3), mode="constant", truncate=8
    )
    np.testing.assert_allclose(field, 34 * smoothed, atol=34 * 50 * EPS)
    deviation = 34 / (1.5 * np.sqrt(12 * np.pi))
    middle = field[:, :, 4, 5:7]
    assert abs(middle.std() / deviation - 1) < 4 / np.sqrt(middle.size)


def test_a_crop_has_the_drawn_area_and_lies_inside():
    """On a ramp along each axis, bilinear values are places, so the box can be read off."""
    height, width, _ = SHAPE
    ramp = np.stack(np.meshgrid(np.arange(height), np.arange(width), [0], indexing="ij"), -1)
    images = jnp.broadcast_to(jnp.asarray(ramp[:, :, 0], jnp.float32), (N, *SHAPE))
    found = np.asarray(augment.crop(KEY, images, 0.3, 0.5), float)
    # The steps between cells away from the clamped edges are the box's sides as shares.
    tall = (found[:, 5, 0, 0] - found[:, 3, 0, 0]) / 2
    wide = (found[:, 0, 7, 1] - found[:, 0, 5, 1]) / 2
    area, aspect = tall * wide, wide / tall
    assert 0.3 - 1e-4 <= area.min() < 0.4
    assert 0.9 < area.max() <= 1 + 1e-4
    assert abs(area.mean() - 0.65) < 4 * 0.7 / np.sqrt(12 * N)
    assert aspect.min() >= 0.5 - 1e-4
    assert aspect.max() <= 2 + 1e-4
    assert aspect.min() < 0.7
    assert aspect.max() > 1.4
    assert found.min() >= 0
    assert (found.max((0, 1, 2)) <= np.array([height - 1, width - 1, 0]) * (1 + 2 * EPS)).all()


@given(st.integers(0, 99), st.integers(0, 8))
def test_cutout_erases_a_square_and_nothing_else(seed, cells):
    images = jnp.full((N, *SHAPE), 3, "uint8")
    found = np.asarray(augment.cutout(jax.random.key(seed), images, cells))
    for image in found:
        gone = (image == 0).all(-1)
        assert ((image == 3).all(-1) | gone).all()
        rows, columns = gone.any(1).sum(), gone.any(0).sum()
        assert gone.sum() == rows * columns
        # At least from the centre to one end of the square is inside.
        assert cells // 2 <= min(rows, columns) <= max(rows, columns) <= cells


def test_color_changes_brightness_contrast_and_saturation_by_its_formula():
    images = _images()
    found = np.asarray(augment.color(KEY, images, 0.5))
    bright, contrast, saturation = np.asarray(
        jax.random.uniform(KEY, (3, N, 1, 1, 1), minval=0.5, maxval=1.5), np.float64
    )
    grey = np.array([0.299, 0.587, 0.114])
    x = np.clip(np.asarray(images, np.float64) * bright, 0, 1)
    mean = (x @ grey).mean((1, 2)).reshape(-1, 1, 1, 1)
    x = np.clip(mean + contrast * (x - mean), 0, 1)
    own = (x @ grey)[..., None]
    x = np.clip(own + saturation * (x - own), 0, 1)
    np.testing.assert_allclose(found, x, atol=32 * EPS)


def test_mixup_mixes_images_and_targets_by_one_weight():
    images, targets = _images(), _targets()
    mixed, mixed_targets = augment.mixup(KEY, images, targets, 0.4)
    before = np.roll(images, 1, 0)
    # Neighbours have different classes, so the weight is the target of the image's own class.
    weights = np.asarray(mixed_targets)[np.arange(N), np.arange(N) % 5].reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(mixed, weights * images + (1 - weights) * before, atol=4 * EPS)
    np.testing.assert_allclose(mixed_targets.sum(-1), 1, rtol=4 * EPS)


def test_cutmix_weighs_targets_by_the_exact_share_of_cells():
    images = jnp.arange(N, dtype=jnp.float32).reshape(-1, 1, 1, 1) * jnp.ones((1, *SHAPE))
    targets = jnp.eye(N)
    mixed, mixed_targets = map(np.asarray, augment.cutmix(KEY, images, targets, 1.0))
    own = mixed == np.asarray(images)
    assert (own | (mixed == np.roll(images, 1, 0))).all()
    share = own.mean((1, 2, 3))
    np.testing.assert_allclose(mixed_targets[np.arange(N), np.arange(N)], share, atol=2 * EPS)
    np.testing.assert_allclose(mixed_targets.sum(-1), 1, rtol=4 * EPS)
    for kept in own[..., 0]:
        assert (~kept).sum() == (~kept).any(1).sum() * (~kept).any(0).sum()
    cells, weights = cutmix_weights(KEY, images, 1.0)
    np.testing.assert_allclose(weights, cells.mean((1, 2, 3)), atol=4 * EPS)


def test_with_both_mixes_each_image_has_one_of_them():
    images, targets = _images(), jnp.eye(N)
    apply = compose(["mixup:1.0", "cutmix:1.0"], SHAPE)
    mixed, mixed_targets = map(np.asarray, apply(KEY, images, targets))
    keys = [jax.random.fold_in(KEY, number) for number in range(2)]
    options = [
        augment.mixup(keys[0], images, targets, 1.0),
        augment.cutmix(keys[1], images, targets, 1.0),
    ]
    of = [
        np.isclose(mixed, x, atol=4 * EPS).all((1, 2, 3))
        & np.isclose(mixed_targets, t, atol=4 * EPS).all(-1)
        for x, t in options
    ]
    assert (of[0] | of[1]).all()
    assert of[0].any()
    assert of[1].any()


def test_a_chain_does_its_words_in_order_with_a_key_each():
    images, targets = _images(dtype="uint8"), _targets()
    found, same = compose(["flip", "shift:2", "color:0.3", "cutout:3"], SHAPE)(KEY, images, targets)
    keys = [jax.random.fold_in(KEY, number) for number in range(4)]
    want = augment.shift(keys[1], augment.flip(keys[0], images), 2).astype(jnp.float32) / 255
    want = augment.cutout(keys[3], augment.color(keys[2], want, 0.3), 3)
    np.testing.assert_allclose(found, want, atol=4 * EPS)
    assert same is targets


def test_a_chain_of_nothing_makes_floats_of_bytes():
    found, _ = compose([], SHAPE)(KEY, _images(dtype="uint8"), _targets())
    np.testing.assert_allclose(found, _images(), atol=EPS)


@pytest.mark.parametrize("word", ["rotate:40", "color:0.3", "cutmix:0.4"])
def test_an_augmentation_of_bfloat16_is_that_of_float32_rounded(word):
    images = _images(dtype="bfloat16")
    step = parse(word)
    given = (images, _targets()) if step.name in MIXES else (images,)
    found = step(KEY, *given)
    wide = step(KEY, images.astype(jnp.float32), *given[1:])
    found, wide = (found[0], wide[0]) if step.name in MIXES else (found, wide)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, wide.astype(jnp.bfloat16))


@pytest.mark.parametrize("word", sorted({*WORDS} - {*EXACT}))
def test_integers_are_refused_by_an_augmentation_of_floats(word):
    step = parse(word)
    given = (_images(dtype="uint8"), _targets())[: 1 + (step.name in MIXES)]
    with pytest.raises(TypeError, match=r"images must be floats in 0..1, got uint8; use images"):
        step(KEY, *given)
    if step.name in MIXES:
        with pytest.raises(TypeError, match=r"targets must be probabilities .*one_hot"):
            step(KEY, _images(), jnp.arange(N))
