"""What TensorBoard shows beside the curves: clips, confusions, weights. Nothing here is trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge import augment, canvas, feature_plots, plots
from audio_edge.learner import Learner, Material

CLIPS = 4  # shown of a batch
TIMES = 10  # a stage
_BATCH = 256


class Board(keras.callbacks.Callback):
    """Writes about ten times a stage, the last epoch among them, as soon as it is validated.

    It stands before the `Keeper`, so that the weights are those that are judged.

    Args:
        folder: Of the event files.
        learner: What is trained.
        material: Its data.
        epochs: Epochs in all.
        batch: Epoch, from 0, -> its first batch: (clips, labels, step).
    """

    def __init__(
        self, folder: Path, learner: Learner, material: Material, *, epochs: int,
        batch: Callable[[int], tuple[tf.Tensor, tf.Tensor, tf.Tensor]],
    ):  # fmt: skip
        super().__init__()
        self.learner, self.material, self.batch = learner, material, batch
        self.epoch, self.epochs, self.every = 0, epochs, math.ceil(epochs / TIMES)
        self.labels, self.outputs = material.index.labels, material.index.outputs.names
        self.writer = tf.summary.create_file_writer(str(folder))
        self._heard = tf.function(lambda clips: tf.argmax(learner.probs(clips), axis=1))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the epoch, which Keras does not tell while it validates."""
        self.epoch = epoch

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Write, if it is time."""
        if (self.epochs - 1 - self.epoch) % self.every == 0:
            with self.writer.as_default(step=self.epoch), tf.summary.record_if(True):
                self._clips()
                matrix = self._confusion()
                _image("confusion", canvas.pixels(plots.confusion_figure(matrix, self.labels)))
                self._weights()
            self.writer.flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Close the file."""
        self.writer.close()

    def _clips(self) -> None:
        """The first clips of the epoch as they are learnt from: to hear and to see."""
        config = self.learner.config
        waveforms, targets, seed = self.learner.augmented(*self.batch(self.epoch))
        features = augment.spec_augment(
            self.learner.frontend(waveforms), config.augment, seed=seed
        )  # [batch, frames, bands, 1]
        titles = [self._said(target) for target in targets[:CLIPS].numpy()]
        for number, title in enumerate(titles):
            wave, rate = waveforms[None, number, :, None], config.data.sample_rate
            tf.summary.audio(f"clip_{number}", wave, rate, description=title)
        found = tf.cast(features[:CLIPS, :, :, 0], tf.float32).numpy()
        figure = feature_plots.clips_figure(found, titles, config.frontend, config.data.sample_rate)
        _image("clips", canvas.pixels(figure))

    def _said(self, target: np.ndarray) -> str:
        """What a clip is, or the words and shares of a mixed one."""
        shares = target - target.min()  # what label smoothing gives to all
        shares = shares / shares.sum()
        parts = [(share, name) for share, name in zip(shares, self.outputs, strict=True)]
        audible = sorted((part for part in parts if part[0] > 0.01), reverse=True)
        if len(audible) == 1:
            return audible[0][1]
        return " + ".join(f"{share:.2f} {name}" for share, name in audible)

    def _confusion(self) -> np.ndarray:
        """Of the selection clips: counts [said, heard]."""
        matrix, split = np.zeros([len(self.labels)] * 2, int), self.material.val
        for start in range(0, len(split.labels), _BATCH):
            heard = self._heard(split.waveforms[start : start + _BATCH]).numpy()
            np.add.at(matrix, (split.labels[start : start + _BATCH], heard), 1)
        return matrix

    def _weights(self) -> None:
        for weight in [*self.learner.frontend.weights, *self.learner.classifier.weights]:
            if weight.dtype.is_floating:
                tf.summary.histogram(weight.name.partition(":")[0], weight)


def _image(name: str, pixels: np.ndarray) -> None:
    tf.summary.image(name, pixels[None])
