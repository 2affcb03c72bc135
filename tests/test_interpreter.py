"""The interpreter: known models, every runtime, foreign and damaged files, and no TensorFlow."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from audio_edge import interpreter
from audio_edge.card import attach
from audio_edge.errors import UserError
from audio_edge.interpreter import Interpreter, as_float, available_runtimes
from audio_edge.tflite_metadata import repacked
from tests.conftest import CLIP, LABELS, tone, tone_probs


@pytest.fixture
def write(tmp_path):
    def write(content: bytes):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("runtime", sorted(set(available_runtimes()) - {"tensorflow"}))
def test_probabilities_equal_the_formula(carded_path, label, runtime):
    """float32 sums of 1600 products keep 5 digits; the softmax of logits up to 15 loses one."""
    model = Interpreter(carded_path, runtime=runtime)
    waveform = tone(label, CLIP / 16000)
    probs = model(waveform)
    assert probs.dtype == np.float32
    assert probs.shape == (3,)
    np.testing.assert_allclose(probs, tone_probs(waveform), atol=1e-4)
    assert model.labels[probs.argmax()] == label


def test_attributes_come_from_the_card(carded_path, tone_card):
    model = Interpreter(carded_path)
    assert model.card == tone_card
    assert (model.labels, model.sample_rate, model.clip_samples) == (LABELS, 16000, CLIP)
    assert model.runtime == available_runtimes()[0]
    assert model.runtime_version[0].isdigit()
    assert model.path == str(carded_path)


def test_model_without_card_works_with_generated_labels(write, tone_model):
    model = Interpreter(write(tone_model))
    assert model.card is None
    assert model.labels == ("class_0", "class_1", "class_2")
    assert (model.sample_rate, model.clip_samples) == (16000, CLIP)
    assert model(tone("high", 0.1)).argmax() == 2


@pytest.mark.parametrize(
    ("text", "labels"),
    [("a\nb\nc\n", ("a", "b", "c")), ("a\nb\n", ("class_0", "class_1", "class_2"))],
)
def test_foreign_label_file_counts_when_it_fits(write, tone_model, text, labels):
    file = io.BytesIO(tone_model)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("names.txt", text)
    assert Interpreter(write(file.getvalue())).labels == labels


def test_int16_is_divided_by_32768(carded_path):
    model = Interpreter(carded_path)
    waveform = tone("low", 0.1)
    pcm = np.rint(waveform * 32768).astype(np.int16)
    assert np.array_equal(model(pcm), model((pcm / 32768).astype(np.float32)))


def test_several_clips_equal_each_alone(carded_path, rng):
    model = Interpreter(carded_path)
    clips = rng.normal(0, 0.1, (3, CLIP))
    assert np.array_equal(model(clips), np.stack([model(clip) for clip in clips]))
    assert model(np.zeros((0, CLIP))).shape == (0, 3)


def test_results_do_not_share_memory(carded_path):
    model = Interpreter(carded_path)
    first = model(tone("low", 0.1))
    kept = first.copy()
    model(tone("high", 0.1))
    assert np.array_equal(first, kept)


def test_int8_model_is_rounded_in_and_scaled_out(write, int8_model):
    """Half a step of 2/255 at the input and of the output's scale: 0.004 + 0.004."""
    model = Interpreter(write(int8_model))
    waveform = np.repeat([0.25, -0.25], CLIP // 2)
    step = max(model._output["quantization"][0], 0)
    limit = 0.5 * 2 / 255 + step
    assert np.abs(model(waveform)).max() > 0
    np.testing.assert_allclose(model(waveform), np.clip([0.25, -0.25], *_range(model)), atol=limit)


def _range(model: Interpreter) -> tuple[float, float]:
    scale, zero_point = model._output["quantization"]
    return (-128 - zero_point) * scale, (127 - zero_point) * scale


@pytest.mark.parametrize(("scale", "zero_point"), [(0.1, -128), (0.58, 127), (1e-4, 0)])
def test_int8_input_that_cannot_hold_audio_is_refused(scale, zero_point, write, int8_model):
    """Features are quantised to their own range: a log-mel is never below its floor."""
    tree = schema.ModelT.InitFromPackedBuf(bytearray(int8_model), 0)
    [graph] = tree.subgraphs
    given = graph.tensors[graph.inputs[0]].quantization
    given.scale, given.zeroPoint = [scale], [zero_point]
    with pytest.raises(UserError, match="so features and not audio"):
        Interpreter(write(repacked(tree, len(int8_model))))


def test_quantize_rounds_then_clips():
    details = {"dtype": np.int8, "quantization": (0.5, 1)}
    values = np.array([0.0, 0.24, 0.26, -0.26, 1000.0, -1000.0])
    assert interpreter._quantize(values, details).tolist() == [1, 1, 2, 0, 127, -128]


@pytest.mark.parametrize(
    "waveform",
    [
        np.zeros(CLIP - 1),
        np.zeros((1, 1, CLIP)),
        np.zeros(()),
        np.full(CLIP, np.nan),
        np.full(CLIP, np.inf),
        np.zeros(CLIP, np.int32),
        np.zeros(CLIP, bool),
    ],
    ids=["short", "rank 3", "scalar", "nan", "inf", "int32", "bool"],
)
def test_wrong_waveform_states_rule_and_received(carded_path, waveform):
    with pytest.raises(ValueError, match="must be .*Received: "):
        Interpreter(carded_path)(waveform)


def test_as_float_of_full_scale():
    assert as_float(np.array([-32768, 0, 16384], np.int16)).tolist() == [-1.0, 0.0, 0.5]


def test_damaged_file_is_refused(write, carded):
    damaged = bytearray(carded)
    damaged[len(carded) // 2] ^= 4
    with pytest.raises(UserError, match="damaged"):
        Interpreter(write(bytes(damaged)))


@pytest.mark.parametrize(
    "content",
    [b"", b"no model at all", b"\x1c\0\0\0TFL3" + b"\xff" * 64],
    ids=["empty", "text", "magic"],
)
def test_what_is_no_model_is_one_error(write, content):
    with pytest.raises(UserError, match=r"model\.tflite: "):
        Interpreter(write(content))


def test_truncated_foreign_model_is_one_error(write, tone_model):
    with pytest.raises(UserError, match="cannot load it"):
        Interpreter(write(tone_model[: len(tone_model) // 2]))


def test_card_that_does_not_fit_the_model_is_refused(write, tone_model, tone_card):
    content = attach(tone_model, replace(tone_card, labels=("a", "b")))
    with pytest.raises(UserError, match="the card says 2 labels and 1600 samples, the model 3"):
        Interpreter(write(content))


def test_model_on_features_is_refused(write):
    import tensorflow as tf

    function = tf.function(
        lambda logmel: tf.reduce_mean(logmel, axis=1),
        input_signature=[tf.TensorSpec((1, 49, 10), tf.float32)],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], tf.Module()
    )
    with pytest.raises(UserError, match=r"does not take raw audio.*\(1, 49, 10\)"):
        Interpreter(write(converter.convert()))


def test_unknown_runtime_is_refused(carded_path):
    with pytest.raises(UserError, match="runtime must be one of ai_edge_litert"):
        Interpreter(carded_path, runtime="onnx")


def test_missing_runtime_says_what_to_install(carded_path, monkeypatch):
    monkeypatch.setattr(interpreter, "available_runtimes", list)
    with pytest.raises(UserError, match="pip install ai-edge-litert"):
        Interpreter(carded_path)
    monkeypatch.setattr(interpreter, "available_runtimes", lambda: ["ai_edge_litert"])
    with pytest.raises(
        UserError, match="tflite_runtime is not installed; pip install tflite-runtime"
    ):
        Interpreter(carded_path, runtime="tflite_runtime")


def test_threads_must_be_positive(carded_path):
    with pytest.raises(ValueError, match="num_threads must be >= 1. Received: num_threads=0"):
        Interpreter(carded_path, num_threads=0)


def test_running_a_model_loads_no_tensorflow(carded_path):
    code = (
        "import sys, numpy, audio_edge\n"
        "audio_edge.Interpreter, audio_edge.Detector, audio_edge.read, audio_edge.Card\n"
        f"detector = audio_edge.Detector({str(carded_path)!r})\n"
        "assert detector.detect(numpy.zeros(1600)) == []\n"
        "loaded = {'tensorflow', 'tf_keras', 'keras', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_failure_while_running_names_the_file(carded_path, monkeypatch):
    model = Interpreter(carded_path)

    class Broken:
        def set_tensor(self, index, value):
            pass

        def invoke(self):
            raise RuntimeError("gather index out of bounds")

    monkeypatch.setattr(model, "_runner", Broken())
    with pytest.raises(UserError, match=r"tones.tflite: .* cannot run it \(gather index out of"):
        model(np.zeros(CLIP, np.float32))
