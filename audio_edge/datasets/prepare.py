"""Recordings of any tree into shards: decoded once, in parallel, resumable to the same bytes.

A shard is a function of its recordings and of the settings. Each is written whole or not at all,
with a note beside it of what it was made from; the manifest comes last and takes the notes' place.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import soundfile
import tensorflow as tf

from audio_edge import files
from audio_edge.config import DataConfig
from audio_edge.datasets import audioset, decoder, esc50, manifest, urbansound8k
from audio_edge.datasets.folds import Entry
from audio_edge.datasets.index import folders, recordings, size_bytes, speaker
from audio_edge.datasets.manifest import Record
from audio_edge.errors import UserError, first_line

_RECIPE = 1  # part of every note: raise it when the shards change
_LEAST_SHARDS = 8  # so that a small tree keeps several processes busy
_NOTES = "unfinished"
_BEFORE, _BETWEEN = 12, 16  # bytes that TFRecord has before the first record, between two of them


@dataclass(frozen=True)
class Settings:
    """How recordings are prepared.

    Attributes:
        sample_rate: Hz.
        max_s: Longest recording accepted, in seconds; what is accepted is kept whole.
        timeout_s: Seconds after which decoding is given up and the file counted as bad.
        max_bad_share: More bad files than this share are an error.
        shard_clips: Most recordings in a shard.
        workers: Processes that decode; 0 is one a core.
    """

    sample_rate: int = 16000
    max_s: float = 600.0
    timeout_s: float = 20.0
    max_bad_share: float = 0.1
    shard_clips: int = 1000
    workers: int = 0

    def __post_init__(self) -> None:
        rules = [
            (4000 <= self.sample_rate <= 192000, "--sample-rate must be 4000 to 192000 Hz"),
            (self.max_s > 0 and self.timeout_s > 0, "--max-s and --timeout-s must be > 0"),
            (0 <= self.max_bad_share <= 1, "--max-bad-share must be in [0, 1]"),
            (self.shard_clips >= 1, "--shard-clips must be at least 1"),
            (0 <= self.workers <= 1024, "--workers must be 0 to 1024"),
        ]
        for holds, rule in rules:
            if not holds:
                raise UserError(rule)


@dataclass(frozen=True)
class _Shard:
    """A shard to make: its name, what it is made of, and the hash of that."""

    name: str
    entries: tuple[tuple[str, Entry], ...]
    key: str


@dataclass(frozen=True)
class Tree:
    """The recordings below `root`, in order, and the tables that tell of them."""

    root: Path
    entries: tuple[Entry, ...]
    tables: tuple[Path, ...]


def tree(source: Path) -> Tree:
    """List a tree of recordings; none of them is opened.

    The layouts of ESC-50, UrbanSound8K and AudioSet are known by their tables; anything else has
    one subfolder a label.

    Raises:
        UserError: There are no recordings, or they are shards already.
    """
    if manifest.header(source):
        raise UserError(f"{source}: holds shards already; give the recordings they were made from")
    for kind, module in (("esc50", esc50), ("urbansound8k", urbansound8k)):
        data = DataConfig(kind=kind, root=str(source))
        table = module.table(data)
        if table.is_file():
            return Tree(source, tuple(module.entries(data)), (table,))
    if (source / audioset.CLASSES).is_file():
        names = [source / audioset.CLASSES, source / audioset.ONTOLOGY, *audioset.tables(source)]
        tables = tuple(table for table in names if table.is_file())
        found = [Entry(path, "", 0, path.stem) for path in recordings(source)]
        return Tree(source, tuple(found), tables)
    entries = [
        Entry(path, label, 0, speaker(path, source / label))
        for label, paths in folders(source, "SOURCE").items()
        for path in paths
    ]
    return Tree(source, tuple(entries), ())


def prepare(
    source: Tree, out: Path, settings: Settings, *, force: bool = False,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write the shards and the manifest of a tree into `out`, or what is missing of them.

    Args:
        source: What `tree` gives.
        out: Folder of the shards, outside of the tree.
        settings: How.
        force: Make anew what was made from other recordings or settings.
        progress: Called with the number of recordings that are done, as they are.

    Returns:
        What `shards.json` says.

    Raises:
        UserError: `out` was made from other recordings or settings, or too many files are bad; then
            the shards are kept, but the manifest is not written.
    """
    root, found = source.root, source.entries
    if out.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{out}: lies in the tree itself; choose a place outside {root}")
    plan = _plan(source, settings)
    tables = {table.relative_to(root): table.read_bytes() for table in source.tables}
    made_from = files.fingerprint(
        [[shard.key for shard in plan], [files.sha256(content) for content in tables.values()]]
    )
    old = manifest.header(out)
    if old and old.get("made_from") == made_from:
        return old
    if old and not force:
        raise UserError(
            f"{out}: made from other recordings or settings; give --force to make it anew, "
            "or another folder"
        )
    (out / manifest.HEADER).unlink(missing_ok=True)
    _tidy(out, plan)
    todo = [shard for shard in plan if _note(out, shard) is None]
    if progress:
        progress(len(found) - sum(len(shard.entries) for shard in todo))
    _make_all(out, todo, settings, progress)
    rows: dict[str, Record] = {}
    bad: dict[str, str] = {}
    for shard in plan:
        note = files.read_json(_where(out, shard), dict)
        rows |= {path: Record(*values) for path, values in note["records"].items()}
        bad |= note["bad"]
    if len(bad) > settings.max_bad_share * len(found):
        path, reason = next(iter(bad.items()))
        raise UserError(
            f"{len(bad)} of {len(found)} files are bad, more than --max-bad-share = "
            f"{settings.max_bad_share:g}; the first: {root / path}: {reason}"
        )
    for name, content in tables.items():
        files.write_bytes(out / name, content)
    names = [_name(root, entry) for entry in found]
    header = {
        "sample_rate": settings.sample_rate,
        "recordings": len(found) - len(bad),
        "seconds": round(sum(row.samples for row in rows.values()) / settings.sample_rate, 3),
        "shards": len(plan),
        "made_from": made_from,
        "bad": {name: bad[name] for name in names if name in bad},
    }
    manifest.write(out, header, {name: rows[name] for name in names})
    shutil.rmtree(out / _NOTES, ignore_errors=True)
    return {"format": manifest.FORMAT, **header}


