"""From an index to arrays: tensorflow-io reads validated clips inside tf.data.

Clips of a folder of shards are read from those instead.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_io as tfio

from audio_edge import audio
from audio_edge.config import SILENCE, UNKNOWN, Config, DataConfig
from audio_edge.datasets import (
    audioset,
    decoder,
    esc50,
    extra,
    folder,
    manifest,
    shards,
    speech_commands,
    synthetic,
    urbansound8k,
)
from audio_edge.datasets import noise as made_up
from audio_edge.datasets.index import SPLITS, Clip, Index, sounds
from audio_edge.datasets.manifest import Manifest
from audio_edge.errors import UserError, first_line

_LOG = logging.getLogger("audio_edge")
SILENCE_GAINS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 1.0)
_NOISE_REGIONS = {"train": (0.0, 0.7), "val": (0.7, 0.8), "test": (0.8, 1.0)}


@dataclass(frozen=True)
class Split:
    """The clips of one split.

    waveforms: int16 [n, clip_samples]; labels: int64 [n], or where a clip may have several float32
    [n, classes] of 0 and 1; names: the files, or what each cut of noise is; targets, of the
    training split only: int64 [n], the output that each clip shall raise, or labels as they are.
    """

    waveforms: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    targets: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))


def index(config: Config, *, progress: Callable[[int], Any] | None = None) -> Index:
    """Index the data set that the config names; `synthetic` is spoken unless it is in the cache.

    Args:
        config: Settings.
        progress: Called with 1 after each clip that is spoken.
    """
    found = extra.add(_index(config, progress), config.data)
    return dataclasses.replace(found, sounds=sounds(config.data.noise))


def _index(config: Config, progress: Callable[[int], Any] | None) -> Index:
    data = config.data
    if data.kind == "synthetic":
        return synthetic.index(data, seed=config.run.seed, progress=progress)
    if not data.root:
        raise UserError(
            "data.root is not set; "
            "give --set data.root=FOLDER or AUDIO_EDGE_DATA in the environment"
        )
    if data.kind == "speech_commands":
        found = speech_commands.index(data)
    else:
        others = {
            "folder": folder, "esc50": esc50, "urbansound8k": urbansound8k, "audioset": audioset,
        }  # fmt: skip
        found = others[data.kind].index(data, seed=config.run.seed)
    return dataclasses.replace(found, prepared=manifest.find(found.root))


def load(
    config: Config, where: Index, split: str, *, progress: Callable[[int], Any] | None = None
) -> Split:
    """Decode one split into memory; no file of another split is opened.

    Args:
        config: Settings.
        where: The index of the same config.
        split: "train", "val" or "test". The last two end with cuts of silence, if it is a class.
        progress: Called with 1 after each file.

    Raises:
        UserError: More than data.max_bad_share of the files are bad, or a class has no clip left.
    """
    if split not in SPLITS:
        raise UserError(f"split must be one of {', '.join(SPLITS)}. Received: {split!r}")
    clips = where.split(split)
    own = [clip for clip in clips if not clip.root]
    waveforms, kept = _decode_clips(config.data, own, progress, where.prepared)
    if len(own) < len(clips):
        others = [clip for clip in clips if clip.root]
        more, kept_more = _decode_clips(config.data, others, progress)
        waveforms, kept = np.concatenate([waveforms, more]), kept + kept_more
    labels = where.targets(kept)
    names = tuple(where.name(clip) for clip in kept)
    if split != "train" and SILENCE in where.labels:
        cuts, cut_names = silence_cuts(noise_bank(config, where, split), config.data.clip_samples)
        waveforms = np.concatenate([waveforms, audio.to_int16(cuts)])
        labels = np.concatenate([labels, np.full(len(cuts), where.labels.index(SILENCE))])
        names += cut_names
    for number, label in enumerate(where.labels):
        has = labels[:, number] if labels.ndim == 2 else labels == number
        if not has.any() and not (split == "train" and label == SILENCE):
            message = (
                f"data: no usable clip of '{label}' in the {split} split; "
                "add recordings by more speakers or from other places"
            )
            if split == "train":
                raise UserError(message)
            _LOG.warning(message)
    if split != "train":
        return Split(waveforms, labels, names)
    outputs = where.outputs
    numbers = np.array([outputs.number(clip) for clip in kept if not where.multi_label], np.int64)
    return Split(waveforms, labels, names, labels if where.multi_label else numbers)


def load_folder(root: Path, data: DataConfig, clips: list[tuple[Path, int]]) -> Split:
    """Decode labelled files that belong to no index, for evaluation: [(path, class number)]."""
    waveforms, kept = _decode_clips(
        data, [Clip(path, str(number), "", "test") for path, number in clips]
    )
    names = tuple(clip.path.relative_to(root).as_posix() for clip in kept)
    return Split(waveforms, np.array([int(clip.label) for clip in kept], np.int64), names)


def _decode_clips(
    data: DataConfig,
    clips: list[Clip],
    progress: Callable[[int], Any] | None = None,
    prepared: Manifest | None = None,
) -> tuple[np.ndarray, list[Clip]]:
    paths = [clip.path for clip in clips]
    if prepared:
        there, bad = shards.choose(prepared, paths, data.sample_rate)
        _leave_out(bad, len(clips), data)
        kept = [clip for clip in clips if clip.path in there]
        chosen = [clip.path for clip in kept]
        return shards.clips(prepared, chosen, data.clip_samples, progress), kept
    good, bad = decoder.decode(
        paths, Path(data.cache), sample_rate=data.sample_rate if data.resample else None,
        clip_s=data.clip_s, max_s=data.max_file_s, timeout_s=data.decode_timeout_s,
        progress=progress,
    )  # fmt: skip
    for path, decoded in list(good.items()):
        if decoded.sample_rate != data.sample_rate:
            bad[path] = (
                f"{path}: {decoded.sample_rate} Hz, and resampling is off; "
                f"set data.resample = true or convert it to {data.sample_rate} Hz"
            )
            del good[path]
    _leave_out(bad, len(clips), data)
    kept = [clip for clip in clips if clip.path in good]
    try:
        return _read([str(good[clip.path].path) for clip in kept], data.clip_samples), kept
    except tf.errors.OpError as error:
        raise UserError(
            f"{data.cache}/decoded: a recording in the cache is damaged ({first_line(error)}); "
            "delete this folder and run again"
        ) from error


def _leave_out(bad: dict[Path, str], total: int, data: DataConfig) -> None:
    """Tell of the files that are bad; too many of them are an error."""
    for reason in bad.values():
        _LOG.warning("left out: %s", reason)
    if bad:
        _LOG.warning("%d of %d files left out", len(bad), total)
    if len(bad) > data.max_bad_share * total:
        raise UserError(
            f"{len(bad)} of {total} files are bad, more than "
            f"data.max_bad_share = {data.max_bad_share:g}; the first: {next(iter(bad.values()))}"
        )


def _read(paths: list[str], clip_samples: int) -> np.ndarray:
    """Read and centre validated WAVs with tensorflow-io: int16 [n, clip_samples]."""
    waveforms = np.zeros((len(paths), clip_samples), np.int16)

    def clip(path: tf.Tensor) -> tf.Tensor:
        samples = tfio.audio.decode_wav(tf.io.read_file(path), dtype=tf.int16)[:, 0]
        return _centre(samples, clip_samples)

    dataset = tf.data.Dataset.from_tensor_slices(np.array(paths, str))
    dataset = dataset.map(clip, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    start = 0
    for batch in dataset.batch(256).prefetch(2).as_numpy_iterator():
        waveforms[start : start + len(batch)] = batch
        start += len(batch)
    return waveforms


def _centre(samples: tf.Tensor, length: int) -> tf.Tensor:
    """Pad both sides with zeros, or crop both sides, to `length` samples."""
    size = tf.shape(samples)[0]
    missing = tf.maximum(length - size, 0)
    samples = tf.pad(samples, [[missing // 2, missing - missing // 2]])
    start = tf.maximum(size - length, 0) // 2
    return tf.ensure_shape(samples[start : start + length], [length])


def noise_bank(config: Config, where: Index, split: str) -> dict[str, np.ndarray]:
    """Background noise of one split: float32 [samples] each, the whole recording's peak being 1.

    Of each recorded noise the first 70 % serve training, the next 10 % selection, the last 20 % the
    test. Training also gets made-up noises, unless `augment.made_noise` is off; where nothing is
    recorded, those serve all splits, with other seeds.
    The further sounds of training come end to end, in as many pieces as there are noises, so that
    half of what is drawn is of them.
    """
    data = config.data
    low, high = _NOISE_REGIONS[split]
    bank = {}
    for path, waveform in _recorded(data, where.noise, where.prepared).items():
        peak = np.abs(waveform).max()
        part = waveform[int(low * len(waveform)) : int(high * len(waveform))] / (peak or 1.0)
        if len(part) >= data.clip_samples:
            bank[path.name] = part.astype(np.float32)
    if not bank or (split == "train" and config.augment.made_noise):
        seed = config.run.seed * len(SPLITS) + SPLITS.index(split)
        bank = {**made_up.noises(data.sample_rate, max(20.0, 4 * data.clip_s), seed), **bank}
    if split == "train" and where.sounds:
        bank |= _end_to_end(data, where.sounds, len(bank))
    return bank


def _end_to_end(data: DataConfig, paths: tuple[Path, ...], pieces: int) -> dict[str, np.ndarray]:
    """Recordings of any length, each with peak 1, laid end to end and cut into equal pieces."""
    waveforms = _recorded(data, paths, None).values()
    parts = [waveform / (np.abs(waveform).max(initial=0.0) or 1.0) for waveform in waveforms]
    whole = np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)
    if len(whole) < data.clip_samples:
        raise UserError(
            f"data.noise: {len(whole) / data.sample_rate:.1f} s of sound that can be read, less "
            f"than a clip of {data.clip_s:g} s; give more"
        )
    cut = np.array_split(whole, min(pieces, len(whole) // data.clip_samples))
    return {f"sounds_{number}": piece for number, piece in enumerate(cut)}


def _recorded(
    data: DataConfig, paths: Sequence[Path], prepared: Manifest | None
) -> dict[Path, np.ndarray]:
    """Recordings of noise, whole: float32 [samples] at data.sample_rate."""
    if prepared:
        there, bad = shards.choose(prepared, list(paths), data.sample_rate)
        found = dict(shards.read(prepared, list(there)))
        waveforms = {path: found[path] / np.float32(32768) for path in there}
    else:
        good, bad = decoder.decode(
            list(paths), Path(data.cache), sample_rate=data.sample_rate, max_s=data.max_file_s,
            timeout_s=data.decode_timeout_s,
        )  # fmt: skip
        waveforms = {
            path: audio.read(decoded.path, sample_rate=None, max_s=data.max_file_s)[0]
            for path, decoded in good.items()
        }
    for reason in bad.values():
        _LOG.warning("left out: %s", reason)
    return waveforms


def silence_cuts(
    bank: dict[str, np.ndarray], clip_samples: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Ten cuts of each noise at equal spacing, from digital zero to full scale.

    Cut i has the i-th gain of SILENCE_GAINS. Returns (float32 [n, clip_samples], names).
    """
    cuts, names = [], []
    for name, waveform in bank.items():
        starts = np.linspace(0, len(waveform) - clip_samples, len(SILENCE_GAINS)).astype(int)
        for start, gain in zip(starts, SILENCE_GAINS, strict=True):
            cuts.append(waveform[start : start + clip_samples] * np.float32(gain))
            names.append(f"{name}@{start}x{gain:g}")
    return np.stack(cuts), tuple(names)


