"""How a model hears in noise: the clips once more, with background noise at given ratios."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from audio_edge import audio, metrics
from audio_edge.config import SILENCE, DataConfig
from audio_edge.datasets import pipeline
from audio_edge.datasets.pipeline import Split
from audio_edge.errors import UserError
from audio_edge.run import locate

LOWEST_DB, HIGHEST_DB = -40.0, 100.0


def ratios(text: str) -> list[float]:
    """Signal-to-noise ratios in dB from "0,10,20", in rising order.

    Raises:
        UserError: One is no number, is outside -40 to 100 dB, or comes twice.
    """
    try:
        found = sorted(float(part) for part in text.split(","))
    except ValueError:
        found = []
    if not found or not all(LOWEST_DB <= ratio <= HIGHEST_DB for ratio in found):
        raise UserError(
            f"--snr must be ratios from {LOWEST_DB:g} to {HIGHEST_DB:g} dB, such as 0,10,20. "
            f"Received: {text!r}"
        )
    if len(set(found)) < len(found):
        raise UserError(f"--snr must not name a ratio twice. Received: {text!r}")
    return found


def bank_of_run(path: str | os.PathLike[str], data: DataConfig) -> tuple[dict[str, Any], int]:
    """The noises that the run of a model keeps for the test, and the seed of the run.

    Args:
        path: A run, a stage of one or a converted file of one.
        data: How the model's clips are cut.

    Returns:
        (name -> float32 [samples] at the model's rate, seed).
    """
    found = locate(path)
    if found is None:
        raise UserError(f"{path}: belongs to no run, whose noise --snr takes; leave --snr out")
    config = found[0].config
    if config.data.sample_rate != data.sample_rate:
        raise UserError(
            f"{path}: takes {data.sample_rate} Hz, but the noise of its run has "
            f"{config.data.sample_rate} Hz; leave --snr out"
        )
    return pipeline.noise_bank(config, pipeline.index(config), "test"), config.run.seed


def mix(
    clips: np.ndarray, bank: Mapping[str, np.ndarray], *, snr_db: float, seed: int
) -> np.ndarray:
    """Add noise to each clip at one ratio of their powers over the whole clip.

    Clip i gets the same stretch of the same noise at every ratio, drawn from (seed, i). Where the
    sum would pass full scale, both are lowered alike, so that the ratio stays true.

    Args:
        clips: int16 [n, clip_samples], none of them all zeros.
        bank: float [samples] each.
        snr_db: Power of the clip over power of the noise, dB.
        seed: >= 0.

    Returns:
        int16 [n, clip_samples].
    """
    long = [wave for wave in bank.values() if len(wave) >= clips.shape[1]]
    if not long:
        raise UserError("no noise is as long as a clip; add longer recordings of noise")
    mixed = np.empty_like(clips)
    for number, clip in enumerate(clips):
        noise = _stretch(long, clips.shape[1], np.random.default_rng([seed, number]))
        wave = clip / 32768.0
        power = np.mean(np.square(wave)) / np.mean(np.square(noise))
        wave = wave + noise * np.sqrt(power * 10 ** (-snr_db / 10))
        mixed[number] = audio.to_int16(wave / max(1.0, np.abs(wave).max()))
    return mixed


def _stretch(bank: Sequence[np.ndarray], length: int, rng: np.random.Generator) -> np.ndarray:
    """float64 [length] of a noise, each equally likely, from a place where it can be heard."""
    for _ in range(100):
        wave = bank[rng.integers(len(bank))]
        start = rng.integers(len(wave) - length + 1)
        part = wave[start : start + length].astype(np.float64)
        if np.mean(np.square(part)) > 1e-10:  # -100 dB of its loudest sample
            return part
    raise UserError("the recordings of noise are silent nearly everywhere; give others")


def sounding(clips: Split, labels: tuple[str, ...]) -> np.ndarray:
    """Which clips have a ratio to noise, those of silence having none: bool [n].

    Raises:
        UserError: None has.
    """
    audible: np.ndarray = clips.waveforms.any(axis=1)
    if SILENCE in labels:
        audible &= clips.labels != labels.index(SILENCE)
    if not audible.any():
        raise UserError("every clip is silent, so none has a ratio to noise; leave --snr out")
    return audible


def accuracy(
    score: Callable[[np.ndarray], np.ndarray], labels: tuple[str, ...], clips: Split,
    bank: Mapping[str, np.ndarray], snrs_db: Sequence[float], *, seed: int,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Accuracy on the clips in noise, the silent ones left out: they have no ratio to noise.

    Args:
        score: Of `evaluation.scorer`.
        labels: Of the model.
        clips: Recordings as they are, with whatever noise is in them.
        bank: Noises.
        snrs_db: Ratios.
        seed: Of the noise that each clip gets.
        progress: Called with 1 after each ratio.

    Returns:
        rows (of `metrics.accuracy_by_snr`), clean (accuracy, n and interval of the same clips
        without added noise), left_out (number of silent clips), noises (names) and seed.
    """
    if clips.labels.ndim == 2:
        raise UserError("--snr is for models of one label a clip; leave it out")
    audible = sounding(clips, labels)
    waveforms, truth = clips.waveforms[audible], clips.labels[audible]
    heard: list[tuple[float, bool]] = []
    for ratio_db in (np.inf, *snrs_db):
        added = waveforms
        if np.isfinite(ratio_db):
            added = mix(waveforms, bank, snr_db=ratio_db, seed=seed)
        right = score(added).argmax(axis=1) == truth
        heard += [(ratio_db, bool(hit)) for hit in right]
        if progress:
            progress(1)
    *rows, clean = metrics.accuracy_by_snr(heard)
    del clean["snr_db"]
    return {
        "rows": rows, "clean": clean, "left_out": int((~audible).sum()), "noises": list(bank),
        "seed": seed,
    }  # fmt: skip
