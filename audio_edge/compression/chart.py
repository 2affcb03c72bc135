"""A picture of a comparison: accuracy against size and time, and both costs beside others'."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from audio_edge.canvas import COLOURS, figure_class, save
from audio_edge.errors import UserError

_ROW, _FRONT, _PEER = COLOURS[0], COLOURS[2], COLOURS[1]


def chart(path: str | os.PathLike[str], results: dict[str, Any]) -> None:
    """Draw a comparison; the points have the numbers of the legend.

    Args:
        path: Picture to write; its ending names the format.
        results: Of `table.collect`.

    Raises:
        UserError: matplotlib is missing, or the format is unknown.
    """
    runtime = next(iter(results["runtimes"]))
    rows = [row for row in results["rows"] if row["p50_ms"].get(runtime)]
    others = [peer for peer in results["peers"] if peer["p50_ms"].get(runtime)]
    if not rows:
        raise UserError(f"{path}: not drawn, no row runs in {runtime}")
    figure = figure_class()(figsize=(14.0, 5.2), layout="constrained")
    sized, timed, both = figure.subplots(1, 3)
    _accuracies(sized, rows, [row["zip_bytes"] / 1e3 for row in rows])
    sized.set_xlabel("size of the file, zipped, in KB")
    sized.set_ylabel("accuracy on the test clips in %, with its 95 % interval")
    _accuracies(timed, rows, [row["p50_ms"][runtime] for row in rows])
    timed.set_xlabel(f"time of one clip in ms (median, {runtime})")
    for number, row in enumerate(rows, 1):
        at = row["p50_ms"][runtime], row["zip_bytes"] / 1e3
        _point(both, number, at, _ROW, "o")
    for number, peer in enumerate(others, len(rows) + 1):
        at = peer["p50_ms"][runtime], peer["zip_bytes"] / 1e3
        _point(both, number, at, _PEER, "s", hollow=peer["model_only"])
    _logarithmic(both)
    both.set_xlabel(f"time of one call in ms (median, {runtime})")
    both.set_ylabel("size of the file, zipped, in KB")
    for axis in (sized, timed, both):
        axis.grid(color="0.92", lw=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    _legend(figure, rows, others)
    figure.suptitle(f"{results['name']}: every way to shrink one float stage", fontsize=12)
    save(figure, path)


def _accuracies(axis: Any, rows: Sequence[dict[str, Any]], costs: Sequence[float]) -> None:
    """The rows at their costs, those that no other beats joined by a line."""
    front: list[tuple[float, float]] = []
    ordered = sorted(
        zip(costs, rows, strict=True), key=lambda item: (item[0], -item[1]["accuracy"])
    )
    for cost, row in ordered:
        if not front or 100 * row["accuracy"] > front[-1][1]:
            front.append((cost, 100 * row["accuracy"]))
    axis.step(*zip(*front, strict=True), where="post", color=_FRONT, lw=1.2, zorder=2)
    for number, (cost, row) in enumerate(zip(costs, rows, strict=True), 1):
        share = 100 * row["accuracy"]
        low, high = (abs(100 * end - share) for end in row["interval"])
        axis.errorbar(cost, share, yerr=[[low], [high]], color="0.8", elinewidth=0.7, zorder=1)
        _point(axis, number, (cost, share), _ROW, "o")


def _logarithmic(axis: Any) -> None:
    """Logarithmic axes with plain numbers, where the values span more than a factor of two."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    for side, scale in ((axis.xaxis, axis.set_xscale), (axis.yaxis, axis.set_yscale)):
        low, high = side.get_data_interval()
        if high > 2 * low:
            scale("log")
            side.set_major_locator(LogLocator(subs=(1, 2, 5)))
            side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            side.set_minor_locator(LogLocator(subs=()))


def _point(
    axis: Any, number: int, at: tuple[float, float], colour: str, marker: str, *,
    hollow: bool = False,
) -> None:  # fmt: skip
    fill = "white" if hollow else colour
    axis.plot(*at, marker, color=colour, mfc=fill, ms=6, zorder=3)
    off = (5, 4) if number % 2 else (-10, -10)  # so that neighbours do not hide each other
    axis.annotate(str(number), at, xytext=off, textcoords="offset points", fontsize=8, zorder=4)


def _legend(figure: Any, rows: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    def line(label: str, colour: str, marker: str, *, hollow: bool = False) -> Any:
        fill = "white" if hollow else colour
        return Line2D([], [], color=colour, marker=marker, mfc=fill, ls="", ms=5, label=label)

    lines = [
        line(f"{number} {row['name']}: {row['told']}", _ROW, "o")
        for number, row in enumerate(rows, 1)
    ]
    lines.append(Line2D([], [], color=_FRONT, lw=1.2, label="not beaten by any other row"))
    for number, peer in enumerate(others, len(rows) + 1):
        told = f"{number} {peer['name']}" + (" (model only)" if peer["model_only"] else "")
        lines.append(line(told, _PEER, "s", hollow=peer["model_only"]))
    figure.legend(handles=lines, loc="outside right center", fontsize=8, frameon=False)
