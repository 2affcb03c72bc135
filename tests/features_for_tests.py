"""What the tests of the features share: signals, real speech, references and layers by name."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_edge.config import FrontendConfig
from audio_edge.frontend import LAYERS as ALL
from audio_edge.reference import features

LAYERS = {name: layer for name, layer in ALL.items() if name != "logmel"}  # which has test_mel
ROOT = Path(
    os.environ.get("AUDIO_EDGE_DATA")
    or Path(__file__).parents[2] / "shared" / "data" / "speech_commands_subset"
)
needs_data = pytest.mark.skipif(
    not (ROOT / "right").is_dir(), reason=f"no Speech Commands under {ROOT}; set AUDIO_EDGE_DATA"
)
SYNTHETIC = ("noise", "quiet", "tone", "chirp", "clicks", "silence")
SIGNALS = (*SYNTHETIC, pytest.param("speech", marks=needs_data))


@functools.cache
def signal(name: str) -> np.ndarray:
    """float32 [samples] at 16000 Hz: one second, or 12 s of recorded words."""
    rng = np.random.default_rng(7)
    time = np.arange(16000) / 16000
    if name == "speech":
        found = sorted(ROOT.glob("[a-z]*/*.*"))
        return np.concatenate([soundfile.read(path, dtype="float32")[0] for path in found[::20]])[
            :192000
        ]
    wave = {
        "noise": rng.normal(scale=0.2, size=16000).clip(-1, 1),
        "quiet": np.rint(rng.normal(scale=3, size=16000)) / 32768,
        "tone": 0.5 * np.sin(2 * np.pi * 1234.5 * time),
        "chirp": 0.5 * np.sin(2 * np.pi * (100 + 3700 * time) * time),
        "clicks": np.where(np.arange(16000) % 1777 == 100, 0.9, 0.0),
        "silence": np.zeros(16000),
    }[name]
    return wave.astype(np.float32)


def frames_of(wave: np.ndarray, c: FrontendConfig) -> np.ndarray:
    """float64 [frames, frame_length]."""
    wave = np.asarray(wave, np.float64)
    return np.lib.stride_tricks.sliding_window_view(wave, c.frame_length)[:: c.hop_length]


def reference(name: str, wave: np.ndarray, c: FrontendConfig, rate: int = 16000) -> np.ndarray:
    """A feature by the reference mathematics: float64 [frames, width]."""
    alone = dataclasses.replace(c, features=(name,), normalize=False)
    return features.features(wave, alone, sample_rate=rate)


def output(
    name: str, wave: np.ndarray, c: FrontendConfig | None = None, rate: int = 16000
) -> np.ndarray:
    """A feature by its layer: float32 [frames, width]."""
    return LAYERS[name](c, sample_rate=rate)(np.float32(wave)[None]).numpy()[0, ..., 0]
