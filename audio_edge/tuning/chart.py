"""A picture of a search: the accuracy of every trial against its cost, and the Pareto front."""

from __future__ import annotations

import math
import os
from typing import Any

from audio_edge.canvas import COLOURS, figure_class, save

_NAMES = {"size_bytes": "size of the int8 file in KB", "latency_ms": "latency in ms (median)"}
_UNITS = {"size_bytes": "KB", "latency_ms": "ms"}
_SCALE = {"size_bytes": 1e-3, "latency_ms": 1.0}
_FRONT, _BASE, _LIMIT = COLOURS[0], COLOURS[1], COLOURS[3]


def chart(path: str | os.PathLike[str], results: dict[str, Any]) -> None:
    """Draw the trials of a search.

    Args:
        path: Picture to write; its ending names the format.
        results: Of `audio_edge.tuning.results.write`.

    Raises:
        UserError: matplotlib is missing, or the format is unknown.
    """
    kind, most = results["limit"]["kind"], results["limit"]["most"]
    scale = _SCALE[kind]
    rows = [{**row, "at": scale * row[kind]} for row in results["rows"] if row.get(kind)]
    figure = figure_class()(figsize=(9.0, 5.4), layout="constrained")
    axis = figure.add_subplot()
    done = [row for row in rows if row["status"] == "done"]
    best = [row for name in results["front"] for row in done if row["name"] == name]
    base = [row for row in done if row["name"] == "base"]
    others = [row for row in done if row not in best and row not in base]
    if best:
        at, shares = ([row[key] for row in best] for key in ("at", "accuracy"))
        end = max([*(row["at"] for row in done), scale * most if most else 0.0])
        ys = [100 * share for share in shares]
        axis.step([*at, end], [*ys, ys[-1]], where="post", color=_FRONT, lw=1.2, zorder=2)
        _points(axis, [row for row in best if row not in base], "Pareto front", _FRONT)
        _annotate(axis, best)
    _points(axis, base, "the config as given", _BASE, marker="D")
    _points(axis, [row for row in others if row["share"] == 1], "all epochs", "0.6")
    _points(axis, [row for row in others if row["share"] < 1], "fewer epochs", "0.6", fill=False)
    _cut(axis, done, [*best, *base])
    refused = [row for row in rows if row["status"] == "refused"]
    if refused:
        axis.plot(
            [row["at"] for row in refused], [0.03] * len(refused), "x", color=_LIMIT, ms=6,
            zorder=3, transform=axis.get_xaxis_transform(),
            label=f"beyond the limit: {len(refused)}",
        )  # fmt: skip
    if most:
        label = f"limit: {scale * most:g} {_UNITS[kind]}"
        axis.axvline(scale * most, color=_LIMIT, lw=1, ls="--", label=label)
    _scale(axis, [*(row["at"] for row in [*done, *refused]), *([scale * most] if most else [])])
    axis.set_xlabel(_NAMES[kind])
    axis.set_ylabel("accuracy on the selection clips in %, int8")
    failed = sum(row["status"] == "failed" for row in results["rows"])
    text = f"{results['name']}: {len(results['rows'])} trials by {results['algorithm']}"
    axis.set_title(text + (f", {failed} failed" if failed else ""), fontsize=11)
    axis.grid(color="0.92", lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if axis.get_legend_handles_labels()[0]:
        figure.legend(loc="outside right center", fontsize=9, frameon=False)
    save(figure, path)


def _points(
    axis: Any, rows: list[dict[str, Any]], label: str, colour: str, *,
    marker: str = "o", fill: bool = True,
) -> None:  # fmt: skip
    """Trials with the 95 % intervals of their accuracies."""
    if not rows:
        return
    errors = [[100 * abs(row["accuracy"] - row["interval"][end]) for row in rows] for end in (0, 1)]
    axis.errorbar(
        [row["at"] for row in rows], [100 * row["accuracy"] for row in rows], yerr=errors,
        fmt=marker, color=colour, mfc=colour if fill else "white", ms=6, elinewidth=0.8,
        label=label, zorder=4 if colour in (_FRONT, _BASE) else 3,
    )  # fmt: skip


def _annotate(axis: Any, best: list[dict[str, Any]]) -> None:
    """Accuracy and name of the trials of the front, those close to the next left out."""
    last = math.inf
    for row in reversed(best):
        if row["at"] < 0.93 * last:
            axis.annotate(
                f"{row['name']}\n{100 * row['accuracy']:.1f} %",
                (row["at"], 100 * row["interval"][1]), xytext=(0, 3), textcoords="offset points",
                ha="center", va="bottom", fontsize=8, color=_FRONT,
                bbox={"fc": "white", "ec": "none", "pad": 0.5},
            )  # fmt: skip
            last = row["at"]


def _cut(axis: Any, done: list[dict[str, Any]], shown: list[dict[str, Any]]) -> None:
    """Cut the accuracies off below those that matter, and say how many trials lie there."""
    least = min((100 * row["interval"][0] for row in shown), default=0.0)
    low = max(0.0, 5 * math.floor((least - 4) / 5))
    top = max((100 * row["interval"][1] for row in done), default=100.0)
    axis.set_ylim(low, top + 0.12 * (top - low))
    below = sum(100 * row["accuracy"] < low for row in done)
    if below:
        axis.annotate(
            f"{below} more below", (0.01, 0.05), xycoords="axes fraction", fontsize=8, color="0.4"
        )


def _scale(axis: Any, values: list[float]) -> None:
    """A logarithmic axis with plain numbers, where costs span more than a factor of two."""
    if not values:
        return
    low, high = min(values), max(values)
    if high > 2 * low:
        from matplotlib.ticker import FuncFormatter, LogLocator

        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_locator(LogLocator(subs=()))
    room = max((high / low) ** 0.06, 1.01)
    axis.set_xlim(low / room, high * room)
