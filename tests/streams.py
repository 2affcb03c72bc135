"""A small run with weights that make a difference, and sounds for streams to hear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge import classifiers, compress, config, files, frontends, scoring
from audio_edge.run import Run

LABELS = ("down", "go", "left", "silence")


def shaken(classifier: keras.Model) -> keras.Model:
    """The classifier with statistics as if it had learnt."""
    rng = np.random.default_rng(0)
    for layer in classifier.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, value.shape) for value in layer.get_weights()])
    return classifier


def spread(classifier: keras.Model, features: tf.Tensor) -> None:
    """Change the last layer so that every class is heard somewhere in the features."""
    logits = classifier(features).numpy().astype(np.float64)
    last = classifier.get_layer("logits")
    kernel, bias = last.get_weights()
    gain = 1.0 / logits.std(axis=0).max()
    last.set_weights([kernel * gain, gain * (bias - logits.mean(axis=0))])


def sound(seconds: float, *, sample_rate: int = 16000, seed: int = 0) -> np.ndarray:
    """float32 [samples]: speech-like pieces of 0.37 s at any level, some silent, over noise."""
    samples = round(seconds * sample_rate)
    rng = np.random.default_rng(seed)
    piece = round(0.37 * sample_rate)
    levels = rng.uniform(0, 1, samples // piece + 1) * rng.integers(0, 2, samples // piece + 1)
    voice = scoring.speech_like(samples, sample_rate=sample_rate, seed=seed)
    swell = 0.05 * np.sin(np.arange(samples) / sample_rate) ** 2
    mixed = voice * np.repeat(levels, piece)[:samples] + swell * rng.normal(size=samples)
    return mixed.astype(np.float32)


def run(folder: Path, *, int8: bool = True, **sections: dict[str, object]) -> Run:
    """A run of the stages "float" and "qat", its classifier shaken, its ranges those of sounds.

    Without `int8` it has the first alone.
    """
    named = {"run": {"name": "stream", "dir": str(folder)}, "prune": {"sparsity": 0.0}}
    if not int8:
        named["quantize"] = {"epochs": 0}
    settings = config.from_dict({**named, **sections})
    made = Run.create(settings)
    made.save()
    front = frontends.build(settings)
    features = front(tf.constant(sound(16 * settings.data.clip_s).reshape(16, -1)))
    plain = shaken(classifiers.build(settings, len(LABELS), dropout=False))
    spread(plain, features)
    stages = {"float": plain}
    if int8:
        stages["qat"] = compress.quantized(settings, plain)
        compress.calibrate(stages["qat"], plain, [features])
    for stage, model in stages.items():
        record = {
            "stage": stage, "fingerprint": made.fingerprint(stage, ""), "labels": list(LABELS),
            "output_labels": list(range(len(LABELS))), "params": int(plain.count_params()),
        }  # fmt: skip
        files.write_json(made.stage(stage) / "stage.json", record)
        model.save_weights(made.stage(stage) / "weights.h5")
    frontends.save(front, made.stage("float"))
    return made
