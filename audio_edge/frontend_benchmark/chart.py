"""A bar chart of what front ends cost."""

from __future__ import annotations

import os
from typing import Any

from audio_edge.canvas import COLOURS, figure_class, save

_FORMS = {
    "rfft": "tf.signal", "dense": "dense", "factored": "factored", "compact": "compact",
    None: "no transform",
}  # fmt: skip
_BARS = {
    "tf.signal": COLOURS[0], "dense": COLOURS[3], "factored": COLOURS[2], "compact": COLOURS[6],
    "no transform": COLOURS[4], "librosa": COLOURS[1], "pymicro-features": COLOURS[5],
}  # fmt: skip


def chart(path: str | os.PathLike[str], results: dict[str, Any]) -> None:
    """Draw what front ends cost: log-mel in each runtime and library, then the other features.

    Args:
        path: Picture to write; its ending names the format.
        results: Of `audio_edge.frontend_benchmark.run.benchmark`.

    Raises:
        UserError: matplotlib is missing, or the format is unknown.
    """
    rows, libraries = results["rows"], results["libraries"]
    features = [name for name in dict.fromkeys(row["feature"] for row in rows) if name != "logmel"]
    runtimes = list(results["runtimes"].items())
    heights = [3.4, 4.0] if features else [3.4]
    figure = figure_class()(figsize=(10.0, 0.6 + sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    groups = {
        f"{name} {version}": {
            _FORMS[row["form"]]: row.get("p50_us")
            for row in rows
            if (row["runtime"], row["feature"]) == (name, "logmel")
        }
        for name, version in runtimes
    }
    rivals = {row["library"]: row["p50_us"] for row in libraries if row["feature"] == "logmel"}
    if rivals:
        groups["Python libraries"] = rivals
    _bars(axes[0], groups, rotation=0)
    axes[0].set_title(
        f"log-mel on {results['device']['cpu']}, one thread, {results['runs']} runs", fontsize=11
    )
    if features:
        theirs = {row["feature"]: row["p50_us"] for row in libraries if row["library"] == "librosa"}
        groups = {
            name.replace("+", " +\n"): {
                **{
                    _FORMS[row["form"]]: row.get("p50_us")
                    for row in rows
                    if (row["runtime"], row["feature"]) == (runtimes[0][0], name)
                },
                "librosa": theirs.get(name),
            }
            for name in features
        }
        _bars(axes[1], groups, rotation=90)
        axes[1].set_title(f"other features: {runtimes[0][0]} and librosa", fontsize=11)
    save(figure, path)


def _bars(axis: Any, groups: dict[str, dict[str, float | None]], *, rotation: int) -> None:
    """Groups of bars side by side, their values above them; what is None is left out."""
    centres, used, at = [], {}, 0.0
    for bars in groups.values():
        known = {name: value for name, value in bars.items() if value is not None}
        slot = max(len(known), 3)  # room for the name below
        centres.append(at + (slot - 1) / 2)
        for offset, (name, value) in enumerate(known.items()):
            place = centres[-1] + offset - (len(known) - 1) / 2
            used[name] = axis.bar(place, value, 0.9, color=_BARS[name])
            axis.annotate(
                f"{value:.0f}", (place, value), xytext=(0, 2), textcoords="offset points",
                ha="center", va="bottom", fontsize=8, rotation=rotation, color="0.2",
            )  # fmt: skip
        at += slot + 1
    axis.set_xticks(centres, list(groups), fontsize=9)
    axis.tick_params(axis="x", length=0)
    axis.set_ylabel("\u00b5s per second of audio")
    axis.margins(x=0.02, y=0.15)
    axis.grid(axis="y", color="0.9", lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    order = [name for name in _BARS if name in used]
    axis.legend(
        [used[name] for name in order], order, loc="center left", bbox_to_anchor=(1.0, 0.5),
        fontsize=8, frameon=False,
    )  # fmt: skip
