"""Listening for days: a microphone that goes and comes back, hits on a full disk, commands."""

from __future__ import annotations

import errno
import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from audio_edge import Detector, audio, live, meter
from audio_edge.detector import Detection
from audio_edge.endurance import endure
from audio_edge.errors import UserError
from audio_edge.hits import AT_ONCE, Command, Hits
from audio_edge.listen import main
from benchmarks import endurance as endurance_command
from tests.conftest import SAMPLE_RATE, tone
from tests.fake_sounddevice import FakeSoundDevice

HEARD = Detection("go", 0.75, 1.5)


def said(word, seconds=1.0):
    """A tone of the session's model with silence around."""
    waveform = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    clip = tone(word, 0.1)
    waveform[4000 : 4000 + len(clip)] = clip
    return waveform


class Source:
    """A microphone that plays an array and then fails."""

    name = "a microphone"

    def __init__(self, waveform):
        self.waveform, self.at = waveform, 0

    def read(self, n):
        block = self.waveform[self.at : self.at + n]
        if len(block) < n:
            raise UserError("a microphone: lost; plug it in again")
        self.at += n
        return block

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def opener(*sources):
    """Opens each in turn; an error among them is raised."""
    waiting = list(sources)

    def open_next():
        one = waiting.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    return open_next


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_ring_keeps_the_newest_samples_in_order(size, rng):
    ring, sound = live.Ring(size), np.zeros(0, np.int16)
    for length in rng.integers(0, 40, 60):
        block = rng.uniform(-1, 1, length).astype(np.float32)
        ring.push(block)
        sound = np.concatenate([sound, audio.to_int16(block)])
        np.testing.assert_array_equal(ring.newest(), sound[-size:] if size < len(sound) else sound)
    ring.clear()
    assert len(ring.newest()) == 0


def test_lost_microphone_is_said_once_and_its_return_too(carded_path):
    """The word before the loss and the one after are heard, the second at the time that goes on."""
    detector, pauses = Detector(carded_path), []
    first, second = said("low", 2.0), said("low", 2.0)
    gone = UserError("there is no input device")
    events = list(
        live.listen(
            detector, opener(Source(first), gone, gone, Source(second)),
            ring=live.Ring(8000), pause=pauses.append, seconds=3.9,
        )
    )  # fmt: skip
    kinds = [type(event).__name__ for event in events if not isinstance(event, live.Hop)]
    assert kinds == ["Detection", "Lost", "Back", "Detection"]
    assert pauses == [live.RETRY_S] * 3
    heard = [event for event in events if isinstance(event, Detection)]
    whole = len(first) // detector.hop_samples * detector.hop_samples / SAMPLE_RATE
    assert heard[1].time_s == pytest.approx(heard[0].time_s + whole)


def test_microphone_that_was_never_there_stops(carded_path):
    events = live.listen(
        Detector(carded_path), opener(UserError("there is no input device")),
        ring=live.Ring(10), pause=pytest.fail,
    )  # fmt: skip
    with pytest.raises(UserError, match="no input device"):
        next(events)


def test_level_is_that_of_the_hop():
    sine = np.sin(2 * np.pi * np.arange(1600) / 16)
    assert live.level_db(sine) == pytest.approx(-3.01, abs=0.01)
    assert live.level_db(0.1 * sine) == pytest.approx(-23.01, abs=0.01)
    assert live.level_db(np.zeros(5)) == live.FLOOR_DB


def test_hit_is_sound_and_facts(tmp_path, rng):
    sound = rng.uniform(-0.5, 0.5, 800).astype(np.float32)
    hits = Hits(tmp_path / "hits", {"model": "m"})
    assert hits.save(HEARD, sound, 16000, {"go": 0.75, "stop": 0.1}, "20260101T000000") is None
    back, rate = audio.read(tmp_path / "hits" / "20260101T000000_go.wav")
    assert rate == 16000
    np.testing.assert_allclose(back, sound, atol=2 / 32768)
    facts = json.loads((tmp_path / "hits" / "20260101T000000_go.json").read_text())
    assert facts == {
        "label": "go", "score": 0.75, "time_s": 1.5, "scores": {"go": 0.75, "stop": 0.1},
        "sample_rate": 16000, "model": "m",
    }  # fmt: skip


def test_clock_that_jumps_back_overwrites_nothing(tmp_path):
    hits = Hits(tmp_path, {})
    for level in (0.1, 0.2, 0.3):
        hits.save(HEARD, np.full(10, level, np.float32), 16000, {}, "20260101T000000")
    levels = {round(float(audio.read(path)[0][0]), 1) for path in tmp_path.glob("*.wav")}
    assert levels == {0.1, 0.2, 0.3}


def test_label_that_is_no_file_name_is_saved_all_the_same(tmp_path):
    hits = Hits(tmp_path, {})
    hits.save(Detection("a/b: c", 0.5, 0.0), np.zeros(10, np.float32), 16000, {}, "t")
    assert [path.name for path in tmp_path.glob("*.wav")] == ["t_a-b--c.wav"]


