"""Saved hits stay within their bound: the oldest go, in pairs, and nothing else."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from audio_edge.detector import Detection
from audio_edge.hits import Hits
from audio_edge.listen import main

HEARD, SAMPLES = Detection("go", 0.75, 1.5), 50_000  # 100 kB and its facts: 9 in a million bytes


def save(hits, *stamps):
    return [hits.save(HEARD, np.zeros(SAMPLES, np.int16), 16000, {}, name) for name in stamps]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def pairs(*stamps):
    return sorted(f"{stamp}_go.{ending}" for stamp in stamps for ending in ("wav", "json"))


def test_oldest_hits_go_once_all_take_more_than_they_may(tmp_path):
    hits = Hits(tmp_path, {}, max_mb=1.0)
    assert save(hits, *"abcdefghi") == [None] * 9
    assert names(tmp_path) == pairs(*"abcdefghi")
    save(hits, "j", "k")
    assert names(tmp_path) == pairs(*"cdefghijk")
    assert hits.saved == 11


def test_hits_of_earlier_days_count_and_go_first(tmp_path):
    save(Hits(tmp_path, {}), *"zyxwvutsr")  # names do not tell the age
    for age, stamp in enumerate("rstuvwxyz"):
        os.utime(tmp_path / f"{stamp}_go.wav", (10**9 - age, 10**9 - age))
    save(Hits(tmp_path, {}, max_mb=1.0), "b", "a")
    assert names(tmp_path) == pairs("a", "b", *"rstuvwx")


def test_nothing_but_hits_is_deleted(tmp_path):
    """Sounds and JSON of others, a hit's sound without its facts, and links stay."""
    others = tmp_path / "others"
    others.mkdir()
    facts = json.dumps(dict.fromkeys(["label", "score", "time_s", "scores", "sample_rate"]))
    for name, text in [("mine", '{"label": "go"}'), ("list", "[]"), ("torn", '{"la')]:
        (tmp_path / f"{name}.wav").write_bytes(bytes(200_000))
        (tmp_path / f"{name}.json").write_text(text)
    (tmp_path / "alone.wav").write_bytes(bytes(200_000))
    (others / "linked.wav").write_bytes(bytes(200_000))
    (tmp_path / "linked.wav").symlink_to(others / "linked.wav")
    (tmp_path / "linked.json").write_text(facts)
    (tmp_path / "notes.txt").write_text("mine")
    before = names(tmp_path)
    save(Hits(tmp_path, {}, max_mb=1.0), *"abcdefghijkl")
    assert names(tmp_path) == sorted([*before, *pairs(*"defghijkl")])
    assert (others / "linked.wav").exists()


def test_hit_that_was_changed_or_taken_away_meanwhile_is_left_alone(tmp_path):
    hits = Hits(tmp_path, {}, max_mb=1.0)
    save(hits, *"abcdefghi")
    (tmp_path / "a_go.wav").rename(tmp_path / "kept.wav")
    (tmp_path / "b_go.json").write_text('{"reviewed": true}')
    save(hits, "j", "k", "l")
    assert names(tmp_path) == sorted(
        ["a_go.json", "b_go.json", "b_go.wav", "kept.wav", *pairs(*"defghijkl")]
    )


def test_folder_is_not_listed_again_at_each_hit(tmp_path, monkeypatch):
    hits = Hits(tmp_path, {}, max_mb=1.0)
    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, pytest.fail)
    save(hits, *"abcdefghijklmno")
    monkeypatch.undo()
    assert names(tmp_path) == pairs(*"ghijklmno")


def test_hits_that_cannot_be_deleted_are_said_once(tmp_path, monkeypatch):
    hits = Hits(tmp_path, {}, max_mb=1.0)
    save(hits, *"abcdefghi")

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patch:
        patch.setattr("audio_edge.hit_quota.os.unlink", refuse)
        said = save(hits, "j", "k")
    assert "cannot be deleted (Permission denied)" in said[0]
    assert said[1] is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--max-hits-mb", "5"], "give --save-hits DIR too"),
        (["--save-hits", "hits", "--max-hits-mb", "0"], "must be in [1, 1e6]"),
        (["--save-hits", "hits", "--max-hits-mb", "nan"], "must be in [1, 1e6]"),
    ],
)
def test_listen_refuses_a_bound_that_cannot_be(carded_path, given, said, capsys):
    assert main([str(carded_path), *given]) == 2
    assert said in capsys.readouterr().err
