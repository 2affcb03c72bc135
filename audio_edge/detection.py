"""Detections in long recordings held against the truth: false accepts per hour, misses, delay.

A keyword said is found if a detection of its label has its time within a collar of the word's
middle, one to one as in `events.match`; every other detection is a false accept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_edge.events import Word, match, poisson_interval
from audio_edge.metrics import wilson_interval
from audio_edge.replay import Heard, Scores
from audio_edge.smoother import is_ignored

COLLAR_S = 0.5
_NEAR_S = 0.3  # beyond a word's ends, what is heard may still be heard in that word
_STEP_DB = 5.0

# Thresholds of a sweep: steps of 1/4 in the log odds, since good models are sure nearly everywhere.
THRESHOLDS = tuple(round(float(1 / (1 + np.exp(-odds))), 5) for odds in np.arange(-3, 8.01, 0.25))


@dataclass(frozen=True)
class Recording:
    """What a model gave for a recording, and the truth of it: words of any kind, in any order."""

    name: str
    heard: Heard
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Outcome:
    """How the detections in a recording answer its words.

    Attributes:
        recording: The recording.
        said: The words that are labels of the model, silence and unknown apart.
        hops: The hop that each of them was found at, or None.
        false: (hop, label index) of each false accept.
    """

    recording: Recording
    said: tuple[Word, ...]
    hops: tuple[int | None, ...]
    false: tuple[tuple[int, int], ...]

    def delay_s(self, place: int) -> float:
        """Seconds from the end of a word that was found until its detection; < 0 if before."""
        hop = self.hops[place]
        if hop is None:
            raise ValueError(f"the word was not found. Received: place={place}")
        return float(self.recording.heard.end_s[hop]) - self.said[place].end_s


def keywords(labels: Sequence[str]) -> list[str]:
    """The labels that can be detected: all but silence and unknown."""
    return [label for label in labels if not is_ignored(label)]


def judge(
    recording: Recording, fired: Sequence[tuple[int, int]], *, collar_s: float = COLLAR_S
) -> Outcome:
    """Answer each keyword by at most one detection, and each detection to at most one keyword.

    Args:
        recording: Probabilities and truth.
        fired: Of `Scores.fired`.
        collar_s: Seconds between the middle of a word and the time of its detection, at most.
    """
    labels, heard = recording.heard.labels, recording.heard
    known = set(keywords(labels))
    said = tuple(word for word in recording.words if word.label in known)
    hops: list[int | None] = [None] * len(said)
    false: list[tuple[int, int]] = []
    for label in known:
        places = [place for place, word in enumerate(said) if word.label == label]
        some = [item for item in fired if labels[item[1]] == label]
        times = [heard.time_s(hop) for hop, _ in some]
        middles = [_moment(label, said[place].middle_s) for place in places]
        pairs = match(middles, [_moment(label, time) for time in times], collar_s=collar_s)
        for place, answer in pairs:
            hops[places[place]] = some[answer][0]
        answered = {answer for _, answer in pairs}
        false += [item for number, item in enumerate(some) if number not in answered]
    return Outcome(recording, said, tuple(hops), tuple(sorted(false)))


def _moment(label: str, time_s: float) -> Word:
    return Word(label, time_s, time_s)


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Figures of all recordings together.

    Returns:
        hours; total and per_label (label -> figures), each with said, missed, miss_rate with its
        95 % interval (Wilson), false_accepts, false_accepts_per_hour with its 95 % interval
        (Garwood), delay_median_s and delay_p90_s from the end of a word; None where nothing
        defines a figure.
    """
    hours = sum(outcome.recording.heard.seconds for outcome in outcomes) / 3600
    labels = keywords(outcomes[0].recording.heard.labels)
    rows = {label: _figures(outcomes, [label], hours) for label in labels}
    return {"hours": hours, "total": _figures(outcomes, labels, hours), "per_label": rows}


def counts(outcomes: Sequence[Outcome], labels: Sequence[str]) -> dict[str, int]:
    """How many words of some labels were said and missed, and how many were false accepts."""
    said = missed = false = 0
    for outcome in outcomes:
        names = outcome.recording.heard.labels
        false += sum(names[label] in labels for _, label in outcome.false)
        for word, hop in zip(outcome.said, outcome.hops, strict=True):
            if word.label in labels:
                said += 1
                missed += hop is None
    return {"said": said, "missed": missed, "false_accepts": false}


