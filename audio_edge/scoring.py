"""Accuracy of finished .tflite files on a folder of recordings, and PCM to time them on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge import audio
from audio_edge.errors import UserError
from audio_edge.interpreter import Interpreter
from audio_edge.metrics import wilson_interval
from audio_edge.stream_batch import StreamBatch
from audio_edge.streaming_interpreter import StreamingInterpreter, open_model

UNKNOWN = "unknown"  # the label that every other word counts as
_PCM_RECORDINGS = 8


def recordings(data: str | os.PathLike[str]) -> dict[Path, str]:
    """Recording -> name of its subfolder; folders that begin with "." or "_" are passed over.

    Raises:
        UserError: There is no such folder, or no recording in its subfolders.
    """
    root = Path(data)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give a folder with one subfolder a label")
    found = {
        path: folder.name
        for folder in sorted(root.iterdir())
        if folder.is_dir() and folder.name[0] not in "._"
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in audio.EXTENSIONS and path.name[0] != "."
    }
    if not found:
        raise UserError(f"{root}: holds no subfolder with recordings; put one for each label there")
    return found


def accuracies(
    models: Sequence[Path],
    labelled: dict[Path, str],
    *,
    runtime: str,
    threads: int = 1,
    progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> tuple[dict[Path, dict[str, Any] | None], int]:
    """Top-1 accuracy of each model, every recording read once.

    Clips are centred: padded with zeros or cut on both sides to the model's length. A name that is
    no label of a model counts as "unknown" if the model knows that, and is left out otherwise.

    Args:
        models: .tflite files.
        labelled: Recording -> label, of `recordings`.
        runtime: Of `audio_edge.interpreter.RUNTIMES`.
        threads: Threads of the interpreters.
        progress: Wraps the recordings, as tqdm does.

    Returns:
        (per model accuracy, n, interval (95 % Wilson) and source, or None for a model that takes
        features or knows none of the labels; the number of recordings that cannot be read).
    """
    judges: dict[Path, Interpreter | StreamingInterpreter | StreamBatch] = {}
    for path in models if labelled else ():
        try:
            model = open_model(path, runtime=runtime, num_threads=threads)
        except UserError:  # it takes features, or this runtime does not run it
            continue
        if set(model.labels).intersection(labelled.values()):
            judges[path] = model
    rates = {model.sample_rate for model in judges.values()}
    hits: dict[Path, list[bool]] = {path: [] for path in models}
    unreadable = 0
    for recording in progress(list(labelled)) if judges else ():
        try:
            clip, rate = audio.read(recording, sample_rate=None)
        except UserError:
            unreadable += 1
            continue
        clips = {to: clip if to == rate else audio.resample(clip, rate, to) for to in rates}
        for path, model in judges.items():
            name = labelled[recording]
            label = name if name in model.labels else UNKNOWN
            if label in model.labels:
                probs = model(_centred(clips[model.sample_rate], model.clip_samples))
                hits[path].append(model.labels[int(probs.argmax())] == label)
    return {path: _share(hit) if hit else None for path, hit in hits.items()}, unreadable


def _share(hits: Sequence[bool]) -> dict[str, Any]:
    correct, n = sum(hits), len(hits)
    interval = list(wilson_interval(correct, n))
    return {"accuracy": correct / n, "n": n, "interval": interval, "source": "data"}


def _centred(samples: np.ndarray, length: int) -> np.ndarray:
    """Zeros on both sides, or both sides cut, to `length` samples."""
    missing = max(length - len(samples), 0)
    start = max(len(samples) - length, 0) // 2
    return np.pad(samples, (missing // 2, missing - missing // 2))[start : start + length]


def pcm(labelled: dict[Path, str]) -> tuple[np.ndarray, str]:
    """Sound to time models on: a few of the recordings or, without any, made-up speech.

    Returns:
        (float32 [samples] in [-1, 1], what it is).

    Raises:
        UserError: There are recordings, but none can be read.
    """
    if not labelled:
        return speech_like(64000, sample_rate=16000), "synthetic PCM, like speech"
    paths = list(labelled)
    spread = paths[:: max(1, len(paths) // _PCM_RECORDINGS)]
    clips: list[np.ndarray] = []
    for path in dict.fromkeys([*spread, *paths]):
        try:
            clips.append(audio.read(path)[0])
        except UserError:
            continue
        if len(clips) == _PCM_RECORDINGS:
            break
    if not clips:
        raise UserError(f"{paths[0].parent}: no recording can be read; convert them to WAV")
    return np.concatenate(clips), f"{len(clips)} recordings of the data"


def speech_like(samples: int, *, sample_rate: int, seed: int = 0) -> np.ndarray:
    """A buzz of harmonics below 4 kHz, gliding near 120 Hz, in syllables of 4 Hz over faint noise.

    Args:
        samples: Length.
        sample_rate: Hz.
        seed: Of the noise.

    Returns:
        float32 [samples] in [-1, 1], peak 0.5.
    """
    t = np.arange(samples) / sample_rate
    phase = 2 * np.pi * (120 * t + 3 * np.sin(2 * np.pi * 0.7 * t))
    voice = sum(np.sin(k * phase) / k for k in range(1, min(4000, sample_rate // 2) // 140))
    envelope = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * t)
    noise = np.random.default_rng(seed).normal(size=samples)
    waveform = voice * envelope + 0.003 * noise
    return (0.5 * waveform / np.abs(waveform).max()).astype(np.float32)
