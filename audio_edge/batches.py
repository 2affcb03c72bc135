"""The batches of a training: which clips come when, shared among replicas where there are several.

What comes is a function of (seed, epoch, step) alone, so that a training resumes in the middle.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from audio_edge.config import SILENCE, Config
from audio_edge.datasets import pipeline
from audio_edge.datasets.pipeline import Split
from audio_edge.learner import Material


def per_epoch(material: Material, config: Config) -> int:
    """Batches in an epoch; the last may be smaller."""
    return math.ceil(len(order(material, config, 0)) / config.train.batch_size)


def training(
    material: Material, config: Config, first: int, epochs: int, steps: int,
    replicas: Sequence[int] = (0,), number: int = 1,
) -> tf.data.Dataset:  # fmt: skip
    """Batches from epoch `first` on.

    int16 [batch, clip_samples], the outputs that they shall raise int64 [batch], step int64. Where
    `number` replicas share each batch, those of `replicas` one after the other.
    """
    split, size = material.train, config.train.batch_size
    outputs = material.index.outputs.names
    silence = outputs.index(SILENCE) if SILENCE in outputs else -1

    def generate() -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        for epoch in range(first, epochs):
            places = order(material, config, epoch)
            for step in range(steps):
                for replica in replicas:
                    rows = places[step * size : (step + 1) * size][replica::number]
                    silent = rows < 0
                    clips = np.where(silent[:, None], np.int16(0), split.waveforms[rows])
                    targets = split.targets[rows]
                    targets[silent] = silence
                    yield clips, targets, epoch * steps + step

    signature = (
        tf.TensorSpec([None, config.data.clip_samples], tf.int16),
        tf.TensorSpec([None, *split.labels.shape[1:]], split.labels.dtype),
        tf.TensorSpec([], tf.int64),
    )
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(4)


def order(material: Material, config: Config, epoch: int) -> np.ndarray:
    """Rows of the training clips in the order of an epoch, -1 for silence to be made."""
    labels, classes = material.train.labels, material.index.labels
    return pipeline.epoch_order(labels, classes, config.data, seed=config.run.seed, epoch=epoch)


def checks(split: Split, config: Config) -> int:
    """Batches of the selection clips."""
    return math.ceil(len(split.labels) / (4 * config.train.batch_size))


def selection(
    split: Split, steps: int, replicas: Sequence[int] = (0,), number: int = 1
) -> tf.data.Dataset:
    """The selection clips in `steps` batches of about the same size, shared as in `_batches`."""
    ends = np.linspace(0, len(split.labels), steps + 1).astype(int)

    def generate() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start, end in itertools.pairwise(ends):
            for replica in replicas:
                rows = slice(start + replica, end, number)
                yield split.waveforms[rows], split.labels[rows]

    signature = (
        tf.TensorSpec([None, split.waveforms.shape[1]], tf.int16),
        tf.TensorSpec([None, *split.labels.shape[1:]], split.labels.dtype),
    )
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(2)