def _plan(source: Tree, settings: Settings) -> list[_Shard]:
    """Cut the recordings, in an order that mixes labels and speakers, into shards."""
    named = [(_name(source.root, entry), entry) for entry in source.entries]
    order = sorted(named, key=lambda pair: _hash(pair[0]))
    how = [_RECIPE, settings.sample_rate, settings.max_s]
    count = min(settings.shard_clips, math.ceil(len(order) / _LEAST_SHARDS))
    shards = []
    for number, start in enumerate(range(0, len(order), count)):
        inside = tuple(order[start : start + count])
        facts = [[name, *entry[1:], *_state(entry.path)] for name, entry in inside]
        key = files.fingerprint([how, facts])
        shards.append(_Shard(f"shard-{number:05}.tfrecord", inside, key))
    return shards


def _name(root: Path, entry: Entry) -> str:
    return entry.path.relative_to(root).as_posix()


def _hash(name: str) -> bytes:
    return hashlib.sha1(name.encode("utf-8", "surrogateescape")).digest()


def _state(path: Path) -> tuple[int, int]:
    """Size and time of change: another of either is another recording."""
    try:
        found = path.stat()
    except OSError:
        return -1, 0
    return found.st_size, found.st_mtime_ns


def _where(out: Path, shard: _Shard) -> Path:
    return out / _NOTES / f"{shard.name}.json"


def _note(out: Path, shard: _Shard) -> dict[str, Any] | None:
    """The note of a shard that is finished and made from the same; else None."""
    where = _where(out, shard)
    if not where.exists() or not (out / shard.name).exists():
        return None
    note = files.read_json(where, dict)
    return note if note.get("key") == shard.key else None


def _tidy(out: Path, plan: Sequence[_Shard]) -> None:
    """Remove what a killed run or another plan has left behind."""
    names = {shard.name for shard in plan}
    for path in [*out.glob("shard-*.tfrecord"), *out.glob(".*.tfrecord")]:
        if path.name not in names:
            path.unlink()
    for path in (out / _NOTES).glob("worker*"):
        shutil.rmtree(path, ignore_errors=True)


def _make_all(
    out: Path, todo: Sequence[_Shard], settings: Settings, progress: Callable[[int], Any] | None
) -> None:
    """Make shards in threads, each with a decoding process of its own."""
    queue: SimpleQueue[_Shard] = SimpleQueue()
    for shard in todo:
        queue.put(shard)
    failures: list[Exception] = []

    def serve(number: int) -> None:
        worker = decoder.Worker(settings.timeout_s)
        cache = out / _NOTES / f"worker{number}"
        try:
            while not failures:
                try:
                    shard = queue.get_nowait()
                except Empty:
                    break
                _make(out, shard, settings, worker, cache, progress)
        except Exception as error:  # a thread's error would be lost, and its shards with it
            failures.append(error)
        finally:
            worker.stop()
            shutil.rmtree(cache, ignore_errors=True)

    count = max(1, min(settings.workers or os.cpu_count() or 1, len(todo)))
    threads = [
        threading.Thread(target=serve, args=[number], daemon=True) for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _make(
    out: Path, shard: _Shard, settings: Settings, worker: decoder.Worker, cache: Path,
    progress: Callable[[int], Any] | None,
) -> None:  # fmt: skip
    """Decode the recordings of a shard one by one, write it, then its note."""
    how = {"clip_s": 0.0, "max_s": settings.max_s, "sample_rate": settings.sample_rate}
    records: dict[str, Record] = {}
    bad: dict[str, str] = {}
    at = _BEFORE
    try:
        with (
            files.replacing(out / shard.name) as temporary,
            tf.io.TFRecordWriter(os.fspath(temporary)) as writer,
        ):
            for name, entry in shard.entries:
                known = (entry.label, entry.group, entry.fold, size_bytes(entry.path))
                answer = worker.ask({"path": str(entry.path), "cache": str(cache), **how})
                if "cache_error" in answer:
                    raise decoder.CacheError(answer["cache_error"].replace("data.cache", "--out"))
                if "error" in answer:
                    bad[name] = answer["error"].removeprefix(f"{entry.path}: ")
                    records[name] = Record(*known, "", 0, 0, 0)
                else:
                    decoded = Path(answer["path"])
                    samples, _ = soundfile.read(decoded, dtype="int16")
                    decoded.unlink()
                    content = samples.astype("<i2").tobytes()
                    writer.write(content)
                    place = (shard.name, at, len(samples), zlib.crc32(content))
                    records[name] = Record(*known, *place)
                    at += len(content) + _BETWEEN
                if progress:
                    progress(1)
    except tf.errors.OpError as error:
        raise UserError(f"{out}: cannot be written ({first_line(error)}); free space") from error
    files.write_json(_where(out, shard), {"key": shard.key, "bad": bad, "records": records})