def _figures(outcomes: Sequence[Outcome], labels: Sequence[str], hours: float) -> dict[str, Any]:
    found = counts(outcomes, labels)
    said, missed, false = found["said"], found["missed"], found["false_accepts"]
    delays = [
        outcome.delay_s(place)
        for outcome in outcomes
        for place, word in enumerate(outcome.said)
        if word.label in labels and outcome.hops[place] is not None
    ]
    low, high = poisson_interval(false)
    median, late = np.percentile(delays, [50, 90]).tolist() if delays else (None, None)
    return {
        **found, "miss_rate": missed / said if said else None,
        "miss_interval": list(wilson_interval(missed, said)),
        "false_accepts_per_hour": false / hours,
        "false_accepts_interval": [low / hours, high / hours],
        "delay_median_s": median, "delay_p90_s": late,
    }  # fmt: skip


def misses_by_snr(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Misses in steps of 5 dB of the ratio to noise, where the truth has it: rows by rising ratio.

    Each has from_db, to_db, said, missed, miss_rate and miss_interval (95 % Wilson).
    """
    said: Counter[int] = Counter()
    missed: Counter[int] = Counter()
    for outcome in outcomes:
        for word, hop in zip(outcome.said, outcome.hops, strict=True):
            if word.snr_db is not None:
                step = int(word.snr_db // _STEP_DB)
                said[step] += 1
                missed[step] += hop is None
    return [
        {
            "from_db": step * _STEP_DB, "to_db": (step + 1) * _STEP_DB, "said": n,
            "missed": missed[step], "miss_rate": missed[step] / n,
            "miss_interval": list(wilson_interval(missed[step], n)),
        }
        for step, n in sorted(said.items())
    ]  # fmt: skip


def false_by_word(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """What was said where something false was heard: rows of heard, said and count, most first.

    "said" is the nearest word around it, or None where nobody spoke.
    """
    counts: Counter[tuple[str, str | None]] = Counter()
    for outcome in outcomes:
        heard = outcome.recording.heard
        for hop, label in outcome.false:
            time_s = heard.time_s(hop)
            around = [
                word for word in outcome.recording.words
                if word.start_s - _NEAR_S <= time_s <= word.end_s + _NEAR_S
            ]  # fmt: skip
            nearest = min(around, key=lambda word: abs(word.middle_s - time_s), default=None)
            counts[heard.labels[label], nearest.label if nearest else None] += 1
    return [
        {"heard": heard_label, "said": said, "count": n}
        for (heard_label, said), n in sorted(counts.items(), key=lambda item: -item[1])
    ]


def sweep(
    recordings: Sequence[Recording], settings: Sequence[tuple[int, int, int]], *,
    collar_s: float = COLLAR_S, thresholds: Sequence[float] = THRESHOLDS,
) -> list[dict[str, Any]]:  # fmt: skip
    """One threshold for all labels, moved: the points of a DET curve.

    Args:
        recordings: Probabilities and truth.
        settings: Window, refractory and hold of each label, in hops, as `Detector.hops` gives them.
        collar_s: Of `judge`.
        thresholds: In (0, 1).

    Returns:
        For each threshold: threshold, and total and per_label as `counts` has them, with miss_rate
        and false_accepts_per_hour.
    """
    window, refractory, hold = (list(column) for column in zip(*settings, strict=True))
    scores = [Scores(recording.heard, window) for recording in recordings]
    hours = sum(recording.heard.seconds for recording in recordings) / 3600
    labels = keywords(recordings[0].heard.labels)
    points = []
    for threshold in thresholds:
        limits = {"threshold": [threshold] * len(window), "refractory": refractory, "hold": hold}
        outcomes = [
            judge(recording, some.fired(**limits), collar_s=collar_s)
            for recording, some in zip(recordings, scores, strict=True)
        ]
        rows = {label: _point(counts(outcomes, [label]), hours) for label in labels}
        total = _point(counts(outcomes, labels), hours)
        points.append({"threshold": threshold, "total": total, "per_label": rows})
    return points


def _point(found: dict[str, int], hours: float) -> dict[str, Any]:
    return {
        **found, "miss_rate": found["missed"] / found["said"] if found["said"] else None,
        "false_accepts_per_hour": found["false_accepts"] / hours,
    }  # fmt: skip
