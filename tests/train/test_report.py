"""Pictures of a run: PNG files for any classes, channels and sizes, and what they show."""

import io
import warnings

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.data import Images
from jaxcnn.train import report
from jaxcnn.train.tasks import measure


class Read(Images):
    """Images that remember which were read."""

    def read(self, indices):
        SEEN.extend(np.asarray(indices).tolist())
        return super().read(indices)


SEEN = []


def pixels_of(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=30)
    return np.asarray(PIL.Image.open(file))


def panels(figure):
    """The axes that show an image, and the image."""
    return [(axes, axes.images[0].get_array()) for axes in figure.axes if axes.images]


def predictions(count, classes, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probabilities, rng.integers(0, classes, count).astype(np.int32)


@given(
    st.integers(1, 80),
    st.integers(2, 7),
    st.sampled_from([(5, 9, 1), (8, 6, 3), (7, 7, 4), (6, 5, 2)]),
    st.integers(0, 2**32 - 1),
)
def test_mistakes_are_the_most_confident_ones_and_only_they_are_read(count, classes, shape, seed):
    probabilities, labels = predictions(count, classes, seed)
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)
    names = [f"a long $name ${i}" for i in range(classes)]
    SEEN.clear()
    figure = report.mistakes(Read(pixels, labels), probabilities, names)
    guesses = [int(row.argmax()) for row in probabilities]
    wrong = [i for i in range(count) if guesses[i] != labels[i]]
    wrong.sort(key=lambda i: -max(probabilities[i]))
    shown = wrong[: report.MOST_MISTAKES]
    assert shown == SEEN
    assert len(panels(figure)) == len(shown)
    for (axes, image), i in zip(panels(figure), shown, strict=True):
        assert image.shape[:2] == shape[:2]
        assert f"{probabilities[i].max():.0%} sure" in axes.get_title()
    assert f"{len(wrong)} of {count} misclassified" in figure.get_suptitle()
    assert pixels_of(figure).size


@given(
    st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(1, 80), st.integers(0, 99)
)
def test_filters_of_any_size_are_drawn(height, width, channels, count, seed):
    kernel = np.random.default_rng(seed).normal(size=(height, width, channels, count))
    figure = report.filters(kernel.astype(np.float32))
    shown = panels(figure)[: min(count, report.MOST_FILTERS)]
    assert len(shown) == min(count, report.MOST_FILTERS)
    for i, (_, image) in enumerate(shown):
        if channels == 3:  # the colors are the weights, on a line through the grey of 0
            assert image.min() >= 0
            assert image.max() <= 1
            scale = np.abs(kernel[..., : report.MOST_FILTERS]).max()
            np.testing.assert_allclose((image - 0.5) * 2 * scale, kernel[..., i], atol=1e-5)
        else:
            np.testing.assert_allclose(image, kernel[..., i].mean(-1), atol=1e-5)
    assert pixels_of(figure).size


def test_filters_that_are_zero_are_drawn():
    assert pixels_of(report.filters(np.zeros((3, 3, 3, 2), np.float32))).size


@pytest.mark.parametrize("classes", [2, 12, report.MOST_NAMES, report.MOST_NAMES + 1, 200])
def test_the_confusion_picture_has_shares_and_up_to_30_names(classes):
    probabilities, labels = predictions(50, classes, 0)
    found = measure(np.log(probabilities), labels)
    figure = report.confusion(found.confusion, [f"class {i}" for i in range(classes)])
    axes, shares = panels(figure)[0]
    with np.errstate(invalid="ignore"):
        want = np.nan_to_num(found.confusion / found.confusion.sum(1, keepdims=True))
    np.testing.assert_allclose(shares, want)
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert ("class 1" in names) == (classes <= report.MOST_NAMES)
    assert pixels_of(figure).size


def test_curves_of_a_run_before_its_first_step_and_after_its_last():
    train = [{"split": "train", "step": i + 1, "loss": 1.0, "accuracy": 0.5} for i in range(25)]
    other = {"step": 25, "loss": 0.5, "accuracy": 1.0}
    lines = [*train, {"split": "validation", **other}, {"split": "test", **other}]
    assert [len(axes.lines) for axes in report.curves(lines).axes] == [3, 3]
    assert pixels_of(report.curves([])).size


@given(st.floats(1e-4, 0.9), st.floats(1e-4, 0.9))
def test_an_error_rate_has_ticks_in_plain_numbers(first, last):
    lines = [
        {"split": "validation", "step": step, "loss": rate, "accuracy": 1 - rate}
        for step, rate in enumerate((first, last))
    ]
    figure = report.curves(lines)
    pixels_of(figure)
    for axes in figure.axes:
        ticks = [*axes.yaxis.get_major_ticks(), *axes.yaxis.get_minor_ticks()]
        texts = [tick.label1.get_text() for tick in ticks]
        assert any(texts)
        for tick, text in zip(ticks, texts, strict=True):
            assert not text or float(text) == pytest.approx(tick.get_loc())


def test_curves_without_an_error_are_drawn_without_a_warning():
    lines = [{"split": "train", "step": step, "loss": 0.5, "accuracy": 1.0} for step in (1, 2)]
    with warnings.catch_warnings(action="error"):
        assert pixels_of(report.curves(lines)).size


def test_there_is_no_first_kernel_without_convolutions():
    assert report.first_kernel({"dense": np.zeros((3, 4))}, 1) is None
    kernels = {"a": np.zeros((3, 3, 8, 4)), "b": np.zeros((1, 1, 4, 2))}
    assert report.first_kernel(kernels, 3).shape == (3, 3, 8, 4)
