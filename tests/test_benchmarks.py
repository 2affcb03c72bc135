from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audio_edge import audio, scoring
from audio_edge.benchmark import benchmark, markdown
from audio_edge.errors import UserError
from audio_edge.files import sha256
from benchmarks.run import main
from tests import models_for_tests as made

LABELS = ("a", "b", "c")
LITERT = ["ai_edge_litert"]


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "run"
    (folder / "tflite").mkdir(parents=True)
    (folder / "results").mkdir()
    for stage in ("float", "int8"):
        model = made.carded(made.keyword_model(stage == "int8"), labels=LABELS, stage=stage)
        (folder / "tflite" / f"model_{stage}.tflite").write_bytes(model)
    return folder


@pytest.fixture
def recordings(tmp_path):
    """Two loud clips and three quiet ones, of which one lies in the folder of the loud."""
    rng = np.random.default_rng(0)
    clips = [("loud", 0.3, 1600), ("loud", 0.3, 4000), ("loud", 0.01, 1600)]
    clips += [("quiet", 0.01, 1600), ("quiet", 0.01, 2000), ("_noise_", 0.3, 1600)]
    folder = tmp_path / "data"
    for number, (label, level, samples) in enumerate(clips):
        (folder / label).mkdir(parents=True, exist_ok=True)
        noise = level * rng.uniform(-1, 1, samples)
        audio.write(folder / label / f"{number}.wav", noise, made.SAMPLE_RATE)
    return folder


@pytest.fixture
def loudness(tmp_path):
    path = tmp_path / "loudness.tflite"
    path.write_bytes(made.carded(made.loudness_model(), labels=("loud", "quiet")))
    return path


def test_run_directory_gives_float_and_int8_on_adjacent_rows(run_dir, tmp_path):
    other = tmp_path / "other.tflite"
    other.write_bytes(made.dense_model(8, 4))
    int8 = run_dir / "tflite" / "model_int8.tflite"
    results = benchmark([int8, other, run_dir], runs=100, runtimes=LITERT)
    rows = results["rows"]
    assert [(row["model"], row["stage"]) for row in rows] == [
        ("tiny", "int8"),
        ("tiny", "float"),
        ("other", "float"),
    ]
    assert rows[0]["sha256"] == sha256(int8.read_bytes())
    assert rows[0]["params"] == rows[1]["params"] == 55
    assert rows[0]["accuracy"] is None
    assert rows[0]["rtf"] == rows[0]["latency"]["ai_edge_litert"]["rtf"] > 0
    assert rows[2]["rtf"] is None  # no card says how long its input lasts
    assert results["runs"] == 100 and results["threads"] == 1
    json.dumps(results, allow_nan=False)


def test_accuracy_of_the_run_directory_is_taken_by_stage(run_dir):
    digest = sha256((run_dir / "tflite" / "model_float.tflite").read_bytes())
    entry = {"accuracy": 0.9, "n": 10, "interval": [0.596, 0.982]}
    where = run_dir / "results" / "accuracy.json"
    where.write_text(json.dumps({"float": {**entry, "sha256": digest}, "int8": entry}))
    rows = benchmark([run_dir], runs=100, runtimes=LITERT)["rows"]
    assert [row["accuracy"] for row in rows] == [{**entry, "source": "accuracy.json"}] * 2
    where.write_text(json.dumps({"float": {**entry, "sha256": "0" * 64}}))
    rows = benchmark([run_dir], runs=100, runtimes=LITERT)["rows"]
    assert [row["accuracy"] for row in rows] == [None, None]  # of another file; none
    where.write_text(json.dumps({"float": {"accuracy": 0.9}}))
    with pytest.raises(UserError, match="accuracy.json: 'float' needs accuracy, n and interval"):
        benchmark([run_dir], runs=100, runtimes=LITERT)


def test_accuracy_on_a_folder_counts_right_answers(loudness, recordings, run_dir):
    (recordings / "loud" / "broken.wav").write_bytes(b"RIFF")
    results = benchmark([loudness, run_dir], data=recordings, runs=100, runtimes=LITERT)
    row = results["rows"][0] if results["rows"][0]["file"] == loudness.name else None
    assert row is not None
    assert (row["accuracy"]["accuracy"], row["accuracy"]["n"]) == (0.8, 5)
    # Wilson 1927 for 4 of 5
    assert row["accuracy"]["interval"] == pytest.approx([0.3755, 0.9638], abs=1e-4)
    assert [other["accuracy"] for other in results["rows"][1:]] == [None, None]
    assert results["unreadable"] == 1
    assert results["waveform"] == "5 recordings of the data"


def test_other_words_count_as_unknown(tmp_path, recordings):
    path = tmp_path / "model.tflite"
    path.write_bytes(made.carded(made.loudness_model(), labels=("loud", "unknown")))
    scores, _ = scoring.accuracies([path], scoring.recordings(recordings), runtime=LITERT[0])
    assert scores[path] is not None and scores[path]["accuracy"] == 0.8


