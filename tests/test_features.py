"""The reference mathematics of the features: literals first, then librosa and scipy in float64."""

import warnings

import librosa
import numpy as np
import pytest
import scipy.fft

from audio_edge.config import FrontendConfig
from audio_edge.reference import cepstral, chroma, features, level, pcen, spectral
from tests.features_for_tests import (
    SIGNALS,
    frames_of,
    needs_data,
    reference,
    signal,
)

pytestmark = pytest.mark.xdist_group("librosa")  # librosa compiles for half a minute, once a worker

# Window as long as the transform, and shorter, which librosa centres in it.
FRAMES = [FrontendConfig(frame_length=512), FrontendConfig()]
signals = pytest.mark.parametrize("name", SIGNALS)
framed = pytest.mark.parametrize("config", FRAMES, ids=["frame 512", "frame 480"])
# float64 against float64, in other orders of summation
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def librosa_magnitude(wave, c):
    """librosa's own frames and transform: [bins, frames]."""
    side = (c.n_fft - c.frame_length) // 2  # lines its centred window up with ours
    shape = {"n_fft": c.n_fft, "win_length": c.frame_length, "hop_length": c.hop_length}
    return np.abs(librosa.stft(np.pad(np.float64(wave), side), center=False, **shape))


def librosa_mel_power(wave, c):
    power = librosa_magnitude(wave, c) ** 2
    bands = {"n_mels": c.n_mels, "fmin": c.fmin, "htk": True, "norm": None, "dtype": np.float64}
    return librosa.filters.mel(sr=16000, n_fft=c.n_fft, **bands) @ power


def assert_equals_librosa(ours, theirs, **tolerance):
    """librosa's [width, frames] may have a frame more, from the padding."""
    assert 0 <= theirs.shape[1] - len(ours) <= 1
    np.testing.assert_allclose(ours, theirs.T[: len(ours)], **{**EXACT, **tolerance})


# Literals: values known without any library.


def test_zero_crossings_count_a_change_of_sign_and_zero_is_positive():
    frames = [[1, -1, 1, -1], [0, 1, 0, 1], [0, -1, 0, 0], [-1, -1, -1, -1], [1, 1, -1e-11, 1]]
    np.testing.assert_array_equal(level.zero_crossing_rate(frames)[:, 0] * 4, [3, 0, 2, 0, 0])


def test_rms_of_a_square_is_its_level_and_of_a_sine_its_level_over_root_two():
    time = np.arange(160)
    frames = [np.where(time % 2, 0.25, -0.25), np.sin(2 * np.pi * time / 16), 0 * time]
    np.testing.assert_allclose(level.rms(frames)[:, 0], [0.25, np.sqrt(0.5), 0], atol=1e-12)


def test_shape_of_two_lines_is_known():
    hz = np.array([0.0, 100.0, 200.0, 300.0])
    power = np.array([[0, 4.0, 0, 4.0], [0, 0, 9.0, 0], [0, 9.0, 0, 1.0]])
    np.testing.assert_allclose(spectral.centroid(power, hz)[:, 0], [200, 200, 150])
    np.testing.assert_allclose(spectral.bandwidth(power, hz)[:, 0], [100, 0, 7500**0.5])
    np.testing.assert_allclose(spectral.rolloff(power, hz, share=0.5)[:, 0], [100, 200, 100])
    np.testing.assert_allclose(spectral.rolloff(power, hz, share=0.8)[:, 0], [300, 200, 300])


def test_flatness_is_one_for_a_flat_spectrum_and_near_zero_for_a_line():
    power = np.array([np.full(257, 0.3), np.eye(257)[40]])
    found = spectral.flatness(power)[:, 0]
    # ln of the line: 256 bins at the floor of 1e-10 and one at 1, over a mean of 1 / 257
    np.testing.assert_allclose(found, [1, 257 * 1e-10 ** (256 / 257)], rtol=1e-6)


def test_contrast_of_a_line_is_its_height_in_its_own_band_only():
    magnitude = np.full(257, 0.01)
    magnitude[40] = 1.0  # 1250 Hz, in the octave from 800 Hz
    bands = spectral.contrast_bands(16000, 512, 6)
    found = spectral.contrast(magnitude[None] ** 2, bands)[0]
    np.testing.assert_allclose(found, [0, 0, 0, 20, 0, 0, 0], atol=1e-9)


@pytest.mark.parametrize(("hz", "pitch"), [(440, 9), (880, 9), (261.63, 0), (1975.5, 11)])
def test_chroma_names_the_pitch_class_of_a_tone(hz, pitch):
    c = FrontendConfig(frame_length=4096, n_fft=4096)
    wave = np.sin(2 * np.pi * hz * np.arange(8000) / 16000)
    found = reference("chroma", wave, c)
    assert (found.argmax(axis=1) == pitch).all() and (found.max(axis=1) == 1).all()


