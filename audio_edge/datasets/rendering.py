"""One spoken clip: a word in another pitch, pace, place, room and loudness each time.

A clip is a pure function of (seed, word, voice, number).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from audio_edge import audio
from audio_edge.datasets.speech import Speaker
from audio_edge.datasets.voices import Voice

_OFFSET_S = 0.1
_FASTEST = 2.0


class Take(NamedTuple):
    """One clip to make: which word, by whom, the how-manieth time."""

    word: str
    voice: Voice
    number: int


def render(
    take: Take, speaker: Speaker, *, sample_rate: int, clip_samples: int, seed: int
) -> np.ndarray:
    """Make one clip: the word in the middle, up to 0.1 s off, in a small room, over a faint hiss.

    The peak is at -20 to -3 dB of full scale, the hiss at -80 to -55 dB. A word that is longer than
    the clip is spoken up to twice as fast, and what is still too long loses its end.

    Returns:
        float32 [clip_samples] in [-1, 1].
    """
    rng = stream(seed, take.word, take.voice.name, str(take.number))
    pitch, rate = between(rng, 0.85, 1.2), between(rng, 0.65, 1.1)

    def spoken(rate: float) -> np.ndarray:
        return say(speaker, take.word, take.voice, pitch=pitch, rate=rate, sample_rate=sample_rate)

    word = spoken(rate)
    if len(word) > clip_samples:
        rate = min(1.05 * rate * len(word) / clip_samples, _FASTEST)
        word = spoken(rate)[:clip_samples].copy()
        fade = min(len(word), round(0.01 * sample_rate))
        word[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    slack = clip_samples - len(word)
    offset = min(slack // 2, round(_OFFSET_S * sample_rate))
    start = slack // 2 + int(rng.integers(-offset, offset + 1))
    dry = np.zeros(clip_samples)
    dry[start : start + len(word)] = word
    wet = in_room(dry, sample_rate, rng)
    wet *= 10 ** (rng.uniform(-20, -3) / 20) / np.abs(wet).max()
    wet += 10 ** (rng.uniform(-80, -55) / 20) * rng.standard_normal(clip_samples)
    return np.clip(wet, -1, 1).astype(np.float32)


def in_room(waveform: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Put a waveform in a small made-up room, before a made-up microphone.

    The room: three to six reflections within 20 ms, and noise that decays by 60 dB in 0.08 to 0.4
    s, together 3 to 20 dB below the direct sound. The microphone: a slope of up to 2 dB an octave
    either way about 1 kHz, and a high-pass at 50 Hz. The direct sound stays where it was.

    Returns:
        float64, as long as `waveform`; what rings on beyond its end is cut off.
    """
    decay_s = rng.uniform(0.08, 0.4)
    time = np.arange(round(decay_s * sample_rate)) / sample_rate
    echoes = rng.standard_normal(time.size) * 10 ** (-3 * time / decay_s) * (time > 0.003)
    first = np.abs(echoes).max()
    for _ in range(rng.integers(3, 7)):
        at = round(rng.uniform(0.002, 0.02) * sample_rate)
        echoes[at] += rng.choice((-1, 1)) * rng.uniform(1, 3) * first
    echoes *= 10 ** (-rng.uniform(3, 20) / 20) / np.sqrt(np.sum(np.square(echoes)))
    echoes[0] += 1.0
    size = len(waveform) + time.size
    hertz = np.fft.rfftfreq(size, 1 / sample_rate)
    slope = rng.uniform(-2, 2) / (20 * np.log10(2))  # dB an octave -> exponent
    s = 1j * hertz / 50  # second-order Butterworth high-pass, in units of its corner
    microphone = (np.clip(hertz, 100, 8000) / 1000) ** slope * s**2 / (s**2 + np.sqrt(2) * s + 1)
    spectrum = np.fft.rfft(waveform, size) * np.fft.rfft(echoes, size) * microphone
    return np.fft.irfft(spectrum, size)[: len(waveform)]


def say(
    speaker: Speaker, word: str, who: Voice, *, pitch: float, rate: float, sample_rate: int
) -> np.ndarray:
    """One word at `sample_rate`, with peak 1; `pitch` and `rate` as in `Speaker.speak`."""
    waveform, own_rate = speaker.speak(word, who, pitch=pitch, rate=rate)
    if own_rate != sample_rate:
        waveform = audio.resample(waveform, own_rate, sample_rate)
    return waveform / np.abs(waveform).max()


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a factor, evenly on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def stream(seed: int, *names: str) -> np.random.Generator:
    """The random stream of one thing, whatever was drawn for others."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, "<u4").tolist()])
