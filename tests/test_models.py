"""Models: logits of the right shape, no look-ahead, weights and dropout by seed alone."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from audio_edge import classifiers
from audio_edge.config import Config, from_dict
from audio_edge.errors import UserError
from audio_edge.models import MODELS
from audio_edge.models.dropout import StatelessDropout

FRAMES, MELS, CLASSES = 61, 10, 3
EACH = pytest.mark.parametrize("name", MODELS)
PADDING = pytest.mark.parametrize("padding", ["valid", "causal"])
STREAMING = pytest.mark.parametrize("name", [name for name in MODELS if name != "kwt"])
HEARS = {  # frames that one output of a 'valid' network hears, at depth 1, 2 and 3
    "ds_cnn": (16, 32, 48),
    "bc_resnet": (63, 117, 171),
    "tc_resnet": (171, 395, 619),
    "mobile_cnn": (99, 251, 403),
    "mobile_tcn": (77, 109, 141),
    "crnn": (20, 24, 28),
    "kwt": (18, 18, 18),
    "yamnet": (7, 11, 19),
    "conv_pool": (5, 9, 13),
}


def model(name, frames=FRAMES, **keys):
    keys = {"width": 4, "depth": 2, **keys}
    if keys.get("padding", "valid") == "valid":
        frames = max(frames, HEARS[name][keys["depth"] - 1])
    return MODELS[name]((frames, MELS, 1), CLASSES, **keys)


def features(rng, whole, clips=4):
    """float32 noise of the shape that a model takes."""
    return rng.normal(size=(clips, *whole.input_shape[1:])).astype(np.float32)


def blocks(whole):
    """The part before the pooling over time: [batch, time, bands, channels]."""
    return keras.Model(whole.input, whole.get_layer("pool").input)


@pytest.fixture
def logmel(rng):
    return rng.normal(size=(4, FRAMES, MELS, 1)).astype(np.float32)


@EACH
@PADDING
@pytest.mark.parametrize(("width", "depth"), [(1, 1), (5, 2), (8, 3)])
def test_gives_one_logit_a_class(name, padding, width, depth, rng):
    whole = model(name, padding=padding, width=width, depth=depth)
    logits = whole(features(rng, whole))
    assert logits.shape == (4, CLASSES)
    assert np.isfinite(logits).all()


@EACH
def test_gives_logits_and_no_probabilities(name, rng):
    whole = model(name)
    logmel = features(rng, whole)
    before = whole(logmel).numpy()
    kernel, bias = whole.get_layer("logits").get_weights()
    whole.get_layer("logits").set_weights([kernel, bias + 5])  # a softmax would not notice
    np.testing.assert_allclose(whole(logmel), before + 5, atol=1e-5)


@EACH
@PADDING
def test_a_clip_does_not_depend_on_its_batch(name, padding, rng):
    whole = model(name, padding=padding)
    logmel = features(rng, whole)
    together = whole(logmel).numpy()
    alone = np.concatenate([whole(clip[None]) for clip in logmel])
    np.testing.assert_allclose(together, alone, atol=1e-5)  # float32 sums in another order


@STREAMING
@PADDING
def test_what_is_heard_so_far_does_not_change_with_what_follows(name, padding, rng):
    # strides of up to 32 in all: 33 frames fewer are at least one output fewer
    frames = 97 if padding == "causal" else HEARS[name][1] + 40
    whole = model(name, frames, padding=padding)
    logmel = features(rng, whole)
    full = blocks(whole)(logmel).numpy()
    for heard in (frames - 33, frames - 36, frames - 39):
        part = model(name, heard, padding=padding)
        part.set_weights(whole.get_weights())
        early = blocks(part)(logmel[:, :heard]).numpy()
        assert 0 < early.shape[1] < full.shape[1]
        np.testing.assert_allclose(early, full[:, : early.shape[1]], atol=1e-5)  # float32 sums


@EACH
@pytest.mark.parametrize("depth", [1, 2])
def test_valid_network_needs_the_frames_that_one_output_hears(name, depth):
    needed = HEARS[name][depth - 1]
    build = MODELS[name]
    shortest = build((needed, MELS, 1), CLASSES, width=2, depth=depth, padding="valid")
    assert shortest.get_layer("pool").input.shape[1] == 1
    with pytest.raises(ValueError):
        build((needed - 1, MELS, 1), CLASSES, width=2, depth=depth, padding="valid")


@EACH
def test_causal_network_takes_a_single_frame(name):
    whole = model(name, 1, padding="causal")
    assert blocks(whole).output_shape[1] == 1


def test_yamnet_reads_the_mean_and_the_greatest_frame(rng):
    whole = model("yamnet", 200)
    logmel = features(rng, whole)
    maps = blocks(whole)(logmel).numpy()  # [batch, time, bands, channels]
    expected = np.concatenate([maps.mean(axis=(1, 2)), maps.mean(axis=2).max(axis=1)], axis=-1)
    read = keras.Model(whole.input, whole.get_layer("beside").output)(logmel)
    np.testing.assert_allclose(read[:, 0, 0], expected, atol=1e-5)  # float32 sums


def test_keyword_transformer_attends_to_what_comes_later(rng):
    whole = model("kwt", padding="causal")
    logmel = features(rng, whole)
    assert outputs_touched(blocks(whole), logmel, FRAMES - 1).all()


def outputs_touched(part, logmel, frame):
    """Which outputs in time change when one input frame does."""
    other = logmel.copy()
    other[:, frame] += 50
    return np.abs(part(other).numpy() - part(logmel).numpy()).max(axis=(0, 2, 3)) > 1e-3


@pytest.mark.parametrize("frame", range(0, FRAMES, 3))
def test_causal_ds_cnn_output_hears_frames_up_to_its_own(frame, logmel):
    part = blocks(model("ds_cnn", padding="causal", width=16))
    touched = outputs_touched(part, logmel, frame)
    assert len(touched) == 16  # ceil(61 / 4): two strides of 2
    first = -(-frame // 4)  # output t may hear frames 0 to 4 t
    assert touched.argmax() == first if first < 16 else not touched.any()


@pytest.mark.parametrize("frame", range(0, FRAMES, 3))
def test_valid_ds_cnn_output_hears_the_frames_of_its_kernels(frame, logmel):
    part = blocks(model("ds_cnn", padding="valid", width=16))
    # 8 of the stem, 4 more at stride 2 and 4 at stride 4: output t hears 4 t to 4 t + 31
    hears = [4 * t <= frame < 4 * t + 32 for t in range((FRAMES - 32) // 4 + 1)]
    np.testing.assert_array_equal(outputs_touched(part, logmel, frame), hears)


@EACH
def test_same_seed_gives_the_same_weights_whatever_was_drawn_before(name):
    first = model(name, seed=5, dropout=0.2).get_weights()
    keras.utils.set_random_seed(123)
    for ours, theirs in zip(model(name, seed=5, dropout=0.2).get_weights(), first, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@EACH
def test_another_seed_gives_other_weights_and_no_two_kernels_share_one(name):
    first, second = (
        [w for w in model(name, seed=seed, depth=3).get_weights() if w.ndim == 4] for seed in (5, 6)
    )
    assert all((a != b).mean() > 0.99 for a, b in zip(first, second, strict=True))
    flat = [kernel.ravel()[:4] for kernel in first]
    directions = {tuple(np.round(kernel / kernel[0], 3)) for kernel in flat}
    assert len(directions) == len(flat)


@EACH
def test_the_largest_seed_works(name):
    assert model(name, seed=2**31 - 1, dropout=0.1).get_weights()


def dropped(seed, step, rate=0.25, shape=(50, 400), **keys):
    layer = StatelessDropout(rate, seed=seed)
    layer.step.assign(step)
    return layer(tf.ones(shape), **{"training": True, **keys}).numpy()


def test_dropout_is_a_function_of_seed_and_step():
    first = dropped(1, 10)
    tf.random.set_seed(99)
    np.testing.assert_array_equal(dropped(1, 10), first)
    # two independent masks of rate 1/4 differ at 2 * 1/4 * 3/4 = 0.375 of 20000 places
    for other in (dropped(1, 11), dropped(2, 10)):
        assert ((other != 0) != (first != 0)).mean() == pytest.approx(0.375, abs=0.014)


def test_dropout_follows_its_step_inside_a_graph():
    layer = StatelessDropout(0.5, seed=3)
    call = tf.function(lambda x: layer(x, training=True))
    found = []
    for step in (1, 2, 1):
        layer.step.assign(step)
        found.append(call(tf.ones((1, 200))).numpy())
    np.testing.assert_array_equal(found[0], found[2])
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_rate_and_keeps_the_expectation(rate):
    out = dropped(0, 0, rate)
    kept = out != 0
    assert 1 - kept.mean() == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / out.size))
    np.testing.assert_allclose(out[kept], 1 / (1 - rate), rtol=1e-6)


def test_dropout_is_off_outside_training_and_at_rate_zero():
    for keys in ({"training": False}, {"training": None}, {"rate": 0.0}):
        np.testing.assert_array_equal(dropped(0, 0, **keys), 1)


def test_dropout_survives_its_config():
    layer = StatelessDropout(0.3, seed=9, name="d")
    again = StatelessDropout.from_config(layer.get_config())
    x = tf.ones((4, 50))
    np.testing.assert_array_equal(again(x, training=True), layer(x, training=True))
    assert again.name == "d"


@EACH
def test_model_drops_only_while_training(name, rng):
    whole = model(name, dropout=0.5, width=16)
    logmel = features(rng, whole)
    np.testing.assert_array_equal(whole(logmel), whole(logmel, training=False))
    plain = model(name, width=16)
    by_name = {layer.name: layer for layer in plain.layers}
    for layer in whole.layers:
        if layer.name in by_name and layer.weights:
            by_name[layer.name].set_weights(layer.get_weights())
    np.testing.assert_allclose(plain(logmel), whole(logmel), atol=1e-6)


def config(**sections) -> Config:
    small = {"width": 4, "depth": 2, "dropout": 0.0, "padding": "valid"}
    return from_dict({**sections, "model": {**small, **sections.get("model", {})}})


def test_build_takes_shape_and_settings_from_the_config():
    built = classifiers.build(
        config(data={"clip_s": 0.5}, frontend={"n_mels": 12}, run={"seed": 4}), 5
    )
    assert built.input_shape == (None, 1 + (8000 - 480) // 160, 12, 1)
    assert built.output_shape == (None, 5)
    oracle = MODELS["ds_cnn"](built.input_shape[1:], 5, width=4, depth=2, seed=4)
    for ours, theirs in zip(built.get_weights(), oracle.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_clip_too_short_for_the_model_is_one_sentence():
    short = config(data={"clip_s": 0.1}, model={"depth": 4})
    with pytest.raises(UserError, match="ds_cnn of depth 4 .*lower model.depth or raise"):
        classifiers.build(short, 3)


def test_the_shortest_clip_that_fits_is_accepted():
    # depth 2 hears 32 frames: 480 + 31 * 160 samples
    samples = 480 + 31 * 160
    assert classifiers.build(config(data={"clip_s": samples / 16000}), 3)
    with pytest.raises(UserError, match="does not fit"):
        classifiers.build(config(data={"clip_s": (samples - 1) / 16000}), 3)


def test_an_unknown_model_is_named():
    with pytest.raises(UserError, match="unknown name 'ds_ccn'; known: ds_cnn, bc_resnet"):
        classifiers.build(config(model={"name": "ds_ccn"}), 3)
