"""Fixtures shared by the tests: a seeded generator and tiny models that hear tones.

The tone model takes 0.1 s at 16000 Hz and gives the probabilities of silence, of 500 Hz ("low") and
of 1500 Hz ("high"), from the power that a tone has in the clip: known mathematics, in a real file.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# Numba's cache, of what librosa compiles, is not safe where two processes fill it at once. Workers
# inherit the name that the first process has set, so each sets its own.
os.environ["NUMBA_CACHE_DIR"] = os.path.abspath(
    f".pytest_cache/numba/{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
)

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audio_edge import card, tflite_metadata

# Every conversion asks each further Python that is named; here only the tests that want it do. The
# names are kept under another, which the workers inherit.
_KEPT = "TESTS_"
OTHER_PYTHONS = {}
for _name in ("AUDIO_EDGE_TENSORFLOW_LITE_2_16_1",):
    if _name in os.environ:
        os.environ[_KEPT + _name] = os.environ.pop(_name)
    if _KEPT + _name in os.environ:
        OTHER_PYTHONS[_name] = os.environ[_KEPT + _name]

SAMPLE_RATE, CLIP = 16000, 1600
LABELS, FREQUENCIES = ("silence", "low", "high"), (500.0, 1500.0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240601)


@pytest.fixture
def other_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    """The further Pythons that were named in the environment, named again."""
    for name, path in OTHER_PYTHONS.items():
        monkeypatch.setenv(name, path)


def tone(label: str, seconds: float, *, amplitude: float = 0.5) -> np.ndarray:
    """float32 [samples] of the tone that the model calls `label`; "silence" is zeros."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    if label == "silence":
        return np.zeros(len(time), np.float32)
    frequency = FREQUENCIES[LABELS.index(label) - 1]
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def tone_probs(waveform: np.ndarray) -> np.ndarray:
    """The tone model's formula in float64: softmax(2, 60 a^2, 60 b^2), a and b the amplitudes."""
    logits = [2.0]
    for row in _analysis().reshape(2, 2, CLIP):
        logits.append(60 * float(np.square(row @ np.asarray(waveform, np.float64)).sum()))
    raised = np.exp(np.array(logits) - max(logits))
    return raised / raised.sum()


def _analysis() -> np.ndarray:
    """[4, CLIP]: cosine and sine of either frequency, so that a tone gives its amplitude."""
    time = np.arange(CLIP) / SAMPLE_RATE
    angle = 2 * np.pi * np.array(FREQUENCIES)[:, None] * time
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).reshape(4, CLIP) * 2 / CLIP


def _convert(function: Callable, *, int8: bool = False) -> bytes:
    import tensorflow as tf

    module = tf.Module()
    concrete = tf.function(
        function, input_signature=[tf.TensorSpec((1, CLIP), tf.float32)]
    ).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    if int8:
        samples = np.random.default_rng(0).uniform(-1, 1, (64, 1, CLIP)).astype(np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([clip] for clip in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


@pytest.fixture(scope="session")
def tone_model() -> bytes:
    """The tone model as a bare flatbuffer, without card and metadata."""
    import tensorflow as tf

    analysis = tf.constant(_analysis().T, tf.float32)

    def probs(waveform: tf.Tensor) -> tf.Tensor:
        power = tf.square(tf.matmul(waveform, analysis))  # [1, 4]
        power = tf.reduce_sum(tf.reshape(power, (1, 2, 2)), axis=2)  # [1, 2]
        return tf.nn.softmax(tf.concat([tf.fill((1, 1), 2.0), 60.0 * power], axis=1))

    return _convert(probs)


@pytest.fixture(scope="session")
def int8_model() -> bytes:
    """int8 in, int8 out: the mean of the clip's halves, [1, 2]."""
    import tensorflow as tf

    half = np.repeat(np.eye(2, dtype=np.float32) * 2 / CLIP, CLIP // 2, axis=0)

    def means(waveform: tf.Tensor) -> tf.Tensor:
        return tf.matmul(waveform, tf.constant(half))

    return _convert(means, int8=True)


@pytest.fixture(scope="session")
def tone_card() -> card.Card:
    return card.Card(
        labels=LABELS,
        sample_rate=SAMPLE_RATE,
        clip_samples=CLIP,
        detector={"hop_s": 0.025, "window_s": 0.05, "threshold": 0.7, "refractory_s": 0.1},
        name="tones",
        params=6400,
        provenance={"words": ["ümlaut", 1, 2.5, None]},
        licences=("CC0-1.0",),
    )


@pytest.fixture(scope="session")
def carded(tone_model: bytes, tone_card: card.Card) -> bytes:
    """The tone model as export writes it: with metadata and card."""
    return card.attach(tflite_metadata.with_metadata(tone_model, tone_card), tone_card)


@pytest.fixture
def carded_path(carded: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "tones.tflite"
    path.write_bytes(carded)
    return path
