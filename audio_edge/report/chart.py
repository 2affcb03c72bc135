"""Line charts as inline SVG, in the colours of the page, with a title that is read aloud."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from statistics import NormalDist

WIDTH, HEIGHT = 360, 250
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 10, 42


@dataclass(frozen=True)
class Axis:
    """One axis: its range, the ticks with their text, its name, and how values are spread on it."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    name: str
    spread: Callable[[float], float] = float

    def share(self, value: float) -> float:
        """Where a value lies, 0 at the low end and 1 at the high; outside values at the ends."""
        low, high = self.spread(self.low), self.spread(self.high)
        inside = min(max(value, self.low), self.high)
        return (self.spread(inside) - low) / (high - low)


def linear(
    low: float, high: float, name: str, *, percent: bool = False, whole: bool = False
) -> Axis:
    """An axis with about five ticks at round numbers.

    Args:
        low: Its low end.
        high: Its high end, > low.
        name: What it shows, with the unit.
        percent: Values in [0, 1] are written as percentages.
        whole: Ticks at whole numbers only.
    """
    scale = 100 if percent else 1
    rough = (high - low) * scale / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    step = max(1.0, step) if whole else step
    first = math.ceil(low * scale / step - 1e-9)
    last = math.floor(high * scale / step + 1e-9)
    ticks = [(n * step / scale, f"{n * step:.10g}") for n in range(first, last + 1)]
    return Axis(low, high, ticks, name)


def probit(low: float, high: float, name: str) -> Axis:
    """A DET axis: percentages spread by the normal quantile, as Martin et al. 1997 draw them."""
    shares = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8]
    ticks = [(share, f"{100 * share:g}") for share in shares if low <= share <= high]
    return Axis(low, high, ticks, name, NormalDist().inv_cdf)


def place(x: Axis, y: Axis, point: tuple[float, float]) -> tuple[float, float]:
    """Where a point lies in the picture, in its units."""
    across, up = x.share(point[0]), y.share(point[1])
    return (
        round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
        round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1),
    )


def line(x: Axis, y: Axis, points: Iterable[tuple[float, float]], *, attributes: str) -> str:
    """A line through points, less those that lie on the straight way between their neighbours."""
    kept: list[tuple[float, float]] = []
    for point in points:
        if not all(math.isfinite(value) for value in point):
            continue
        here = place(x, y, point)
        if kept and here == kept[-1]:
            continue
        if len(kept) > 1 and _straight(kept[-2], kept[-1], here):
            kept[-1] = here
        else:
            kept.append(here)
    if len(kept) == 1:
        return f'<circle r="3" cx="{kept[0][0]:g}" cy="{kept[0][1]:g}" {attributes}/>'
    path = " ".join(f"{across:g},{down:g}" for across, down in kept)
    return f'<polyline points="{path}" {attributes}/>'


def _straight(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether a, b and c go on along one row or one column, as the steps of a curve do."""
    return any(
        a[k] == b[k] == c[k] and (b[1 - k] - a[1 - k]) * (c[1 - k] - b[1 - k]) > 0 for k in (0, 1)
    )


def chart(title: str, x: Axis, y: Axis, marks: Iterable[str]) -> str:
    """The whole picture.

    Args:
        title: What it shows, read aloud in its place.
        x: Axis to the right.
        y: Axis upwards.
        marks: SVG of what is drawn, placed by `place`.
    """
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value, text in x.ticks:
        across, _ = place(x, y, (value, y.low))
        parts.append(
            f'<line class="grid" x1="{across:g}" x2="{across:g}" y1="{TOP}" y2="{floor}"/>'
        )
        parts.append(
            f'<text x="{across:g}" y="{floor + 15}" text-anchor="middle">{escape(text)}</text>'
        )
    for value, text in y.ticks:
        _, down = place(x, y, (x.low, value))
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{down:g}" y2="{down:g}"/>')
        parts.append(
            f'<text x="{LEFT - 6}" y="{down + 4:g}" text-anchor="end">{escape(text)}</text>'
        )
    middle = (TOP + floor) / 2
    parts.append(
        f'<text class="name" x="{(LEFT + right) / 2:g}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(x.name)}</text>"
    )
    parts.append(
        f'<text class="name" text-anchor="middle" transform="translate(12 {middle:g}) rotate(-90)">'
        f"{escape(y.name)}</text>"
    )
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    return (
        f'<svg class="chart" {box} aria-label="{escape(title)}">'
        f"{''.join(parts)}{''.join(marks)}</svg>"
    )
