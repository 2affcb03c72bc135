"""A stream is the clip's model at every hop: in Keras, for every kind of layer."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from audio_edge import frontend
from audio_edge.config import FrontendConfig
from audio_edge.errors import UserError
from audio_edge.models import MODELS
from audio_edge.streaming import to_streaming
from tests.streams import shaken, sound

CLASSES, RATE = 4, 16000
# float32 sums in another order: some 1e-7 of probabilities up to 1
TOLERANCE = 1e-5
SIZES = {  # width, depth, and the clip in seconds that 'valid' convolutions fit into
    "ds_cnn": (8, 3, 1.0),
    "bc_resnet": (4, 1, 3.0),
    "tc_resnet": (8, 1, 4.0),
    "mobile_cnn": (8, 1, 3.0),
    "mobile_tcn": (12, 1, 2.0),
    "crnn": (8, 2, 1.01),
    "yamnet": (4, 5, 1.5),
    "conv_pool": (8, 2, 1.0),
}
SMALL = FrontendConfig(hop_length=320, n_mels=16)


def whole(name, *, settings=SMALL, padding="valid", clip_s=None, rate=RATE):
    """Front end, classifier and softmax: waveform [batch, clip] -> probs [batch, CLASSES]."""
    width, depth, seconds = SIZES.get(name, (8, 1, 1.0))
    clip = round((clip_s or seconds) * rate)
    front = frontend.build(settings, sample_rate=rate)
    waveform = keras.Input([clip], name="waveform")
    features = front(waveform)
    classifier = MODELS[name](
        tuple(features.shape[1:]), CLASSES, width=width, depth=depth, padding=padding, seed=1
    )
    learnt = settled(shaken(classifier), front(sound(clip / rate + 2.0)[None]))
    return keras.Model(waveform, keras.layers.Softmax(name="probs")(learnt(features)))


def settled(classifier, features):
    """Normalises by these features, so that what is heard makes a difference at the end."""
    for layer in classifier.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    frames = classifier.input_shape[1]
    starts = np.linspace(0, features.shape[1] - frames, 16).astype(int)
    classifier(np.concatenate([features[:, at : at + frames] for at in starts]), training=True)
    return classifier


def heard(stream, waveform):
    """Probabilities after each packet [hops, CLASSES], and the last states."""
    step, size = tf.function(stream.step), stream.packet_samples
    states, probs = stream.zeros(), []
    for packet in waveform[: len(waveform) // size * size].reshape(-1, 1, size):
        row, states = step(tf.constant(packet), states)
        probs.append(row.numpy()[0])
    return np.array(probs), {name: value.numpy() for name, value in states.items()}


def expected(model, waveform, packet):
    """Probabilities of the clip that ends with each packet, of those that a clip fits before."""
    clip = model.input_shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(waveform, clip)
    first = -(-clip // packet) * packet - clip
    rows = windows[first::packet]
    parts = [model(np.array(rows[at : at + 32])).numpy() for at in range(0, len(rows), 32)]
    return np.concatenate(parts)


@pytest.mark.parametrize(
    ("name", "seconds"), [(name, 60.0 if name == "ds_cnn" else 9.0) for name in SIZES]
)
def test_every_hop_is_what_the_clip_model_says(name, seconds):
    model = whole(name)
    stream = to_streaming(model)
    waveform = sound(seconds)
    probs, _ = heard(stream, waveform)
    wanted = expected(model, waveform, stream.packet_samples)
    assert stream.exact
    assert len(wanted) > (seconds - 5.0) * RATE / stream.packet_samples
    error = np.abs(probs[-len(wanted) :] - wanted).max()
    assert error < 0.01 * np.ptp(wanted, axis=0).max()  # there is something to get wrong
    np.testing.assert_allclose(probs[-len(wanted) :], wanted, atol=TOLERANCE)


@pytest.mark.parametrize("clip_s", [1.0, 1.013, 1.03])
def test_frames_and_samples_that_a_clip_leaves_over_are_left_over_in_a_stream(clip_s):
    model = whole("crnn", clip_s=clip_s)
    stream = to_streaming(model)
    waveform = sound(5.0)
    wanted = expected(model, waveform, stream.packet_samples)
    np.testing.assert_allclose(heard(stream, waveform)[0][-len(wanted) :], wanted, atol=TOLERANCE)


def test_packet_is_the_hop_times_the_strides():
    assert to_streaming(whole("ds_cnn")).packet_samples == 320 * 4
    assert to_streaming(whole("mobile_cnn")).packet_samples == 320 * 32
    assert to_streaming(whole("bc_resnet")).packet_samples == 320


@pytest.mark.parametrize(
    "features", [("mfcc",), ("waveform",), ("logmel", "zcr", "rms", "centroid", "contrast")]
)
def test_other_features_stream_exactly(features):
    settings = FrontendConfig(
        features=features, hop_length=320, n_mels=16, normalize=len(features) > 1
    )
    model = whole("crnn", settings=settings)
    stream = to_streaming(model)
    waveform = sound(5.0)
    wanted = expected(model, waveform, stream.packet_samples)
    np.testing.assert_allclose(heard(stream, waveform)[0][-len(wanted) :], wanted, atol=TOLERANCE)


@pytest.mark.parametrize("features", [("pcen",), ("logmel", "pcen")])
def test_pcen_goes_on_from_the_level_of_the_recording_so_far(features):
    settings = FrontendConfig(features=features, hop_length=320, n_mels=16)
    front = frontend.build(settings, sample_rate=RATE)
    pool = keras.layers.GlobalAveragePooling2D(keepdims=False, name="pool")
    waveform = keras.Input([RATE], name="waveform")
    stream = to_streaming(keras.Model(waveform, pool(front(waveform))))
    samples = sound(5.0)
    # two frames of silence, then the first of the stream, which ends with the first packet
    began = np.pad(samples, (stream.shapes[front.name][1] + 2 * settings.hop_length, 0))
    bands = front(tf.constant(began[None])).numpy()[0, 2:, :, 0]
    frames = settings.frames(RATE)
    wanted = [[bands[end - frames : end].mean()] for end in range(frames, len(bands) + 1)]
    probs, _ = heard(stream, samples)
    assert not stream.exact
    np.testing.assert_allclose(probs[frames - 1 :], wanted, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["mobile_tcn", "ds_cnn", "tc_resnet"])
def test_causal_stream_is_the_network_over_the_recording_so_far(name):
    """The reference is the same network made for the whole recording, its mean over a clip."""
    model = whole(name, padding="causal", clip_s=1.0)
    stream = to_streaming(model)
    front, classifier = model.layers[1:3]
    waveform = sound(12.0)
    began = np.pad(waveform, (stream.shapes["logmel"][1], 0))
    # outputs of the long network lie at every stride from the first frame on, those of the stream
    # at the end of each packet
    features = front(tf.constant(began[None]))[:, stream.packet_samples // SMALL.hop_length - 1 :]
    width, depth, _ = SIZES[name]
    long = MODELS[name](
        tuple(features.shape[1:]), CLASSES, width=width, depth=depth, padding="causal"
    )
    for layer in long.layers:
        layer.set_weights(classifier.get_layer(layer.name).get_weights())
    frames = keras.Model(long.input, long.get_layer("pool").input)(features)
    clip, head = classifier.get_layer("pool").input.shape[1], long.get_layer("logits")
    probs, _ = heard(stream, waveform)
    wanted = []
    for end in range(len(probs) - 7, len(probs) + 1):  # where the beginning is forgotten
        mean = tf.reduce_mean(frames[:, end - clip : end], axis=[1, 2], keepdims=True)
        wanted.append(tf.nn.softmax(tf.reshape(head(mean), [1, -1])).numpy()[0])
    assert not stream.exact
    np.testing.assert_allclose(probs[-8:], wanted, atol=TOLERANCE)


def test_nothing_drifts_the_state_is_that_of_the_last_seconds_alone():
    """A sum that is kept up from hop to hop would not forget what it has rounded."""
    stream = to_streaming(whole("ds_cnn"))
    waveform = sound(120.0)
    packets = -(-stream.reach // stream.packet_samples)
    late = waveform[: len(waveform) // stream.packet_samples * stream.packet_samples]
    _, after = heard(stream, waveform)
    _, fresh = heard(stream, late[-packets * stream.packet_samples :])
    for name, state in after.items():
        np.testing.assert_array_equal(state, fresh[name], err_msg=name)


def refused(model):
    with pytest.raises(UserError) as caught:
        to_streaming(model)
    return str(caught.value)


def test_attention_over_the_clip_is_refused_by_the_name_of_its_layer():
    message = refused(whole("kwt"))
    assert message.startswith("layer 'block0_attend' (Multiply)")


def test_differences_that_look_ahead_are_refused_with_the_setting_that_makes_them():
    settings = FrontendConfig(features=("mfcc",), n_mels=16, deltas=1)
    message = refused(whole("ds_cnn", settings=settings))
    assert "'mfcc'" in message
    assert "frontend.deltas = 0" in message


CELL = {"kernel_initializer": "ones", "recurrent_initializer": "ones"}


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (keras.layers.Bidirectional(keras.layers.LSTM(4, **CELL), name="both_ways"), "both_ways"),
        (keras.layers.LSTM(4, **CELL, name="cell"), "cell"),
        (keras.layers.Conv1D(4, 3, 1, "same", kernel_initializer="ones", name="around"), "around"),
    ],
)
def test_layers_that_are_not_known_are_refused_by_name(layer, name):
    waveform = keras.Input([RATE], name="waveform")
    features = frontend.build(SMALL, sample_rate=RATE)(waveform)
    flat = keras.layers.Reshape((features.shape[1], 16), name="flat")(features)
    assert f"layer '{name}'" in refused(keras.Model(waveform, layer(flat)))


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (
            keras.layers.Conv2D(2, (3, 1), 1, "same", kernel_initializer="ones", name="ahead"),
            "both sides",
        ),
        (keras.layers.ZeroPadding2D(((0, 2), (0, 0)), name="ahead"), "end of a clip"),
        (keras.layers.Reshape((-1, 8, 1), name="ahead"), "mixes frames"),
    ],
)
def test_layers_that_look_ahead_are_refused_by_name(layer, word):
    waveform = keras.Input([RATE], name="waveform")
    after = layer(frontend.build(SMALL, sample_rate=RATE)(waveform))
    model = keras.Model(waveform, keras.layers.GlobalAveragePooling2D()(after))
    message = refused(model)
    assert "layer 'ahead'" in message
    assert word in message


def test_pooling_and_cropping_at_either_end_stream_exactly():
    waveform = keras.Input([RATE + 100], name="waveform")
    x = frontend.build(SMALL, sample_rate=RATE)(waveform)
    x = keras.layers.MaxPooling2D((3, 2), (2, 2))(x)
    x = keras.layers.Cropping2D(((3, 2), (1, 1)))(x)
    x = keras.layers.AveragePooling2D((2, 1), (3, 1))(x)
    x = keras.layers.Flatten()(keras.layers.GlobalMaxPooling2D()(x))
    mixed = keras.initializers.GlorotUniform(seed=1)
    x = keras.layers.Dense(CLASSES, activation="softmax", kernel_initializer=mixed)(x)
    model = keras.Model(waveform, x)
    stream = to_streaming(model)
    assert stream.packet_samples == 320 * 6
    samples = sound(8.0)
    wanted = expected(model, samples, stream.packet_samples)
    np.testing.assert_allclose(heard(stream, samples)[0][-len(wanted) :], wanted, atol=TOLERANCE)


def test_model_that_answers_for_every_frame_is_refused():
    waveform = keras.Input([RATE], name="waveform")
    model = keras.Model(waveform, frontend.build(SMALL, sample_rate=RATE)(waveform))
    assert "mean over time" in refused(model)


def test_layer_used_twice_is_refused_by_name():
    waveform = keras.Input([RATE], name="waveform")
    same = keras.layers.ReLU(name="same")
    x = same(same(frontend.build(SMALL, sample_rate=RATE)(waveform)))
    model = keras.Model(waveform, keras.layers.GlobalAveragePooling2D()(x))
    assert "layer 'same'" in refused(model)