def test_full_disk_is_said_once_and_leaves_nothing_half_written(tmp_path, monkeypatch):
    hits, write = Hits(tmp_path, {}), audio.write

    def full(path, *rest):
        Path(path).write_bytes(b"RIFF")
        raise OSError(errno.ENOSPC, "No space left on device")

    def save():
        return hits.save(HEARD, np.zeros(10, np.float32), 16000, {}, "t")

    monkeypatch.setattr(audio, "write", full)
    first, second = save(), save()
    assert "No space left" in first
    assert "listening goes on" in first
    assert second is None
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(audio, "write", write)
    assert "saved again" in save()
    assert (hits.saved, hits.missed) == (1, 2)


def test_facts_that_cannot_be_written_take_their_sound_along(tmp_path):
    (tmp_path / "t_go.json").mkdir()
    hits = Hits(tmp_path, {})
    said = hits.save(HEARD, np.zeros(10, np.float32), 16000, {}, "t")
    assert "t_go.json: cannot be written" in said
    assert [path.name for path in tmp_path.iterdir()] == ["t_go.json"]


def test_command_is_told_what_was_heard(tmp_path):
    out = tmp_path / "out.txt"
    code = (
        "import os, sys; e = os.environ; open(sys.argv[1], 'w').write("
        "' '.join(e['AUDIO_EDGE_' + key] for key in ('LABEL', 'SCORE', 'TIME_S')))"
    )
    command = Command(shlex.join([sys.executable, "-c", code, str(out)]))
    command.start(HEARD)
    assert command._running[0].wait(60) == 0
    assert out.read_text() == "go 0.7500 1.500"


def test_command_that_hangs_is_not_started_without_end():
    command = Command("sleep 60")
    try:
        for _ in range(AT_ONCE + 3):
            command.start(HEARD)
        assert (len(command._running), command.skipped) == (AT_ONCE, 3)
    finally:
        for one in command._running:
            one.kill()
            one.wait()


@pytest.mark.parametrize("line", ["", "no-such-program-here", "'open"])
def test_command_that_is_none_is_refused(line):
    with pytest.raises(UserError, match="--on-detect"):
        Command(line)


def test_meter_shows_level_scores_and_counts():
    shown = meter.line(-30.0, np.float32([0.5, 0.0]), ["go", "stop"], {"go": 3}, width=200)
    assert shown == "██████······  -30 dB  go ██··0.50 3  stop ····0.00 0"
    assert len(meter.line(-30.0, None, ["go"] * 50, {}, width=40)) == 39
    assert meter.line(9.0, None, [], {}, width=80).startswith("█" * meter.BAR)


def test_unit_starts_the_same_command(carded_path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(carded_path.parent)
    given = [carded_path.name, "--on-detect", "sleep 1", "--save-hits", "it's"]
    assert main([*given, "--unit"]) == 0
    unit = capsys.readouterr().out
    [start] = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    words = [str(carded_path), "--on-detect", '"sleep 1"', "--save-hits"]
    expected = [sys.executable, "-m", "audio_edge.listen", *words, f'"{carded_path.parent}/it\'s"']
    assert start == f"ExecStart={' '.join(expected)}"
    assert "Restart=on-failure" in unit


@pytest.mark.parametrize(
    "given", [["--threshold", "7"], ["--on-detect", "no-such-program"], ["--on-detect", ""]]
)
def test_unit_of_what_would_not_run_is_refused(carded_path, given, capsys):
    assert main([str(carded_path), *given, "--unit"]) == 2
    assert main([str(carded_path.parent / "none.tflite"), "--unit"]) == 2
    assert "ExecStart" not in capsys.readouterr().out


def test_microphone_saves_hits_and_starts_a_command(carded_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(said("low", 2.0)))
    done = tmp_path / "done"
    options = ["--save-hits", str(tmp_path / "hits"), "--on-detect", f"touch {done}"]
    assert main([str(carded_path), *options, "--seconds", "1.8"]) == 0
    printed = capsys.readouterr()
    assert "1 detection" in printed.out
    assert done.exists()
    assert "of a core" in printed.err
    [path] = (tmp_path / "hits").glob("*_low.wav")
    assert json.loads(path.with_suffix(".json").read_text())["scores"].keys() >= {"low"}


def test_microphone_that_fails_while_read_is_waited_for(carded_path, monkeypatch, capsys):
    fake = FakeSoundDevice(said("low", 2.0), fails_at=16000)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr("audio_edge.listen.time.sleep", lambda _: None)
    assert main([str(carded_path), "--seconds", "2.5"]) == 0
    err = capsys.readouterr().err
    assert err.count("plug it in again; waiting for it") == 1
    assert err.count("is back") == 1
    assert fake.looked == 1


def test_hours_are_heard_with_losses_and_hits(carded_path, capsys):
    assert endurance_command.main([str(carded_path), "--hours", "0.6"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["0.02", "0.60"]
    assert lines[2].split()[2] == "1"  # lost after half an hour


def test_endurance_counts_what_it_hears(carded_path):
    rows = list(endure(Detector(carded_path), said("low"), hours=0.02, lost_every_s=30.0))
    assert [round(row["heard_s"]) for row in rows] == [60, 72]
    assert rows[-1]["lost"] == 2
    assert 60 <= rows[-1]["detections"] == rows[-1]["saved"] <= 72  # one a second
