"""A tiny data set for the tests: tones as words, spoken by made-up speakers at their own pitch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
PITCHES = {"low": 400.0, "mid": 1100.0, "high": 2600.0, "sweep": 5000.0}
WORDS = tuple(PITCHES)


def say(word: str, seed: int, seconds: float = 0.5) -> np.ndarray:
    """float64 [samples]: the word's tone with a random pitch, level and onset.

    "sweep" falls four octaves.
    """
    rng = np.random.default_rng(seed)
    samples = round(seconds * RATE)
    time = np.arange(samples) / RATE
    start, length = rng.uniform(0.02, 0.1) * samples, rng.uniform(0.6, 0.8) * samples
    at = np.arange(samples)
    envelope = np.clip(np.minimum(at - start, start + length - at) / 200, 0, 1)
    pitch = PITCHES[word] * rng.uniform(0.93, 1.07)
    pitch *= 2 ** (-4 * time / seconds) if word == "sweep" else np.ones(samples)
    wave = np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    return rng.uniform(0.1, 0.5) * envelope * wave + rng.normal(scale=1e-3, size=samples)


def make(root: Path, words=WORDS, speakers: int = 14, takes: int = 2) -> Path:
    """Write `<word>/<speaker>_nohash_<take>.wav` under root."""
    for number, word in enumerate(words):
        (root / word).mkdir(parents=True)
        for speaker in range(speakers):
            for take in range(takes):
                wave = say(word, 1000 * number + 10 * speaker + take)
                soundfile.write(root / word / f"s{speaker}_nohash_{take}.wav", wave, RATE)
    return root


CONFIG = """
[run]
name = "tones"
[data]
kind = "folder"
words = ["low", "mid", "high"]
unknown = true
silence = true
clip_s = 0.5
val_share = 0.15
test_share = 0.2
licence = "CC0-1.0"
[augment]
noise_share = 0.3
snr_db = [15.0, 40.0]
shift_s = 0.03
speed = 0.02
time_width = 4
[model]
width = 12
depth = 2
dropout = 0.1
[train]
epochs = 50
batch_size = 16
learning_rate = 1e-2
[prune]
epochs = 16
learning_rate = 5e-3
[quantize]
epochs = 6
learning_rate = 1e-3
"""


def config(folder: Path) -> Path:
    """Write the config of this data set into a folder."""
    path = folder / "tones.toml"
    path.write_text(CONFIG)
    return path
