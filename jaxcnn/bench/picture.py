"""The picture of a benchmark run: a line for each row, a marker for each contender."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from jaxcnn.bench.measure import CONTENDERS, Result
from jaxcnn.bench.roster import XLA_BACKENDS
from jaxcnn.bench.row import DIRECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TITLES = {
    "forward": "forward",
    "input": "gradient of the input",
    "kernel": "gradient of the kernel",
}
# The colour-blind safe palette of Okabe and Ito, and a marker for each contender.
MARKS = {
    "lax": ("#D55E00", "s"),
    "lax-ynnpack": ("#009E73", "v"),
    "lax-eigen": ("#CC79A7", "P"),
    "lax-onednn": ("#000000", "x"),
    "jaxcnn": ("#0072B2", "o"),
    "jaxcnn-plain": ("#56B4E9", "D"),
    "torch": ("#E69F00", "^"),
}
FLOOR = "the machine's speed"
SMALL = ("jaxcnn-plain", *XLA_BACKENDS)
"""Contenders with small markers."""


def draw(path: Path, results: Sequence[Result], title: str) -> None:
    """Draws milliseconds on a log axis, with a panel for each direction.

    A bar marks the time at the machine's measured speeds.
    """
    rows = list(dict.fromkeys(result.row for result in results))
    directions = [each for each in DIRECTIONS if any(r.direction == each for r in results)]
    figure = Figure(figsize=(4.2 * len(directions) + 2.6, 0.27 * len(rows) + 1.9))
    figure.set_layout_engine("constrained")
    panels = figure.subplots(1, len(directions), sharey=True, squeeze=False)[0]
    place = {row: -number for number, row in enumerate(rows)}
    for axes, direction in zip(panels, directions, strict=True):
        shown = [result for result in results if result.direction == direction]
        for result in shown:
            known = [result.seconds(name) for name in CONTENDERS]
            ends = [1e3 * seconds for seconds in known if seconds is not None]
            axes.plot(
                [min(ends), max(ends)], [place[result.row]] * 2, color="#BBBBBB", lw=1, zorder=1
            )
        for name, (color, mark) in MARKS.items():
            there = [
                (1e3 * seconds, place[result.row])
                for result in shown
                if (seconds := result.seconds(name)) is not None
            ]
            if there:
                axes.scatter(
                    *zip(*there, strict=True),
                    s=16 if name in SMALL else 28,
                    c=color,
                    marker=mark,
                    label=name,
                    zorder=3 if name == "jaxcnn" else 2,
                )
        axes.scatter(
            [1e3 * result.floor for result in shown],
            [place[result.row] for result in shown],
            s=70,
            c="black",
            marker="|",
            label=FLOOR,
            zorder=2,
        )
        axes.set(xscale="log", xlabel="milliseconds", title=TITLES[direction])
        axes.xaxis.set_major_locator(LogLocator(numticks=9))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.margins(y=0.5 / max(1, len(rows)))
    panels[0].set_yticks(list(place.values()), [row.name for row in rows], fontsize=8)
    named = {mark.get_label(): mark for axes in panels for mark in axes.collections}
    there = [name for name in (*MARKS, FLOOR) if name in named]
    figure.legend(
        [named[name] for name in there],
        there,
        loc="outside lower center",
        ncols=len(there),
        frameon=False,
    )
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=120, format="png")
