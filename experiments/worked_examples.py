"""Worked examples of the arithmetic of convolution: computed, checked and drawn.

    python experiments/worked_examples.py

Writes experiments/results/worked_examples.json and .png. Result: all six examples hold.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import jaxcnn
from jaxcnn import geometry, reference
from jaxcnn.environment import device_name, environment


@dataclass(frozen=True)
class Settings:
    """The folder of the results, and the seed of the images and kernels."""

    folder: Path = Path(__file__).parent / "results"
    seed: int = 0


def main(settings: Settings = Settings()) -> None:
    """Computes and prints every example; raises an AssertionError if one does not hold."""
    print(f"on {device_name()}\n")
    rows = [*sizes(), *maps(settings), *one_number(settings)]
    width = max(len(name) for name, _ in rows)
    for name, found in rows:
        print(f"{name:<{width}}  {found}")
    settings.folder.mkdir(exist_ok=True)
    draw(settings.folder / "worked_examples.png")
    record = {"examples": dict(rows)} | environment()
    (settings.folder / "worked_examples.json").write_text(json.dumps(record) + "\n")


def sizes() -> list[tuple[str, str]]:
    """N = 7 and F = 3 at strides 1, 2 and 3, and with padding 1."""
    rows = []
    for stride, want in ((1, 5), (2, 3)):
        assert geometry.output_size(7, 3, stride=stride) == want
        rows.append((f"N=7 F=3 s={stride}", str(geometry.Window(7, 3, stride))))
    try:
        geometry.output_size(7, 3, stride=3)
    except ValueError as error:
        rows.append(("N=7 F=3 s=3", f"refused: {error}"))
    else:
        raise AssertionError("N=7 F=3 s=3 must be refused")
    window = geometry.Window(7, 3, padding=(1, 1))
    assert (window.padded, window.output) == (9, 7)
    assert geometry.size_preserving_padding(7, 3) == (1, 1)
    rows.append(("N=7 F=3 s=1 p=1", f"{window}; the image grows to 9x9 first"))
    return rows


def maps(settings: Settings) -> list[tuple[str, str]]:
    """Six kernels make six maps, which are the next layer's image."""
    keys = jax.random.split(jax.random.key(settings.seed), 3)
    image = jax.random.normal(keys[0], (7, 7, 1))
    first = jaxcnn.conv(image, jax.random.normal(keys[1], (3, 3, 1, 6)))
    second = jaxcnn.conv(first, jax.random.normal(keys[2], (3, 3, 6, 10)))
    assert first.shape == (5, 5, 6)
    assert second.shape == (3, 3, 10)
    return [
        ("six 3x3 kernels on 7x7x1", "x".join(map(str, first.shape))),
        ("ten 3x3 kernels on those maps", "x".join(map(str, second.shape))),
    ]


def one_number(settings: Settings) -> list[tuple[str, str]]:
    """One kernel at one place is Wx + b, then ReLU: one number."""
    keys = jax.random.split(jax.random.key(settings.seed), 2)
    image = jax.random.normal(keys[0], (7, 7, 3))
    kernel = jax.random.normal(keys[1], (3, 3, 3, 1))
    bias = jnp.array([0.5])
    highest = jax.lax.Precision.HIGHEST
    by_hand = jnp.vdot(image[2:5, 3:6], kernel[..., 0], precision=highest) + bias[0]
    for form in (jaxcnn.conv, reference.conv):
        found = form(image, kernel, bias, precision=highest)[2, 3, 0]
        # A sum of 28 numbers of order 1: a few float32 roundings each.
        assert np.isclose(found, by_hand, rtol=0, atol=28 * 1e-6), (form, found, by_hand)
    number = f"Wx + b = {by_hand:.4f}, ReLU gives {jax.nn.relu(by_hand):.4f}"
    return [("one kernel at row 2, column 3", number)]


def draw(path: Path) -> None:
    """Draws the placements of a kernel of 3 on an axis of 7, at strides 1, 2 and 3."""
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    for axes, stride in zip(figure.subplots(1, 3, sharey=True), (1, 2, 3), strict=True):
        window = geometry.Window(7, 3, stride, rounding="floor")
        for place in range(window.output):
            cells = np.arange(place * stride, place * stride + 3)
            axes.barh(place, 3, left=cells[0] - 0.5, height=0.7, color="C0", alpha=0.7)
        for cell in range(7 - window.unread, 7):
            axes.axvspan(cell - 0.5, cell + 0.5, color="C3", alpha=0.3, label="never read")
        answer = f"k = {window.output}" if not window.unread else "refused"
        axes.set(title=f"N=7, F=3, s={stride}: {answer}", xlim=(-0.5, 6.5), xlabel="cell")
        axes.set_xticks(range(7))
        axes.set_yticks(range(5))
        if window.unread:
            axes.legend(loc="lower right")
    figure.axes[0].set_ylabel("placement")
    figure.axes[0].invert_yaxis()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
