"""Published networks as teachers: their files are run as they are, and their lessons are kept."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf
import tf_keras as keras

from audio_edge import classifiers, encoders, frontends, lessons, train
from audio_edge.config import load_config
from audio_edge.errors import UserError
from audio_edge.export import card_of
from audio_edge.run import Run
from tests import tones
from training.run import main as run_main
from training.train import main

pytestmark = pytest.mark.xdist_group("encoders")

YAMNET = Path(__file__).parents[2] / "shared" / "peers" / "yamnet.tflite"


def network(samples, *, rank=2):
    """A fixed network from [1, samples] to [1, frames, 6], or from [samples]."""
    inputs = keras.Input((samples,), 1) if rank == 2 else keras.Input(batch_shape=(samples,))
    x = keras.layers.Reshape((samples, 1))(inputs) if rank == 2 else tf.reshape(inputs, (1, -1, 1))
    start = keras.initializers.HeNormal(seed=1)
    look = keras.layers.Conv1D(6, 400, 200, activation="relu", kernel_initializer=start)
    return keras.Model(inputs, look(x))


def tflite(folder, samples, *, name="encoder", **keys):
    model = network(samples, **keys)
    path = folder / f"{name}.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return model, str(path)


@pytest.fixture
def clips(rng):
    return rng.normal(scale=0.1, size=(3, 8000)).astype(np.float32)


def test_clips_of_the_length_of_a_file_go_in_whole(tmp_path, clips):
    model, path = tflite(tmp_path, 8000)
    expected = np.concatenate([model(clip[None]) for clip in clips])
    np.testing.assert_allclose(encoders.load(path)(clips), expected, atol=1e-5)
    assert expected.shape == (3, 39, 6)


@pytest.mark.parametrize("rank", [1, 2])
def test_longer_clips_go_in_by_windows_half_a_window_apart(tmp_path, clips, rank):
    model, path = tflite(tmp_path, 3000, rank=rank)
    longer = np.pad(clips, ((0, 0), (0, 1000)))
    parts = [longer[:, start : start + 3000] for start in (0, 1500, 3000, 4500, 6000)]
    rows = [[model(clip if rank == 1 else clip[None])[0] for clip in part] for part in parts]
    expected = np.concatenate(np.array(rows), axis=1)
    np.testing.assert_allclose(encoders.load(path)(clips), expected, atol=1e-5)


def onnx_file(folder):
    """From [batch, samples] to frames of 100 samples: [batch, samples / 100, 100], times 2."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: audio_edge[onnx]")
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Reshape", ["pcm", "shape"], ["frames"]),
        helper.make_node("ReduceMin", ["mask"], ["one"], keepdims=0),
        helper.make_node("Cast", ["one"], ["scale"], to=kinds.FLOAT),
        helper.make_node("Mul", ["frames", "scale"], ["embeddings"]),
    ]
    graph = helper.make_graph(
        nodes, "encoder",
        [helper.make_tensor_value_info("pcm", kinds.FLOAT, ["batch", "samples"]),
         helper.make_tensor_value_info("mask", kinds.INT64, ["batch", "samples"])],
        [helper.make_tensor_value_info("embeddings", kinds.FLOAT, ["batch", "frames", 100])],
        [helper.make_tensor("shape", kinds.INT64, [3], [0, -1, 100])],
    )  # fmt: skip
    path = folder / "encoder.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return str(path)


def test_onnx_file_gets_all_clips_and_a_mask_of_ones(tmp_path, clips):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: audio_edge[onnx]")
    path = onnx_file(tmp_path)
    np.testing.assert_array_equal(encoders.load(path)(clips), clips.reshape(3, 80, 100))
    with pytest.raises(UserError, match=r"encoder.onnx: cannot hear clips \("):
        encoders.load(path)(clips[:, :7990])


def test_what_is_no_encoder_is_refused_by_name(tmp_path, clips):
    with pytest.raises(UserError, match="nowhere.tflite: no such file; give a"):
        encoders.load(str(tmp_path / "nowhere.tflite"))
    (tmp_path / "bad.tflite").write_bytes(b"TFL3" * 9)
    with pytest.raises(UserError, match="bad.tflite: .* cannot load it"):
        encoders.load(str(tmp_path / "bad.tflite"))
    pictures = keras.Sequential([keras.Input((8, 8, 3), 1), keras.layers.Flatten()])
    content = tf.lite.TFLiteConverter.from_keras_model(pictures).convert()
    (tmp_path / "pictures.tflite").write_bytes(content)
    with pytest.raises(UserError, match=r"pictures.tflite: does not take float32 samples"):
        encoders.load(str(tmp_path / "pictures.tflite"))


