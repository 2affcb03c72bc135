"""The tuning command on tones: what it judges by, what it opens, and that a kill loses nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audio_edge import evaluation, files
from audio_edge.config import load_config
from audio_edge.datasets import decoder, pipeline
from audio_edge.datasets.index import SPLITS
from tests import tones
from training import quantize, tune
from training.session import locked

pytestmark = [pytest.mark.xdist_group("tune"), pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[1]

CONFIG = """
[run]
name = "few"
[data]
kind = "folder"
words = ["low", "mid", "high"]
clip_s = 0.25
val_share = 0.2
test_share = 0.2
[frontend]
hop_length = 320
[augment]
noise_share = 0.0
speed = 0.0
time_masks = 0
freq_masks = 0
[model]
width = 4
depth = 1
[train]
epochs = 6
batch_size = 8
[prune]
sparsity = 0.0
epochs = 1
[quantize]
epochs = 1
"""


def arguments(place, out):
    sets = [f"--set=data.{key}={place / name}" for key, name in (("root", "data"), ("cache", "c"))]
    given = [str(place / "few.toml"), "--space", str(place / "space.toml"), "--out", str(out)]
    return [*given, *sets, "--algorithm", "bayesian", "--trials", "1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with recordings and, in "out", a search that was killed once and then finished.

    killed.json holds the times of the files of its finished trial at the kill; opened.json the
    recordings that were opened thereafter.
    """
    folder = tmp_path_factory.mktemp("tune")
    out = folder / "out"
    tones.make(folder / "data", words=("low", "mid", "high"), speakers=10)
    (folder / "few.toml").write_text(CONFIG)
    (folder / "space.toml").write_text("train.learning_rate = {min = 5e-3, max = 2e-2, log = true}")
    kill_within(folder, out / "trials/001/float/checkpoints/ckpt-2.index")
    assert not (out / "trials/001/float/stage.json").exists(), "was never interrupted"
    files.write_json(folder / "killed.json", times(out / "trials/base"))
    opened: list[Path] = []
    decode = decoder.decode

    def spy(paths, *rest, **keys):
        opened.extend(paths)
        return decode(paths, *rest, **keys)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "decode", spy)
        assert tune.main(arguments(folder, out)) == 0
    files.write_json(folder / "opened.json", sorted({str(path) for path in opened}))
    return folder


def kill_within(folder, under_way):
    """Search in a process that is killed as soon as a file is there."""
    command = [sys.executable, "-m", "training.tune", *arguments(folder, folder / "out")]
    silent = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **silent)
    deadline = time.monotonic() + 200
    while not under_way.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert under_way.exists()


def times(folder):
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def rows(place):
    return json.loads((place / "out/trials.json").read_text())["rows"]


def test_finished_trial_is_not_repeated_after_a_kill(place):
    assert times(place / "out/trials/base") == files.read_json(place / "killed.json")


def test_trial_under_way_goes_on_from_its_last_checkpoint(place):
    assert [(row["name"], row["status"], row["resumed"]) for row in rows(place)] == [
        ("base", "done", False), ("001", "done", True),
    ]  # fmt: skip
    boards = list((place / "out/trials/001/tensorboard/float/train").iterdir())
    assert len(boards) == 2  # one a process
    assert len(files.read_json(place / "out/trials/001/float/history.json")) == 6


def test_no_test_clip_is_opened(place):
    opened = set(files.read_json(place / "opened.json"))
    index = pipeline.index(load_config(place / "out/best.toml"))
    parts = {name: {str(clip.path) for clip in index.split(name)} for name in SPLITS}
    assert opened == parts["train"] | parts["val"]
    assert parts["test"]


def test_figure_of_a_trial_is_that_of_its_int8_file_on_the_selection_clips(place):
    for row in rows(place):
        path = place / "out/trials" / row["name"] / "tflite/model_int8.tflite"
        score, labels, data = evaluation.scorer(path)
        clips = evaluation.clips_of_run(path, "val", labels, data)
        judged, _ = evaluation.evaluate(score, labels, clips)
        assert (row["accuracy"], row["n"]) == (judged["accuracy"], judged["n"])
        assert row["size_bytes"] == path.stat().st_size


def test_search_that_is_finished_does_nothing_more(place):
    before = times(place / "out/trials")
    assert tune.main(arguments(place, place / "out")) == 0
    assert times(place / "out/trials") == before


def test_best_config_is_one_that_training_takes_and_finds_trained(place, capsys):
    assert quantize.main([str(place / "out/best.toml")]) == 0
    assert "qat: up to date" in capsys.readouterr().out


def test_search_without_a_candidate_in_the_limit_says_so_and_trains_nothing(
    place, tmp_path, capsys
):
    given = [*arguments(place, tmp_path / "out"), "--max-size-bytes", "1000"]
    assert tune.main(given) == 2
    printed = capsys.readouterr()
    assert printed.out.count(": refused, ") == 2
    assert "no trial stayed within the limit" in printed.err
    assert not list((tmp_path / "out").rglob("weights.h5"))


def test_second_process_is_kept_out_of_the_search(place, tmp_path, capsys):
    with locked(tmp_path, "--out"):
        assert tune.main(arguments(place, tmp_path)) == 2
    assert "another process is working" in capsys.readouterr().err
