"""The clips of a data set: path, label, group and split.

Splits go by group (a speaker, or the recording that clips were cut from), never by clip.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio_edge import files
from audio_edge.audio import EXTENSIONS
from audio_edge.config import SILENCE, UNKNOWN, DataConfig
from audio_edge.datasets import manifest
from audio_edge.datasets.manifest import Manifest
from audio_edge.errors import UserError

SPLITS = ("train", "val", "test")
NOISE_FOLDER = "_background_noise_"


@dataclass(frozen=True)
class Clip:
    """One recording: its path, label, group (speaker or source), split and what its word is.

    The word is the label, or, for the label "unknown", what is said.
    Where a clip may have several `labels`, or none, `label` is how they are shown.
    `root` is the folder of `data.extra` that it comes from, if it does.
    """

    path: Path
    label: str
    group: str
    split: str
    word: str = ""
    labels: tuple[str, ...] = ()
    root: Path | None = None


@dataclass(frozen=True)
class Outputs:
    """What a classifier tells apart: more than the labels where unknown words are learnt apart.

    names: of each output, in the order of the logits; labels: number of the label it counts for.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...]

    def number(self, clip: Clip) -> int:
        """The output that a clip of training shall raise."""
        names = (clip.word, clip.label)
        return next(self.names.index(name) for name in names if name in self.names)


@dataclass(frozen=True)
class Index:
    """All clips, the labels in the order of the model's outputs, and the recordings of noise.

    noise: shared out among the splits; apart: unknown words that are learnt as outputs of their
    own; sounds: further noise, of training alone; mixed: hash of what else training hears.
    Where the recordings were `prepared`, the paths are those of the tree that they came from.
    """

    root: Path
    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    noise: tuple[Path, ...]
    apart: int = 0
    sounds: tuple[Path, ...] = ()
    prepared: Manifest | None = None
    multi_label: bool = False
    mixed: str = ""

    @property
    def outputs(self) -> Outputs:
        """What is learnt: the labels, but for "unknown" the `apart` most frequent words of it."""
        names, owners = list(self.labels), list(range(len(self.labels)))
        if UNKNOWN not in self.labels:
            return Outputs(self.labels, tuple(owners))
        counts = Counter(clip.word for clip in self.split("train") if clip.label == UNKNOWN)
        words = sorted(counts, key=lambda word: (-counts[word], word))
        chosen, left = words[: self.apart], words[self.apart :]
        if chosen and not left:
            del names[self.labels.index(UNKNOWN)], owners[self.labels.index(UNKNOWN)]
        names += chosen
        owners += [self.labels.index(UNKNOWN)] * len(chosen)
        return Outputs(tuple(names), tuple(owners))

    def split(self, name: str) -> list[Clip]:
        """The clips of one split."""
        return [clip for clip in self.clips if clip.split == name]

    def name(self, clip: Clip) -> str:
        """Path of a clip below the folder that it comes from."""
        return clip.path.relative_to(clip.root or self.root).as_posix()

    def targets(self, clips: Sequence[Clip]) -> np.ndarray:
        """The class of each clip, int64 [n]; if `multi_label`, float32 [n, classes] of 0 and 1."""
        number = {label: place for place, label in enumerate(self.labels)}
        if not self.multi_label:
            return np.array([number[clip.label] for clip in clips], np.int64)
        has = np.zeros((len(clips), len(self.labels)), np.float32)
        for row, clip in enumerate(clips):
            has[row, [number[label] for label in clip.labels]] = 1
        return has

    def fingerprint(self) -> str:
        """Hash of which files there are, how large, and where each belongs."""
        rows = []
        for clip in self.clips:
            size = size_bytes(clip.path) if clip.root else self._size(clip.path)
            rows.append((self.name(clip), size, clip.label, clip.split))
        noise = [(path.name, self._size(path)) for path in self.noise]
        sounds = [[(path.name, size_bytes(path)) for path in self.sounds]] if self.sounds else []
        mixed = [self.mixed] if self.mixed else []
        return files.fingerprint([list(self.labels), rows, noise, *sounds, *mixed])

    def _size(self, path: Path) -> int:
        return self.prepared.records[path].size_bytes if self.prepared else size_bytes(path)


