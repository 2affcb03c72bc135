"""The record command on a fake microphone, and the level check from literals."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_edge.errors import UserError
from audio_edge.record import MAX_TRIES, main, measure, record
from tests.conftest import tone
from tests.fake_sounddevice import FakeSoundDevice

GOOD = tone("low", 1.0)
QUIET, CLIPPED = GOOD * 0.01, np.clip(GOOD * 4, -1, 1)


class Source:
    """Gives silence for a pause and the next of `clips` for a clip."""

    def __init__(self, *clips: np.ndarray) -> None:
        self.clips = list(clips)

    def read(self, n: int) -> np.ndarray:
        return self.clips.pop(0) if n == 16000 else np.zeros(n, np.float32)


def take(source: Source, folder: Path, count: int, speaker: str = "anna") -> tuple[list, list[str]]:
    said: list[str] = []
    settings = {"speaker": speaker, "count": count, "clip_s": 1.0, "sample_rate": 16000}
    return record(source, folder, **settings, say=said.append), said


def test_level_of_full_scale_square_and_sine():
    level = measure(np.full(100, 0.5))
    assert (level.peak_dbfs, level.rms_dbfs) == pytest.approx((-6.0206, -6.0206), abs=1e-4)
    level = measure(GOOD)  # a sine's RMS is 3.01 dB below its peak
    assert (level.peak_dbfs, level.rms_dbfs) == pytest.approx((-6.0206, -9.0309), abs=1e-3)
    assert level.verdict == "ok"


def test_level_verdicts():
    assert measure(CLIPPED).verdict == "clipped"
    assert measure(QUIET).verdict == "too quiet"
    assert measure(np.zeros(100)).verdict == "too quiet"
    click = np.zeros(16000)
    click[5] = 0.5  # loud peak, hardly any energy
    assert measure(click * 0.2).verdict == "too quiet"
    two = GOOD.copy()
    two[[5, 9]] = 1.0
    assert measure(two).verdict == "ok"


def test_clips_are_written_as_16_bit_wav_under_the_speakers_name(tmp_path):
    written, said = take(Source(GOOD, GOOD), tmp_path / "up", 2)
    assert [path.name for path in written] == ["anna_nohash_0.wav", "anna_nohash_1.wav"]
    assert sorted(path.name for path in (tmp_path / "up").iterdir()) == [p.name for p in written]
    content, rate = soundfile.read(written[0], dtype="int16")
    assert rate == 16000
    np.testing.assert_array_equal(content, np.rint(GOOD * 32768.0).astype(np.int16))
    assert said[0] == "1 of 2: speak now"
    assert "peak -6.0 dBFS, RMS -9.0 dBFS, ok" in said[1]


def test_numbering_continues_and_nothing_is_overwritten(tmp_path):
    take(Source(GOOD), tmp_path, 1)
    (tmp_path / "anna_nohash_7.wav").write_bytes(b"mine")
    (tmp_path / "anna_nohash_x.wav").write_bytes(b"")
    (tmp_path / "bob_nohash_20.wav").write_bytes(b"")
    written, _ = take(Source(GOOD), tmp_path, 1)
    assert written == [tmp_path / "anna_nohash_8.wav"]
    assert (tmp_path / "anna_nohash_7.wav").read_bytes() == b"mine"


def test_bad_clips_are_said_and_recorded_again(tmp_path):
    written, said = take(Source(QUIET, CLIPPED, GOOD), tmp_path, 1)
    assert len(written) == 1
    assert [line.endswith("again") for line in said] == [False, True, False, True, False, False]
    assert "too quiet; again" in said[1]
    assert "clipped; again" in said[3]


def test_retries_are_bounded(tmp_path):
    with pytest.raises(UserError, match="clip 1 was too quiet 5 times"):
        take(Source(*[QUIET] * MAX_TRIES), tmp_path / "up", 1)
    assert not (tmp_path / "up").exists()


def test_command_names_the_folder_last(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(tone("low", 6.0)))
    assert main(["up", "--out", str(tmp_path), "--count", "2", "--speaker", "anna"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"2 clips of 'up' by anna in {tmp_path / 'up'}"
    assert len(list((tmp_path / "up").glob("anna_nohash_*.wav"))) == 2


def test_list_devices_needs_no_word(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(np.zeros(1)))
    assert main(["--list-devices"]) == 0
    assert "fake microphone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage"),
        (["up"], "usage"),
        (["../up", "--out", "x"], "WORD must be"),
        (["a/b", "--out", "x"], "WORD must be"),
        (["_noise", "--out", "x"], "WORD must be"),
        ([".", "--out", "x"], "WORD must be"),
        (["up ", "--out", "x"], "WORD must be"),
        (["unknown", "--out", "x"], "'unknown' is a class of its own"),
        (["up", "--out", "x", "--speaker", "a\\b"], "--speaker must be"),
        (["up", "--out", "x", "--speaker", "a_nohash_b"], "must not contain _nohash_"),
        (["up", "--out", "x", "--count", "0"], "--count must be"),
        (["up", "--out", "x", "--clip-s", "0"], "--clip-s must be"),
        (["up", "--out", "x", "--sample-rate", "10"], "--sample-rate must be"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments, message, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(np.zeros(1)))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