def test_deltas_of_a_ramp_are_its_slope_and_of_a_parabola_its_curvature():
    time = np.arange(30.0)
    features = np.stack([3 * time, time**2, np.full(30, 5.0)], axis=1)
    inside = slice(4, -4)
    np.testing.assert_allclose(
        cepstral.deltas(features)[inside], np.stack([time * 0 + 3, 2 * time, time * 0], 1)[inside],
        atol=1e-10,
    )  # fmt: skip
    np.testing.assert_allclose(
        cepstral.deltas(features, order=2)[inside], [[0, 2, 0]] * 22, atol=1e-10
    )
    np.testing.assert_allclose(cepstral.deltas(features[:1]), 0, atol=1e-12)


def test_smoother_answers_a_step_with_a_geometric_approach():
    energy = np.r_[np.zeros(1), np.ones(10)][:, None]
    expected = 1 - 0.75 ** np.arange(11)
    np.testing.assert_allclose(pcen.smooth(energy, 0.25)[:, 0], expected, rtol=1e-12)


def test_pcen_of_a_steady_level_is_the_formula_of_that_level():
    found = pcen.pcen(np.full([5, 2], 3.0), s=0.1, gain=0.9, bias=2.0, power=0.5, floor=1e-6)
    np.testing.assert_allclose(found, (3 / 3.000001**0.9 + 2) ** 0.5 - 2**0.5, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [("zcr", 0), ("rms", 0), ("centroid", 0), ("bandwidth", 0), ("rolloff", 0), ("flatness", 1),
     ("contrast", 0), ("chroma", 0), ("pcen", 0), ("waveform", 0)],
)  # fmt: skip
def test_silence_has_the_value_that_is_documented(name, value):
    np.testing.assert_allclose(reference(name, np.zeros(1600), FrontendConfig()), value, atol=1e-12)


# Oracles: librosa and scipy in float64.


@signals
@framed
@pytest.mark.parametrize("lifter", [0, 22])
def test_mfcc_equals_librosa(name, config, lifter):
    logmel = np.log(librosa_mel_power(signal(name), config) + config.log_floor)
    theirs = librosa.feature.mfcc(S=logmel, n_mfcc=13, dct_type=2, norm="ortho", lifter=lifter)
    c = FrontendConfig(frame_length=config.frame_length, lifter=lifter)
    # the logarithm magnifies the last digits of what is far below a tone
    assert_equals_librosa(reference("mfcc", signal(name), c), theirs, atol=1e-6)


