"""The listen command on recordings and on a fake microphone."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from audio_edge import audio
from audio_edge.events import Word
from audio_edge.listen import main
from audio_edge.truth import read_labels, write_table
from tests.conftest import SAMPLE_RATE, tone
from tests.fake_sounddevice import FakeSoundDevice


def waveform() -> np.ndarray:
    """low from 0.4 s, high from 1.0 s, 0.1 s each, in 1.5 s."""
    parts = [("silence", 0.4), ("low", 0.1), ("silence", 0.5), ("high", 0.1), ("silence", 0.4)]
    return np.concatenate([tone(label, seconds) for label, seconds in parts])


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "tones.wav"
    audio.write(path, waveform(), SAMPLE_RATE)
    return path


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("0.4\t0.5\tlow\n1.0\t1.1\thigh\n")
    return path


def test_recording_prints_a_line_a_detection_and_a_summary(carded_path, wav, capsys):
    assert main([str(carded_path), str(wav)]) == 0
    lines = capsys.readouterr().out.splitlines()
    fields = [line.split() for line in lines]
    assert [item[2] for item in fields[:2]] == ["low", "high"]
    assert [float(item[0]) for item in fields[:2]] == pytest.approx([0.45, 1.05], abs=0.06)
    assert lines[0].startswith("    0.4")
    assert lines[2:] == [f"2 detections in 1.50 s of {wav}"]


def test_recording_at_another_rate_is_resampled(carded_path, tmp_path, capsys):
    path = tmp_path / "tones.wav"
    audio.write(path, audio.resample(waveform(), 16000, 44100), 44100)
    assert main([str(carded_path), str(path)]) == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[:2]] == ["low", "high"]


def test_json_holds_the_detections(carded_path, wav, capsys):
    assert main([str(carded_path), str(wav), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["file"] == str(wav)
    assert report["seconds"] == pytest.approx(1.5)
    assert [item["label"] for item in report["detections"]] == ["low", "high"]


def test_truth_that_is_met_exits_0(carded_path, wav, labels, capsys):
    assert main([str(carded_path), str(wav), "--truth", str(labels)]) == 0
    out = capsys.readouterr().out
    assert out.count(" right\n") == 2
    last = out.splitlines()[-1]
    assert last.startswith("2 of 2 words right, largest time error 0.0")
    assert last.endswith("s, 0 false")


def test_truth_may_be_the_table_that_a_soundscape_has(carded_path, wav, labels, tmp_path, capsys):
    table = tmp_path / "truth.csv"
    write_table(table, [*read_labels(labels), Word("house", 1.3, 1.4, 12.5)])
    assert main([str(carded_path), str(wav), "--truth", str(table)]) == 0
    assert "2 of 2 words right" in capsys.readouterr().out


def test_truth_that_is_missed_exits_1(carded_path, wav, labels, capsys):
    labels.write_text("0.4\t0.5\thigh\n0.6\t0.7\thouse\n1.4\t1.5\tlow\n")
    assert main([str(carded_path), str(wav), "--truth", str(labels)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[2:4] == ["high", "low"]
    assert lines[1].endswith("wrong")
    assert lines[2].endswith("not a word it knows")
    assert lines[3].endswith("false")
    assert lines[4].split()[2:4] == ["low", "nothing"]
    assert lines[-1] == "0 of 2 words right, largest time error 0.00 s, 1 false"


def test_truth_as_json(carded_path, wav, labels, capsys):
    labels.write_text("0.4\t0.5\tlow\n")
    assert main([str(carded_path), str(wav), "--truth", str(labels), "--json"]) == 1
    truth = json.loads(capsys.readouterr().out)["truth"]
    assert (truth["right"], truth["of"], len(truth["false"])) == (1, 1, 1)
    assert truth["words"][0]["word"]["label"] == "low"
    assert abs(truth["words"][0]["error_s"]) < 0.1


def test_threshold_beats_the_card(carded_path, wav, capsys):
    quiet = audio.read(wav)[0] * 0.45
    audio.write(wav, quiet, SAMPLE_RATE)
    assert main([str(carded_path), str(wav), "--threshold", "0.95"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("0 detections")
    assert main([str(carded_path), str(wav), "--threshold", "0.2"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 detections")


def test_plot_is_written_and_not_overwritten(carded_path, wav, labels, tmp_path, capsys):
    picture = tmp_path / "heard.png"
    arguments = [str(carded_path), str(wav), "--truth", str(labels), "--plot", str(picture)]
    assert main(arguments) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"; picture: {picture}")
    assert main(arguments) == 2
    assert "exists; give --force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


def test_microphone_prints_until_ctrl_c(carded_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(waveform()))
    assert main([str(carded_path)]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split()[2] for line in lines[:2]] == ["low", "high"]
    assert lines[2:] == ["2 detections"]
    assert "listening to fake microphone at 16000 Hz" in captured.err


def test_microphone_stops_after_the_seconds(carded_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(waveform()))
    assert main([str(carded_path), "--seconds", "0.8", "--json"]) == 0
    heard = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [item["label"] for item in heard] == ["low"]


def test_list_devices_needs_no_model(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(np.zeros(1)))
    assert main(["--list-devices"]) == 0
    assert capsys.readouterr().out == "  1  fake microphone  (16000 Hz)\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no model given"),
        (["none.tflite", "x.wav"], "none.tflite: cannot be read"),
        (["{model}", "none.wav"], "none.wav: not a readable recording (no such file)"),
        (["{model}", "--truth", "x.txt"], "--truth needs a recording"),
        (["{model}", "--plot", "x.png"], "--plot needs a recording"),
        (["{model}", "x.wav", "--seconds", "3"], "--seconds is for the microphone"),
        (["{model}", "--seconds", "-1"], "--seconds must be in (0, 1e6)"),
        (["{model}", "x.wav", "--threshold", "2"], "threshold must be in (0, 1)"),
        (["{model}", "--threshold", "2", "x.wav"], "threshold must be in (0, 1)"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(carded_path, arguments, message, capsys):
    assert main([item.format(model=carded_path) for item in arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_labels_of_a_longer_recording_are_refused(carded_path, wav, labels, capsys):
    labels.write_text("0.4\t0.5\tlow\n100\t101\thigh\n")
    assert main([str(carded_path), str(wav), "--truth", str(labels)]) == 2
    assert "'high' at 100 s lies beyond the 1.50 s" in capsys.readouterr().err
