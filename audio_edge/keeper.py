"""Which weights of a training are kept, and when it has learnt what it can.

What decides is the loss on the selection clips: of some hundred clips the accuracy moves in steps
and ties, while the loss also tells how sure the network is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras


class Keeper(keras.callbacks.Callback):
    """Validates with the weights that would be kept, and keeps those of the best epoch.

    Where the optimizer has a mean of the weights, that mean is in their place while Keras
    validates. `state` belongs into the checkpoint; it is all that a resumed training needs.

    Args:
        optimizer: Built.
        learnt: The weights that it changes.
        weights: All weights of the model, those that normalisation notes among them.
        patience: Epochs without a lower loss after which training ends; 0 keeps the last epoch.
    """

    def __init__(
        self, optimizer: keras.optimizers.Optimizer, learnt: Sequence[tf.Variable],
        weights: Sequence[tf.Variable], *, patience: int,
    ):  # fmt: skip
        super().__init__()
        self.optimizer, self.patience, self.epoch = optimizer, patience, 0
        self._learnt, self._weights = list(learnt), list(weights)
        self._least = tf.Variable(math.inf, dtype=tf.float64, trainable=False)
        self._best = tf.Variable(0, dtype=tf.int64, trainable=False)  # epoch, from 1
        kept = self._weights if patience else []
        self._kept = [tf.Variable(weight, trainable=False) for weight in kept]
        self.variables = [self._least, self._best, *self._kept]
        self.state = tf.train.Checkpoint(least=self._least, best=self._best, kept=self._kept)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the epoch, which Keras does not tell while it validates."""
        self.epoch = epoch + 1

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Put the mean of the weights in their place."""
        self._last = [weight.numpy() for weight in self._learnt]
        self.optimizer.finalize_variable_values(self._learnt)

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Keep what has just been judged if it is the best so far, and go on with the last."""
        loss = float((logs or {})["loss"])
        if self.patience and loss < float(self._least.numpy()):
            self._least.assign(loss)
            self._best.assign(self.epoch)
            _copy(self._weights, self._kept)
        for weight, last in zip(self._learnt, self._last, strict=True):
            weight.assign(last)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Stop if nothing is gained any more."""
        if self.ended(epoch + 1):
            self.model.stop_training = True

    def ended(self, epochs: int) -> bool:
        """Whether the patience is at its end after so many epochs."""
        return 0 < self.patience <= epochs - int(self._best.numpy())

    def keep(self, epochs: int) -> int:
        """Put the weights that are kept in place; returns their epoch, counted from 1."""
        if not self.patience:
            self.optimizer.finalize_variable_values(self._learnt)
            return epochs
        _copy(self._kept, self._weights)
        return int(self._best.numpy())


def _copy(source: Sequence[tf.Variable], target: Sequence[tf.Variable]) -> None:
    for value, variable in zip(source, target, strict=True):
        variable.assign(value)