def test_folder_that_no_model_knows_is_a_user_error(run_dir, recordings):
    with pytest.raises(UserError, match="no model knows its labels"):
        benchmark([run_dir], data=recordings, runs=100, runtimes=LITERT)


def test_clip_is_centred():
    np.testing.assert_array_equal(scoring._centred(np.arange(1, 4), 6), [0, 1, 2, 3, 0, 0])
    np.testing.assert_array_equal(scoring._centred(np.arange(6), 3), [1, 2, 3])


def test_speech_like_is_bounded_and_repeatable():
    waveform = scoring.speech_like(8000, sample_rate=16000)
    assert waveform.dtype == np.float32 and np.abs(waveform).max() == pytest.approx(0.5)
    np.testing.assert_array_equal(waveform, scoring.speech_like(8000, sample_rate=16000))


def test_file_that_runs_nowhere_is_a_user_error(tmp_path):
    path = tmp_path / "custom.tflite"
    path.write_bytes(made.with_custom_op(made.keyword_model(), "Unheard"))
    with pytest.raises(UserError, match="custom.tflite: runs in none of the runtimes .*Unheard"):
        benchmark([path], runs=100, runtimes=LITERT)


@pytest.mark.parametrize(("models", "rule"), [([], "at least one"), (["."], "finished run")])
def test_wrong_models_are_user_errors(models, rule, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rule):
        benchmark(models, runs=100)


def test_table_leaves_blank_what_was_not_measured():
    row = {
        "model": "x",
        "stage": None,
        "params": None,
        "size_bytes": 1000,
        "zip_bytes": 900,
        "accuracy": None,
        "latency": {
            "ai_edge_litert": {"error": "no"},
            "tflite_runtime": {"p50_ms": 1, "p90_ms": 2},
        },
        "coverage": {"tflite_runtime": {"delegated": 3, "ops": 4, "share": 0.75}},
        "peak_mib": None,
        "baseline_mib": None,
        "rtf": None,
        "sha256": "0123456789abcdef",
    }
    accuracy = {"accuracy": 0.965, "n": 605, "interval": [0.947, 0.977]}
    results = {
        "device": dict.fromkeys(("cpu", "machine", "cores", "os", "python", "numpy"), "-"),
        "runtimes": {"ai_edge_litert": "2.3.0", "tflite_runtime": "2.14.0"},
        "threads": 1,
        "runs": 200,
        "waveform": "PCM",
        "unreadable": 0,
        "rows": [row, {**row, "accuracy": accuracy, "rtf": 0.00123}],
    }
    first, second = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown(results).splitlines()[-2:]
    )
    timed = ["", "", "", "1.000", "2.000", "3/4"]
    assert first == ["x", "", "", "1000", "900", "", *timed, "", "", "", "0123456789ab"]
    assert second[5] == "96.5 % (94.7 to 97.7, n=605)" and second[12] == "0.0012"


def test_command_writes_json_and_table_and_names_the_json_last(run_dir, tmp_path, capsys):
    out, table = tmp_path / "out.json", tmp_path / "out.md"
    argv = [str(run_dir), "--runs", "100", "--runtime", "ai_edge_litert"]
    argv += ["--json", str(out), "--markdown", str(table)]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"wrote {out}"
    results = json.loads(out.read_text())
    assert table.read_text() == markdown(results) and markdown(results) in printed
    assert results["device"]["os"] and results["runtimes"]["ai_edge_litert"]
    assert main(argv) == 2
    assert "give --force" in capsys.readouterr().err


@pytest.mark.parametrize(("runs", "rule"), [("10", "at least 100"), ("9" * 12, "at most 1000000")])
def test_command_refuses_few_and_endless_runs(run_dir, runs, rule, capsys):
    assert main([str(run_dir), "--runs", runs]) == 2
    assert rule in capsys.readouterr().err


def test_command_never_overwrites_a_model_or_one_output_by_the_other(loudness, tmp_path, capsys):
    model, out = loudness.read_bytes(), str(tmp_path / "out")
    assert main([str(loudness), "--json", str(loudness), "--force"]) == 2
    assert main([str(loudness), "--json", out, "--markdown", out]) == 2
    assert capsys.readouterr().err.count("would overwrite MODEL or each other") == 2
    assert loudness.read_bytes() == model
    assert not Path(out).exists()


def test_command_runs_where_tensorflow_is_not_installed(loudness, recordings):
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'tf_keras', 'tensorflow_io'): sys.modules[name] = None\n"
        "from benchmarks.run import main\n"
        f"sys.exit(main({[str(loudness), '--data', str(recordings), '--runs', '100']!r} "
        "+ ['--runtime', 'ai_edge_litert']))\n"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "80.0 % (37.6 to 96.4, n=5)" in done.stdout
