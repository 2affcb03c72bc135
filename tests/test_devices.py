"""Benchmarks of several devices: the state of a board, several threads, one table."""

from __future__ import annotations

import json

import pytest

from audio_edge import condition, devices_table
from audio_edge.benchmark import benchmark
from audio_edge.errors import UserError
from benchmarks import run, table
from tests import models_for_tests as made

LITERT = ["ai_edge_litert"]


@pytest.fixture
def board(tmp_path):
    """The files of a board that is warm and runs at full speed."""
    texts = {
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/class/thermal/thermal_zone1/temp": "51000\n",
        "sys/class/thermal/thermal_zone2/temp": "nothing\n",
        "etc/os-release": 'NAME="x"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_state_of_a_board_is_read_from_its_files(board, monkeypatch):
    monkeypatch.setattr(condition, "_flags", lambda: 0x50005)
    assert condition.condition(board) == {
        "governor": "ondemand", "clock_mhz": 1800.0, "temperature_c": 51.0,
        "throttled": "0x50005", "slowed": ["under-voltage", "throttled"],
    }  # fmt: skip
    assert condition.system(board) == "Debian GNU/Linux 12 (bookworm)"


def test_what_a_system_does_not_tell_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(condition.shutil, "which", lambda _: None)
    assert set(condition.condition(tmp_path).values()) == {None}
    assert condition.system(tmp_path) is None


def test_firmware_is_asked_whether_it_slowed_the_board_down(tmp_path, monkeypatch):
    tool = tmp_path / "vcgencmd"
    tool.write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x20000\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert condition.condition(tmp_path)["slowed"] == ["clock capped since the start"]
    tool.write_text("#!/bin/sh\nexit 1\n")
    assert condition.condition(tmp_path)["throttled"] is None


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "loudness.tflite"
    path.write_bytes(made.carded(made.loudness_model(), labels=("loud", "quiet")))
    return path


def test_several_threads_give_a_latency_each(model, tmp_path, capsys):
    out = tmp_path / "here.json"
    argv = [str(model), "--runs", "100", "--runtime", *LITERT, "--threads", "1,2"]
    assert run.main([*argv, "--json", str(out)]) == 0
    results = json.loads(out.read_text())
    assert (results["threads"], results["more_threads"]) == (1, [2])
    facts = results["rows"][0]["latency"]["ai_edge_litert"]
    assert facts["p50_ms"] > 0
    assert facts["by_threads"]["2"] > 0
    assert "ai_edge_litert p50_ms, 2 threads" in capsys.readouterr().out
    assert results["before"].keys() == results["after"].keys() >= {"governor", "throttled"}
    assert results["device"]["kernel"]


def test_threads_out_of_range_are_refused(model):
    with pytest.raises(UserError, match="Received: threads=1, 0"):
        benchmark([model], runs=100, runtimes=LITERT, threads=[1, 0])


def row(model, p50_ms, **more):
    return {
        "model": model, "stage": "int8", "sha256": "ab" * 32, "size_bytes": 1000,
        "latency": {"ai_edge_litert": {"p50_ms": p50_ms, **more}},
    }  # fmt: skip


def results(cpu, rows, *, slowed=(), threads=()):
    state = {"governor": "ondemand", "temperature_c": 50.2, "slowed": []}
    return {
        "device": {"cpu": cpu, "os": "Linux", "system": "Debian 12", "kernel": "6.1"},
        "before": state, "after": {**state, "temperature_c": 61.7, "slowed": list(slowed)},
        "runtimes": {"ai_edge_litert": "2.3.0"}, "threads": 1, "more_threads": list(threads),
        "rows": rows,
    }  # fmt: skip


def test_table_puts_devices_beside_each_other(tmp_path, capsys):
    files = {
        "pi4": results("Pi 4", [row("a", 2.5, by_threads={"4": 1.25}), row("b", 7.0)], threads=[4]),
        "pi5": results("Pi 5", [row("a", 1.0)], slowed=["under-voltage"]),
    }
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    out = tmp_path / "table.md"
    paths = [str(tmp_path / f"{name}.json") for name in files]
    assert table.main([*paths, "--markdown", str(out)]) == 0
    assert out.read_text() in capsys.readouterr().out
    lines = out.read_text().splitlines()
    head, first, second = (
        [cell.strip() for cell in lines[number].strip("|").split("|")] for number in (0, 2, 3)
    )
    assert head[4:] == [
        "Pi 4, ai_edge_litert, 1 thr. p50_ms", "Pi 4, ai_edge_litert, 4 thr. p50_ms",
        "Pi 5*, ai_edge_litert, 1 thr. p50_ms",
    ]  # fmt: skip
    assert first == ["a", "int8", "ab" * 6, "1000", "2.500", "1.250", "1.000"]
    assert second == ["b", "int8", "ab" * 6, "1000", "7.000", "", ""]
    assert "Pi 4 (pi4): Debian 12; kernel 6.1; ai_edge_litert 2.3.0; governor ondemand" in lines[5]
    assert lines[5].endswith("50 to 62 °C; never throttled.")
    assert lines[6].endswith("under-voltage.")
    assert table.main([*paths, "--markdown", str(out)]) == 2


def test_table_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.json"
    path.write_text("{}")
    with pytest.raises(UserError, match=r"other\.json: no results of benchmarks\.run"):
        devices_table.read([path])


@pytest.mark.parametrize("wrong", [{"rows": [{}]}, {"rows": 3}, {"device": {}, "rows": []}])
def test_damaged_results_are_refused(tmp_path, wrong):
    path = tmp_path / "pi.json"
    path.write_text(json.dumps({**results("Pi", [row("a", 1.0)]), **wrong}))
    with pytest.raises(UserError, match=r"pi\.json: damaged"):
        devices_table.read([path])


def test_table_does_not_overwrite_what_it_reads(tmp_path, capsys):
    path = tmp_path / "pi.json"
    path.write_text(json.dumps(results("Pi", [row("a", 1.0)])))
    before = path.read_bytes()
    assert table.main([str(path), "--markdown", str(path), "--force"]) == 2
    assert "name another" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_threads_that_are_no_numbers_are_refused(model, capsys):
    with pytest.raises(SystemExit):
        run.main([str(model), "--threads", "1,x"])
    assert "whole numbers between commas" in capsys.readouterr().err
