"""Each feature as a layer: against the reference, its properties, and in both runtimes."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from audio_edge import interpreter, lowering
from audio_edge.config import FrontendConfig
from audio_edge.frontend.pcen import PCEN
from audio_edge.reference import features, pcen
from tests.features_for_tests import (
    LAYERS,
    SIGNALS,
    output,
    reference,
    signal,
)

every = pytest.mark.parametrize("feature", LAYERS)
FULL = FrontendConfig(deltas=2, lifter=22)
HZ_PER_BIN = 16000 / 512
# Greatest difference from float64, in the feature's unit. A float32 transform errs by 1e-7 of a
# frame's peak; the logarithm (mfcc) and the gain (pcen) magnify that in bands far below a tone.
TOLERANCE = {
    "mfcc": 2e-2, "pcen": 1e-3, "zcr": 1e-6, "rms": 1e-6, "centroid": 0.05, "bandwidth": 0.1,
    "rolloff": 0, "flatness": 1e-5, "chroma": 1e-5, "waveform": 0,
}  # fmt: skip


def assert_rolloff_close(found, wanted, hz_per_bin):
    """Where the share is reached within rounding of a bin's edge, the next bin serves as well."""
    difference = np.abs(found - wanted)
    assert difference.max() <= hz_per_bin * 1.001 and np.mean(difference > 1e-3) <= 0.01


# Against the reference.


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("feature", [name for name in LAYERS if name != "contrast"])
def test_layer_equals_reference(feature, name):
    found, wanted = output(feature, signal(name), FULL), reference(feature, signal(name), FULL)
    assert found.shape == wanted.shape
    if feature == "rolloff":
        assert_rolloff_close(found, wanted, HZ_PER_BIN)
    else:
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=TOLERANCE[feature])


@pytest.mark.parametrize("name", SIGNALS)
def test_contrast_equals_reference_where_valleys_are_within_100_db_of_the_peak(name):
    """1e-7 of the peak is 1e-2 of such a valley, 0.04 dB; what lies deeper is rounding."""
    found, wanted = output("contrast", signal(name)), reference("contrast", signal(name), FULL)
    magnitude = np.sqrt(features.power(signal(name), FULL))
    edges = [0, 6, 12, 25, 51, 102, 204, 257]
    pairs = zip(edges[:-1], edges[1:], strict=True)
    valley = np.stack([magnitude[:, low:high].min(axis=1) for low, high in pairs], axis=1)
    near = valley >= 1e-5 * magnitude.max(axis=1, keepdims=True)
    assert near.mean() > (0.1 if name in ("tone", "chirp") else 0.9)
    np.testing.assert_allclose(found[near], wanted[near], atol=0.05)
    assert np.isfinite(found).all()


@every
@pytest.mark.parametrize(
    ("rate", "frame", "hop", "n_fft", "bands"),
    [(8000, 250, 80, 256, 4), (22050, 512, 512, 1024, 5), (44100, 1102, 441, 2048, 6)],
)
def test_layer_equals_reference_at_other_settings(feature, rate, frame, hop, n_fft, bands):
    c = FrontendConfig(
        frame_length=frame, hop_length=hop, n_fft=n_fft, n_mels=20, n_mfcc=20, deltas=1,
        n_chroma=24, contrast_bands=bands, pcen_time_s=0.1, rolloff=0.5,
    )  # fmt: skip
    wave = signal("noise")[:9000]
    found, wanted = output(feature, wave, c, rate), reference(feature, wave, c, rate)
    assert (
        found.shape == wanted.shape == (c.frames(9000), LAYERS[feature](c, sample_rate=rate).width)
    )
    if feature == "rolloff":
        assert_rolloff_close(found, wanted, rate / n_fft)
    else:
        # noise has no band far below its peak: rounding alone, of the feature's scale
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


# Properties.


@every
def test_a_clip_does_not_depend_on_its_batch(feature, rng):
    batch = np.float32(rng.normal(scale=[[1e-3], [0.1], [0.3]], size=(3, 4000)).clip(-1, 1))
    whole = LAYERS[feature](FULL)(batch).numpy()
    for number, wave in enumerate(batch):
        alone = output(feature, wave, FULL)
        if feature == "rolloff":
            assert_rolloff_close(whole[number, ..., 0], alone, HZ_PER_BIN)
        else:
            scale = np.abs(alone).max()  # products of matrices may sum in another order
            np.testing.assert_allclose(whole[number, ..., 0], alone, atol=1e-5 * scale)


