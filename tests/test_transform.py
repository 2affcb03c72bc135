"""The forms of the transform: against each other, against float64, in both runtimes."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_edge import mel
from audio_edge.config import FrontendConfig
from audio_edge.frontend import LogMel, framing, melbank, transform, two_steps
from audio_edge.interpreter import available_runtimes
from audio_edge.probe import delegate_coverage
from audio_edge.summary import model_summary
from tests.features_for_tests import needs_data, signal

IN_GRAPH = ("dense", "factored", "compact")
RUNTIMES = [name for name in available_runtimes() if name != "tensorflow"]
NEAR = 60 / 10 * np.log(10)  # 60 dB in natural logarithms of power


def logmel(wave, form, config=None, rate=16000):
    return LogMel(config, sample_rate=rate, dft=form)(np.float32(wave)[None]).numpy()[0, ..., 0]


def reference(wave, config=None, rate=16000):
    c = config or FrontendConfig()
    return mel.logmel(
        np.float32(wave), sample_rate=rate, frame_length=c.frame_length, hop_length=c.hop_length,
        n_fft=c.n_fft, n_mels=c.n_mels, fmin=c.fmin, fmax=c.fmax, log_floor=c.log_floor,
    )  # fmt: skip


def near(expected):
    """Bands within 60 dB of the frame's strongest."""
    return expected > expected.max(axis=1, keepdims=True) - NEAR


@functools.cache
def converted(form, n_mels=40):
    layer = LogMel(FrontendConfig(n_mels=n_mels), dft=form)
    function = tf.function(layer, input_signature=[tf.TensorSpec([1, 16000], tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], layer
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter.convert()


def square(period):
    return np.where(np.arange(16000) % period < period / 2, 1.0, -1.0)


@pytest.mark.parametrize("form", IN_GRAPH)
@pytest.mark.parametrize("name", ["noise", "quiet", "clicks", "silence"])
def test_forms_equal_the_reference_within_float32(form, name):
    # white and silent frames have no weak band beside a strong one, so rounding stays small
    wave = signal(name)
    np.testing.assert_allclose(logmel(wave, form), reference(wave), atol=1e-4)


@needs_data
@pytest.mark.parametrize("form", ["rfft", *IN_GRAPH])
def test_forms_equal_the_reference_on_speech(form):
    wave = signal("speech")
    ours, expected = logmel(wave, form), reference(wave)
    atol = 2e-4 if form == "compact" else 1e-4
    np.testing.assert_allclose(ours[near(expected)], expected[near(expected)], atol=atol)
    np.testing.assert_allclose(ours, expected, atol=1e-3)  # bands 80 dB down: float32 ends there


@pytest.mark.parametrize("form", ["factored", "compact"])
@pytest.mark.parametrize("name", ["noise", "quiet", "clicks", "silence"])
def test_forms_agree_with_rfft(form, name):
    wave = signal(name)
    np.testing.assert_allclose(logmel(wave, form), logmel(wave, "rfft"), atol=2e-4)


@pytest.mark.parametrize("form", ["factored", "compact"])
@pytest.mark.parametrize("wave", ["tone", "chirp", "square 100", "square 7", "square 16000"])
def test_forms_agree_with_rfft_within_60_db_of_the_strongest_band(form, wave):
    samples = square(int(wave.split()[1])) if " " in wave else signal(wave)
    plain = logmel(samples, "rfft")
    assert near(plain).sum() > 98
    np.testing.assert_allclose(logmel(samples, form)[near(plain)], plain[near(plain)], atol=2e-4)


@pytest.mark.parametrize("form", IN_GRAPH)
@pytest.mark.parametrize("value", [1.0, -1.0, 1e-40, 32767 / 32768])
def test_extremes_are_finite(form, value):
    assert np.isfinite(logmel(np.full(16000, value), form)).all()


@pytest.mark.parametrize("form", IN_GRAPH)
def test_a_clip_does_not_depend_on_its_batch(form, rng):
    batch = np.float32(rng.normal(scale=[[1e-3], [0.1], [0.3]], size=(3, 8000)))
    whole = LogMel(dft=form)(batch).numpy()
    for number, wave in enumerate(batch):
        np.testing.assert_allclose(whole[number, ..., 0], logmel(wave, form), atol=1e-5)


@pytest.mark.parametrize("form", IN_GRAPH)
def test_a_shift_by_one_hop_is_one_frame(form, rng):
    wave = rng.normal(scale=0.1, size=16160)
    np.testing.assert_allclose(logmel(wave, form)[1:], logmel(wave[160:], form), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    bits=st.integers(5, 11), share=st.floats(0.3, 1.0), hop_share=st.floats(0.02, 1.0),
    n_mels=st.integers(1, 8), rate=st.sampled_from([8000, 11025, 16000, 22050, 32000, 44100]),
    extra=st.integers(0, 3000), top=st.floats(0.4, 1.0),
)  # fmt: skip
def test_any_valid_config_gives_the_formulas_shape_and_the_reference_in_every_form(
    bits, share, hop_share, n_mels, rate, extra, top
):
    n_fft = 1 << bits
    frame = max(16, round(share * n_fft))
    hop = max(1, round(hop_share * frame))
    config = FrontendConfig(
        frame_length=frame, hop_length=hop, n_fft=n_fft, n_mels=n_mels, fmax=top * rate / 2
    )
    try:
        mel.filterbank(sample_rate=rate, n_fft=n_fft, n_mels=n_mels, fmin=20, fmax=config.fmax)
    except ValueError:
        return  # a filter without a bin: refused, which another test shows
    wave = np.random.default_rng(extra).normal(scale=0.1, size=frame + extra).astype(np.float32)
    expected = reference(wave, config, rate)
    assert expected.shape == (1 + extra // hop, n_mels)
    for form in transform.FORMS:
        ours = logmel(wave, form, config, rate)
        assert ours.shape == expected.shape
        np.testing.assert_allclose(ours, expected, atol=2e-4, err_msg=form)


@pytest.mark.parametrize("form", ["factored", "compact"])
def test_every_bin_equals_rfft(form, rng):
    config = FrontendConfig(features=["centroid"])
    wave = tf.constant(rng.normal(size=(2, 4000)).astype(np.float32))
    bins = np.arange(257)
    made = transform.make(form, config, bins)
    ours = made(wave).numpy()[..., transform.positions(made.bins, bins)]
    plain = transform.make("rfft", config, bins)(wave).numpy()
    np.testing.assert_allclose(ours, plain, atol=1e-5 * plain.max())  # float32, of the strongest


def test_columns_that_hold_no_bin_weigh_nothing():
    weights = melbank.columns(np.ones([9, 2]), np.array([3, two_steps.UNUSED, 8]))
    np.testing.assert_array_equal(weights[:, 0], [1, 0, 1])


def test_short_transforms_are_dense():
    config = FrontendConfig(frame_length=16, hop_length=8, n_fft=16, n_mels=3)
    assert transform.best_split(config, range(9)) is None
    np.testing.assert_allclose(
        logmel(np.ones(100), "factored", config), reference(np.ones(100), config), atol=1e-5
    )


def test_the_split_has_few_products():
    assert transform.best_split(FrontendConfig(), range(1, 256)) == 32
    long = FrontendConfig(frame_length=1102, hop_length=441, n_fft=2048)
    assert transform.best_split(long, range(1, 1024)) == 64


def test_unknown_form_is_refused():
    with pytest.raises(ValueError, match="dft must be one of rfft, dense, factored, compact"):
        LogMel(dft="fft")(np.zeros([1, 16000], np.float32))


def test_clip_of_no_fixed_length_needs_rfft():
    signature = [tf.TensorSpec([1, None], tf.float32)]
    with pytest.raises(ValueError, match="fixed number of samples"):
        tf.function(LogMel(dft="factored"), input_signature=signature).get_concrete_function()


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 300), hop=st.integers(1, 300), extra=st.integers(0, 500))
def test_frames_are_those_of_tensorflow(length, hop, extra):
    wave = np.arange(2 * (length + extra), dtype=np.float32).reshape(2, -1)
    ours = framing.frame(tf.constant(wave), length, hop)
    np.testing.assert_array_equal(ours, tf.signal.frame(wave, length, hop))


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 300), hop=st.integers(1, 300), extra=st.integers(0, 500))
def test_sums_over_frames_are_those_of_the_frames(length, hop, extra):
    values = np.arange(2 * (length + extra), dtype=np.float32).reshape(2, -1)
    ours = framing.frame_sums(tf.constant(values), length, hop)
    wanted = tf.signal.frame(values, length, hop).numpy().sum(axis=2, keepdims=True)
    np.testing.assert_allclose(ours, wanted, rtol=1e-5)


