"""The reference mathematics against librosa, and the log-mel layer against the reference."""

import librosa
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_edge import mel
from audio_edge.config import FrontendConfig
from audio_edge.frontend import LogMel
from audio_edge.reference.features import features

pytestmark = pytest.mark.xdist_group("librosa")  # librosa compiles for half a minute, once a worker


@pytest.mark.parametrize(
    ("rate", "n_fft", "n_mels", "fmin", "fmax"),
    [
        (16000, 512, 40, 20, 8000),
        (8000, 256, 20, 0, 4000),
        (44100, 2048, 64, 50, 20000),
        (22050, 1024, 32, 0, None),
    ],
)
@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_filterbank_equals_librosa(rate, n_fft, n_mels, fmin, fmax, scale):
    ours = mel.filterbank(
        sample_rate=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, scale=scale
    )
    theirs = librosa.filters.mel(
        sr=rate,
        n_fft=n_fft,
        n_mels=n_mels,
        fmin=fmin,
        fmax=fmax,
        htk=scale == "htk",
        norm=None if scale == "htk" else "slaney",
        dtype=np.float64,
    )
    np.testing.assert_allclose(ours, theirs.T, atol=1e-12)


def test_hann_is_periodic():
    np.testing.assert_allclose(mel.hann(4), [0, 0.5, 1, 0.5])


def test_logmel_equals_librosa(rng):
    wave = rng.normal(scale=0.1, size=16000)
    ours = mel.logmel(wave)
    # librosa centres a window shorter than n_fft: 16 zeros on each side line the frames up
    frames = {"n_fft": 512, "win_length": 480, "hop_length": 160, "center": False}
    bands = {"n_mels": 40, "fmin": 20, "htk": True, "norm": None, "dtype": np.float64}
    power = librosa.feature.melspectrogram(y=np.pad(wave, 16), sr=16000, **frames, **bands)
    np.testing.assert_allclose(ours, np.log(power.T + 1e-6)[: len(ours)], atol=1e-9)


def test_filterbank_with_an_empty_filter_is_refused():
    with pytest.raises(ValueError, match="lower n_mels or raise n_fft"):
        mel.filterbank(sample_rate=16000, n_fft=512, n_mels=120, fmin=0)


def test_log_floor_must_be_positive():
    with pytest.raises(ValueError, match="log_floor must be > 0"):
        mel.log_power(np.ones(1), log_floor=0)


def layer_output(wave, config=None, rate=16000):
    return LogMel(config, sample_rate=rate)(np.float32(wave)[None]).numpy()[0, ..., 0]


@pytest.mark.parametrize("scale", [1e-4, 0.01, 0.3])
def test_layer_equals_reference_on_noise(rng, scale):
    wave = np.clip(rng.normal(scale=scale, size=16000), -1, 1)
    np.testing.assert_allclose(
        layer_output(wave), mel.logmel(np.float32(wave)), atol=5e-5
    )  # float32 rounding


def test_layer_equals_reference_on_the_scale_of_slaney(rng):
    config = FrontendConfig(mel_scale="slaney", log_floor=1e-8)
    wave = np.float32(rng.normal(scale=0.1, size=16000))
    expected = features(wave, config, sample_rate=16000)
    np.testing.assert_allclose(layer_output(wave, config), expected, atol=5e-5)
    assert abs(expected - features(wave, FrontendConfig(), sample_rate=16000)).max() > 1


def test_layer_equals_reference_on_a_tone_within_60_db_of_its_peak():
    wave = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    reference = mel.logmel(np.float32(wave))
    near = reference > reference.max(axis=1, keepdims=True) - 60 / 10 * np.log(10)
    assert near.sum() > 300
    np.testing.assert_allclose(layer_output(wave)[near], reference[near], atol=1e-3)


def test_silence_gives_the_floor():
    np.testing.assert_allclose(layer_output(np.zeros(16000)), np.log(1e-6), rtol=1e-6)


def test_gain_of_ten_is_20_db(rng):
    wave = rng.normal(scale=0.02, size=16000)
    low, high = layer_output(wave), layer_output(10 * wave)
    loud = low > np.log(1e-6) + 9  # the floor weighs less than 2e-4 there
    np.testing.assert_allclose((high - low)[loud] * 10 / np.log(10), 20, atol=2e-3)


def test_a_shift_by_one_hop_is_one_frame(rng):
    wave = rng.normal(scale=0.1, size=16160)
    np.testing.assert_allclose(layer_output(wave)[1:], layer_output(wave[160:]), atol=1e-5)


def test_a_clip_does_not_depend_on_its_batch(rng):
    batch = np.float32(rng.normal(scale=[[1e-3], [0.1], [0.3]], size=(3, 8000)))
    whole = LogMel()(batch).numpy()
    for number, wave in enumerate(batch):
        np.testing.assert_allclose(whole[number, ..., 0], layer_output(wave), atol=1e-5)


@pytest.mark.parametrize("value", [1.0, -1.0, 1e-40, 32767 / 32768])
def test_extremes_are_finite(value):
    assert np.isfinite(layer_output(np.full(16000, value))).all()


def test_layer_survives_its_config():
    layer = LogMel(FrontendConfig(n_mels=20, hop_length=200), sample_rate=8000)
    again = LogMel.from_config(layer.get_config())
    wave = tf.random.stateless_uniform([1, 4000], [1, 2], -1, 1)
    np.testing.assert_array_equal(layer(wave), again(wave))


@settings(max_examples=15, deadline=None)
@given(
    frame=st.integers(64, 512), hop_share=st.floats(0.1, 1.0), n_mels=st.integers(2, 12),
    rate=st.sampled_from([8000, 11025, 16000, 22050]), extra=st.integers(0, 2000),
)  # fmt: skip
def test_any_valid_config_gives_the_formulas_shape_and_the_reference(
    frame, hop_share, n_mels, rate, extra
):
    hop = max(1, int(frame * hop_share))
    config = FrontendConfig(frame_length=frame, hop_length=hop, n_fft=512, n_mels=n_mels, fmin=100)
    wave = np.random.default_rng(extra).normal(scale=0.1, size=frame + extra).astype(np.float32)
    ours = layer_output(wave, config, rate)
    assert ours.shape == (config.frames(len(wave)), n_mels) == (1 + extra // hop, n_mels)
    reference = mel.logmel(
        wave,
        sample_rate=rate,
        frame_length=frame,
        hop_length=hop,
        n_fft=512,
        n_mels=n_mels,
        fmin=100,
    )
    np.testing.assert_allclose(ours, reference, atol=2e-4)
