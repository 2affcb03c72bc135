"""AdamW over all weights at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras


class FlatAdamW(keras.optimizers.AdamW):
    """Keras' AdamW for one device, with moments that are one vector of all weights.

    Some thirty nodes for each of a hundred weights are most of what is to be traced and optimised
    before the first step, and none of them has much to do. What is learnt is the same (Loshchilov
    and Hutter 2019, algorithm 2, with the decay before the step).
    """

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Make the moments, and the mean of the weights if it is wanted."""
        if getattr(self, "_built", False):
            return
        self._built = True
        self._weights = list(var_list)
        self._sizes = [weight.shape.num_elements() for weight in var_list]
        decays = [self.weight_decay * self._use_weight_decay(weight) for weight in var_list]
        # a tensor made here is handed to each step; as an array it would be written into its graph
        self._decay = tf.repeat(tf.constant(decays, tf.float32), self._sizes)
        shape = (sum(self._sizes),)
        self._momentum = self.add_variable(shape, name="m")
        self._velocity = self.add_variable(shape, name="v")
        if self.use_ema:
            self._mean = self.add_variable(shape, name="average")
            self._mean.assign(_flat(var_list))

    def finalize_variable_values(self, var_list: Sequence[tf.Variable]) -> None:
        """Put the mean of the weights in their place, if there is one."""
        if self.use_ema:
            self._assign(self._mean)

    def _apply_weight_decay(self, variables: Iterable[tf.Variable]) -> None:
        """Is part of the step."""

    def _internal_apply_gradients(
        self, grads_and_vars: Iterable[tuple[tf.Tensor, tf.Variable]]
    ) -> Any:
        given = {self._var_key(weight): gradient for gradient, weight in grads_and_vars}
        for weight in self._weights:  # a gradient that is None is left out by Keras
            if self._var_key(weight) not in given:
                given[self._var_key(weight)] = tf.zeros_like(weight)
        gradient = _flat([given[self._var_key(weight)] for weight in self._weights])
        rate, step = tf.cast(self.learning_rate, tf.float32), self.iterations + 1
        powers = [tf.pow(beta, tf.cast(step, tf.float32)) for beta in (self.beta_1, self.beta_2)]
        scale = rate * tf.sqrt(1 - powers[1]) / (1 - powers[0])
        momentum = self._momentum + (gradient - self._momentum) * (1 - self.beta_1)
        velocity = self._velocity + (tf.square(gradient) - self._velocity) * (1 - self.beta_2)
        self._momentum.assign(momentum)
        self._velocity.assign(velocity)
        weights = _flat(self._weights)
        weights -= weights * self._decay * rate
        weights -= momentum * scale / (tf.sqrt(velocity) + self.epsilon)
        self._assign(weights)
        if self.use_ema:
            share = self.ema_momentum
            self._mean.assign(share * self._mean + (1 - share) * weights)
        return self.iterations.assign(step)

    def _assign(self, values: tf.Tensor) -> None:
        parts = tf.split(values, self._sizes)
        for weight, part in zip(self._weights, parts, strict=True):
            weight.assign(tf.reshape(part, weight.shape))


def _flat(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)
