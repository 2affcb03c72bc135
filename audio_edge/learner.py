"""What one training step is: from a batch of clips and a step number to changed weights.

All randomness of a step derives from (seed, step number); `train` decides which steps are made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf_keras as keras

from audio_edge import augment, classifiers, replicas
from audio_edge.config import SILENCE, Config
from audio_edge.datasets.index import Index
from audio_edge.datasets.pipeline import Split
from audio_edge.frontend import Frontend
from audio_edge.models.dropout import StatelessDropout
from audio_edge.teachers import Teachers
from audio_edge.tracing import as_written


@dataclass(frozen=True)
class Material:
    """What a stage learns from: the training and selection clips and the noise."""

    index: Index
    train: Split
    val: Split
    bank: augment.NoiseBank


class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to `peak`, then half a cosine to zero at step `total`."""

    def __init__(self, peak: float, total: int, warmup: int):
        self.peak, self.total, self.warmup = peak, total, warmup

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Learning rate at a step."""
        step = tf.cast(step, tf.float32)
        rising = (step + 1) / max(1, self.warmup)
        progress = (step - self.warmup) / max(1, self.total - self.warmup)
        falling = 0.5 * (1 + tf.cos(math.pi * tf.clip_by_value(progress, 0.0, 1.0)))
        return self.peak * tf.minimum(rising, falling) if self.warmup else self.peak * falling

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"peak": self.peak, "total": self.total, "warmup": self.warmup}


class Learner(keras.Model):
    """Front end, augmentation and classifier as one graph.

    A batch is (int16 [batch, clip_samples], int64 [batch] outputs, int64 step number); to judge, it
    is (int16 [batch, clip_samples], int64 [batch] labels). Where a clip may have several labels,
    they are float32 [batch, classes], and each class is a question of its own: then a clip counts
    as right if its highest score is one of its labels.
    """

    def __init__(
        self, config: Config, frontend: Frontend, classifier: keras.Model, material: Material,
        teachers: Teachers | None = None,
    ):  # fmt: skip
        super().__init__(name="learner")
        self.teachers = teachers
        self.config, self.frontend = config, frontend
        self.classifier, self.bank = classifier, material.bank
        self._learning = classifiers.cropped(classifier, config, config.crop_samples)
        labels, outputs = material.index.labels, material.index.outputs
        self.silence = outputs.names.index(SILENCE) if SILENCE in labels else -1
        self.multi_label = material.index.multi_label
        # [outputs, labels]: what each output counts for
        self.merge = tf.one_hot(outputs.labels, len(labels))
        dropouts = [part for part in classifier.submodules if isinstance(part, StatelessDropout)]
        self.counters = [dropout.step for dropout in dropouts]
        self.loss_metric = keras.metrics.Mean("loss")
        self.accuracy_metric = keras.metrics.Mean("accuracy")

    def call(self, clips: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Int16 [batch, clip_samples] -> logits [batch, outputs], without augmentation."""
        features = self.frontend(tf.cast(clips, tf.float32) / 32768.0)
        return self.classifier(features, training=training)

    def probs(self, clips: tf.Tensor) -> tf.Tensor:
        """Int16 [batch, clip_samples] -> probabilities of the labels [batch, labels]."""
        return self._probs(tf.cast(self(clips), tf.float32))

    @as_written
    def train_step(self, data: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        """One step on one batch."""
        waveforms, targets, seed = self.augmented(*data)
        taught = self.teachers(waveforms) if self.teachers else None
        return self.learn(lambda: self.frontend(waveforms), targets, taught, data[1], seed)

    def learn(
        self, hear: Callable[[], tf.Tensor], targets: tf.Tensor, taught: tf.Tensor | None,
        numbers: tf.Tensor, seed: tf.Tensor,
    ) -> dict[str, Any]:  # fmt: skip
        """Change the weights once.

        Args:
            hear: Gives the features [batch, frames, bands, 1], not yet hidden in part.
            targets: [batch, outputs].
            taught: The teachers' probabilities [batch, outputs], if there are teachers.
            numbers: The outputs that the clips shall raise.
            seed: Of the step.
        """
        for counter in self.counters:
            counter.assign(seed[1])
        with tf.GradientTape() as tape:
            features = augment.spec_augment(hear(), self.config.augment, seed=seed)
            logits = tf.cast(self._learning(features, training=True), tf.float32)
            loss = self._loss(targets, logits)
            if taught is not None:
                distill = self.config.distill
                soft = self._loss(taught, logits / distill.temperature) * distill.temperature**2
                loss = (1 - distill.share) * loss + distill.share * soft
            part = loss * self._share(numbers)
        self.optimizer.minimize(part, self.trainable_variables, tape=tape)
        labels = numbers
        if not self.multi_label:
            labels = tf.argmax(tf.gather(self.merge, numbers), axis=1)
        return self._update(loss, labels, self._probs(logits))

    def augmented(
        self, clips: tf.Tensor, numbers: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What a step makes of a batch: waveforms, targets and the seed of all that is drawn."""
        config, seed = self.config, self.seed(step)
        silent = numbers == self.silence
        if self.multi_label:
            silent = tf.zeros([tf.shape(clips)[0]], tf.bool)
        clips = augment.crop(clips, config.crop_samples, seed=seed)
        waveforms = augment.waveforms(
            tf.cast(clips, tf.float32) / 32768.0, silent, self.bank,
            config.augment, sample_rate=config.data.sample_rate, seed=seed,
        )  # fmt: skip
        targets = self._targets(numbers, self.merge.shape[0])
        return *augment.mix(waveforms, targets, config.augment, seed=seed), seed

    def seed(self, step: tf.Tensor) -> tf.Tensor:
        """The seed of all that is drawn in a step: int64 [2]."""
        return tf.stack([tf.constant(self.config.run.seed, tf.int64), step])

    @as_written
    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        """Loss and accuracy of one batch, without augmentation."""
        clips, labels = data
        logits = tf.cast(self(clips), tf.float32)
        probs, targets = self._probs(logits), self._targets(labels, self.merge.shape[1])
        if not self.multi_label:  # logarithms of the sums, without those of rounded sums
            scores = tf.nn.log_softmax(logits)[:, :, None]
            logits = tf.reduce_logsumexp(tf.where(self.merge > 0, scores, scores.dtype.min), axis=1)
        return self._update(self._loss(targets, logits), labels, probs)

    def _probs(self, logits: tf.Tensor) -> tf.Tensor:
        """[batch, outputs] -> [batch, labels]."""
        if self.multi_label:
            return tf.nn.sigmoid(logits)
        return tf.matmul(tf.nn.softmax(logits), self.merge)

    def _targets(self, labels: tf.Tensor, size: int) -> tf.Tensor:
        """Smoothed: float32 [batch, size]."""
        smoothing = self.config.train.label_smoothing
        if self.multi_label:
            return labels * (1 - smoothing) + smoothing / 2
        return tf.one_hot(labels, size) * (1 - smoothing) + smoothing / size

    def _loss(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        if self.multi_label:
            return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits))
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))

    @staticmethod
    def _share(numbers: tf.Tensor) -> tf.Tensor:
        """Share of the batch that is on this replica: Keras adds the gradients of all."""
        count = tf.shape(numbers)[0]
        return tf.cast(count, tf.float32) / tf.cast(replicas.total(count), tf.float32)

    def _update(self, loss: tf.Tensor, labels: tf.Tensor, probs: tf.Tensor) -> dict[str, Any]:
        count = tf.cast(tf.shape(labels)[0], tf.float32)
        self.loss_metric.update_state(loss, sample_weight=count)
        self.accuracy_metric.update_state(tf.cast(self._right(labels, probs), tf.float32))
        return {metric.name: metric.result() for metric in self.metrics}

    def _right(self, labels: tf.Tensor, probs: tf.Tensor) -> tf.Tensor:
        best = tf.argmax(probs, 1)
        if not self.multi_label:
            return best == labels
        heard = tf.gather(labels, best, batch_dims=1) > 0
        nothing = tf.reduce_max(probs, axis=1) < 0.5
        return tf.where(tf.reduce_any(labels > 0, axis=1), heard, nothing)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Loss and accuracy, reset at each epoch by Keras."""
        return [self.loss_metric, self.accuracy_metric]
