"""Lessons: epochs of augmented clips and what the teachers make of them, kept to be learnt again.

Asking a large teacher takes far longer than a step of its pupil. What it says of some ten epochs of
clips, each augmented otherwise, is asked once, written down, and then learnt over and over.
"""

from __future__ import annotations

import dataclasses
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge import augment, batches, files
from audio_edge.config import Config
from audio_edge.datasets import pipeline
from audio_edge.errors import UserError, first_line
from audio_edge.frontend import Frontend
from audio_edge.learner import Learner, Material
from audio_edge.run import Run
from audio_edge.teachers import Teachers

_log = logging.getLogger(__name__)
_PARTS = ("features", "targets", "taught", "numbers")


class Pupil(Learner):
    """A learner whose batches come from lessons.

    A batch to learn from is (float16 features [batch, frames, bands, 1], float32 targets and
    teachers' probabilities [batch, outputs], the outputs to raise, int64 step number).
    """

    def train_step(self, data: tuple[tf.Tensor, ...]) -> dict[str, Any]:
        """One step on one batch."""
        features, targets, taught, numbers, step = data
        seed = self.seed(step)
        return self.learn(lambda: tf.cast(features, tf.float32), targets, taught, numbers, seed)


def prepare(
    run: Run, front: Frontend, classifier: keras.Model, material: Material, teachers: Teachers
) -> list[Path]:
    """Write the lessons that are not there yet; returns the file of each.

    They lie beside the first teacher, and are the same for every `run.seed` of the pupil: they are
    drawn by the first of `teacher_seeds`.

    Raises:
        UserError: The front end learns: its features would be other ones in each epoch.
    """
    if front.trainable_weights:
        raise UserError(
            "[distill] lessons need a front end that does not learn; "
            "give lessons = 0 or other frontend.features"
        )
    config = _drawn_by_the_first(run.config)
    noises = list(pipeline.noise_bank(config, material.index, "train").values())
    bank = augment.NoiseBank(noises, config.data.clip_samples)
    material = dataclasses.replace(material, bank=bank)
    learner = Learner(config, front, classifier, material, teachers)
    steps, count = batches.per_epoch(material, config), config.distill.lessons
    folder = run.teachers()[0].dir / "lessons" / _key(run, material)
    paths = [folder / f"{number:03d}.npz" for number in range(count)]

    @tf.function(reduce_retracing=True)
    def ask(clips: tf.Tensor, numbers: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        waveforms, targets, _ = learner.augmented(clips, numbers, step)
        return tf.cast(front(waveforms), tf.float16), targets, teachers(waveforms), numbers

    for number, path in enumerate(paths):
        if path.exists():
            continue
        _log.info("asking the teachers: lesson %d of %d", number + 1, count)
        given = batches.training(material, config, number, number + 1, steps)
        rows = [[part.numpy() for part in ask(*batch)] for batch in given]
        parts = [np.concatenate(part) for part in zip(*rows, strict=True)]
        with files.replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **dict(zip(_PARTS, parts, strict=True)))
    return paths


def training(
    paths: list[Path], config: Config, first: int, epochs: int, steps: int
) -> tf.data.Dataset:
    """Batches from epoch `first` on, of one lesson an epoch, in an order of its own.

    Raises:
        UserError: A lesson is damaged.
    """
    size = config.train.batch_size

    def generate() -> Iterator[tuple[np.ndarray, ...]]:
        for epoch in range(first, epochs):
            parts = _read(paths[epoch % len(paths)])
            order = np.random.default_rng((config.run.seed, epoch)).permutation(len(parts[0]))
            for step in range(steps):
                rows = order[step * size : (step + 1) * size]
                yield (*(part[rows] for part in parts), np.array(epoch * steps + step))

    signature = [tf.TensorSpec([None, *part.shape[1:]], part.dtype) for part in _read(paths[0])]
    signature.append(tf.TensorSpec([], tf.int64))
    made = tf.data.Dataset.from_generator(generate, output_signature=tuple(signature))
    return made.prefetch(4)


def _read(path: Path) -> list[np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file) as lesson:
            return [lesson[name] for name in _PARTS]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: damaged ({first_line(error)}); delete it and run again"
        ) from error


def _drawn_by_the_first(config: Config) -> Config:
    seed = config.distill.teacher_seeds[0]
    return dataclasses.replace(config, run=dataclasses.replace(config.run, seed=seed))


def _key(run: Run, material: Material) -> str:
    """What lessons depend on, in short."""
    config, data = run.config, material.index.fingerprint()
    seen = [dataclasses.asdict(section) for section in (config.frontend, config.augment)]
    drawn = [config.train.batch_size, config.train.label_smoothing, config.distill.teacher_seeds[0]]
    drawn += [config.crop_samples]
    asked = [teacher.fingerprint("float", data) for teacher in run.teachers()]
    return files.fingerprint([*seen, *drawn, config.distill.temperature, data, asked])[:16]