@pytest.mark.parametrize("feature", [name for name in LAYERS if name != "pcen"])
def test_a_shift_by_one_hop_is_one_frame(feature, rng):
    wave = rng.normal(scale=0.1, size=4160)
    late, early = output(feature, wave, FULL)[1:], output(feature, wave[160:], FULL)
    if feature == "mfcc":  # twice four frames at either edge feel the repeated one
        late, early = late[4:-4], early[4:-4]
    if feature == "rolloff":
        assert_rolloff_close(late, early, HZ_PER_BIN)
    else:
        np.testing.assert_allclose(late, early, atol=1e-5 * np.abs(early).max())


@every
@pytest.mark.parametrize("tail", [0.0, 1.0])
def test_a_frame_does_not_depend_on_what_follows_it(feature, rng, tail):
    config = FrontendConfig()  # without differences, which look four frames ahead
    wave = rng.normal(scale=0.1, size=8000)
    changed = np.r_[wave[:4000], np.full(4000, tail)]
    frames = config.frames(4000)
    found, wanted = output(feature, changed, config), output(feature, wave, config)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found[:frames], wanted[:frames], atol=1e-6 * scale)


@every
@pytest.mark.parametrize(
    "wave",
    [
        np.zeros(2000),
        np.full(2000, 1.0),
        np.full(2000, -1.0),
        np.full(2000, 32767 / 32768),
        np.where(np.arange(2000) % 80 < 40, 1.0, -1.0),
        np.where(np.arange(2000) % 2, 1.0, -1.0),
        np.where(np.arange(2000) == 1000, 1 / 32768, 0.0),
        np.full(2000, 1e-20),
        np.full(2000, 1e-40),
        np.r_[np.zeros(1000), np.ones(1000)],
    ],
    ids=[
        "silence",
        "high",
        "low",
        "16 bit",
        "square",
        "nyquist",
        "step",
        "tiny",
        "denormal",
        "edge",
    ],
)
def test_extremes_are_finite(feature, wave):
    assert np.isfinite(output(feature, wave, FULL)).all()


@every
def test_silence_is_that_of_the_reference(feature):
    found = output(feature, np.zeros(2000), FULL)
    wanted = reference(feature, np.zeros(2000), FULL)
    np.testing.assert_allclose(found, wanted, atol=1e-6 * max(1.0, np.abs(wanted).max()))


@every
def test_layer_survives_its_config(feature):
    config = FrontendConfig(
        n_mels=20,
        hop_length=200,
        deltas=1,
        contrast_bands=4,
        rolloff=0.5,
        n_chroma=6,
        pcen_bias=1.0,
    )
    layer = LAYERS[feature](config, sample_rate=8000)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is type(layer) and again.config == config
    assert again.name == ("frames" if feature == "waveform" else feature)
    wave = tf.random.stateless_uniform([2, 4000], [1, 2], -1, 1)
    np.testing.assert_array_equal(layer(wave), again(wave))


@every
def test_layer_keeps_its_shape_in_a_model_of_any_batch(feature):
    waveform = keras.Input([2000])
    features = LAYERS[feature](FULL)(waveform)
    assert features.shape[1:] == (FULL.frames(2000), LAYERS[feature](FULL).width, 1)
    model = keras.Model(waveform, features)
    assert model(tf.zeros([3, 2000])).shape == (3, *features.shape[1:])


@pytest.mark.parametrize(
    "feature", ["zcr", "centroid", "bandwidth", "flatness", "contrast", "chroma"]
)
def test_gain_leaves_the_shape_as_it_is(feature, rng):
    wave = rng.normal(scale=0.02, size=8000)
    low, high = output(feature, wave), output(feature, 10 * wave)
    # the samples round anew: 6e-8 of each, which a small valley has 1e2 times over
    np.testing.assert_allclose(high, low, rtol=1e-4, atol=1e-3 if feature == "contrast" else 0)