def test_damaged_onnx_file_is_refused_by_name(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: audio_edge[onnx]")
    (tmp_path / "bad.onnx").write_bytes(b"no protobuf")
    with pytest.raises(UserError, match="bad.onnx: cannot be loaded"):
        encoders.load(str(tmp_path / "bad.onnx"))


@pytest.mark.skipif(not YAMNET.exists(), reason="no shared/peers/yamnet.tflite")
def test_yamnet_scores_each_window_of_a_clip(rng):
    scores = encoders.load(str(YAMNET))(rng.normal(scale=0.1, size=(2, 32000)).astype(np.float32))
    assert scores.shape == (2, 4, 521)  # of 15600 samples: at 0, 7800, 15600 and 23400
    assert scores.min() >= 0
    assert scores.max() <= 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    tones.make(folder / "data", speakers=24)
    noise = np.random.default_rng(0).normal(scale=0.1, size=10 * tones.RATE)
    (folder / "data" / "_background_noise_").mkdir()
    soundfile.write(folder / "data" / "_background_noise_" / "hiss.wav", noise, tones.RATE)
    text = tones.config(folder).read_text(encoding="utf-8")
    text = text.replace('kind = "folder"', 'kind = "speech_commands"\ntest_set = "validation"')
    (folder / "tones.toml").write_text(text, encoding="utf-8")
    _, path = tflite(folder, 8800)
    text = text.replace('name = "tones"', f'name = "teacher"\ndir = "{folder / "teacher"}"')
    text = text.replace("[model]", '[model]\nname = "conv_pool"')
    text += f'[encoder]\npath = "{path}"\npad_s = 0.025\nlicence = "Encoder, CC0-1.0"\n'
    (folder / "teacher.toml").write_text(text, encoding="utf-8")
    return folder


TAUGHT = {
    "distill.teachers": '["teacher.toml"]', "train.lessons": 2, "train.epochs": 3,
    "distill.teacher_set": '["train.epochs=4"]', "model.dropout": 0.1,
}  # fmt: skip


def sets(folder, name, **keys):
    keys = {
        "data.root": folder / "data", "data.cache": folder / "cache", "run.dir": folder / name,
        **keys,
    }  # fmt: skip
    return [f"{key}={value}" for key, value in keys.items()]


def pupil(folder, name, **keys):
    given = sets(folder, name, **{**TAUGHT, **keys})
    arguments = [part for text in given for part in ("--set", text)]
    assert main([str(folder / "tones.toml"), *arguments]) == 0
    run = Run.create(load_config(folder / "tones.toml", given))
    return run, classifiers.load(run, "float").get_weights()


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_encoder_teaches_by_lessons_that_are_drawn_once(folder, caplog):
    run, weights = pupil(folder, "pupil")
    [teacher] = run.teachers()
    assert teacher.dir == folder / "teacher" / "seed0"
    assert teacher.require("float")["epochs"] == 4  # of distill.teacher_set
    kept = sorted((folder / "cache" / "lessons").rglob("*.npz"))
    assert [path.name for path in kept] == ["000.npz", "001.npz"]

    front, network = frontends.load(teacher), classifiers.load(teacher, "float")
    assert network.input_shape[1:3] == (43, 6)  # 8000 samples, 400 on either side
    with np.load(kept[0]) as lesson:
        assert lesson["features"].dtype == np.float16
        assert lesson["features"].shape[1:] == (48, 40, 1)
        np.testing.assert_allclose(lesson["taught"].sum(axis=1), 1, atol=1e-5)
        assert np.ptp(lesson["taught"], axis=0).min() > 0.01  # it tells clips apart
    assert front(np.zeros((2, 8000), np.float32)).shape == (2, 43, 6, 1)

    stamps = [path.stat().st_mtime_ns for path in kept]
    again, repeated = pupil(folder, "again")
    other, differs = pupil(folder, "other", **{"run.seed": 5})
    assert [path.stat().st_mtime_ns for path in kept] == stamps
    assert same(weights, repeated)
    assert not same(weights, differs)
    assert again.require("float")["taught_by"] == other.require("float")["taught_by"]

    card = card_of(run, "float", "factored")
    [taught_by] = card.provenance["taught_by"]
    assert taught_by["file"] == "encoder.tflite"
    assert taught_by["licence"] in card.licences
    assert str(folder) not in json.dumps(dataclasses.asdict(card))


def test_training_from_lessons_goes_on_where_it_was_cut(folder):
    whole, weights = pupil(folder, "whole")
    given = sets(folder, "cut", **TAUGHT)
    run = Run.create(load_config(folder / "tones.toml", given))
    material = train.load_material(run.config, _index(run.config))

    class Cut(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.train(run, material, callbacks=[Cut()])
    _, resumed = pupil(folder, "cut")
    assert same(weights, resumed)


def _index(config):
    from audio_edge.datasets import pipeline

    return pipeline.index(config)


def test_damaged_lesson_is_refused_by_name(folder):
    run, _ = pupil(folder, "damaged")
    path = next((folder / "cache" / "lessons").rglob("001.npz"))
    content = path.read_bytes()
    path.write_bytes(content[:100])
    with pytest.raises(UserError, match=r"001.npz: damaged \(.*; delete it and run again"):
        list(lessons.training([path], run.config, 0, 1, 1))
    path.write_bytes(content)


def test_run_that_hears_by_an_encoder_gets_no_file(folder, capsys):
    given = [part for text in sets(folder, "file") for part in ("--set", text)]
    assert run_main([str(folder / "teacher.toml"), *given]) == 2
    assert "[encoder] path only serves training.train" in capsys.readouterr().err
    assert not (folder / "file").exists()
    assert main([str(folder / "teacher.toml"), *given, "--set", "train.epochs=1"]) == 0
    run = Run.open(folder / "file")
    with pytest.raises(UserError, match=r"\[encoder\] path only serves"):
        frontends.build(run.config, dft="factored")


def test_lessons_need_a_front_end_that_stays(folder, capsys):
    given = sets(folder, "learning", **TAUGHT, **{"frontend.features": '["pcen"]'})
    arguments = [part for text in given for part in ("--set", text)]
    assert main([str(folder / "tones.toml"), *arguments]) == 2
    assert "lessons need a front end that does not learn" in capsys.readouterr().err
