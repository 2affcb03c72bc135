"""A long recording of spoken words in noise, with the truth of where each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audio_edge.datasets import noise, rendering
from audio_edge.datasets.speech import Speaker
from audio_edge.datasets.voices import Voice


class Spoken(NamedTuple):
    """A word within a recording: from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    label: str


def make(
    words: Sequence[str],
    who: Voice,
    *,
    sample_rate: int,
    seed: int,
    gap_s: tuple[float, float] = (0.6, 1.4),
    snr_db: float = 20.0,
) -> tuple[np.ndarray, list[Spoken]]:
    """Speak words one after another, with pauses, in background noise.

    There is no room, so that the boundaries are exact.

    Args:
        words: What to say, in this order.
        who: The voice; pitch and pace vary from word to word.
        sample_rate: Hz.
        seed: Of everything that varies.
        gap_s: Shortest and longest pause, also before the first and after the last word.
        snr_db: Power of the words over the power of the noise, in dB.

    Returns:
        (float32 [samples] with peak 0.5, each word's start, end and text).
    """
    if not words:
        raise ValueError("words must not be empty")
    if not 0 <= gap_s[0] <= gap_s[1]:
        rule = "gap_s must be (low, high) with 0 <= low <= high"
        raise ValueError(f"{rule}. Received: gap_s={gap_s}")
    rng = rendering.stream(seed, "recording", who.name)
    parts, spoken, at = [], [], 0
    with Speaker() as speaker:
        for word in words:
            pause = round(rng.uniform(*gap_s) * sample_rate)
            pitch, rate = rendering.between(rng, 0.9, 1.1), rendering.between(rng, 0.75, 1.1)
            said = rendering.say(
                speaker, word, who, pitch=pitch, rate=rate, sample_rate=sample_rate
            )
            said = said * np.float32(rendering.between(rng, 0.7, 1.0) / np.abs(said).max())
            start, at = at + pause, at + pause + len(said)
            parts += [np.zeros(pause, np.float32), said]
            spoken.append(Spoken(start / sample_rate, at / sample_rate, word))
    parts.append(np.zeros(round(rng.uniform(*gap_s) * sample_rate), np.float32))
    waveform = np.concatenate(parts).astype(np.float64)
    power = np.sum(np.square(waveform)) / sum(len(part) for part in parts[1::2])
    bank = noise.noises(sample_rate, len(waveform) / sample_rate, int(rng.integers(2**31)))
    background = (bank["pink"] + bank["fan"]).astype(np.float64)[: len(waveform)]
    background -= background.mean()
    background *= np.sqrt(power / np.mean(np.square(background)))
    waveform += background * 10 ** (-snr_db / 20)
    return (0.5 * waveform / np.abs(waveform).max()).astype(np.float32), spoken
