"""Clips straight from shards: into memory, or as a stream for data sets larger than that."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from audio_edge.datasets import decoder
from audio_edge.datasets.index import SPLITS, Index
from audio_edge.datasets.manifest import Manifest
from audio_edge.errors import UserError

_REMEDY = "prepare the recordings again"


def choose(
    prepared: Manifest, paths: Sequence[Path], sample_rate: int
) -> tuple[dict[Path, int], dict[Path, str]]:
    """Which of the recordings there are, with their lengths in samples, and why not the others.

    Raises:
        UserError: They were prepared for another sample rate.
    """
    if prepared.sample_rate != sample_rate:
        raise UserError(
            f"{prepared.root}: prepared at {prepared.sample_rate} Hz, but data.sample_rate is "
            f"{sample_rate}; prepare the recordings at that rate"
        )
    good = {path: prepared.records[path].samples for path in paths if path in prepared.records}
    bad = {path: f"{path}: {prepared.bad[path]}" for path in paths if path in prepared.bad}
    missing = f"is not in the manifest; {_REMEDY}"
    bad |= {path: f"{path}: {missing}" for path in paths if path not in good}
    return {path: samples for path, samples in good.items() if path not in bad}, bad


def read(prepared: Manifest, paths: Sequence[Path]) -> Iterator[tuple[Path, np.ndarray]]:
    """Each recording with its int16 [samples], in the order of the shards; no other is read.

    Raises:
        UserError: A shard is missing or damaged.
    """
    by_shard: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        by_shard[prepared.records[path].shard].append(path)
    for shard, inside in sorted(by_shard.items()):
        where = prepared.root / shard
        try:
            with where.open("rb") as file:
                for path in sorted(inside, key=lambda path: prepared.records[path].offset):
                    record = prepared.records[path]
                    file.seek(record.offset)
                    content = file.read(2 * record.samples)
                    if len(content) != 2 * record.samples or zlib.crc32(content) != record.crc32:
                        raise UserError(f"{where}: damaged; {_REMEDY}")
                    yield path, np.frombuffer(content, "<i2").astype(np.int16, copy=False)
        except OSError as error:
            raise UserError(f"{where}: cannot be read ({error.strerror}); {_REMEDY}") from error


def clips(
    prepared: Manifest, paths: Sequence[Path], clip_samples: int,
    progress: Callable[[int], Any] | None = None,
) -> np.ndarray:  # fmt: skip
    """The loudest window of each recording, or all of it between zeros: int16 [n, clip_samples]."""
    waveforms = np.zeros((len(paths), clip_samples), np.int16)
    rows = {path: row for row, path in enumerate(paths)}
    for path, samples in read(prepared, paths):
        part = decoder.loudest(samples, clip_samples)
        start = (clip_samples - len(part)) // 2
        waveforms[rows[path], start : start + len(part)] = part
        if progress:
            progress(1)
    return waveforms


def stream(
    where: Index, split: str, *, clip_samples: int, batch_size: int,
    seed: int | None = None, epoch: int = 0, buffer: int = 4096, at_once: int = 16,
) -> tf.data.Dataset:  # fmt: skip
    """Batches of one split, read from the shards as they are needed.

    The shards hold the recordings in an order of their own, without regard to label or speaker.
    With a seed, the order of the shards and of the clips in a buffer change with each epoch; it is
    a function of (seed, epoch), and of TensorFlow's global seed if that is set.

    Args:
        where: Index of a folder of shards.
        split: "train", "val" or "test".
        clip_samples: As of `clips`.
        batch_size: Clips in a batch; the last may be smaller.
        seed: None keeps one order.
        epoch: From 0 on.
        buffer: Clips that are shuffled among each other, and held in memory.
        at_once: Shards that are read side by side.

    Returns:
        A dataset of (int16 [batch, clip_samples], labels as `Index.targets` gives them).

    Raises:
        UserError: The index is not of shards, or no clip of the split is in them.
    """
    if split not in SPLITS:
        raise UserError(f"split must be one of {', '.join(SPLITS)}. Received: {split!r}")
    if where.prepared is None:
        raise UserError(f"{where.root}: holds no shards; make them by python -m training.prepare")
    clips = where.split(split)
    names, rows, lengths = _placed(where.prepared, [clip.path for clip in clips])
    rng = np.random.default_rng([0 if seed is None else seed, epoch])
    if seed is not None:
        order = rng.permutation(len(names))
        names, rows = [names[place] for place in order], [rows[place] for place in order]

    targets = tf.constant(where.targets(clips))

    def shard(name: tf.Tensor, rows: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(name, buffer_size=1 << 20)
        pairs = tf.data.Dataset.zip((records, tf.data.Dataset.from_tensor_slices(rows)))
        return pairs.filter(lambda _, row: row >= 0)

    found = tf.data.Dataset.from_tensor_slices((names, tf.ragged.constant(rows, tf.int64)))
    found = found.interleave(
        shard, cycle_length=min(at_once, len(names)), block_length=16,
        num_parallel_calls=tf.data.AUTOTUNE, deterministic=True,
    )  # fmt: skip
    if seed is not None:
        found = found.shuffle(buffer, seed=int(rng.integers(2**31)))
    if max(lengths) <= clip_samples:  # nothing to choose: a whole batch in one step
        even = lengths == {clip_samples}
        found = found.batch(batch_size)
        return found.map(
            lambda records, rows: (
                _centred(records, clip_samples, even=even),
                tf.gather(targets, rows),
            )
        ).prefetch(4)
    found = found.map(
        lambda record, row: (
            loudest(tf.io.decode_raw(record, tf.int16), clip_samples),
            tf.gather(targets, row),
        ),
        num_parallel_calls=tf.data.AUTOTUNE, deterministic=True,
    )  # fmt: skip
    return found.batch(batch_size).prefetch(4)


def _placed(
    prepared: Manifest, paths: Sequence[Path]
) -> tuple[list[str], list[list[int]], set[int]]:
    """Shards; of each of their records the place in `paths`, or -1; lengths in samples.

    A shard with none of the paths is left out.
    """
    wanted = {path: row for row, path in enumerate(paths)}
    placed: dict[str, list[tuple[int, int]]] = defaultdict(list)
    lengths = set()
    for path, record in prepared.records.items():
        if record.shard:
            placed[record.shard].append((record.offset, wanted.get(path, -1)))
            if path in wanted:
                lengths.add(record.samples)
    rows = {
        str(prepared.root / shard): [row for _, row in sorted(pairs)]
        for shard, pairs in sorted(placed.items())
    }
    rows = {shard: inside for shard, inside in rows.items() if max(inside) >= 0}
    if not rows:
        raise UserError(f"{prepared.root}: no usable clip in this split; add recordings")
    return list(rows), list(rows.values()), lengths


def _centred(records: tf.Tensor, length: int, *, even: bool) -> tf.Tensor:
    """Records of at most `length` samples, zeros on both sides: int16 [batch, length]."""
    if not even:
        before = (length - tf.strings.length(records) // 2) // 2
        zeros = tf.strings.substr(tf.constant([b"\0" * (2 * length)]), 0 * before, 2 * before)
        records = tf.strings.join([zeros, records])
    samples = tf.io.decode_raw(records, tf.int16, fixed_length=2 * length)  # zeros at the end
    return tf.ensure_shape(samples, [None, length])


def loudest(samples: tf.Tensor, length: int) -> tf.Tensor:
    """`decoder.loudest` of int16 [samples] inside a graph, then zeros on both sides to `length`."""
    size = tf.shape(samples)[0]
    energy = tf.cumsum(tf.square(tf.cast(samples, tf.int64)))
    energy = tf.concat([tf.zeros([1], tf.int64), energy], axis=0)
    starts = tf.range(0, tf.maximum(size - length, 0) + 1, max(1, length // 100))
    ends = tf.minimum(starts + length, size)
    start = starts[tf.argmax(tf.gather(energy, ends) - tf.gather(energy, starts))]
    part = samples[start : start + length]
    missing = length - tf.shape(part)[0]
    part = tf.pad(part, [[missing // 2, missing - missing // 2]])
    return tf.ensure_shape(part, [length])
