"""The main job on a tiny data set, end to end: what the run leaves, what its commands say."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_edge import Detector, Interpreter, read_card
from audio_edge.probe import light_runtimes
from audio_edge.summary import model_summary
from tests import models_for_tests as made
from tests import tones
from tflite import compare, convert, inspect
from training import evaluate, quantize, run, train

pytestmark = pytest.mark.xdist_group("run")
ROOT = Path(__file__).parents[1]
REWRITTEN = ("config.json", ".lock")  # by every run


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with the config, the recordings and the finished run."""
    folder = tmp_path_factory.mktemp("job")
    tones.make(folder / "data")
    tones.config(folder)
    assert run.main(arguments(folder)) == 0
    return folder


def arguments(folder, *more):
    places = {"data.root": "data", "run.dir": "out", "data.cache": "cache"}
    sets = [f"--set={key}={folder / name}" for key, name in places.items()]
    config = [str(folder / "tones.toml"), "--set=model.padding=valid", *sets]
    return [*config, "--runs", "100", "--streaming", *more]


def results(place, name):
    return json.loads((place / "out" / "results" / f"{name}.json").read_text())


def test_run_leaves_the_files_that_the_design_names(place):
    for name in (
        "config.json", "float/weights.h5", "pruned/weights.h5", "qat/weights.h5",
        "tflite/model_float.tflite", "tflite/model_int8.tflite", "tflite/model_int8.json",
        "tflite/model_float_streaming.tflite", "tflite/model_int8_streaming.tflite",
        "results/parity.json", "results/accuracy.json", "results/benchmark.json",
        "results/benchmark.md", "tensorboard/float",
    ):  # fmt: skip
        assert (place / "out" / name).exists(), name


def test_int8_recognises_what_training_never_heard(place):
    judged = results(place, "accuracy")
    assert judged["int8"]["accuracy"] >= 0.9  # tones two thirds of an octave apart: chance is 0.2
    assert judged["int8"]["n"] == judged["float"]["n"] > 20
    assert judged["int8"]["labels"] == ["low", "mid", "high", "silence", "unknown"]


def test_int8_classifier_is_smaller_sparse_and_in_int8(place):
    int8 = model_summary(place / "out/tflite/model_int8.tflite")
    float_ = model_summary(place / "out/tflite/model_float.tflite")
    # a quarter of the weights, but int32 biases: under half even for so small a network
    assert int8["parts"]["classifier"]["bytes"] < 0.5 * float_["parts"]["classifier"]["bytes"]
    kernels = [row for row in int8["kernels"] if row["part"] == "classifier"]
    assert {row["dtype"] for row in kernels} == {"INT8"}
    pruned = [row for row in kernels if row["op"] == "CONV_2D" and row["shape"][0] == 12]
    assert len(pruned) == 4  # stem, two blocks, frequency head
    assert all(row["sparsity"] >= 0.49 for row in pruned)  # 0.5 less the rounding of an odd count


def test_parity_was_proved_within_limits(place):
    rows = results(place, "parity")
    others = len(light_runtimes()) - 1
    assert len(rows) == 3 + 2 * others + 2  # float and int8 file, in each other runtime; streams
    assert all(row["ok"] for row in rows)
    assert rows[2]["paired"]["n"] == rows[2]["n"]
    assert rows[2]["worst"][0]["max_delta"] == rows[2]["max_delta"]
    assert rows[0]["max_delta"] < 1e-4  # float Keras against its file: rounding


@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
def test_both_runtimes_agree(place, runtime):
    pytest.importorskip(runtime)
    path = place / "out/tflite/model_int8.tflite"
    said = [(word, seed) for word in ("low", "mid", "high") for seed in (1, 2)]
    clips = np.float32([tones.say(word, seed) for word, seed in said])
    ours = Interpreter(path, runtime=runtime)(clips)
    reference = Interpreter(path, runtime="tensorflow")(clips)
    np.testing.assert_array_equal(ours.argmax(axis=1), reference.argmax(axis=1))
    np.testing.assert_allclose(ours, reference, atol=0.05)  # one step of an int8 logit


def test_streams_were_held_against_clips_at_every_hop(place):
    float_, int8 = (row for row in results(place, "parity") if "hops" in row)
    assert float_["hops"]["max_delta"] <= 1e-5
    assert int8["hops"]["agreement"] >= 0.995
    assert min(row["hops"]["hops"] for row in (float_, int8)) > 100


