"""Recordings into shards: the same clips as from the tree, resumable, bad files listed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from audio_edge.config import from_dict
from audio_edge.datasets import decoder, manifest, pipeline, prepare, shards
from audio_edge.errors import UserError
from tests import folded
from training.prepare import main

RATE, CLIP = 16000, 1600
ROOT = Path(__file__).parents[1]


def tree(root: Path, *, words=("yes", "no"), speakers="abcdefgh", takes=1) -> Path:
    """Clips of many lengths and rates, and a recording of noise."""
    rng = np.random.default_rng(3)
    for word in words:
        for who in speakers:
            for take in range(takes):
                rate = (16000, 8000, 44100)[(ord(who) + take) % 3]
                wave = rng.uniform(-0.5, 0.5, int(rng.uniform(0.05, 0.3) * rate))
                path = root / word / f"{who}_nohash_{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, wave, rate, subtype="PCM_24")
    (root / "_background_noise_").mkdir()
    soundfile.write(root / "_background_noise_" / "hum.wav", rng.uniform(-0.1, 0.1, 5 * RATE), RATE)
    return root


def config(root: Path, **data):
    keys = {"clip_s": 0.1, "silence": True, "unknown": True, "words": ["yes"]}
    return from_dict({"data": {"root": str(root), "cache": f"{root}-cache", **keys, **data}})


def prepared(source: Path, out: Path, **keys):
    return prepare.prepare(prepare.tree(source), out, prepare.Settings(**keys))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize("kind", ["folder", "speech_commands"])
def test_shards_give_the_very_clips_labels_and_noise_of_the_tree(tmp_path, kind):
    source = tree(tmp_path / "tree", speakers="abcdefghijklmnopqrstuvwxyz")
    (source / "no" / "c_nohash_0.wav").write_bytes(b"")  # takes part in the split, not in learning
    prepared(source, tmp_path / "shards")
    settings = [config(tmp_path / name, kind=kind) for name in ("tree", "shards")]
    where = [pipeline.index(each) for each in settings]
    assert where[0].fingerprint() == where[1].fingerprint()
    for split in ("train", "val", "test"):
        theirs, ours = (pipeline.load(*pair, split) for pair in zip(settings, where, strict=True))
        assert ours.names == theirs.names
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        np.testing.assert_array_equal(ours.waveforms, theirs.waveforms)
        banks = [pipeline.noise_bank(*pair, split) for pair in zip(settings, where, strict=True)]
        for name, noise in banks[0].items():
            np.testing.assert_array_equal(banks[1][name], noise)


@pytest.mark.parametrize("kind", ["esc50", "urbansound8k"])
def test_shards_keep_official_folds_and_tables(tmp_path, kind):
    source = getattr(folded, kind)(tmp_path / "tree")
    prepared(source, tmp_path / "shards")
    keys = {"kind": kind, "fold": 2, "esc10": kind == "esc50"}
    keys |= {"words": [], "silence": False, "unknown": False}
    found = [pipeline.index(config(tmp_path / name, **keys)) for name in ("tree", "shards")]
    assert found[0].fingerprint() == found[1].fingerprint()
    record = found[1].prepared.records[found[1].split("test")[0].path]
    assert record.fold == 2
    theirs, ours = (pipeline.load(config(each.root, **keys), each, "test") for each in found)
    np.testing.assert_array_equal(ours.waveforms, theirs.waveforms)


def test_prepared_recordings_are_read_without_decoding_and_no_other_is_read(tmp_path, monkeypatch):
    prepared(tree(tmp_path / "tree"), tmp_path / "shards")
    monkeypatch.setattr(decoder, "decode", lambda *_, **__: pytest.fail("a file was decoded"))
    settings = config(tmp_path / "shards")
    index = pipeline.index(settings)
    wanted = []
    read = shards.read
    monkeypatch.setattr(shards, "read", lambda at, paths: wanted.extend(paths) or read(at, paths))
    pipeline.load(settings, index, "train")
    assert set(wanted) == {clip.path for clip in index.split("train")}


def test_bad_files_are_listed_with_their_reasons_and_too_many_are_an_error(tmp_path, capsys):
    source = tree(tmp_path / "tree")
    (source / "yes" / "a_nohash_0.wav").write_bytes(b"")
    (source / "no" / "b_nohash_0.wav").write_text("no sound " * 30)
    out = str(tmp_path / "out")
    arguments = [str(source), "--out", out, "--workers", "1", "--max-bad-share"]
    assert main([*arguments, "0.1"]) == 2
    assert "2 of 17 files are bad, more than --max-bad-share = 0.1" in capsys.readouterr().err
    assert not (tmp_path / "out" / "shards.json").exists()
    assert main([*arguments, "0.2"]) == 0
    said = capsys.readouterr()
    assert "15 recordings" in said.out
    assert "2 bad files" in said.out
    assert "bad: yes/a_nohash_0.wav: not a readable recording (it is empty)" in said.err
    bad = json.loads((tmp_path / "out" / "shards.json").read_text())["bad"]
    assert list(bad) == ["no/b_nohash_0.wav", "yes/a_nohash_0.wav"]
    with (tmp_path / "out" / "manifest.csv").open(newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert {name for name, row in rows.items() if not row["shard"]} == set(bad)
    assert rows["yes/b_nohash_0.wav"]["group"] == "b"


def test_a_killed_run_goes_on_to_the_same_bytes_and_keeps_what_was_finished(tmp_path):
    source = tree(tmp_path / "tree", speakers="abcdefghijklmnopqrstuvwxyz", takes=8)
    prepared(source, tmp_path / "whole", shard_clips=20)
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "training.prepare", source, "--out", out, "--workers", "2"]
    running = subprocess.Popen(
        [*command, "--shard-clips", "20"], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    while running.poll() is None and len([*out.glob("unfinished/shard*.json")]) < 4:
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    finished = {path.name[:-5]: path.stat().st_mtime_ns for path in out.glob("unfinished/*.json")}
    assert 4 <= len(finished) < 21
    assert not (out / "shards.json").exists()
    kept = {name: (out / name).stat().st_mtime_ns for name in finished}
    prepared(source, out, shard_clips=20)
    assert contents(out) == contents(tmp_path / "whole")
    assert {name: (out / name).stat().st_mtime_ns for name in finished} == kept


def test_a_finished_folder_is_left_alone_until_the_recordings_change(tmp_path):
    source, out = tree(tmp_path / "tree"), tmp_path / "out"
    assert prepared(source, out) == prepared(source, out, workers=1)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    prepared(source, out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times
    os.utime(source / "yes" / "a_nohash_0.wav", ns=(10**18, 10**18))
    with pytest.raises(UserError, match="made from other recordings or settings; give --force"):
        prepared(source, out)
    found = prepare.prepare(prepare.tree(source), out, prepare.Settings(), force=True)
    assert found["recordings"] == 17


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "--out", "out"], "none: no such folder; set SOURCE"),
        (["tree", "--out", "tree/out"], "lies in the tree itself"),
        (["shards", "--out", "out"], "holds shards already"),
        (["tree", "--out", "out", "--workers", "-1"], "--workers must be 0 to 1024"),
        (["tree", "--out", "shards", "--sample-rate", "8000"], "give --force"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    prepared(tree(Path("tree")), Path("shards"))
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_damage_is_noticed(tmp_path):
    prepared(tree(tmp_path / "tree"), tmp_path / "shards")
    settings = config(tmp_path / "shards")
    index = pipeline.index(settings)
    with pytest.raises(UserError, match="prepared at 16000 Hz, but data.sample_rate is 8000"):
        pipeline.load(config(tmp_path / "shards", sample_rate=8000), index, "train")
    path = index.split("train")[0].path
    record = index.prepared.records[path]
    shard = tmp_path / "shards" / record.shard
    content = bytearray(shard.read_bytes())
    content[record.offset + 20] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match=f"{record.shard}: damaged; prepare the recordings again"):
        pipeline.load(settings, index, "train")
    shard.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        pipeline.load(settings, index, "train")
    table = tmp_path / "shards" / manifest.TABLE
    table.write_text(table.read_text().replace(",16000,", ",many,").replace("path,", "file,"))
    with pytest.raises(UserError, match="manifest.csv: damaged"):
        pipeline.index(settings)


def streamed(index, split, **keys):
    keys = {"clip_samples": CLIP, "batch_size": 7, "seed": 5, **keys}
    batches = list(shards.stream(index, split, **keys).as_numpy_iterator())
    return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))


def pairs(waveforms, labels):
    return sorted((wave.tobytes(), label) for wave, label in zip(waveforms, labels, strict=True))


@pytest.mark.parametrize("lengths", ["even", "short", "long"])
def test_stream_gives_each_clip_of_the_split_once_in_an_order_of_the_epoch(tmp_path, lengths):
    source = tree(tmp_path / "tree", speakers="abcdefghijkl")
    for number, path in enumerate(sorted(source.glob("[yn]*/*.wav"))):
        size = {"even": CLIP, "short": CLIP - 7 * number}.get(lengths)
        if size:
            soundfile.write(path, np.full(size, (number + 1) / 64), RATE)
    prepared(source, tmp_path / "shards", shard_clips=4)
    settings = config(tmp_path / "shards")
    index = pipeline.index(settings)
    split = pipeline.load(settings, index, "train")
    clips, labels = streamed(index, "train")
    assert clips.dtype == np.int16
    assert pairs(clips, labels) == pairs(split.waveforms, split.labels)
    np.testing.assert_array_equal(streamed(index, "train")[0], clips)
    assert not np.array_equal(streamed(index, "train", epoch=1)[0], clips)
    assert not np.array_equal(streamed(index, "train", seed=6)[0], clips)


def test_stream_of_a_tree_is_refused(tmp_path):
    index = pipeline.index(config(tree(tmp_path / "tree")))
    with pytest.raises(UserError, match="holds no shards; make them by python -m training.prepare"):
        shards.stream(index, "train", clip_samples=CLIP, batch_size=4)


@pytest.mark.parametrize("size", [1, 30, 100, 101, 499, 1000])
def test_loudest_window_in_a_graph_is_that_of_numpy(rng, size):
    wave = rng.integers(-32768, 32768, size).astype(np.int16)
    wave[size // 3 : size // 2] //= 8
    part = decoder.loudest(wave, 100)
    start = (100 - len(part)) // 2
    wanted = np.pad(part, (start, 100 - len(part) - start))
    np.testing.assert_array_equal(shards.loudest(tf.constant(wave), 100), wanted)
