"""Picture of a detector's trade: misses over false accepts per hour, as the threshold moves."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from audio_edge.canvas import COLOURS, figure_class, save


def det(
    path: str | os.PathLike[str], points: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Any],
) -> None:  # fmt: skip
    """Draw the DET curve of each label and of all together, and where the detector works.

    Of the thresholds only those are drawn than which no other has fewer of both errors.

    Args:
        path: Picture to write; its ending names the format.
        points: Of `detection.sweep`.
        figures: Of `detection.figures`, at the settings of the detector: the dots.
    """
    least = 0.5 / figures["hours"]  # stands for none, which a logarithm cannot show
    figure = figure_class()(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    curves = [("all words", "black", 2.4, [point["total"] for point in points], figures["total"])]
    for number, (label, row) in enumerate(figures["per_label"].items()):
        own = [point["per_label"][label] for point in points]
        curves.append((label, COLOURS[number % len(COLOURS)], 1.2, own, row))
    for name, colour, width, rows, dot in curves:
        if dot["said"]:
            best = efficient([(row["false_accepts_per_hour"], row["miss_rate"]) for row in rows])
            x, y = [max(rate, least) for rate, _ in best], [100 * miss for _, miss in best]
            axes.plot(x, y, color=colour, lw=width, label=name)
            place = max(dot["false_accepts_per_hour"], least), 100 * dot["miss_rate"]
            axes.plot(*place, "o", color=colour, ms=4 + 1.5 * width, mec="white", zorder=5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(0, 100)
    axes.set_xlabel(f"false accepts per hour, of {figures['hours']:.3g} h (at the left end: none)")
    axes.set_ylabel("words missed in %")
    axes.grid(color="0.9", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    title = "lines: one threshold for all, moved\ndots: as the card is set"
    axes.legend(frameon=False, title=title, alignment="left")
    save(figure, path)


def efficient(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those (false accepts per hour, miss rate) that no other point beats in both, in order."""
    kept: list[tuple[float, float]] = []
    for rate, miss in sorted(set(points)):
        if not kept or miss < kept[-1][1]:
            kept.append((rate, miss))
    return kept