def folders(root: Path, key: str = "data.root") -> dict[str, list[Path]]:
    """The recordings in each subfolder of `root`, sorted, without hidden files and folders.

    Of a folder of shards, those of the tree that it was made from.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; set {key} to a folder with one subfolder a label")
    found: dict[str, list[Path]] = defaultdict(list)
    prepared = manifest.find(root)
    if prepared:
        for path, record in prepared.records.items():
            found[record.label].append(path)
    else:
        for folder in sorted(root.iterdir()):
            if folder.is_dir() and not folder.name.startswith("."):
                found[folder.name] = [Path(name) for name in _recordings(os.fspath(folder))]
    found = {name: recordings for name, recordings in found.items() if recordings}
    if not found:
        raise UserError(
            f"{root}: holds no subfolder with recordings ({', '.join(EXTENSIONS)}); "
            "put one subfolder a label there"
        )
    return found


def sounds(patterns: Iterable[str]) -> tuple[Path, ...]:
    """The recordings that `data.noise` names, sorted.

    Raises:
        UserError: A folder, file or pattern gives none.
    """
    found: set[Path] = set()
    for pattern in patterns:
        place = Path(pattern)
        paths = place.rglob("*") if place.is_dir() else place.parent.glob(place.name)
        some = [path for path in paths if path.suffix.lower() in EXTENSIONS]
        if not some:
            raise UserError(f"data.noise: no recordings in {pattern}; correct or remove it")
        found.update(some)
    return tuple(sorted(found))


def recordings(root: Path) -> list[Path]:
    """The recordings below `root`, in any folders; of shards, those they were made from."""
    prepared = manifest.find(root)
    if prepared:
        return list(prepared.records)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; set data.root to that of the data set")
    return [Path(name) for name in _recordings(os.fspath(root))]


def _recordings(folder: str) -> Iterator[str]:
    """Paths below a folder, in the order of their parts; links to folders are not followed."""
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in sorted(shown, key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            yield from _recordings(entry.path)
        elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
            yield entry.path


def speaker(path: Path, label_folder: Path) -> str:
    """Who speaks: the name before `_nohash_`, else the subfolder below the label, else the file."""
    before, mark, _ = path.stem.partition("_nohash_")
    if mark:
        return before
    inside = path.relative_to(label_folder).parts
    return inside[0] if len(inside) > 1 else path.name


def labels_of(data: DataConfig, found: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Class labels, and the label that each folder stands for, without those that have none."""
    names = [name for name in found if name != NOISE_FOLDER]
    words = data.words or tuple(name for name in names if name not in (SILENCE, UNKNOWN))
    missing = [word for word in words if word not in names]
    if missing:
        raise UserError(
            f"data.words: no recordings of '{missing[0]}'; there are: {', '.join(sorted(names))}"
        )
    classes = {name: name for name in words}
    if data.unknown:
        classes |= {name: UNKNOWN for name in names if name not in words and name != SILENCE}
        if UNKNOWN not in classes.values():
            raise UserError(
                "data.unknown is true, but nothing is left beside data.words; "
                "add other words or set it to false"
            )
    if SILENCE in names and data.silence:
        classes[SILENCE] = SILENCE
    labels = words + (SILENCE,) * data.silence + (UNKNOWN,) * data.unknown
    if len(labels) < 2:
        raise UserError(
            f"data: two labels at least are needed to tell apart. Received: {', '.join(labels)}"
        )
    return labels, classes


def split_groups(
    groups: Iterable[str], *, seed: int, val_share: float, test_share: float
) -> dict[str, str]:
    """Give each group a split, in the order of a seeded hash, as near the shares as can be.

    Raises:
        UserError: There are fewer than three groups.
    """
    counts = Counter(groups)
    if len(counts) < 3:
        raise UserError(
            f"data: {len(counts)} speaker(s) or recordings cannot be split into training, "
            "validation and test; three at least are needed (name files "
            "<speaker>_nohash_<n>.wav or use one subfolder a speaker)"
        )
    order = sorted(counts, key=lambda group: _hash(f"{seed}:{group}"))
    split: dict[str, str] = {}
    total, taken = sum(counts.values()), 0
    limits = [("test", test_share), ("val", test_share + val_share)]
    for position, group in enumerate(order):
        name = next((name for name, limit in limits if taken < limit * total), "train")
        left = len(order) - position
        if "val" not in split.values() and "test" in split.values() and left == 2:
            name = "val"
        split[group] = "train" if left == 1 else name
        taken += counts[group]
    return split


def select_groups(clips: Iterable[tuple[str, str]], *, seed: int, val_share: float) -> set[str]:
    """Choose the groups that select, label by label, so that each label takes part in it.

    Of each label's groups, in the order of a seeded hash, those are taken that fit into `val_share`
    of its clips; where none fits, the smallest one. The only group of a label is left to training.
    A group of several labels counts as the one it has most of.

    Args:
        clips: (label, group) of every clip that is not for the test.
        seed: Of the order.
        val_share: Share of each label's clips, in (0, 1).
    """
    labels_in: dict[str, Counter[str]] = defaultdict(Counter)
    for label, group in clips:
        labels_in[group][label] += 1
    groups_of: dict[str, list[str]] = defaultdict(list)
    for group in sorted(labels_in, key=lambda group: _hash(f"{seed}:{group}")):
        counts = labels_in[group]
        groups_of[min(counts, key=lambda label: (-counts[label], label))].append(group)
    chosen: set[str] = set()
    for groups in groups_of.values():
        sizes = {group: labels_in[group].total() for group in groups}
        room, taken = val_share * sum(sizes.values()), []
        for group in groups:
            if sizes[group] <= room:
                room -= sizes[group]
                taken.append(group)
        if not taken and len(groups) > 1:
            taken = [min(groups, key=sizes.__getitem__)]
        chosen.update(taken)
    return chosen


def _hash(text: str) -> str:
    """SHA-1 of a name, even one that is not UTF-8."""
    return hashlib.sha1(text.encode("utf-8", "surrogateescape")).hexdigest()


def size_bytes(path: Path) -> int:
    """Bytes of a file; -1 for a broken link, which decoding will name."""
    try:
        return path.stat().st_size
    except OSError:
        return -1