def epoch_order(
    labels: np.ndarray, classes: tuple[str, ...], data: DataConfig, *, seed: int, epoch: int
) -> np.ndarray:
    """Which clips an epoch takes, in which order; -1 stands for a clip of silence made on the fly.

    A pure function of (labels, data, seed, epoch). Unknown words are cut or repeated to
    unknown_share, words to the same number each if data.balance, silence is added to silence_share.
    Where clips have several labels each, all are taken once.
    """
    rng = np.random.default_rng([seed, epoch])
    if labels.ndim == 2:
        return rng.permutation(len(labels))
    words = [n for n, label in enumerate(classes) if label not in (SILENCE, UNKNOWN)]
    counts = {n: int((labels == n).sum()) for n in range(len(classes))}
    wanted = dict(counts)
    if data.balance:
        mean = round(sum(counts[n] for n in words) / max(1, len(words)))
        wanted |= {n: mean for n in words}
    total_words = sum(wanted[n] for n in words)
    silence_share = data.silence_share if SILENCE in classes else 0.0
    if UNKNOWN in classes and data.unknown_share:
        share = data.unknown_share / (1 - data.unknown_share - silence_share)
        wanted[classes.index(UNKNOWN)] = round(total_words * share)
    parts = []
    for number, want in wanted.items():
        rows = np.flatnonzero(labels == number)
        if len(rows):
            parts += [rng.permutation(rows) for _ in range(want // len(rows))]
            parts.append(rng.permutation(rows)[: want % len(rows)])
    order = np.concatenate(parts)
    silent = round(len(order) * silence_share / (1 - silence_share))
    return rng.permutation(np.concatenate([order, np.full(silent, -1)]))
