"""The benchmark of the whole loop: what it says of a verdict, and what it refuses."""

from __future__ import annotations

import json

import pytest

from benchmarks import loop

VERDICT = {
    "promoted": True, "reason": "it hears better",
    "test": {"n": 600, "accuracy_a": 0.98, "accuracy_b": 0.99, "p_value": 0.2},
    "reviewed": {"n": 150, "accuracy_a": 0.89, "accuracy_b": 0.59, "p_value": 1e-9},
    "classes": {
        "go": {"n": 100, "old": 0.9, "new": 0.95, "p_value": 0.1},
        "up": {"n": 100, "old": 0.98, "new": 0.97, "p_value": 1.0},
    },
}  # fmt: skip


def test_report_tells_what_was_lost_and_how_much_of_it_came_back():
    told = loop.report(VERDICT).splitlines()
    assert "| accent, speakers held out | 150 | 59.0 | 89.0 | 1e-09 |" in told
    assert "lost to the accent: 40.0 points; brought back: 30.0, 75% of them" in told
    assert "class that gains least: up, 98.0 to 97.0 % of 100 clips, p = 1" in told
    assert told[-1] == "promoted: it hears better"


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("folder", [], "learnt recordings"),
        ("synthetic", ["--wrong", "2"], "--wrong must be in"),
        ("synthetic", ["--out", "."], "exists; delete it"),
    ],
)
def test_what_cannot_be_run_is_told_before_anything_is_made(kind, options, said, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    data = {"kind": kind, "words": ["go"], "root": "data"}
    (run / "config.json").write_text(json.dumps({"run": {"name": "a"}, "data": data}))
    assert loop.main([str(run), *options]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in run.iterdir()] == ["config.json"]
