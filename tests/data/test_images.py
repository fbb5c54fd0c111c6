"""Images: what is accepted, and that the advice of an error works."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.data import Images
from tests.cases import many

DTYPES = ("uint8", "int8", "uint16", "int32", "float16", "float32", "bool")
SHAPES = [(3, 8, 6, c) for c in range(6)] + [
    (3, 8, 6),
    (3, 1, 8, 6),
    (0, 8, 6, 1),
    (3, 0, 6, 1),
    (),
]


@many
@given(
    shape=st.sampled_from(SHAPES),
    pixels=st.sampled_from(DTYPES),
    count=st.integers(0, 4),
    labelled=st.sampled_from(DTYPES),
    values=st.lists(st.integers(-2, 12), min_size=4, max_size=4),
)
def test_images_are_uint8_of_one_to_four_channels_with_a_label_from_0_each(
    shape, pixels, count, labelled, values
):
    images, labels = np.ones(shape, pixels), np.array(values[:count]).astype(labelled)
    right = shape in [(3, 8, 6, c) for c in (1, 2, 3, 4)] and pixels == "uint8" and count == 3
    if right and labelled not in ("float16", "float32", "bool") and labels.min() >= 0:
        made = Images(images, labels)
        assert (len(made), made.image_shape, made.nbytes) == (3, shape[1:], images.size)
        assert made.labels.dtype == np.int32
        assert made.labels.tolist() == labels.tolist()
        assert made.in_memory
        return
    with pytest.raises((ValueError, TypeError), match=r"^(images|labels) .*(; use |, got )"):
        Images(images, labels)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.ones((3, 8, 6), np.uint8), np.zeros(3, int)),
        (np.ones((3, 2, 8, 6), np.uint8), np.zeros(3, int)),
        (np.linspace(0, 1, 144, dtype="float32").reshape(3, 8, 6, 1), np.zeros(3, int)),
        (np.linspace(-1, 1, 144).reshape(3, 8, 6, 1), np.zeros(3, int)),
        (np.linspace(0, 255, 144).reshape(3, 8, 6, 1), np.zeros(3, int)),
        (np.linspace(-2.1, 2.6, 144).reshape(3, 8, 6, 1), np.zeros(3, int)),
        (np.full((3, 8, 6, 1), [[[[np.nan]]]] * 2 + [[[[1.0]]]], "float16"), np.zeros(3, int)),
        (np.arange(144).reshape(3, 8, 6, 1), np.zeros(3, int)),
        (np.linspace(0, 65535, 144).astype(np.uint16).reshape(3, 8, 6, 1), np.zeros(3, int)),
        (np.eye(12, dtype=bool).reshape(3, 8, 6, 1), np.zeros(3, int)),
        (np.ones((3, 8, 6, 1), np.uint8), np.eye(10)[:3].astype(int)),
        (np.ones((3, 8, 6, 1), np.uint8), np.zeros((3, 1), int)),
        (np.ones((3, 8, 6, 1), np.uint8), np.arange(1, 4) * 1.0),
        (np.ones((3, 8, 6, 1), np.uint8), np.arange(-1, 2)),
        (np.ones((3, 8, 6, 1), np.uint8), np.array(["cat", "dog", "cat"])),
        (np.ones((3, 8, 6, 1), np.uint8).tolist(), np.arange(3)),
        (np.ones((3, 8, 6, 1), np.uint8), [0, 1, 2]),
    ],
)
def test_following_the_advice_makes_valid_images_of_the_full_range(images, labels):
    given = images
    for _ in range(3):
        try:
            Images(images, labels)
            break
        except (ValueError, TypeError) as error:
            code = str(error).split("; use ")[-1]
        names = {"images": images, "labels": labels, "np": np}
        if "images" in code:
            images = eval(code, names)
            images = images.astype(np.uint8) if isinstance(given, list) else images
        else:
            labels = eval(code, names)
    made = Images(images, labels)
    if np.min(given) < np.max(given):
        assert (made.images.min(), made.images.max()) in ((0, 255), (0, 143))


def test_an_image_array_that_is_not_of_bytes_is_refused_with_its_dtype_and_range():
    images = np.linspace(0, 1, 48, dtype="float32").reshape(1, 4, 4, 3)
    with pytest.raises(TypeError, match=r"got float32 from 0\.0 to 1\.0; use \(255 \* images\)"):
        Images(images, np.zeros(1, int))
