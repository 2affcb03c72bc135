"""What a model hears where none of its words is said: noises made up here, and any recordings."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from audio_edge import audio, metrics
from audio_edge.config import SILENCE, UNKNOWN, DataConfig
from audio_edge.datasets import noise
from audio_edge.errors import UserError

LEVELS_DB = (-60.0, -40.0, -20.0, -6.0)  # RMS against full scale
WINDOWS = 40  # of each noise at each level
_SEED = 2**20  # far from those of training: the noises are others of their kinds
Score = Callable[[np.ndarray], np.ndarray]


def made_up(
    score: Score, labels: tuple[str, ...], data: DataConfig, *, seed: int = 0,
    progress: Callable[[int], Any] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Judge digital silence and seven kinds of noise at several levels.

    Args:
        score: Of `evaluation.scorer`.
        labels: Of the model.
        data: How its clips are cut.
        seed: Of the noises.
        progress: Called with 1 after each row.

    Returns:
        Rows of `judge` with sound and level_db (None for digital silence).
    """
    zero = np.zeros((1, data.clip_samples), np.int16)
    rows = [{"sound": "digital silence", "level_db": None, **judge(score(zero), labels)}]
    bank = noise.noises(data.sample_rate, WINDOWS * data.clip_s, _SEED + seed)
    for name, waveform in bank.items():
        for level_db in LEVELS_DB:
            parts = waveform[: WINDOWS * data.clip_samples].reshape(WINDOWS, -1)
            gain = 10 ** (level_db / 20) / np.sqrt(np.mean(np.square(waveform)))
            probs = score(audio.to_int16(gain * parts))
            rows.append({"sound": name, "level_db": level_db, **judge(probs, labels)})
            if progress:
                progress(1)
    return rows


def recordings(
    score: Score, labels: tuple[str, ...], data: DataConfig,
    paths: Sequence[str | os.PathLike[str]], *, progress: Callable[[int], Any] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Judge recordings, each cut end to end into clips; what is left at the end is passed over.

    Args:
        score: Of `evaluation.scorer`.
        labels: Of the model.
        data: How its clips are cut.
        paths: Recordings in which none of its words is said.
        progress: Called with 1 after each.

    Returns:
        Rows of `judge` with sound (the path) and level_db (of the recording's RMS).

    Raises:
        UserError: A recording cannot be read or is shorter than a clip.
    """
    rows = []
    for path in paths:
        waveform, _ = audio.read(path, sample_rate=data.sample_rate)
        count = len(waveform) // data.clip_samples
        if not count:
            raise UserError(f"{path}: shorter than a clip of {data.clip_s:g} s; leave it out")
        parts = waveform[: count * data.clip_samples].reshape(count, -1)
        power = float(np.mean(np.square(waveform)))
        level_db = 10 * np.log10(power) if power else None
        probs = score(audio.to_int16(parts))
        rows.append({"sound": os.fspath(path), "level_db": level_db, **judge(probs, labels)})
        if progress:
            progress(1)
    return rows


def judge(probs: np.ndarray, labels: tuple[str, ...]) -> dict[str, Any]:
    """Count what is heard in clips without a word.

    Args:
        probs: [n, classes].
        labels: Of the classes.

    Returns:
        n, silence, unknown and words (numbers of clips), and highest, the best score of any word.
    """
    words = np.array([label not in (SILENCE, UNKNOWN) for label in labels])
    heard = probs.argmax(axis=1)
    quiet = heard == labels.index(SILENCE) if SILENCE in labels else np.zeros(len(heard), bool)
    false = words[heard]
    return {
        "n": len(probs),
        "silence": int(quiet.sum()),
        "unknown": int((~quiet & ~false).sum()),
        "words": int(false.sum()),
        "highest": float(probs[:, words].max()),
    }


def total(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sums over rows, and the shares with their 95 % intervals.

    Returns:
        n, silence, unknown, words; silence_share and no_word_share as [share, low, high].
    """
    sums = {key: sum(row[key] for row in rows) for key in ("n", "silence", "unknown", "words")}
    shares = {}
    for name, count in (
        ("silence_share", sums["silence"]),
        ("no_word_share", sums["n"] - sums["words"]),
    ):
        shares[name] = [count / sums["n"], *metrics.wilson_interval(count, sums["n"])]
    return {**sums, **shares}