@pytest.mark.parametrize("hop", [3, 40, 100, 130])
def test_frames_beyond_the_end_are_filled_with_zeros(hop):
    wave = np.arange(1, 301, dtype=np.float32)[None]
    ours = framing.frame(tf.constant(wave), 100, hop, 9).numpy()
    padded = np.pad(wave[0], (0, 9 * hop + 100))
    expected = np.stack([padded[i * hop : i * hop + 100] for i in range(9)])
    np.testing.assert_array_equal(ours[0], expected)


@pytest.mark.parametrize(("form", "most"), [("factored", 131072), ("compact", 16384)])
def test_constants_are_few(form, most, tmp_path):
    path = tmp_path / "logmel.tflite"
    path.write_bytes(converted(form))
    summary = model_summary(path)
    assert not summary["not_builtin"]
    assert sum(part["bytes"] for part in summary["parts"].values()) <= most


@pytest.mark.skipif("ai_edge_litert" not in RUNTIMES, reason="needs ai-edge-litert")
@pytest.mark.parametrize("form", IN_GRAPH)
def test_xnnpack_takes_every_op(form, tmp_path):
    path = tmp_path / "logmel.tflite"
    path.write_bytes(converted(form))
    assert delegate_coverage(path, runtime="ai_edge_litert")["share"] == 1.0


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("form", ["rfft", *IN_GRAPH])
def test_file_equals_the_layer(form, runtime):
    from audio_edge.interpreter import load

    interpreter = load(converted(form), runtime, 1)
    for name in ("noise", "quiet", "clicks", "silence"):
        wave = signal(name)[None]
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], wave)
        interpreter.invoke()
        ours = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_allclose(ours, LogMel(dft=form)(wave), atol=1e-4)
