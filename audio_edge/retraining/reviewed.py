"""The reviewed clips as arrays: some to learn from, the others to judge by, and never both."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audio_edge import augment, classifiers, files, frontends
from audio_edge.config import SILENCE, UNKNOWN
from audio_edge.datasets import pipeline
from audio_edge.datasets.pipeline import Split
from audio_edge.errors import UserError
from audio_edge.learner import Material
from audio_edge.review.items import Item
from audio_edge.review.queue import Queue
from audio_edge.run import Run


@dataclass(frozen=True)
class Mixing:
    """How reviewed clips are mixed with those of a run.

    Attributes:
        hold_out: Share of the sources whose clips judge.
        by: "source": all clips of one are on one side; "clip": each clip for itself, which flatters
            where somebody is on both sides.
        repeat: How often each reviewed clip comes in an epoch.
        replay: Share of the run's training clips that come along, so that nothing is forgotten.
    """

    hold_out: float = 0.4
    by: str = "source"
    repeat: int = 4
    replay: float = 1.0

    def __post_init__(self) -> None:
        rules = [
            ("--hold-out must be in (0, 1)", 0 < self.hold_out < 1, self.hold_out),
            ("--by must be source or clip", self.by in ("source", "clip"), self.by),
            ("--repeat must be 1 to 1000", 1 <= self.repeat <= 1000, self.repeat),
            ("--replay must be in (0, 1]", 0 < self.replay <= 1, self.replay),
        ]
        for rule, kept, received in rules:
            if not kept:
                raise UserError(f"{rule}. Received: {received}")


def share_out(queue: Queue, labels: Sequence[str], mixing: Mixing) -> tuple[list[Item], list[Item]]:
    """The reviewed clips to learn from, and those held out to judge by.

    A hash decides on which side a source is: it stays there, however many clips come after.

    Raises:
        UserError: A label is none of the model, or one side is empty.
    """
    items = queue.reviewed()
    foreign = sorted({item.label for item in items} - set(labels))
    if foreign:
        raise UserError(
            f"{queue.folder}: clips are labelled '{foreign[0]}', which the model does not know; "
            f"undo that, or train a run that does (it knows {', '.join(labels)})"
        )
    sides: tuple[list[Item], list[Item]] = ([], [])
    for item in items:
        key = item.source if mixing.by == "source" else item.sha256
        place = int(files.sha256(key.encode("utf-8", "surrogateescape"))[:12], 16) / 16**12
        sides[place < mixing.hold_out].append(item)
    if not all(sides):
        sources = len({item.source for item in items})
        raise UserError(
            f"{queue.folder}: {len(items)} labelled clips of {sources} sources leave "
            f"{'none to judge by' if sides[0] else 'none to learn from'}; label more, of more "
            "sources, or give --by clip"
        )
    return sides


def load(run: Run, queue: Queue, items: Sequence[Item]) -> Split:
    """The loudest window of each clip: int16 [n, clip_samples], with its label's number.

    Raises:
        UserError: Too many of them cannot be read.
    """
    numbers = {label: number for number, label in enumerate(run.require("float")["labels"])}
    rows = [(item.path, numbers[item.label]) for item in items]
    return pipeline.load_folder(queue.folder, run.config.data, rows)


def mix(run: Run, material: Material, clips: Split, mixing: Mixing, key: str) -> Material:
    """The run's training clips and the reviewed ones, in one split; what selects stays as it is.

    Clips of silence come as noise does: training makes its silence from that.

    Args:
        run: The one whose float stage is the start.
        material: Its own.
        clips: Of `load`, those to learn from.
        mixing: How.
        key: Of all that the mixture depends on; it becomes part of the fingerprint of the data.
    """
    own, count = material.train, len(material.train.labels)
    rng = np.random.default_rng([run.config.run.seed, count])
    rows = np.sort(rng.permutation(count)[: max(1, round(mixing.replay * count))])
    labels = material.index.labels
    silent = np.array([labels[number] == SILENCE for number in clips.labels], bool)
    spoken = _chosen(clips, ~silent)
    targets = _targets(run, material, spoken)
    train = Split(
        np.concatenate([own.waveforms[rows], *[spoken.waveforms] * mixing.repeat]),
        np.concatenate([own.labels[rows], *[spoken.labels] * mixing.repeat]),
        (*(own.names[row] for row in rows), *spoken.names * mixing.repeat),
        np.concatenate([own.targets[rows], *[targets] * mixing.repeat]),
    )
    index = dataclasses.replace(material.index, mixed=key)
    bank = _with_noise(run, material, clips.waveforms[silent]) if silent.any() else material.bank
    return Material(index, train, material.val, bank)


def _chosen(clips: Split, which: np.ndarray) -> Split:
    names = tuple(name for name, chosen in zip(clips.names, which, strict=True) if chosen)
    return Split(clips.waveforms[which], clips.labels[which], names)


def _with_noise(run: Run, material: Material, clips: np.ndarray) -> augment.NoiseBank:
    """The run's noise and one more recording of it: these clips end to end, each with peak 1."""
    noises = list(pipeline.noise_bank(run.config, material.index, "train").values())
    peaks = np.maximum(np.abs(clips.astype(np.float32)).max(axis=1, keepdims=True), 1.0)
    joined = (clips / peaks).astype(np.float32).reshape(-1)
    return augment.NoiseBank([*noises, joined], run.config.data.clip_samples)


def _targets(run: Run, material: Material, clips: Split) -> np.ndarray:
    """The output that each clip shall raise: its label's.

    Where unknown words are learnt apart and nothing is left to "unknown" itself, a clip of it goes
    to the word that the model finds nearest.
    """
    outputs, labels = material.index.outputs, material.index.labels
    own = {number: outputs.names.index(label) for number, label in enumerate(labels)
           if label in outputs.names}  # fmt: skip
    targets = np.array([own.get(int(number), -1) for number in clips.labels], np.int64)
    lost = np.flatnonzero(targets < 0)
    if len(lost):
        front, classifier = frontends.load(run), classifiers.load(run, "float")
        waveforms = clips.waveforms[lost].astype(np.float32) / 32768.0
        logits = classifier(front(waveforms), training=False).numpy()
        logits[:, np.array(outputs.labels) != labels.index(UNKNOWN)] = -np.inf
        targets[lost] = logits.argmax(axis=1)
    return targets
