"""The commands that judge a model, on a run too short to hear well: evaluate and report."""

import json
import shutil

import h5py
import numpy as np
import pytest

from audio_edge import card, paired
from audio_edge.report import gallery
from tests import models_for_tests as made
from tests import tones
from tests.test_report import Reader
from tflite import convert
from training import evaluate, report, train

pytestmark = pytest.mark.xdist_group("judging")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run of two epochs, which leaves mistakes to look at, and its file."""
    folder = tmp_path_factory.mktemp("judged")
    tones.make(folder / "data", speakers=12, takes=1)
    tones.config(folder)
    places = {"data.root": folder / "data", "run.dir": folder / "out", "data.cache": folder / "c"}
    sets = [f"--set={key}={value}" for key, value in places.items()]
    assert train.main([str(folder / "tones.toml"), *sets, "--set=train.epochs=2"]) == 0
    assert convert.main([str(folder / "out/float"), "--to", "float"]) == 0
    return folder


@pytest.fixture
def stage(place):
    return str(place / "out/float")


@pytest.fixture
def file(place):
    return str(place / "out/tflite/model_float.tflite")


def test_evaluate_writes_the_new_figures(file, tmp_path, capsys):
    out = tmp_path / "e.json"
    assert evaluate.main([file, "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    assert {"mean_average_precision", "ece", "brier", "reliability"} <= set(result)
    assert {"average_precision", "auc"} <= set(result["per_class"]["low"])
    printed = capsys.readouterr().out
    assert "calibration error" in printed
    assert printed.splitlines()[0].split()[-3:] == ["F1", "AP", "AUC"]


def test_a_stage_and_its_own_file_do_not_differ(stage, file, tmp_path, capsys):
    out = tmp_path / "e.json"
    assert evaluate.main([file, "--against", stage, "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    found = result["against"]
    assert found.pop("model") == stage
    assert (found["difference"], found["p_value"]) == (0.0, 1.0)
    assert found["accuracy_a"] == found["accuracy_b"] == result["accuracy"]
    assert found["interval"] == list(paired.difference_interval(0, 0, result["n"]))
    assert "exact McNemar p = 1" in capsys.readouterr().out


def first_of(labels, samples):
    """A model that always hears its first label: all its scores are equal."""
    model = made.dense_model(samples, len(labels))
    return card.attach(model, card.Card(labels, tones.RATE, samples))


def test_other_order_of_the_same_labels_is_compared_by_name(stage, tmp_path):
    other, out = tmp_path / "other.tflite", tmp_path / "e.json"
    other.write_bytes(first_of(("silence", "unknown", "high", "mid", "low"), 8000))
    assert evaluate.main([stage, "--against", str(other), "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    silent = result["per_class"]["silence"]["n"]
    assert result["against"]["accuracy_b"] == silent / result["n"]
    assert 0 < silent != result["per_class"]["low"]["n"]


def test_snr_is_repeated_to_the_digit(file, tmp_path, capsys):
    results = []
    for name in ("a.json", "b.json"):
        out = tmp_path / name
        assert evaluate.main([file, "--snr", "20,0", "--json", str(out)]) == 0
        results.append(json.loads(out.read_text())["snr"])
    assert results[0] == results[1]
    assert [row["snr_db"] for row in results[0]["rows"]] == [0, 20]
    assert results[0]["left_out"] > 0  # the class of silence
    printed = capsys.readouterr().out
    assert "at 0 dB: accuracy" in printed
    assert "without noise: accuracy" in printed


def test_report_of_a_run_has_its_curves_and_the_worst_errors(place, stage, tmp_path, capsys):
    out, table = tmp_path / "r.html", tmp_path / "e.json"
    assert report.main([str(place / "out"), "--out", str(out), "--snr", "0,20"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert evaluate.main([stage, "--json", str(table)]) == 0
    confusion = np.array(json.loads(table.read_text())["confusion"])
    errors = confusion.sum() - np.trace(confusion)
    assert errors > 0
    page = Reader(out.read_text(encoding="utf-8"))
    assert len(page.all("li", **{"class": "card"})) == min(errors, gallery.MOST_CARDS)
    drawn = [picture["aria-label"] for picture in page.all("svg")]
    assert sum("of stage float over 2 epochs" in title for title in drawn) == 2
    assert "Accuracy over the signal-to-noise ratio" in drawn
    words = " ".join(page.words)
    assert "tones float" in words
    assert "(float/weights.h5)" in words


def test_report_of_a_file_on_a_folder(file, tmp_path):
    folder = tones.make(tmp_path / "other", words=("low",), speakers=2, takes=1)
    out = tmp_path / "r.html"
    assert report.main([file, str(folder), "--out", str(out)]) == 0
    words = " ".join(Reader(out.read_text(encoding="utf-8")).words)
    assert "2, of the folder other" in words
    assert "ai_edge_litert" in words
    assert "(model_float.tflite)" in words


def test_report_of_a_file_outside_any_run_has_no_curves(file, tmp_path):
    folder = tones.make(tmp_path / "other", words=("low",), speakers=2, takes=1)
    model, out = shutil.copy(file, tmp_path / "m.tflite"), tmp_path / "r.html"
    assert report.main([str(model), str(folder), "--out", str(out)]) == 0
    sections = [section["id"] for section in Reader(out.read_text()).all("section")]
    # one class alone has no ROC
    assert sections == ["confusion", "classes", "errors", "calibration"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--out", "r.txt"], "must end in .html"),
        (["--out", "there.html"], "exists already; give --force"),
        (["--out", "r.html", "--snr", "x"], "--snr must be ratios"),
        (["--out", "r.html", "--snr", ""], "--snr must be ratios"),
        (["--out", "r.html", "--split", "test", "there"], "FOLDER or --split, not both"),
    ],
)
def test_report_refuses_in_one_sentence(stage, tmp_path, monkeypatch, capsys, given, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.html").write_text("mine")
    assert report.main([stage, *given]) == 2
    printed = capsys.readouterr().err
    assert said in printed.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["there.html"]
    assert (tmp_path / "there.html").read_text() == "mine"


def test_damaged_history_is_one_sentence(place, tmp_path, capsys):
    copy = shutil.copytree(place / "out", tmp_path / "out")
    (copy / "float/history.json").write_text("[3]")
    assert report.main([str(copy), "--out", str(tmp_path / "r.html")]) == 2
    assert "history.json: damaged" in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_weights_that_lack_a_layer_are_one_sentence(place, tmp_path, capsys):
    copy, out = shutil.copytree(place / "out", tmp_path / "out"), tmp_path / "f.tflite"
    with h5py.File(copy / "float/weights.h5", "a") as weights:
        del weights["stem"]
    assert convert.main([str(copy / "float"), "--to", "float", "--out", str(out)]) == 2
    printed = capsys.readouterr().err
    assert "weights.h5: cannot be loaded (nothing for the layer stem); delete" in printed
    assert not out.exists()


def test_against_refuses_other_labels_and_other_clips(stage, tmp_path, capsys):
    other = tmp_path / "other.tflite"
    other.write_bytes(first_of(("a", "b", "c"), 8000))
    assert evaluate.main([stage, "--against", str(other)]) == 2
    assert "knows a, b, c, but MODEL low, mid, high" in capsys.readouterr().err
    names = ("low", "mid", "high", "silence", "unknown")
    other.write_bytes(first_of(names, 4000))
    assert evaluate.main([stage, "--against", str(other)]) == 2
    assert "takes 4000 samples at 16000 Hz, but MODEL 8000" in capsys.readouterr().err


def test_snr_of_a_model_outside_any_run_is_refused(file, tmp_path, capsys):
    folder = tones.make(tmp_path / "other", words=("low",), speakers=2, takes=1)
    model = str(shutil.copy(file, tmp_path / "m.tflite"))
    assert evaluate.main([model, str(folder), "--snr", "0"]) == 2
    assert "leave --snr out" in capsys.readouterr().err