def test_dct_matrix_equals_scipy(rng):
    rows = rng.normal(size=(5, 40))
    theirs = scipy.fft.dct(rows, type=2, norm="ortho", axis=1)
    np.testing.assert_allclose(rows @ cepstral.dct_matrix(40, 40), theirs, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("frames", [1, 5, 98])
def test_deltas_equal_librosa_with_repeated_edges(rng, order, frames):
    features = rng.normal(size=(frames, 13))
    theirs = librosa.feature.delta(features.T, width=9, order=order, mode="nearest")
    np.testing.assert_allclose(cepstral.deltas(features, order=order), theirs.T, atol=1e-12)


@signals
def test_zero_crossing_rate_equals_librosa(name):
    theirs = librosa.feature.zero_crossing_rate(
        signal(name), frame_length=480, hop_length=160, center=False
    )
    assert_equals_librosa(reference("zcr", signal(name), FrontendConfig()), theirs)


@signals
def test_rms_equals_librosa(name):
    wave = np.float64(signal(name))
    theirs = librosa.feature.rms(y=wave, frame_length=480, hop_length=160, center=False)
    # librosa gives float32
    assert_equals_librosa(reference("rms", wave, FrontendConfig()), theirs, rtol=1e-6)


@signals
@framed
@pytest.mark.parametrize("feature", ["centroid", "bandwidth", "rolloff", "flatness"])
def test_shape_equals_librosa(name, config, feature):
    magnitude = librosa_magnitude(signal(name), config)
    oracle = {
        "centroid": lambda: librosa.feature.spectral_centroid(S=magnitude, sr=16000),
        "bandwidth": lambda: librosa.feature.spectral_bandwidth(S=magnitude, sr=16000),
        "rolloff": lambda: librosa.feature.spectral_rolloff(S=magnitude, sr=16000),
        "flatness": lambda: librosa.feature.spectral_flatness(S=magnitude),
    }
    assert_equals_librosa(reference(feature, signal(name), config), oracle[feature]())


def librosa_contrast(magnitude, **kwargs):
    """Each frame by itself: librosa limits its decibels by the strongest frame of the clip."""
    frames = magnitude.T[:, :, None]
    return np.hstack([librosa.feature.spectral_contrast(S=frame, **kwargs) for frame in frames])


@signals
@framed
def test_contrast_equals_librosa(name, config):
    floor = spectral.CONTRAST_FLOOR  # librosa's own is lower
    theirs = librosa_contrast(np.maximum(librosa_magnitude(signal(name), config), floor), sr=16000)
    bands = spectral.contrast_bands(16000, 512, 6)
    ours = spectral.contrast(np.maximum(features.power(signal(name), config), floor**2), bands)
    # a valley of 1e-6 under a peak of 100 holds the last digits of the peak
    assert_equals_librosa(ours, theirs, atol=1e-6)


@needs_data
def test_contrast_of_speech_differs_from_librosa_only_in_valleys_below_the_floor():
    wave = signal("speech")[:48000]
    theirs = librosa_contrast(librosa_magnitude(wave, FrontendConfig()), sr=16000)
    difference = np.abs(reference("contrast", wave, FrontendConfig()) - theirs.T[:298])
    assert np.mean(difference > 0.05) < 0.01


@pytest.mark.parametrize(
    ("rate", "n_fft", "n_bands"), [(8000, 256, 4), (44100, 2048, 6), (22050, 4096, 5)]
)
def test_contrast_equals_librosa_at_other_rates(rng, rate, n_fft, n_bands):
    magnitude = np.abs(rng.normal(size=(n_fft // 2 + 1, 20))) + 0.01
    ours = spectral.contrast(magnitude.T**2, spectral.contrast_bands(rate, n_fft, n_bands))
    theirs = librosa.feature.spectral_contrast(S=magnitude, sr=rate, n_bands=n_bands)
    np.testing.assert_allclose(ours, theirs.T, atol=1e-9)


@pytest.mark.parametrize(
    ("rate", "n_fft", "n_chroma"), [(16000, 512, 12), (44100, 2048, 24), (8000, 256, 7)]
)
def test_chroma_filterbank_equals_librosa(rate, n_fft, n_chroma):
    ours = chroma.filterbank(sample_rate=rate, n_fft=n_fft, n_chroma=n_chroma)
    theirs = librosa.filters.chroma(
        sr=rate, n_fft=n_fft, n_chroma=n_chroma, tuning=0.0, dtype=np.float64
    )
    np.testing.assert_allclose(ours, theirs.T, atol=1e-12)


@signals
@framed
def test_chroma_equals_librosa(name, config):
    power = librosa_magnitude(signal(name), config) ** 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's own, of empty bands
        theirs = librosa.feature.chroma_stft(S=power, sr=16000, tuning=0.0)
    # librosa's filters are float32 here
    assert_equals_librosa(reference("chroma", signal(name), config), theirs, atol=1e-6)


@signals
@framed
def test_pcen_equals_librosa(name, config):
    energy = librosa_mel_power(signal(name), config)
    s = pcen.smoothing(0.4, sample_rate=16000, hop_length=160)
    theirs = librosa.pcen(
        energy, sr=16000, hop_length=160, gain=0.98, bias=2.0, power=0.5, time_constant=0.4,
        eps=1e-6, zi=(1 - s) * energy[:, :1],
    )  # fmt: skip
    assert_equals_librosa(reference("pcen", signal(name), config), theirs)


# Properties.


def test_smoother_of_a_stream_in_chunks_is_that_of_the_whole(rng):
    energy = rng.exponential(size=(50, 4))
    whole = pcen.smooth(energy, 0.1)
    head = pcen.smooth(energy[:13], 0.1)
    tail = pcen.smooth(energy[13:], 0.1, state=head[-1])
    np.testing.assert_allclose(np.concatenate([head, tail]), whole, rtol=1e-12)


@pytest.mark.parametrize(("time_s", "low", "high"), [(1e-9, 1 - 1e-6, 1), (1e6, 0, 1e-7)])
def test_smoothing_stays_in_range_for_any_time(time_s, low, high):
    assert low <= pcen.smoothing(time_s, sample_rate=16000, hop_length=160) <= high


@pytest.mark.parametrize("name", ["flatness", "centroid", "rolloff", "rms"])
def test_digital_silence_inside_a_clip_leaves_its_other_frames_alone(name):
    wave = np.r_[signal("noise")[:4800], np.zeros(4800)]
    alone = reference(name, wave[:4800], FrontendConfig())
    np.testing.assert_array_equal(reference(name, wave, FrontendConfig())[: len(alone)], alone)


def test_frames_and_powers_of_the_tests_are_those_of_librosa():
    c = FrontendConfig()
    wave = signal("noise")
    count = len(frames_of(wave, c))
    theirs = librosa_magnitude(wave, c)[:, :count] ** 2
    np.testing.assert_allclose(features.power(wave, c), theirs.T, **EXACT)
    theirs = librosa_mel_power(wave, c)[:, :count]
    np.testing.assert_allclose(features.mel_power(wave, c, sample_rate=16000), theirs.T, **EXACT)


# Errors.


def test_a_contrast_band_beyond_the_rate_or_without_a_bin_is_refused():
    with pytest.raises(ValueError, match="lower contrast_bands"):
        spectral.contrast_bands(8000, 256, 6)
    with pytest.raises(ValueError, match="raise n_fft"):
        spectral.contrast_bands(16000, 64, 3)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="lower n_mfcc or raise n_mels"):
        cepstral.dct_matrix(10, 13)
    with pytest.raises(ValueError, match="lifter must be >= 0"):
        cepstral.dct_matrix(10, 10, lifter=-1)
    with pytest.raises(ValueError, match="width odd"):
        cepstral.delta_kernel(1, width=8)
    with pytest.raises(ValueError, match="time_s must be > 0"):
        pcen.smoothing(0, sample_rate=16000, hop_length=160)
