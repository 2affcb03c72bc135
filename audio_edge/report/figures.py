"""The charts of the report: learning curves, ROC, DET, reliability, accuracy in noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from audio_edge import curves, metrics
from audio_edge.report.chart import Axis, chart, line, linear, place, probit

_LOWEST_RATE, _HIGHEST_RATE = 0.001, 0.8  # of the DET axes


def figure(picture: str, caption: str) -> str:
    """A chart with its caption; both are HTML already."""
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def learning(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Every figure that was kept of each epoch, training and selection in one chart."""
    made = []
    for stage, rows in histories.items():
        names = dict.fromkeys(key.removeprefix("val_") for row in rows for key in row)
        for name in sorted(names, key=lambda name: (name != "loss", name != "accuracy")):
            made.append(_epochs(stage, name, rows))
    return "".join(made)


def _epochs(stage: str, name: str, rows: Sequence[Mapping[str, float]]) -> str:
    found = {
        kind: [(epoch, row[key]) for epoch, row in enumerate(rows, 1) if key in row]
        for kind, key in (("training", name), ("selection", f"val_{name}"))
    }
    values = [v for points in found.values() for _, v in points if math.isfinite(v)] or [0.0]
    share = name.endswith("accuracy")
    low, high = (min(values), 1.0) if share else (min(0.0, *values), 1.05 * max(values))
    if share:
        low = math.floor(10 * low - 1e-9) / 10
    unit = f"{name}, %" if share else name
    y = linear(low, high if high > low else low + 1.0, unit, percent=share)
    x = linear(1, max(2, len(rows)), "epoch", whole=True)
    styles = {"training": "line", "selection": "line strong"}
    marks = [
        line(x, y, points, attributes=f'class="{styles[kind]}"')
        for kind, points in found.items()
        if points
    ]
    key = " ".join(f'<span class="key {kind}">{kind}</span>' for kind in found if found[kind])
    ends = ", ".join(f"{kind} {points[-1][1]:.4g}" for kind, points in found.items() if points)
    title = f"{name} of stage {stage} over {len(rows)} epochs; at the end {ends}"
    caption = f"<strong>{escape(stage)}</strong>, {escape(name)} {key}"
    return figure(chart(title, x, y, marks), caption)


def rates(truth: np.ndarray, probs: np.ndarray, labels: Sequence[str], chosen: int | None) -> str:
    """ROC and DET of every class against the rest, one of them brought out.

    Args:
        truth: int [n].
        probs: float [n, classes].
        labels: Class names.
        chosen: The class to bring out; None if no class has a curve.
    """
    alarm = linear(0, 1, "false alarms, % of other clips", percent=True)
    hit = linear(0, 1, "hits, % of clips of the class", percent=True)
    few = probit(_LOWEST_RATE, _HIGHEST_RATE, "false alarms, % of other clips")
    missed = probit(_LOWEST_RATE, _HIGHEST_RATE, "misses, % of clips of the class")
    roc, det = [], []
    for number, label in enumerate(labels):
        said = truth == number
        if not 0 < said.sum() < len(truth):
            continue
        curve = curves.roc(said, probs[:, number])
        kind = "line strong" if number == chosen else "line"
        attributes = f'class="{kind}" data-class="{number}"'
        pairs = zip(curve.false_alarm, curve.hit, strict=True)
        roc.append(_titled(line(alarm, hit, pairs, attributes=attributes), label))
        pairs = zip(curve.false_alarm, curve.miss, strict=True)
        det.append(_titled(line(few, missed, pairs, attributes=attributes), label))
    chance = line(alarm, hit, [(0, 0), (1, 1)], attributes='class="guide"')
    known = f"{len(roc)} classes, each against the rest"
    return figure(
        chart(f"ROC curves of {known}", alarm, hit, [chance, *roc]),
        "<strong>ROC</strong>: the nearer the top left corner, the better; dashed: chance",
    ) + figure(
        chart(f"DET curves of {known}", few, missed, det),
        "<strong>DET</strong>: the nearer the bottom left corner, the better; "
        "rates below 0.1 % lie on the edge",
    )


def _titled(mark: str, label: str) -> str:
    return f"<g><title>{escape(label)}</title>{mark}</g>"


def reliability(rows: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy over confidence, a dot a bin with its 95 % interval, and the clips of each bin."""
    x = linear(0, 1, "confidence, %", percent=True)
    y = linear(0, 1, "accuracy, %", percent=True)
    most = max(row["n"] for row in rows)
    marks = [line(x, y, [(0, 0), (1, 1)], attributes='class="guide"')]
    for row in rows:
        if not row["n"]:
            continue
        marks.insert(0, _bar(x, y, row["low"], row["high"], 0.25 * row["n"] / most))
        right = round(row["accuracy"] * row["n"])
        low, high = metrics.wilson_interval(right, row["n"])
        label = f"{row['n']} clips at {100 * row['confidence']:.0f} %: {right} right"
        marks.append(_dot(x, y, (row["confidence"], row["accuracy"]), (low, high), label))
    return chart("Accuracy over confidence; the diagonal is perfect", x, y, marks)


def noise(rows: Sequence[Mapping[str, Any]], clean: float) -> str:
    """Accuracy over the signal-to-noise ratio with 95 % intervals, the clean accuracy dashed."""
    ratios = [row["snr_db"] for row in rows]
    pad = 0.05 * (max(ratios) - min(ratios)) or 1.0
    x = linear(min(ratios) - pad, max(ratios) + pad, "signal-to-noise ratio, dB")
    y = linear(0, 1, "accuracy, %", percent=True)
    points = [(row["snr_db"], row["accuracy"]) for row in rows]
    marks = [
        line(x, y, [(x.low, clean), (x.high, clean)], attributes='class="guide"'),
        line(x, y, points, attributes='class="line strong"'),
    ]
    for row in rows:
        label = f"{row['snr_db']:g} dB: {100 * row['accuracy']:.1f} %"
        marks.append(_dot(x, y, (row["snr_db"], row["accuracy"]), row["interval"], label))
    return chart("Accuracy over the signal-to-noise ratio", x, y, marks)


def _bar(x: Axis, y: Axis, low: float, high: float, height: float) -> str:
    left, top = place(x, y, (low, height))
    right, floor = place(x, y, (high, y.low))
    size = f'width="{right - left - 1:.1f}" height="{floor - top:.1f}"'
    return f'<rect class="bar" x="{left:g}" y="{top:g}" {size}/>'


def _dot(
    x: Axis, y: Axis, at: tuple[float, float], interval: Sequence[float], label: str
) -> str:  # fmt: skip
    across, down = place(x, y, at)
    ends = [place(x, y, (at[0], end))[1] for end in interval]
    return (
        f"<g><title>{escape(label)}</title>"
        f'<line class="whisker" x1="{across:g}" x2="{across:g}" y1="{ends[0]:g}" y2="{ends[1]:g}"/>'
        f'<circle class="dot" r="3.5" cx="{across:g}" cy="{down:g}"/></g>'
    )
