"""What listening costs, beside the rivals: everyone is fed all of the sound, in its own packets."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from audio_edge import Interpreter, export, measure, stream_parity
from audio_edge.errors import UserError
from audio_edge.peers_benchmark import listeners, run, tables
from audio_edge.streaming_interpreter import StreamingInterpreter
from benchmarks import peers
from benchmarks import streams as load_command
from tests import models_for_tests as made
from tests import streams

pytestmark = pytest.mark.xdist_group("peers")

PACKAGES = {listeners.MICRO: "pymicro_wakeword", listeners.OPEN: "pyopen_wakeword"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of clips, one of packets, and two of others: of samples, and of features."""
    folder = tmp_path_factory.mktemp("peers")
    job = streams.run(
        folder / "run", model={"name": "ds_cnn", "width": 8, "depth": 1, "dropout": 0.0}
    )
    others = {"features": made.convert(lambda x: x[:, :3] * 2, 1, 490),
              "samples": made.convert(lambda x: x[:, :3] * 2, 1, 15600)}  # fmt: skip
    (folder / "others").mkdir()
    for name, model in others.items():
        (folder / "others" / f"{name}.tflite").write_bytes(model)
    clips, stream = export.convert(job, "float"), export.convert(job, "float", stream=True)
    return {"clips": str(clips), "stream": str(stream), "others": folder / "others"}


@pytest.fixture(scope="module")
def printed(files, tmp_path_factory):
    """The command on all of them, once: its JSON and its folder."""
    out = tmp_path_factory.mktemp("out")
    places = ["--json", str(out / "p.json"), "--chart", str(out / "p.png")]
    given = [files["stream"], files["clips"], "--peers", str(files["others"])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listeners, "packages", list)
        patch.setattr("audio_edge.peers_benchmark.starts.STARTS", 1)
        assert peers.main([*given, *places]) == 0
    return json.loads((out / "p.json").read_text()), out


def test_every_listener_has_its_row(printed):
    rows = printed[0]["rows"]
    assert [row["kind"] for row in rows] == ["stream", "detector", "clips", "call", "whole"]
    for row in rows:
        assert 0 < row["cpu_us_p10"] <= row["cpu_us_per_s"] <= row["cpu_us_p90"]
        assert row["start_s"] > 0
        assert row["size_bytes"] > 0
        assert row["peak_mib"] is None or row["peak_mib"] > 10  # NumPy alone takes that


def test_file_that_takes_features_is_said_to_be_the_model_only(printed):
    covers = {row["files"][0]: row["covers"] for row in printed[0]["rows"]}
    assert covers["features.tflite"] == "model only"
    assert covers["samples.tflite"] == "PCM to answer"


def test_table_sets_each_against_the_first(printed):
    results = {**printed[0], "rows": [dict(row) for row in printed[0]["rows"]]}
    for row, cost in zip(results["rows"], (100.0, 200.0, 50.0, 10.0, 1000.0), strict=True):
        row["cpu_us_per_s"] = cost
    lines = tables.markdown(results).splitlines()[-5:]
    assert [line.split(" | ")[5] for line in lines] == ["1.00", "2.00", "0.50", "0.10", "10.00"]


def test_chart_is_drawn_for_any_rows(printed, tmp_path):
    assert (printed[1] / "p.png").stat().st_size > 1000
    tables.chart(tmp_path / "one.png", {**printed[0], "rows": printed[0]["rows"][:1]})
    assert (tmp_path / "one.png").exists()


def test_existing_results_are_kept_without_force(printed, files, capsys):
    assert peers.main([files["clips"], "--json", str(printed[1] / "p.json")]) == 2
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize("packet", [160, 480, 1280, 8000])
def test_all_of_the_sound_is_fed_in_whole_packets(packet):
    heard = []
    feed, seconds = run._feed(packet, heard.append, np.linspace(-1, 1, 4000))
    feed(0)
    assert {len(samples) for samples in heard} == {packet}
    assert len(heard) * packet == pytest.approx(seconds * listeners.RATE)
    assert abs(seconds - run.SECONDS) <= 0.5 * packet / listeners.RATE + 1e-9
    assert heard[0].dtype == np.int16


