"""Layers for training: what Keras' own give, note and learn, in another way."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow.python.eager import context

from audio_edge.models import MODELS, training_layers
from audio_edge.models.training_layers import QuickNormalization, QuickPointwise

CHANNELS = 6
OFFSET = np.linspace(-10, 10, CHANNELS)


def layer(kind=QuickNormalization, seed=0, dtype="float32", **options):
    """A layer whose moving mean is near that of `batch`."""
    rng = np.random.default_rng(seed)
    mean = OFFSET + rng.normal(size=CHANNELS)
    values = [rng.uniform(0.5, 2, CHANNELS), rng.normal(size=CHANNELS), mean, np.full(CHANNELS, 2)]
    made = kind(momentum=0.9, dtype=dtype, **options)
    made.build((None, None, None, CHANNELS))
    made.set_weights([value.astype(np.float32) for value in values])
    return made


def batch(shape, seed=1, spread=1.0, offset=OFFSET):
    rng = np.random.default_rng(seed)
    return tf.constant(spread * rng.standard_normal((*shape, CHANNELS)) + offset, tf.float32)


def step(layer, x, upstream):
    """What comes out, and the gradients for the input, gamma and beta."""
    x, upstream = tf.cast(x, layer.dtype), tf.cast(upstream, layer.dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(y * upstream)
    return [y, *tape.gradient(loss, [x, layer.gamma, layer.beta])]


@pytest.mark.parametrize("shape", [(8, 5, 3), (64, 49, 20)])
@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_values_and_gradients_are_as_near_to_float64_as_those_of_keras(shape, spread):
    x, upstream = batch(shape, spread=spread), batch(shape, seed=2, offset=0.1)
    wanted, quick, plain = (
        step(layer(kind, dtype=dtype), x, upstream)
        for kind, dtype in (
            (keras.layers.BatchNormalization, "float64"),
            (QuickNormalization, "float32"),
            (keras.layers.BatchNormalization, "float32"),
        )
    )
    for value, ours, theirs in zip(wanted, quick, plain, strict=True):
        scale = np.abs(value).max()
        errors = [np.abs(given.numpy() - value.numpy()).max() / scale for given in (ours, theirs)]
        # the mean is up to 100 deviations away, the moving one 10: four digits may be lost
        assert errors[0] < 30 * errors[1] + 1e-6


@pytest.mark.parametrize("kind", [QuickNormalization, keras.layers.BatchNormalization])
def test_moving_statistics_are_the_mean_and_the_unbiased_variance(kind):
    x, made = batch((8, 5, 3)), layer(kind)
    before = made.moving_mean.numpy()
    made(x, training=True)
    exact = x.numpy().astype(np.float64)
    mean, unbiased = exact.mean(axis=(0, 1, 2)), exact.var(axis=(0, 1, 2), ddof=1)
    np.testing.assert_allclose(made.moving_mean, 0.9 * before + 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(made.moving_variance, 0.9 * 2 + 0.1 * unbiased, rtol=1e-5)


def optimised(function, *arguments):
    """The graph of a tf.function as TensorFlow runs it."""
    context.context().enable_run_metadata()
    function(*arguments)
    graphs = context.context().export_run_metadata().function_graphs
    context.context().disable_run_metadata()
    return max((each.post_optimization_graph for each in graphs), key=lambda each: len(each.node))


def without_order(graph):
    """Where a variable is read and written, and neither comes after the other."""
    nodes, after = {node.name: node for node in graph.node}, {}
    for node in graph.node:
        for name in node.input:
            after.setdefault(name.lstrip("^").split(":")[0], set()).add(node.name)

    def later(name):
        seen, left = set(), [name]
        while left:
            new = after.get(left.pop(), set()) - seen
            seen |= new
            left += new
        return seen

    def users(op):
        return [node for node in nodes.values() if node.op == op]

    pairs = [
        (read.name, write.name)
        for read in users("ReadVariableOp") for write in users("AssignVariableOp")
        if read.input[0] == write.input[0]
    ]  # fmt: skip
    assert len(pairs) > 3
    return [
        (read, write) for read, write in pairs
        if write not in later(read) and read not in later(write)
    ]  # fmt: skip


def test_what_is_read_of_the_moving_statistics_is_read_before_they_are_written():
    inputs = keras.Input((5, 3, CHANNELS))
    model = keras.Model(inputs, layer(name="first")(layer(name="second")(inputs)))

    @tf.function(autograph=False)
    def learn(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(x, training=True)))
        return tape.gradient(loss, model.trainable_variables)

    assert without_order(optimised(learn, batch((8, 5, 3)))) == []


def test_constant_channels_stay_finite():
    x = tf.fill([4, 5, 3, CHANNELS], 1e4)
    found = step(layer(), x, batch((4, 5, 3)))
    assert all(np.isfinite(value).all() for value in found)


@pytest.mark.parametrize("frozen", [False, True])
def test_outside_of_training_or_frozen_it_is_keras_own_and_notes_nothing(frozen):
    plain, quick = (
        layer(kind, trainable=not frozen)
        for kind in (keras.layers.BatchNormalization, QuickNormalization)
    )
    before = [weight.numpy() for weight in quick.weights]
    x = batch((8, 5, 3))
    np.testing.assert_array_equal(quick(x, training=frozen), plain(x, training=frozen))
    for weight, old in zip(quick.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_same_batch_gives_the_same_bits():
    first, again = (step(layer(), batch((64, 20, 9)), batch((64, 20, 9), 2)) for _ in range(2))
    for value, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("bias", [True, False])
def test_pointwise_convolution_and_its_gradients_are_those_of_keras(bias):
    x, upstream = batch((8, 5, 3)), tf.random.stateless_normal((8, 5, 3, 7), [1, 2])
    found = []
    for kind in (keras.layers.Conv2D, QuickPointwise):
        made = kind(7, 1, use_bias=bias, kernel_initializer=keras.initializers.HeNormal(3))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = made(x)
            loss = tf.reduce_sum(y * upstream)
        assert made.compute_output_shape(x.shape) == y.shape
        found.append([y, *tape.gradient(loss, [x, *made.weights])])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_classifier_for_training_has_the_same_weights_and_answers(name):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("a GPU has kernels of its own")
    plain = MODELS[name]((98, 40, 1), 4, width=8, depth=1, padding="causal", dropout=0.5)
    made = training_layers.for_training(plain)
    for old, new in zip(plain.layers, made.layers, strict=True):
        if type(old) is keras.layers.BatchNormalization:
            assert type(new) is QuickNormalization
        elif type(old) is keras.layers.Conv2D and old.kernel_size == old.strides == (1, 1):
            assert type(new) is QuickPointwise
        else:
            assert type(new) is type(old)
    assert [weight.name for weight in made.weights] == [weight.name for weight in plain.weights]
    features = tf.random.stateless_normal((2, 98, 40, 1), [1, 2])
    np.testing.assert_allclose(made(features), plain(features), rtol=1e-5, atol=1e-5)
