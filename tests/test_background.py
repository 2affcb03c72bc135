"""What is heard where no word is said."""

import json

import numpy as np
import pytest
import soundfile

from audio_edge import background
from audio_edge.config import DataConfig
from audio_edge.errors import UserError
from training.background import main

LABELS = ("yes", "silence", "unknown")
DATA = DataConfig(sample_rate=8000, clip_s=0.5)


def by_level(clips):
    """Hears silence below -30 dBFS, "yes" above -10, something unknown between."""
    level = 20 * np.log10(np.sqrt(np.mean(np.square(clips / 32768.0), axis=1)) + 1e-9)
    return np.eye(3)[np.where(level < -30, 1, np.where(level > -10, 0, 2))]


def test_every_kind_of_noise_is_heard_at_every_level():
    rows = background.made_up(by_level, LABELS, DATA)
    assert rows[0] == {
        "sound": "digital silence", "level_db": None, "n": 1, "silence": 1, "unknown": 0,
        "words": 0, "highest": 0.0,
    }  # fmt: skip
    quiet = [row for row in rows[1:] if row["level_db"] <= -40]
    kinds = {row["sound"] for row in quiet}
    assert kinds >= {"white", "pink", "brown", "hum", "clicks"}
    assert len(rows) == 1 + len(kinds) * len(background.LEVELS_DB)
    steady = [row for row in quiet if row["sound"] in ("white", "hum")]  # others come and go
    assert all(row["silence"] == row["n"] == background.WINDOWS for row in steady)
    loud = next(row for row in rows if (row["sound"], row["level_db"]) == ("white", -6.0))
    assert loud["words"] == loud["n"]
    assert loud["highest"] == 1.0


def test_sums_and_shares():
    heard = np.eye(3)[[0, 1, 1, 2]]
    sums = background.total([background.judge(heard, LABELS), background.judge(heard, LABELS)])
    assert (sums["n"], sums["silence"], sums["unknown"], sums["words"]) == (8, 4, 2, 2)
    assert sums["silence_share"][0] == 0.5
    assert sums["no_word_share"][0] == 0.75
    assert sums["no_word_share"][1] < 0.75 < sums["no_word_share"][2]


def test_recordings_are_cut_end_to_end(tmp_path):
    wave = np.full(8000 * 2 + 100, 1e-3)
    wave[4000:8000] = 0.9
    soundfile.write(tmp_path / "a.wav", wave, 8000, subtype="FLOAT")
    [row] = background.recordings(by_level, LABELS, DATA, [tmp_path / "a.wav"])
    assert (row["n"], row["silence"], row["words"]) == (4, 3, 1)
    soundfile.write(tmp_path / "short.wav", wave[:3000], 8000)
    with pytest.raises(UserError, match=r"short\.wav: shorter than a clip of 0\.5 s"):
        background.recordings(by_level, LABELS, DATA, [tmp_path / "short.wav"])


def test_command_prints_and_writes_what_a_file_hears(carded_path, tmp_path, capsys):
    assert main([str(carded_path), "--json", str(tmp_path / "out.json")]) == 0
    printed = capsys.readouterr().out
    assert "| digital silence |  | 1 |" in printed
    assert "heard as silence or unknown:" in printed
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert found["total"] == background.total(found["rows"])
    assert main([str(carded_path), "--json", str(tmp_path / "out.json")]) == 2