def test_model_of_clips_is_asked_about_the_newest_samples():
    asked = []
    packet, hear = listeners._asked(20000, lambda window: asked.append(window.copy()))
    sound = np.arange(3 * packet, dtype=np.int16)
    for start in range(0, len(sound), packet):
        hear(sound[start : start + packet])
    assert len(asked) == 3
    np.testing.assert_array_equal(asked[-1], sound[-20000:])


def test_time_is_that_of_the_clock_given():
    """A clock of the test's own: every call of it is a second later."""
    ticks = iter(range(10**6))
    seconds = measure.interleaved([lambda _: None], 100, clock=lambda: float(next(ticks)))
    np.testing.assert_array_equal(seconds, np.ones((100, 1)))


@pytest.mark.parametrize("kind", PACKAGES)
def test_package_answers_as_often_as_its_row_says(kind):
    if not importlib.util.find_spec(PACKAGES[kind]):
        pytest.skip(f"needs {kind}")
    packet, hear = listeners.KINDS[kind]()
    answers = 0
    for _ in range(4 * listeners.RATE // packet):
        answers += len(hear(np.zeros(packet, np.int16)))
    assert answers >= 3 * listeners.RATE // packet - 25  # its windows fill first
    assert all(path.is_file() for path in listeners.package_files(kind))


def test_files_of_the_same_name_are_refused(files):
    with pytest.raises(UserError, match=r"model_float\.tflite: both are called"):
        run.benchmark([files["clips"], files["clips"]])


def test_file_of_others_is_none_of_ours(files):
    with pytest.raises(UserError, match=r"samples\.tflite: carries no card"):
        run.benchmark([str(files["others"] / "samples.tflite")])


def test_damaged_file_of_others_is_named(files, tmp_path):
    path = tmp_path / "cut.tflite"
    path.write_bytes((files["others"] / "samples.tflite").read_bytes()[:300])
    with pytest.raises(UserError, match=r"cut\.tflite"):
        run.benchmark([files["clips"]], [str(path)])


def test_models_are_not_overwritten_by_results(files, tmp_path, capsys):
    for command in (peers, load_command):
        assert command.main([files["stream"], "--json", files["stream"], "--force"]) == 2
        assert "name another" in capsys.readouterr().err


def test_recording_shorter_than_a_packet_is_named(files):
    stream, clips = StreamingInterpreter(files["stream"]), Interpreter(files["clips"])
    with pytest.raises(UserError, match=r"short\.wav: is shorter than a packet"):
        stream_parity.compare(stream, clips, {"short.wav": np.zeros(10, np.int16)})


def test_streams_of_one_file_do_not_hear_each_other(files):
    """Pushed in turns, each hears what it would have heard alone."""
    model = StreamingInterpreter(files["stream"])
    sounds = [streams.sound(2.0, seed=seed) for seed in range(3)]
    alone = []
    for waveform in sounds:
        model.reset()
        alone.append(model.push(waveform))
    forks = [model.fork() for _ in sounds]
    pieces = zip(*(np.array_split(waveform, 7) for waveform in sounds), strict=True)
    heard = [[fork.push(piece) for fork, piece in zip(forks, turn, strict=True)] for turn in pieces]
    for number, wanted in enumerate(alone):
        np.testing.assert_array_equal(np.concatenate([turn[number] for turn in heard]), wanted)


def test_load_says_what_a_packet_costs_as_streams_grow(files, tmp_path, capsys):
    out = tmp_path / "load.json"
    assert load_command.main([files["stream"], "--streams", "1,4", "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["streams"] for row in rows] == [1, 4]
    for row in rows:
        assert 0 < row["cpu_us"] <= row["cpu_us_p90"]
        assert row["per_core"] > 0
    assert "| 4 |" in capsys.readouterr().out
    assert load_command.main([files["stream"], "--streams", "0"]) == 2
    assert load_command.main([files["clips"]]) == 2