@pytest.mark.parametrize(
    ("setting", "said"),
    [("model.padding=causal", "'causal' convolutions"), ("quantize.epochs=0", "quantize.epochs"),
     ("model.name=kwt", "layer 'block0_attend'")],
)  # fmt: skip
def test_what_cannot_stream_is_refused_before_the_training(place, tmp_path, capsys, setting, said):
    more = f"--set={setting}", f"--set=run.dir={tmp_path / 'new'}"
    assert run.main(arguments(place, *more)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_card_tells_what_the_model_needs(place):
    card = read_card(place / "out/tflite/model_int8.tflite")
    assert (card.sample_rate, card.clip_samples, card.stage) == (16000, 8000, "int8")
    assert card.licences == ("CC0-1.0",)
    assert card.detector["threshold"] == 0.6
    assert card.provenance["config"]["train"]["epochs"] == 50
    assert str(place) not in json.dumps(card.to_dict())
    assert json.loads((place / "out/tflite/model_int8.json").read_text()) == card.to_dict()


def test_second_run_trains_nothing(place, capsys):
    left = [path for path in (place / "out").rglob("*.*") if path.name not in REWRITTEN]
    before = {path: path.stat().st_mtime_ns for path in left}
    assert run.main(arguments(place)) == 0
    printed = capsys.readouterr().out
    assert printed.count("up to date") == 3
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert "model_int8.tflite" in printed.splitlines()[-1]


def test_what_no_training_needs_is_changed_without_one(place, capsys, tmp_path):
    copy = shutil.copytree(place, tmp_path / "copy")
    larger = (copy / "out/tflite/model_int8.tflite").stat().st_size
    changed = ("--set", "detector.threshold=0.5", "--set", "run.dft=compact")
    assert run.main(arguments(copy, *changed)) == 0
    assert capsys.readouterr().out.count("up to date") == 3
    card = read_card(copy / "out/tflite/model_int8.tflite")
    assert (card.detector["threshold"], card.frontend["dft"]) == (0.5, "compact")
    assert (copy / "out/tflite/model_int8.tflite").stat().st_size < larger - 50_000
    assert run.main(arguments(copy, "--set", "run.dft=dense")) == 2
    assert "[run] dft must be 'factored' or 'compact'" in capsys.readouterr().err


def test_changed_settings_are_refused_without_force(place, capsys):
    assert run.main(arguments(place, "--set", "train.epochs=51")) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "train.epochs 50 -> 51" in error
    assert "--force" in error


def test_changed_recordings_are_refused_without_force(place, capsys, tmp_path):
    copy = shutil.copytree(place, tmp_path / "copy")
    soundfile.write(copy / "data/low/s99_nohash_0.wav", tones.say("low", 5), tones.RATE)
    assert run.main(arguments(copy)) == 2
    assert "made from other recordings" in capsys.readouterr().err


def test_what_cannot_be_made_changes_nothing(place, capsys, tmp_path):
    copy = shutil.copytree(place / "out", tmp_path / "out")
    before = (copy / "config.json").read_bytes()
    for wrong in ('data.words=["low", "nope"]', "data.root=/nowhere", "model.name=nope"):
        given = [*arguments(place), "--set", f"run.dir={copy}", "--set", wrong, "--force"]
        assert run.main(given) == 2
    assert "[model] unknown name 'nope'" in capsys.readouterr().err
    assert (copy / "config.json").read_bytes() == before
    assert evaluate.main([str(copy / "qat")]) == 0


def test_config_of_a_run_that_never_began_may_change(place, capsys, tmp_path):
    given = [item for item in arguments(place) if item not in ("--runs", "100", "--streaming")]
    given += ["--set", f"run.dir={tmp_path / 'out'}"]
    for words in ('["low", "nope"]', '["low", "never"]'):
        assert train.main([*given, "--set", f"data.words={words}"]) == 2
        assert "data.words: no recordings of" in capsys.readouterr().err
    assert not (tmp_path / "out/config.json").exists()


def test_too_few_runs_are_refused_before_the_training(place, tmp_path, capsys):
    given = [*arguments(place), "--set", f"run.dir={tmp_path / 'out'}", "--runs", "0"]
    assert run.main(given) == 2
    assert "--runs must be 100 to 1000000" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_deleted_results_are_made_again(place, tmp_path, capsys):
    copy = shutil.copytree(place / "out", tmp_path / "out")
    (copy / "results/parity.json").unlink()
    (copy / "results/benchmark.md").unlink()
    assert run.main([*arguments(place), "--set", f"run.dir={copy}"]) == 0
    assert capsys.readouterr().out.count("up to date") == 3
    assert (copy / "results/parity.json").exists()
    assert (copy / "results/benchmark.md").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("accuracy", "{}"), ("parity", "[{}]"), ("parity", "{}"), ("steps", "[]")],
)
def test_damaged_results_are_one_sentence(place, tmp_path, name, content, capsys):
    copy = shutil.copytree(place / "out", tmp_path / "out")
    (copy / f"results/{name}.json").write_text(content)
    assert run.main([*arguments(place), "--set", f"run.dir={copy}"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: {copy / 'results' / name}.json: damaged")
    assert "delete it and run" in said


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"fingerprint": "x", "labels": 3}'])
def test_damaged_record_is_one_sentence(place, tmp_path, content, capsys):
    copy = shutil.copytree(place / "out", tmp_path / "out")
    (copy / "qat/stage.json").write_text(content)
    assert evaluate.main([str(copy / "qat")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: {copy / 'qat/stage.json'}: ")
    assert "delete it and run" in said


def test_damaged_config_names_the_file(place, tmp_path, capsys):
    copy = shutil.copytree(place / "out", tmp_path / "out")
    for content in ("[]", '{"data": 3}'):
        (copy / "config.json").write_text(content)
        assert evaluate.main([str(copy)]) == 2
        assert f"{copy / 'config.json'}: " in capsys.readouterr().err


def test_stage_out_of_order_is_refused(place, capsys, tmp_path):
    folder = tmp_path / "fresh"
    folder.mkdir()
    tones.config(folder)
    shutil.copytree(place / "data", folder / "data")
    given = [item for item in arguments(folder) if item not in ("--runs", "100", "--streaming")]
    assert quantize.main(given) == 2
    assert "stage 'pruned' is not finished" in capsys.readouterr().err


def test_convert_refuses_to_overwrite_and_reproduces_its_bytes(place, tmp_path, capsys):
    source = place / "out"
    assert convert.main([str(source)]) == 2
    assert "exists already" in capsys.readouterr().err
    target = tmp_path / "again.tflite"
    assert convert.main([str(source / "qat"), "--out", str(target)]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    assert target.read_bytes() == (source / "tflite/model_int8.tflite").read_bytes()


@pytest.mark.parametrize("form", ["compact", "rfft"])
def test_convert_in_another_form_is_the_same_network(place, tmp_path, form):
    target, usual = tmp_path / "other.tflite", place / "out/tflite/model_float.tflite"
    given = [str(place / "out/float"), "--out", str(target), "--dft", form]
    assert convert.main(given) == 0
    assert compare.main([str(target), str(usual)]) == 0  # 1e-4: rounding only
    card = read_card(target)
    assert (card.frontend["dft"], card.frontend["output_shape"]) == (form, [48, 40])
    parts = [model_summary(path)["parts"] for path in (target, usual)]
    assert parts[0]["front_end"]["bytes"] < parts[1]["front_end"]["bytes"] / 2
    assert parts[0]["classifier"] == parts[1]["classifier"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [("config.tflite", "config.json: exists already"), ("x.json", "must end in .tflite")],
)
def test_convert_overwrites_no_other_file_by_the_card(place, tmp_path, name, rule, capsys):
    copy = shutil.copytree(place / "out", tmp_path / "out")
    before = (copy / "config.json").read_bytes()
    assert convert.main([str(copy / "qat"), "--out", str(copy / name)]) == 2
    assert rule in capsys.readouterr().err
    assert (copy / "config.json").read_bytes() == before


def test_convert_of_the_wrong_stage_is_refused(place, tmp_path, capsys):
    target = tmp_path / "x.tflite"
    assert convert.main([str(place / "out/qat"), "--to", "float", "--out", str(target)]) == 2
    assert "stage 'qat' cannot become a float file; give " in capsys.readouterr().err
    assert not target.exists()


def test_compare_exits_0_for_equals_and_1_beyond_limits(place, capsys):
    float_file = str(place / "out/tflite/model_float.tflite")
    int8_file = str(place / "out/tflite/model_int8.tflite")
    assert compare.main([float_file, float_file]) == 0
    assert compare.main([float_file, int8_file, "--max-delta", "1e-6", "--json"]) == 1
    text = capsys.readouterr().out
    figures = json.loads(text[text.index("{") :])
    assert figures["ok"] is False
    assert figures["max_delta"] > 1e-6


@pytest.mark.parametrize("limit", [["--max-delta", "nan"], ["--min-agreement", "2"]])
def test_compare_refuses_limits_that_are_none(place, limit, capsys):
    path = str(place / "out/tflite/model_float.tflite")
    assert compare.main([path, path, *limit]) == 2
    assert "must be in [0, 1]" in capsys.readouterr().err


def test_inspect_tells_front_end_from_classifier(place, capsys):
    assert inspect.main([str(place / "out/tflite/model_int8.tflite")]) == 0
    printed = capsys.readouterr().out
    assert "FULLY_CONNECTED" in printed  # only the front end has any
    assert "front_end" in printed
    assert "tones, int8" in printed


@pytest.mark.parametrize("model", ["qat", "tflite/model_int8.tflite"])
def test_evaluate_on_the_runs_split(place, tmp_path, model, capsys):
    out, table = tmp_path / "e.json", tmp_path / "e.csv"
    given = [str(place / "out" / model), "--json", str(out)]
    assert evaluate.main([*given, "--csv", str(table)]) == 0
    result = json.loads(out.read_text())
    assert result["accuracy"] >= 0.9
    figures = {"accuracy", "macro_f1", "mean_recall", "per_class", "confusion", "n", "interval"}
    assert figures <= set(result)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == result["n"]
    right = np.mean([row["label"] == row["heard"] for row in rows])
    assert right == pytest.approx(result["accuracy"])
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert evaluate.main(given) == 2  # refuses to overwrite
    assert "exists already" in capsys.readouterr().err


def test_evaluate_takes_options_before_the_folder(place, tmp_path):
    folder = tones.make(tmp_path / "other", words=("low",), speakers=3, takes=1)
    model, out = place / "out/tflite/model_int8.tflite", tmp_path / "e.json"
    assert evaluate.main([str(model), "--json", str(out), str(folder)]) == 0
    assert json.loads(out.read_text())["n"] == 3


def test_evaluate_never_overwrites_the_model_or_one_output_by_another(place, tmp_path, capsys):
    model = str(shutil.copy(place / "out/tflite/model_int8.tflite", tmp_path / "m.tflite"))
    before = Path(model).read_bytes()
    out = str(tmp_path / "e.png")
    for given in (["--csv", model, "--force"], ["--json", out], ["--csv", out, "--png", out]):
        assert evaluate.main([model, *given]) == 2
        assert "would overwrite MODEL or each other" in capsys.readouterr().err
    assert Path(model).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m.tflite"]


def test_model_of_other_labels_is_not_judged_by_the_clips_of_the_run(place, tmp_path, capsys):
    copy = shutil.copytree(place / "out", tmp_path / "out")
    other = made.carded(made.keyword_model(), labels=("a", "b", "c"))
    (copy / "tflite/other.tflite").write_bytes(other)
    assert evaluate.main([str(copy / "tflite/other.tflite")]) == 2
    assert "knows a, b, c, but the data of its run low, mid, high" in capsys.readouterr().err


def test_runtime_of_a_stage_is_refused(place, capsys):
    assert evaluate.main([str(place / "out/qat"), "--runtime", "tensorflow"]) == 2
    assert "leave --runtime out" in capsys.readouterr().err


def test_evaluate_on_a_folder_counts_other_words_as_unknown(place, tmp_path):
    folder = tones.make(tmp_path / "other", words=("low", "sweep"), speakers=3, takes=1)
    (folder / "sweep").rename(folder / "whistle")
    model, out = place / "out/tflite/model_int8.tflite", tmp_path / "e.json"
    assert evaluate.main([str(model), str(folder), "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["n"] == 6
    assert result["per_class"]["unknown"]["n"] == 3
    assert result["per_class"]["low"]["recall"] == 1.0


def test_detector_hears_the_tones_of_a_recording_in_order(place, rng):
    words = ["low", "high", "mid", "high"]
    gap = np.zeros(tones.RATE)
    said = [tones.say(word, 77 + number) for number, word in enumerate(words)]
    recording = np.concatenate([part for tone in said for part in (gap, tone)] + [gap])
    recording += rng.normal(scale=1e-3, size=len(recording))
    heard = Detector(place / "out/tflite/model_int8.tflite").detect(np.float32(recording))
    assert [item.label for item in heard] == words
    middles = [1.25 + 1.5 * number for number in range(4)]
    np.testing.assert_allclose([item.time_s for item in heard], middles, atol=0.3)


def test_damaged_weights_are_one_sentence(place, tmp_path, capsys):
    copy = shutil.copytree(place / "out", tmp_path / "out")
    (copy / "qat/weights.h5").write_bytes(b"not weights")
    assert convert.main([str(copy / "qat"), "--out", str(tmp_path / "x.tflite")]) == 2
    said = capsys.readouterr().err
    assert "cannot be loaded" in said
    assert f"delete {copy / 'qat/stage.json'} and run again" in said


def test_two_processes_never_share_a_run(place):
    import fcntl

    with (place / "out/.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, "-m", "training.run", *arguments(place)],
            capture_output=True, text=True, cwd=ROOT, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "another process is working there" in done.stderr


def test_network_that_does_not_fit_is_said_before_a_file_is_decoded(tmp_path, capsys):
    tones.make(tmp_path / "data", speakers=4, takes=1)
    tones.config(tmp_path)
    given = [item for item in arguments(tmp_path) if item not in ("--runs", "100", "--streaming")]
    cache = tmp_path / "new"
    assert train.main([*given, "--set=model.depth=30", f"--set=data.cache={cache}"]) == 2
    assert "does not fit features" in capsys.readouterr().err
    assert not cache.exists()
