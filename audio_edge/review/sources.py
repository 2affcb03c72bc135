"""Where clips come from: folders of saved hits, and recordings that models were run over."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge import audio, files
from audio_edge.errors import UserError
from audio_edge.review import bundle, choice
from audio_edge.review.items import MAX_S, digest_of
from audio_edge.review.queue import Queue

Scores = Callable[[np.ndarray, int], dict[str, float]]


def from_hits(
    queue: Queue, folder: str | os.PathLike[str], *, now: float, source: str | None = None,
    reported: bool = False, least: float = choice.MARGIN, control: float = choice.CONTROL,
) -> dict[str, int]:  # fmt: skip
    """Take in what `audio_edge.listen --save-hits`, or anything that writes alike, has saved.

    Beside each recording NAME.wav lies NAME.json with an object `scores`, label by label, `model`,
    and, if it is known, `model_sha256`, `source` and `reported` (true: somebody said it was wrong).

    Args:
        queue: Where they go.
        folder: Where they lie; or the zip of them that the Android app exports.
        now: Seconds since 1970.
        source: Of those that do not say; None is the name of the folder or the zip.
        reported: Take all of them, as reported errors.
        least: See `choice.reason`.
        control: See there.

    Returns:
        Counts: one for each reason, "chosen by none", "there already" and "WAV without its JSON".

    Raises:
        UserError: There is no such folder, a file in it is damaged, or none is the JSON of a hit.
    """
    place = Path(folder)
    if place.is_file():
        with bundle.unpacked(place) as unpacked:
            return from_hits(
                queue, unpacked, now=now, source=source or place.stem, reported=reported,
                least=least, control=control,
            )  # fmt: skip
    if not place.is_dir():
        raise UserError(f"{folder}: no such folder; give one of audio_edge.listen --save-hits")
    hits = sorted(place.glob("*.json"))
    if not hits and any(place.iterdir()):
        raise UserError(f"{folder}: holds no WAV with its JSON beside it; give both of each hit")
    counts: Counter[str] = Counter()
    if alone := {path.stem for path in place.glob("*.wav")} - {path.stem for path in hits}:
        counts["WAV without its JSON"] = len(alone)
    for path in hits:
        told = files.read_json(path, dict)
        scores, sound = told.get("scores"), path.with_suffix(".wav")
        if not isinstance(scores, dict) or not all(_is_score(score) for score in scores.values()):
            raise UserError(f"{path}: holds no scores; remove it with its recording")
        samples, rate = audio.read(sound, sample_rate=None, max_s=MAX_S)
        key = digest_of(samples, rate)
        why = choice.reason(scores, key=key, least=least, control=control)
        if reported or told.get("reported") is True:
            why = "reported"
        facts = {name: str(told.get(name) or "") for name in ("source", "model", "model_sha256")}
        facts["source"] = facts["source"] or source or place.name
        counts[_put(queue, samples, rate, why, now, scores, **facts)] += 1
    return dict(counts)


def from_recordings(
    queue: Queue, recordings: Iterable[tuple[Path, str]], hear: Scores, *, model: str,
    model_sha256: str, now: float, other: Scores | None = None,
    least: float = choice.MARGIN, control: float = choice.CONTROL,
) -> dict[str, int]:  # fmt: skip
    """Take in recordings that a model is unsure of, or that another hears otherwise.

    Args:
        queue: Where they go.
        recordings: Paths, and the source of each.
        hear: The model that is deployed: int16 [n] and Hz -> scores of each label.
        model: Its name.
        model_sha256: The hash of its file.
        now: Seconds since 1970.
        other: Another model, such as the float original of an int8 file.
        least: See `choice.reason`.
        control: See there.

    Returns:
        As `from_hits`, and of what cannot be read.
    """
    counts: Counter[str] = Counter()
    for path, source in recordings:
        try:
            samples, rate = audio.read(path, sample_rate=None, max_s=MAX_S)
        except UserError:
            counts["cannot be read, or too long"] += 1
            continue
        pcm = audio.to_int16(samples)
        scores = hear(pcm, rate)
        why = choice.reason(
            scores, other(pcm, rate) if other else None, key=digest_of(pcm, rate), least=least,
            control=control,
        )  # fmt: skip
        found = {"source": source, "model": model, "model_sha256": model_sha256}
        counts[_put(queue, pcm, rate, why, now, scores, **found)] += 1
    return dict(counts)


def _put(
    queue: Queue, samples: np.ndarray, rate: int, why: str | None, now: float,
    scores: Mapping[str, float], **facts: str,
) -> str:  # fmt: skip
    """Add one, and say what became of it."""
    if why is None:
        return "chosen by none"
    taken = queue.add(samples, rate, why=why, now=now, scores=scores, **facts)
    return why if taken else "there already"


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