def test_gain_leaves_the_rolloff_as_it_is(rng):
    wave = rng.normal(scale=0.02, size=8000)
    assert_rolloff_close(output("rolloff", wave), output("rolloff", 10 * wave), HZ_PER_BIN)


def test_gain_multiplies_the_rms(rng):
    wave = rng.normal(scale=0.02, size=8000)
    np.testing.assert_allclose(output("rms", 10 * wave), 10 * output("rms", wave), rtol=1e-6)


def test_gain_adds_to_the_first_cepstral_coefficient_only(rng):
    wave = rng.normal(scale=0.1, size=8000)
    added = output("mfcc", 10 * wave) - output("mfcc", wave)
    # ln(100) in each of 40 bands; the floor of 1e-6 weighs 1e-6 of a band here
    expected = np.r_[np.log(100) * 40 / np.sqrt(40), np.zeros(12)]
    np.testing.assert_allclose(added, np.tile(expected, (len(added), 1)), atol=1e-3)


def test_gain_barely_changes_pcen(rng):
    """Power x100 leaves (100)^(1 - gain) = 1.0965 of E / M^gain, and less past the root."""
    wave = rng.normal(scale=0.1, size=8000)
    low, high = output("pcen", wave), output("pcen", 10 * wave)
    assert (high > low).all() and (high < low * 100**0.02).all()


# PCEN: its stream and its weights.


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 8, 9, 98, 200])
def test_scan_equals_the_recurrence_for_any_number_of_frames(rng, frames):
    layer = PCEN(FrontendConfig(n_mels=4))
    energy = rng.exponential(size=(2, frames, 4)).astype(np.float32)
    level, state = layer.smooth(energy)
    s = pcen.smoothing(0.4, sample_rate=16000, hop_length=160)
    for found, clip in zip(level.numpy(), energy, strict=True):
        np.testing.assert_allclose(found, pcen.smooth(clip, s), rtol=1e-5)  # sums of float32
    np.testing.assert_array_equal(state, level[:, -1])


@pytest.mark.parametrize("chunks", [[1] * 20, [13, 7], [3, 16, 1]])
def test_smoother_of_a_stream_in_chunks_is_that_of_the_whole(rng, chunks):
    layer = PCEN(FrontendConfig(n_mels=4, pcen_time_s=0.05))
    energy = tf.constant(rng.exponential(size=(2, 20, 4)), tf.float32)
    state, found = None, []
    for chunk in tf.split(energy, chunks, axis=1):
        level, state = layer.smooth(chunk, state)
        found.append(level)
    np.testing.assert_allclose(tf.concat(found, 1), layer.smooth(energy)[0], rtol=1e-5)


def test_pcen_with_other_weights_for_each_band_equals_the_reference():
    c = FrontendConfig(n_mels=20)
    layer = PCEN(c)
    values = {
        "gain": np.linspace(0.5, 1, 20), "bias": np.linspace(0.5, 5, 20),
        "power": np.linspace(0.1, 1, 20), "s": np.linspace(0.01, 0.9, 20),
    }  # fmt: skip
    layer.log_gain.assign(np.log(values["gain"]))
    layer.log_bias.assign(np.log(values["bias"]))
    layer.log_power.assign(np.log(values["power"]))
    layer.logit_s.assign(np.log(values["s"] / (1 - values["s"])))
    wanted = pcen.pcen(features.mel_power(signal("noise"), c, sample_rate=16000), **values)
    found = layer(signal("noise")[None])[0, ..., 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)  # a difference of powers


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_pcen_learns_all_four_and_stays_in_range(sign):
    layer, wave = PCEN(FrontendConfig(n_mels=8)), signal("noise")[None, :4000]
    assert len(layer.trainable_weights) == 4
    with tf.GradientTape() as tape:
        loss = sign * tf.reduce_sum(layer(wave))
    gradients = tape.gradient(loss, layer.trainable_weights)
    for weight, gradient in zip(layer.trainable_weights, gradients, strict=True):
        assert np.isfinite(gradient).all() and (np.abs(gradient) > 0).all(), weight.name
    # each weight moves by 2, a factor of 7, which would take gain and power past 1
    steps = [2 * tf.sign(gradient) for gradient in gradients]
    keras.optimizers.SGD(1.0).apply_gradients(zip(steps, layer.trainable_weights, strict=True))
    for weight in (layer.log_gain, layer.log_power):
        assert (np.exp(weight) <= 1).all() and not np.allclose(weight, np.log(0.98))
    assert np.isfinite(layer(wave)).all()


