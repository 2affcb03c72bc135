"""Structured pruning: what is removed is what would be silent, in every model."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from audio_edge import channels, ranking
from audio_edge.config import ChannelsConfig
from audio_edge.errors import UserError
from audio_edge.models import MODELS

SIZES = {  # (width, depth)
    "ds_cnn": (8, 3),
    "bc_resnet": (4, 1),
    "tc_resnet": (8, 2),
    "mobile_cnn": (8, 2),
    "mobile_tcn": (12, 2),
    "crnn": (8, 2),
    "kwt": (8, 2),
    "yamnet": (4, 3),
    "conv_pool": (8, 2),
}
EACH = pytest.mark.parametrize("name", MODELS)
SHAPE = (48, 20, 1)


def built(name, rng, padding="causal"):
    """A model whose normalisations have seen something, so that a shift is not zero."""
    width, depth = SIZES[name]
    model = MODELS[name](SHAPE, 5, width=width, depth=depth, dropout=0.1, padding=padding, seed=3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape[0]
            weights = [rng.uniform(0.5, 1.5, size), *rng.normal(0, 0.3, (2, size))]
            layer.set_weights([*weights, rng.uniform(0.5, 2.0, size)])
    return model


def silenced(model, found, removed, ends):
    """The model as wide as it was, the scales and shifts of what shall go at zero."""
    made = keras.models.clone_model(model)
    made.set_weights(model.get_weights())
    for layer in made.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            stays = ~np.isin(found.after[layer.name], list(removed)) & (layer.name not in ends)
            layer.gamma.assign(layer.gamma * stays)
            layer.beta.assign(layer.beta * stays)
    return made


@EACH
def test_narrowed_is_the_model_with_its_channels_silent(name, rng):
    model = built(name, rng)
    found = channels.trace(model)
    scores = ranking.scores(model, found, "scale", ())
    removed = channels.choose(found, scores, ChannelsConfig(remove=0.4))
    made = channels.narrowed(model, found, removed)
    x = rng.normal(0, 1, (3, *SHAPE)).astype(np.float32)
    expected = silenced(model, found, removed, ())(x)
    # float32 sums of the same terms, in another order
    np.testing.assert_allclose(made(x), expected, rtol=1e-5, atol=1e-5)
    assert not np.allclose(expected, model(x), atol=1e-3)
    assert made.count_params() < 0.75 * model.count_params()
    assert made.output_shape == model.output_shape


def test_only_the_layers_named_lose_channels(rng):
    model = built("yamnet", rng)
    found = channels.trace(model)
    scores = ranking.scores(model, found, "scale", ())
    config = ChannelsConfig(remove=0.5, only=("layer2_mix*",))
    made = channels.narrowed(model, found, channels.choose(found, scores, config))
    convolutions = [layer for layer in model.layers if type(layer) is keras.layers.Conv2D]
    lost = {c.name: c.filters - made.get_layer(c.name).filters for c in convolutions}
    assert {name for name, number in lost.items() if number} == {"layer2_mix"}
    assert lost["layer2_mix"] == model.get_layer("layer2_mix").filters // 2
    # the last layer reads their mean and their peak
    assert made.get_layer("logits").input.shape[-1] == model.get_layer("logits").input.shape[-1] / 2
    with pytest.raises(
        UserError, match=r"\[channels\] only: no layer is called nothing\*; some are"
    ):
        channels.choose(found, scores, ChannelsConfig(remove=0.5, only=("nothing*",)))


@EACH
def test_model_without_a_branch_is_the_one_with_the_branch_silent(name, rng):
    shortened = name in ("ds_cnn", "kwt")  # 'valid' shortcuts are cropped; the others want more
    model = built(name, rng, "valid" if shortened else "causal")
    ends = channels.branches(model)
    if name in ("crnn", "yamnet", "conv_pool"):
        assert not ends  # no shortcuts
        return
    found = channels.trace(model)
    x = rng.normal(0, 1, (2, *SHAPE)).astype(np.float32)
    dropped = list(ends)[1:]
    made = channels.narrowed(model, found, set(), dropped)
    expected = silenced(model, found, set(), {ends[end] for end in dropped})(x)
    np.testing.assert_allclose(made(x), expected, rtol=1e-5, atol=1e-5)
    assert len(made.layers) < len(model.layers)


@EACH
def test_every_convolution_but_the_last_loses_channels(name, rng):
    model = built(name, rng)
    found = channels.trace(model)
    scores = ranking.scores(model, found, "l1", ())
    removed = channels.choose(found, scores, ChannelsConfig(remove=0.5))
    made = channels.narrowed(model, found, removed)
    for layer in model.layers:
        if type(layer) is keras.layers.Conv2D:
            left = made.get_layer(layer.name).filters
            wanted = 5 if layer.name == "logits" else round(layer.filters / 2)
            assert left == wanted < max(layer.filters, 6), layer.name


def test_channels_left_are_a_multiple_where_there_are_so_many(rng):
    model = MODELS["mobile_tcn"](SHAPE, 5, width=42, depth=1, padding="causal")
    found = channels.trace(model)
    scores = ranking.scores(model, found, "scale", ())
    config = ChannelsConfig(remove=0.3, multiple=8)
    made = channels.narrowed(model, found, channels.choose(found, scores, config))
    left = {layer.filters for layer in made.layers if type(layer) is keras.layers.Conv2D}
    assert left == {8, 16, 24, 32, 48, 56, 5}


def network(x, *, gate):
    x = keras.layers.Conv2D(4, 1, use_bias=False, kernel_initializer="ones", name="first")(x)
    x = keras.layers.BatchNormalization(name="first_bn")(x)
    x = gate(x)
    x = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = keras.layers.Conv2D(2, 1, kernel_initializer="ones", name="logits")(x)
    return keras.layers.Flatten()(x)


def test_channels_that_change_the_loss_least_go_first(rng):
    inputs = keras.Input((6, 6, 1))
    model = keras.Model(inputs, network(inputs, gate=lambda x: x))
    head = np.zeros((1, 1, 4, 2), np.float32)
    head[0, 0, :, 0] = [0.0, 3.0, 0.01, 1.0]  # what each channel does to the answer
    model.get_layer("logits").set_weights([head, np.zeros(2)])
    found = channels.trace(model)
    model.get_layer("first").set_weights([np.ones((1, 1, 1, 4))])
    batch = (tf.constant(rng.normal(2, 1, (8, 6, 6, 1)), tf.float32), tf.one_hot([0, 1] * 4, 2))
    scores = ranking.scores(model, found, "taylor", [batch, batch])
    numbers = found.after["first"]
    assert np.argsort([scores[number] for number in numbers]).tolist() == [0, 2, 3, 1]
    removed = channels.choose(found, scores, ChannelsConfig(remove=0.5))
    assert removed == {numbers[0], numbers[2]}


def test_layer_that_mixes_channels_unknown_is_refused_by_name():
    inputs = keras.Input((6, 6, 1))
    flip = keras.layers.Lambda(lambda x: x[..., ::-1], name="flip")
    with pytest.raises(UserError, match=r"layer 'flip' \(Lambda\) cannot be narrowed"):
        channels.trace(keras.Model(inputs, network(inputs, gate=flip)))
