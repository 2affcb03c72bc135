"""ONNX, SavedModel and C of a trained stage: the same network by other doors."""

import importlib.util
import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from google.protobuf.message import Message

from audio_edge import Card, c_array, doors, export, files, onnx_file, saved_model, targets
from audio_edge.errors import UserError
from audio_edge.run import Run
from tests import tones
from tflite import compare, convert
from training import train

pytestmark = pytest.mark.xdist_group("doors")
LABELS = ["low", "mid", "high", "silence", "unknown"]
PACKAGES = ("onnx", "onnxruntime", "tf2onnx")
needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PACKAGES),
    reason="needs the extra [onnx]",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A float stage of one epoch."""
    folder = tmp_path_factory.mktemp("doors")
    tones.make(folder / "data", speakers=12, takes=1)
    tones.config(folder)
    places = {"data.root": folder / "data", "run.dir": folder / "out", "data.cache": folder / "c"}
    sets = [f"--set={key}={value}" for key, value in places.items()]
    assert train.main([str(folder / "tones.toml"), *sets, "--set=train.epochs=1"]) == 0
    return Run.open(folder / "out")


@pytest.fixture(scope="module")
def clips(run) -> np.ndarray:
    return doors.clips(run)


@pytest.fixture(scope="module")
def expected(run, clips) -> np.ndarray:
    return export.compose(run, "float")(np.float32(clips) / 32768, training=False).numpy()


@pytest.fixture(scope="module")
def served(run) -> Path:
    assert convert.main([str(run.dir), "--to", "saved_model"]) == 0
    return run.dir / "saved_model/1"


@pytest.fixture(scope="module")
def onnx(run) -> Path:
    pytest.importorskip("tf2onnx")
    assert convert.main([str(run.dir / "float"), "--to", "onnx"]) == 0
    return run.dir / "onnx/model.onnx"


def test_clips_of_the_proof_are_recordings_and_then_noises(run, clips, tmp_path):
    assert clips.shape == (doors.CLIPS, run.config.data.clip_samples)
    assert clips.dtype == np.int16
    moved = Run.open(shutil.copytree(run.dir, tmp_path / "out"))
    object.__setattr__(moved.config.data, "root", str(tmp_path / "nowhere"))
    elsewhere = doors.clips(moved)
    assert elsewhere.shape == clips.shape
    assert not np.array_equal(elsewhere, clips)


def test_serving_signature_gives_what_keras_gives_for_any_batch(served, clips, expected):
    """Called as TensorFlow Serving does; 1e-4 is float32 in another order of sums."""
    loaded = tf.saved_model.load(str(served))
    serve = loaded.signatures["serving_default"]
    assert serve.structured_input_signature[1]["waveform"].shape.as_list() == [None, 8000]
    waveforms = np.float32(clips) / 32768
    for first, last in ((0, 1), (0, 7), (0, len(clips))):
        probs = serve(waveform=tf.constant(waveforms[first:last]))["probs"].numpy()
        np.testing.assert_allclose(probs, expected[first:last], atol=1e-4)


def batching(served: Path) -> Message:
    """The batching file, read by the message of TensorFlow Serving: its fields and numbers."""
    found = descriptor_pb2.FileDescriptorProto(name="batching", package="p", syntax="proto3")
    found.dependency.append("google/protobuf/wrappers.proto")
    message, kinds = found.message_type.add(name="BatchingParameters"), FieldDescriptorProto
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    for number, name in enumerate(names, 1):
        message.field.add(name=name, number=number, type=kinds.TYPE_MESSAGE,
                          label=kinds.LABEL_OPTIONAL, type_name=".google.protobuf.Int64Value",
                          )  # fmt: skip
    message.field.add(name="allowed_batch_sizes", number=6, type=kinds.TYPE_INT64,
                      label=kinds.LABEL_REPEATED)  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(found)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("p.BatchingParameters"))
    return text_format.Parse((served / "batching_params.pbtxt").read_text(), kind())


def test_clips_get_their_own_rows_from_batches_as_the_file_asks_for(served, clips, expected):
    """TensorFlow's own batching, which is that of its server, and as many requests as it may hold.

    1e-4 is float32 in another order of sums.
    """
    given, sizes = batching(served), []
    loaded = tf.saved_model.load(str(served))
    serve = loaded.signatures["serving_default"]

    @tf.nondifferentiable_batch_function(
        num_batch_threads=1, max_batch_size=given.max_batch_size.value,
        batch_timeout_micros=given.batch_timeout_micros.value,
        allowed_batch_sizes=list(given.allowed_batch_sizes),
        max_enqueued_batches=given.max_enqueued_batches.value, enable_large_batch_splitting=False,
    )  # fmt: skip
    def batched(waveform):
        tf.py_function(lambda size: sizes.append(int(size)), [tf.shape(waveform)[0]], [])
        return serve(waveform=waveform)["probs"]

    spec = tf.TensorSpec([None, 8000], tf.float32)
    ask = tf.function(batched, input_signature=[spec]).get_concrete_function()
    waveforms = np.float32(clips) / 32768
    with ThreadPoolExecutor(len(clips)) as pool:
        rows = list(pool.map(lambda row: ask(tf.constant(row[None])).numpy()[0], waveforms))
    np.testing.assert_allclose(rows, expected, atol=1e-4)
    assert set(sizes) <= set(given.allowed_batch_sizes)
    assert max(sizes) > 1


def test_every_allowed_batch_gives_a_clip_the_row_that_it_has_alone(served, clips):
    """1e-6 is float32 in another order of sums: all of it is the same network."""
    loaded = tf.saved_model.load(str(served))
    serve = loaded.signatures["serving_default"]
    waveforms = np.float32(clips) / 32768
    alone = np.concatenate([serve(waveform=tf.constant(row[None]))["probs"] for row in waveforms])
    sizes = list(batching(served).allowed_batch_sizes)
    assert sizes == [1, 2, 4, 8, 16, 32]
    for size in sizes:
        probs = serve(waveform=tf.constant(waveforms[-size:]))["probs"].numpy()
        np.testing.assert_allclose(probs, alone[-size:], atol=1e-6)


def test_body_of_a_rest_request_is_what_the_signature_takes(served, clips, expected):
    """{"instances": [[...], ...]} -> {"predictions": [[...], ...]}: JSON numbers, a row a clip."""
    request = json.dumps({"instances": (np.float32(clips[:2]) / 32768).tolist()})
    loaded = tf.saved_model.load(str(served))
    serve = loaded.signatures["serving_default"]
    [name] = serve.structured_input_signature[1]  # one input, so that rows need no names
    made = serve(**{name: tf.constant(json.loads(request)["instances"], tf.float32)})
    assert list(made) == ["probs"]  # one output, so that predictions have none either
    response = json.loads(json.dumps({"predictions": made["probs"].numpy().tolist()}))
    np.testing.assert_allclose(response["predictions"], expected[:2], atol=1e-4)


def test_labels_and_card_are_assets(served, run):
    assert (served / "assets/labels.txt").read_text().split() == LABELS
    card = Card.from_dict(json.loads((served / "assets/model_card.json").read_text()))
    assert list(card.labels) == LABELS
    assert (card.clip_samples, card.stage, card.name) == (8000, "float", run.config.run.name)
    assert str(run.dir.parent) not in (served / "assets/model_card.json").read_text()


@needs_onnx
def test_onnx_gives_what_keras_gives_for_any_batch(onnx, clips, expected):
    """In onnxruntime; 1e-4 is float32 in another order of sums."""
    score = onnx_file.scorer(onnx)
    np.testing.assert_allclose(score(np.float32(clips) / 32768), expected, atol=1e-4)
    np.testing.assert_allclose(score(np.float32(clips[:1]) / 32768), expected[:1], atol=1e-4)


@needs_onnx
def test_onnx_holds_labels_and_card(onnx):
    assert list(onnx_file.read_card(onnx).labels) == LABELS
    import onnx as package

    model = package.load(str(onnx))
    package.checker.check_model(model)
    assert [item.name for item in model.graph.input] == ["waveform"]
    assert [item.name for item in model.graph.output] == ["probs"]


@needs_onnx
@pytest.mark.parametrize("form", ["onnx", "served"])
def test_compare_takes_the_other_forms(form, run, request, capsys):
    path = request.getfixturevalue(form)
    assert compare.main([str(run.dir / "float"), str(path)]) == 0
    assert "equal within the limits" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["onnx", "saved_model"])
def test_form_that_differs_from_keras_is_never_written(kind, run, tmp_path, monkeypatch):
    if kind == "onnx":
        pytest.importorskip("tf2onnx")
    door = {"onnx": onnx_file, "saved_model": saved_model}[kind]
    uniform = np.full((doors.CLIPS, len(LABELS)), 1 / len(LABELS), np.float32)
    monkeypatch.setattr(door, "scorer", lambda path: lambda waveforms: uniform)
    target = tmp_path / "model.onnx"
    with pytest.raises(UserError, match="not written, it differs from Keras by"):
        door.convert(run, target)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["onnx", "saved_model"])
def test_stage_of_fake_quantisation_has_no_other_form(kind, run, tmp_path, capsys):
    copy = tmp_path / "out"
    files.write_json(copy / "config.json", files.read_json(run.dir / "config.json"))
    files.write_json(copy / "qat/stage.json", run.record("float"))
    assert convert.main([str(copy / "qat"), "--to", kind]) == 2
    assert "stage 'qat' cannot become" in capsys.readouterr().err


def test_convert_never_overwrites_a_folder_that_is_no_saved_model(run, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    given = [str(run.dir), "--to", "saved_model", "--out", str(tmp_path / "mine"), "--force"]
    assert convert.main(given) == 2
    assert "exists and is no SavedModel" in capsys.readouterr().err
    assert (tmp_path / "mine/notes.txt").read_text() == "keep"


def test_saved_model_is_replaced_with_force(served, run, capsys):
    given = [str(run.dir), "--to", "saved_model"]
    assert convert.main(given) == 2
    assert "exists already; give --force" in capsys.readouterr().err
    before = (served / "saved_model.pb").stat().st_mtime_ns
    assert convert.main([*given, "--force"]) == 0
    assert (served / "saved_model.pb").stat().st_mtime_ns > before
    assert [path.name for path in served.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("content", [b"", b"no onnx"])
@needs_onnx
def test_damaged_onnx_is_one_sentence(content, run, tmp_path, capsys):
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    assert compare.main([str(run.dir / "float"), str(path)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: {path}: onnxruntime cannot load it")


def test_missing_package_is_one_sentence(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    assert convert.main([str(run.dir), "--to", "onnx", "--force"]) == 2
    assert "pip install 'audio_edge[onnx]'" in capsys.readouterr().err


def test_c_array_comes_with_the_file_or_of_a_finished_one(run, tmp_path, capsys):
    out = tmp_path / "words.tflite"
    given = [str(run.dir / "float"), "--out", str(out), "--runtime", "ai-edge-litert"]
    assert convert.main([*given, "--c-array"]) == 0
    assert capsys.readouterr().out.split() == [str(out.with_suffix(end)) for end in
                                               (".tflite", ".h", ".c")]  # fmt: skip
    source = out.with_suffix(".c").read_bytes()
    assert f"words_len = {out.stat().st_size};".encode() in source
    assert convert.main([str(out), "--c-array"]) == 2  # refuses to overwrite
    for path in c_array.paths(out):
        path.unlink()
    assert convert.main([str(out), "--c-array"]) == 0
    assert out.with_suffix(".c").read_bytes() == source


@pytest.mark.parametrize("by", ["table", "runtime"])
def test_file_that_a_target_would_refuse_is_never_written(by, run, tmp_path, monkeypatch, capsys):
    target = "ai-edge-litert"
    if by == "table":
        table = {**targets.known_ops(), target: {**targets.known_ops()[target], "CONV_2D": 1}}
        monkeypatch.setattr(targets, "known_ops", lambda: table)
        rule = f"{target} has CONV_2D up to version 1, and the file needs "
    else:  # it knows every op, and fails all the same
        monkeypatch.setattr(targets, "place", lambda target: "/elsewhere/python")
        monkeypatch.setattr(targets, "ask", lambda *given: ["no room for tensors"])
        rule = f"{target} cannot run it (no room for tensors)"
    out = tmp_path / "x.tflite"
    given = [str(run.dir / "float"), "--out", str(out), "--runtime", target, "--c-array"]
    assert convert.main(given) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: {out}: not written") and rule in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        (["--to", "onnx", "--c-array"], "are of .tflite files"),
        (["--to", "onnx", "--out", "x.tflite"], "--out must end in .onnx"),
        (["--to", "float", "--out", "y.tflite", "--runtime", "2.14"], "--runtime must be one of"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(run, more, rule, capsys):
    assert convert.main([str(run.dir), *more]) == 2
    assert rule in capsys.readouterr().err
