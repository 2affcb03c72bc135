"""AdamW over all weights at once: what Keras' own learns, weight by weight."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from audio_edge.learner import WarmupCosine
from audio_edge.optimizer import FlatAdamW

STEPS = 12


def network():
    start = keras.initializers.HeNormal(seed=1)
    layers = [
        keras.layers.Conv2D(
            4, 3, kernel_initializer=start, use_bias=False, input_shape=(6, 5, 1)
        ),  # a bias before a normalisation would learn roundings
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dense(3, kernel_initializer=start, kernel_constraint="max_norm"),
    ]
    return keras.Sequential(layers)


def made(kind, model, **options):
    optimizer = kind(WarmupCosine(0.05, STEPS, 3), weight_decay=0.1, **options)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    optimizer.build(model.trainable_variables)
    return optimizer


def learn(optimizer, model, steps):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(STEPS, 16, 6, 5, 1)), tf.float32)

    @tf.function(autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True) - 1.0))
        optimizer.minimize(loss, model.trainable_variables, tape=tape)

    for number in steps:
        step(x[number])


@pytest.mark.parametrize("options", [{}, {"use_ema": True, "ema_momentum": 0.8}])
def test_what_is_learnt_is_what_keras_own_learns(options):
    found = {}
    for kind in (FlatAdamW, keras.optimizers.AdamW):
        model = network()
        optimizer = made(kind, model, **options)
        learn(optimizer, model, range(STEPS))
        last = model.get_weights()
        optimizer.finalize_variable_values(model.trainable_variables)
        found[kind] = (last, model.get_weights(), int(optimizer.iterations.numpy()))
    ours, theirs = found.values()
    assert ours[2] == theirs[2] == STEPS
    for one, other in zip((*ours[0], *ours[1]), (*theirs[0], *theirs[1]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert any((a != b).any() for a, b in zip(*ours[:2], strict=True)) == bool(options)


def test_checkpoint_brings_back_moments_and_mean(tmp_path):
    whole = network()
    learn(made(FlatAdamW, whole, use_ema=True), whole, range(STEPS))
    for steps in (range(5), range(5, STEPS)):
        model = network()
        optimizer = made(FlatAdamW, model, use_ema=True)
        state = tf.train.Checkpoint(model=model, optimizer=optimizer)
        if steps[0]:
            state.restore(tf.train.latest_checkpoint(tmp_path)).assert_existing_objects_matched()
        learn(optimizer, model, steps)
        state.save(str(tmp_path / "ckpt"))
    for one, other in zip(whole.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weight_without_a_gradient_is_left_to_its_decay():
    rng = np.random.default_rng(1)
    used, unused = (tf.Variable(rng.normal(size=(3, 2)), dtype=tf.float32) for _ in range(2))
    optimizer = FlatAdamW(0.1, weight_decay=0.5)
    before = used.numpy(), unused.numpy()
    optimizer.apply_gradients([(tf.ones((3, 2)), used), (None, unused)])
    np.testing.assert_allclose(used, before[0] * (1 - 0.05) - 0.1, rtol=1e-5)
    np.testing.assert_allclose(unused, before[1] * (1 - 0.05), rtol=1e-6)


def test_mixed_precision_scales_the_loss_around_it():
    model = network()
    optimizer = keras.mixed_precision.LossScaleOptimizer(made(FlatAdamW, model))
    before = [weight.numpy() for weight in model.trainable_variables]
    learn(optimizer, model, range(3))
    for weight, value in zip(model.trainable_variables, before, strict=True):
        assert np.isfinite(weight).all()
        assert (weight.numpy() != value).any()
