"""Lessons: epochs of augmented clips, made once and kept to be learnt again and again.

On a CPU augmentation and front end take a third of a step, and asking a large teacher far longer
than one. So what some tens of epochs hear, each clip augmented otherwise, is written down with what
teachers make of it, and comes again with other masks and in another order.
"""

from __future__ import annotations

import dataclasses
import logging
import zipfile
from collections.abc import Iterator, Sequence
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
from audio_edge.run import Run, learnt_data
from audio_edge.teachers import Teachers
from audio_edge.tracing import as_written

_log = logging.getLogger(__name__)
_PARTS = ("features", "targets", "numbers")
_TAUGHT = "taught"
_SEED = 0  # draws the lessons, which runs of all seeds share


class Pupil(Learner):
    """A learner whose batches come from lessons.

    A batch to learn from is (float16 features [batch, frames, bands, 1], float32 targets [batch,
    outputs], the outputs to raise, if there are teachers their float32 probabilities [batch,
    outputs], int64 step number).
    """

    @as_written
    def train_step(self, data: tuple[tf.Tensor, ...]) -> dict[str, Any]:
        """One step on one batch."""
        features, targets, numbers, *taught, step = data
        seed = self.seed(step)
        answers = taught[0] if taught else None
        return self.learn(lambda: tf.cast(features, tf.float32), targets, answers, numbers, seed)


def prepare(
    run: Run, front: Frontend, classifier: keras.Model, material: Material, *,
    epochs: int, teachers: Teachers | None, runs: Sequence[Run],
) -> list[Path]:  # fmt: skip
    """Write the lessons that are not there yet; returns the file of each.

    They lie in `data.cache`, by what they depend on: stages and seeds of a run share them, and so
    do other runs that hear the same.

    Args:
        run: Which shall learn.
        front: Its front end.
        classifier: Its classifier; of it counts what it takes in.
        material: The clips.
        epochs: No more lessons than these.
        teachers: Who is asked, if anyone.
        runs: Theirs.

    Raises:
        UserError: The front end learns: its features would be other ones in each epoch.
    """
    if front.trainable_weights:
        raise UserError(
            "[train] lessons need a front end that does not learn; "
            "give lessons = 0 or other frontend.features"
        )
    own = run.config
    config = dataclasses.replace(own, run=dataclasses.replace(own.run, seed=_SEED))
    noises = list(pipeline.noise_bank(config, material.index, "train").values())
    bank = augment.NoiseBank(noises, config.data.clip_samples)
    material = dataclasses.replace(material, bank=bank)
    learner = Learner(config, front, classifier, material, teachers)
    steps, count = batches.per_epoch(material, config), min(config.train.lessons, epochs)
    folder = Path(config.data.cache) / "lessons" / _key(config, material, runs)
    paths = [folder / f"{number:03d}.npz" for number in range(count)]

    @tf.function(reduce_retracing=True, autograph=False)
    def hear(clips: tf.Tensor, numbers: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        waveforms, targets, _ = learner.augmented(clips, numbers, step)
        answers = [teachers(waveforms)] if teachers else []
        return (tf.cast(front(waveforms), tf.float16), targets, numbers, *answers)

    for number, path in enumerate(paths):
        if path.exists():
            continue
        _log.info("lesson %d of %d is made", number + 1, count)
        given = batches.training(material, config, number, number + 1, steps)
        rows = [[part.numpy() for part in hear(*batch)] for batch in given]
        parts = [np.concatenate(part) for part in zip(*rows, strict=True)]
        names = (*_PARTS, _TAUGHT)[: len(parts)]
        with files.replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **dict(zip(names, parts, strict=True)))
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
            answers = [lesson[_TAUGHT]] if _TAUGHT in lesson else []
            return [*(lesson[name] for name in _PARTS), *answers]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: damaged ({first_line(error)}); delete it and run again"
        ) from error


def _key(config: Config, material: Material, runs: Sequence[Run]) -> str:
    """What lessons depend on, in short."""
    data = material.index.fingerprint()
    seen = [dataclasses.asdict(section) for section in (config.frontend, config.augment)]
    train = config.train
    drawn = [learnt_data(config), train.batch_size, train.label_smoothing, config.crop_samples]
    asked: list[Any] = [teacher.fingerprint("float", data) for teacher in runs]
    asked += [config.distill.temperature] if runs else []
    return files.fingerprint([*seen, *drawn, data, asked])[:16]
