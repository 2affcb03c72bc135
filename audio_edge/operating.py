"""Where a detector shall work: threshold, window and refractory time of each label.

Few misses, within a bound on the false accepts of all labels together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from audio_edge import detection
from audio_edge.detection import Outcome, Recording
from audio_edge.detector import Detector
from audio_edge.errors import UserError
from audio_edge.replay import Scores

WINDOWS_S = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
REFRACTORIES_S = (0.4, 0.8, 1.2)


_Choice = tuple[tuple[float, ...], "dict[str, Setting]"]  # what it costs, and of whom


@dataclass(frozen=True)
class Setting:
    """One label's settings, of `DetectorConfig`."""

    threshold: float
    window_s: float
    refractory_s: float


@dataclass(frozen=True)
class Trial:
    """What a setting cost a label while the other labels had the same."""

    setting: Setting
    missed: int
    false: int


def calibrate(
    detector: Detector, recordings: Sequence[Recording], *, most_per_hour: float,
    collar_s: float = detection.COLLAR_S, progress: Callable[[int], Any] | None = None,
) -> tuple[dict[str, Setting], list[Outcome]]:  # fmt: skip
    """Search a grid for the settings with fewest misses within a bound on false accepts.

    Every combination is tried with all labels alike; then each label gets the one that serves the
    whole best. What that gives in truth, the labels being of different settings now, is replayed;
    if it is beyond the bound, the search goes on with one false accept less.

    Args:
        detector: For its hop, and the window of silence and unknown.
        recordings: Of development: of speakers and noise that will not be judged by.
        most_per_hour: The bound, of all labels together, >= 0.
        collar_s: Of `detection.judge`.
        progress: Called with 1 after each of `steps` passes.

    Returns:
        (setting of each keyword, what they give on these recordings).

    Raises:
        UserError: A keyword is never said, or no setting keeps within the bound.
    """
    hours = sum(recording.heard.seconds for recording in recordings) / 3600
    trials = _trials(detector, recordings, collar_s, progress)
    for most in range(math.floor(most_per_hour * hours + 1e-9), -1, -1):
        chosen = choose(trials, most)
        if chosen is not None:
            outcomes = replay(detector, recordings, chosen, collar_s=collar_s)
            false = detection.counts(outcomes, list(chosen))["false_accepts"]
            if false <= most_per_hour * hours + 1e-9:
                return chosen, outcomes
    raise UserError(
        f"no setting gives at most {most_per_hour:g} false accepts an hour in these "
        f"{hours:.2f} hours; give a higher bound, or train on what is heard falsely"
    )


def steps() -> int:
    """Passes that `calibrate` makes."""
    return len(WINDOWS_S) * len(REFRACTORIES_S)


def replay(
    detector: Detector, recordings: Sequence[Recording], settings: dict[str, Setting], *,
    collar_s: float = detection.COLLAR_S,
) -> list[Outcome]:  # fmt: skip
    """What settings give, exactly; labels without any have those of the detector."""
    rows = [
        settings.get(label, Setting(own.threshold, own.window_s, own.refractory_s))
        for label, own in zip(detector.model.labels, detector.configs, strict=True)
    ]
    hops = [detector.hops(row.window_s, row.refractory_s) for row in rows]
    return [
        detection.judge(
            recording,
            Scores(recording.heard, [window for window, _, _ in hops]).fired(
                threshold=[row.threshold for row in rows],
                refractory=[refractory for _, refractory, _ in hops],
                hold=[hold for _, _, hold in hops],
            ),
            collar_s=collar_s,
        )
        for recording in recordings
    ]


def _trials(
    detector: Detector, recordings: Sequence[Recording], collar_s: float,
    progress: Callable[[int], Any] | None,
) -> dict[str, list[Trial]]:  # fmt: skip
    """Every combination of the grid, each label's misses and false accepts apart."""
    labels = detector.model.labels
    words = detection.keywords(labels)
    unsaid = [
        label for label in words
        if not any(word.label == label for item in recordings for word in item.words)
    ]  # fmt: skip
    if unsaid:
        raise UserError(f"'{unsaid[0]}' is never said in the recordings; give longer ones")
    trials: dict[str, list[Trial]] = {label: [] for label in words}
    usual = detector.config.window_s
    grid = [window_s for window_s in WINDOWS_S if window_s >= detector.config.hop_s]
    for window_s, refractory_s in itertools.product(grid, REFRACTORIES_S):
        hops = [
            detector.hops(window_s if label in words else usual, refractory_s) for label in labels
        ]
        for point in detection.sweep(recordings, hops, collar_s=collar_s):
            setting = Setting(point["threshold"], window_s, refractory_s)
            for label, row in point["per_label"].items():
                trials[label].append(Trial(setting, row["missed"], row["false_accepts"]))
        if progress:
            progress(1)
    return trials


def choose(trials: dict[str, list[Trial]], most: int) -> dict[str, Setting] | None:
    """One trial a label: fewest misses with at most so many false accepts, all labels together.

    Of equals the higher thresholds are taken, then the shorter windows. Exact, label after label
    over the number of false accepts spent (the knapsack problem); None if even the fewest are more.

    Args:
        trials: Label -> its trials.
        most: False accepts, >= 0.
    """
    best: dict[int, _Choice] = {0: ((0.0, 0.0, 0.0, 0.0), {})}
    for label, rows in trials.items():
        cheap: dict[int, _Choice] = {}
        for row in rows:
            own = row.setting
            cost = (row.missed, -own.threshold, own.window_s, own.refractory_s)
            if row.false <= most and (row.false not in cheap or cost < cheap[row.false][0]):
                cheap[row.false] = (cost, {label: own})
        grown: dict[int, _Choice] = {}
        for (spent, before), (false, added) in itertools.product(best.items(), cheap.items()):
            total = tuple(a + b for a, b in zip(before[0], added[0], strict=True))
            at = spent + false
            if at <= most and (at not in grown or total < grown[at][0]):
                grown[at] = (total, {**before[1], **added[1]})
        best = grown
    return min(best.values(), key=lambda item: item[0])[1] if best else None
