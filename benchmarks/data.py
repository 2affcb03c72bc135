"""How fast data come: python -m benchmarks.data [--files N] [--clips N] [--json OUT].

Makes a tree of many tiny files in the layout of Speech Commands and lists it with labels, speakers
and splits; then prepares one-second clips, and reads them from the shards on one core. Seconds of
the processor are those of this process: they tell the speed of a core where others share it.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import soundfile

from audio_edge import files
from audio_edge.config import Config, from_dict
from audio_edge.errors import UserError, command
from benchmarks.progress import progress

RATE = 16000
_WORDS, _SPEAKERS = 35, 2500  # about those of Speech Commands
_EPOCHS = 5
_CLOCKS = ("seconds", "cpu_seconds")


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Time the listing of a tree, the preparation of clips, and their reading from shards."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument("--files", type=int, default=200_000, help="files of the tree to list")
    parser.add_argument("--clips", type=int, default=6000, help="one-second clips to read")
    parser.add_argument("--json", metavar="OUT", help="write everything there")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_args(argv)
    if not (1000 <= args.files <= 10**7 and 1000 <= args.clips <= 10**6):
        raise UserError("--files and --clips must be at least 1000, or too few to be timed")
    if args.json and Path(args.json).exists() and not args.force:
        raise UserError(f"{args.json}: exists; give --force to overwrite it")
    with tempfile.TemporaryDirectory(prefix="audio_edge-") as folder:
        rows = [*_listing(Path(folder), args.files), *_reading(Path(folder), args.clips)]
    import tensorflow as tf

    device = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    print(f"{device}, Python {platform.python_version()}, TensorFlow {tf.__version__}\n")
    print("| what | items | seconds | items a second | items a second of processor |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for row in rows:
        fast = [f"{row['items'] / row[key]:.0f}" if row[key] else "" for key in _CLOCKS]
        print(f"| {row['what']} | {row['items']} | {row['seconds']:.2f} | {' | '.join(fast)} |")
    if args.json:
        facts = {"device": device, "tensorflow": tf.__version__, "rows": rows}
        files.write_json(args.json, facts)
        print(f"wrote {args.json}")
    return 0


def _listing(folder: Path, count: int) -> list[dict[str, Any]]:
    from audio_edge.datasets import pipeline

    root = folder / "tree"
    for word in range(_WORDS):
        (root / f"word{word:02}").mkdir(parents=True)
    for number in progress(range(count)):
        who, word = number // _WORDS % _SPEAKERS, number % _WORDS
        name = f"speaker{who:04}_nohash_{number // (_WORDS * _SPEAKERS)}.wav"
        (root / f"word{word:02}" / name).touch()
    rows = []
    for kind in ("folder", "speech_commands"):
        config = from_dict({"data": {"kind": kind, "root": str(root)}})
        what = f"listed with labels, speakers and splits, `{kind}`"
        row, where = _timed(what, count, partial(pipeline.index, config))
        rows += [row, _timed(f"hashed with their sizes, `{kind}`", count, where.fingerprint)[0]]
    return rows


def _reading(folder: Path, count: int) -> list[dict[str, Any]]:
    from audio_edge.datasets import manifest, pipeline, prepare

    root, out = folder / "clips", folder / "shards"
    noise = np.random.default_rng(0).integers(-8000, 8000, 2 * RATE).astype(np.int16)
    for number in progress(range(count)):
        path = root / f"word{number % 2}" / f"speaker{number % 100:02}_nohash_{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        start = number * 7 % RATE
        soundfile.write(path, noise[start : start + RATE], RATE)
    what = "prepared from WAV, 1 s at 16 kHz, all cores"
    settings = prepare.Settings()
    row, _ = _timed(what, count, lambda: prepare.prepare(prepare.tree(root), out, settings))
    rows = [{**row, "cpu_seconds": None}]  # others decode
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    config = from_dict({"data": {"root": str(out)}})
    rows.append(_timed("manifest read", count, lambda: manifest.find(out))[0])
    index = pipeline.index(config)
    rows.append(_streamed("streamed from shards, shuffled, one core", index, config))
    longer = from_dict({"data": {"root": str(out), "clip_s": 1.2}})
    rows.append(_streamed("the same, with zeros on both sides to 1.2 s", index, longer))
    shorter = from_dict({"data": {"root": str(out), "clip_s": 0.5}})
    rows.append(_streamed("the same, cut to the loudest half second", index, shorter))
    clips, what = len(index.split("train")), "loaded into memory from shards, one core"
    rows.append(_timed(what, clips, lambda: pipeline.load(config, index, "train"))[0])
    return rows


def _streamed(what: str, index: Any, config: Config) -> dict[str, Any]:
    """Some epochs of the training split, after one that warms up."""
    from audio_edge.datasets import shards

    samples = config.data.clip_samples

    def epoch(number: int) -> int:
        batches = shards.stream(
            index, "train", clip_samples=samples, batch_size=256, seed=0, epoch=number
        )
        return sum(len(labels) for _, labels in batches)

    count = _EPOCHS * epoch(0)
    return _timed(what, count, lambda: [epoch(number) for number in range(1, 1 + _EPOCHS)])[0]


def _timed(what: str, items: int, run: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    """A row of the table, and what `run` gives."""
    start, begun = time.perf_counter(), time.process_time()
    result = run()
    seconds = (time.perf_counter() - start, time.process_time() - begun)
    return {"what": what, "items": items, **dict(zip(_CLOCKS, seconds, strict=True))}, result


if __name__ == "__main__":
    sys.exit(main())