def test_pcen_starts_from_the_settings_even_at_their_ends():
    layer = PCEN(FrontendConfig(n_mels=4, pcen_power=1.0, pcen_time_s=1e-12, pcen_gain=1.0))
    # s = 1: the level is the energy itself, and what is left is E / (floor + E)
    energy = features.mel_power(signal("noise"), FrontendConfig(n_mels=4), sample_rate=16000)
    found = layer(signal("noise")[None])[0, ..., 0]
    np.testing.assert_allclose(found, energy / (1e-6 + energy), rtol=1e-4)


# Conversion.


@functools.cache
def converted(feature: str) -> bytes:
    waveform = keras.Input([8000], name="waveform")
    layer = LAYERS[feature](FULL)
    return lowering.to_flatbuffer(keras.Model(waveform, layer(waveform)))


RUNTIMES = [name for name in interpreter.available_runtimes() if name != "tensorflow"]


@every
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_layer_converts_and_equals_keras_in_the_runtime(feature, runtime):
    runner = interpreter.load(converted(feature), runtime, 1)
    details = runner.get_tensor_details()
    assert all(-1 not in tensor["shape_signature"] for tensor in details)
    # no tone: below it lies rounding, which each runtime does in its own order
    waves = [signal("noise")[:8000], signal("quiet")[:8000], signal("clicks")[:8000]]
    waves += [np.zeros(8000, np.float32), np.full(8000, 1e-40, np.float32)]
    wanted = np.stack([output(feature, wave, FULL) for wave in waves])
    found = []
    for wave in waves:
        runner.set_tensor(runner.get_input_details()[0]["index"], wave[None])
        runner.invoke()
        found.append(runner.get_tensor(runner.get_output_details()[0]["index"])[0, ..., 0])
    if feature == "rolloff":
        assert_rolloff_close(np.stack(found), wanted, HZ_PER_BIN)
    else:
        np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


class QuantizedInput(keras.layers.Layer):
    """What stands before an int8 classifier: 256 steps from `low` to `high`."""

    def __init__(self, low, high):
        super().__init__()
        self.low, self.high = low, high

    def call(self, features):
        return tf.quantization.fake_quant_with_min_max_args(features, self.low, self.high)


@every
def test_feature_in_front_of_int8_is_computed_in_float(feature):
    wave = signal("noise")[:8000]
    wanted = output(feature, wave, FULL)
    # a little wider, so that nothing is clipped where the zero point moves onto a step
    low, high = 1.02 * float(min(wanted.min(), 0)), 1.02 * float(max(wanted.max(), 0))
    waveform = keras.Input([8000], name="waveform")
    quantized = QuantizedInput(low, high)(LAYERS[feature](FULL)(waveform))
    content = lowering.to_flatbuffer(keras.Model(waveform, quantized))
    runner = interpreter.load(content, RUNTIMES[0], 1)
    assert any(tensor["dtype"] == np.int8 for tensor in runner.get_tensor_details())
    runner.set_tensor(runner.get_input_details()[0]["index"], wave[None])
    runner.invoke()
    found = runner.get_tensor(runner.get_output_details()[0]["index"])[0, ..., 0]
    # one rounding, half a step; int8 on the way there would add its own
    np.testing.assert_allclose(found, wanted, atol=0.51 * (high - low) / 255)


@every
def test_constants_of_a_layer_are_small(feature):
    """The mel matrix is 41 KB of these; what a feature adds must not grow with its square."""
    assert len(converted(feature)) < 64_000


# Errors.


def test_layers_refuse_what_their_rate_does_not_allow():
    with pytest.raises(ValueError, match="lower contrast_bands"):
        LAYERS["contrast"](FrontendConfig(), sample_rate=8000)
    with pytest.raises(ValueError, match="raise n_fft"):
        LAYERS["contrast"](FrontendConfig(frame_length=64, hop_length=32, n_fft=64))
