"""Data sets with official folds: a table names the clips, one fold judges, the others teach.

Clips cut from one original recording are a group and stay together. The table and the names of the
files are all that is read: no recording is opened here.
"""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from audio_edge.config import FOLDS, DataConfig
from audio_edge.datasets.index import Clip, Index, labels_of, select_groups
from audio_edge.errors import UserError

_LOG = logging.getLogger("audio_edge")


class Entry(NamedTuple):
    """A clip of the table: file, class, official fold, and the recording it was cut from."""

    path: Path
    label: str
    fold: int
    group: str


@dataclass(frozen=True)
class Row:
    """A line of the table, which knows its place for messages."""

    table: Path
    line: int
    values: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values[column]

    def require(self, condition: bool, column: str, rule: str) -> None:
        """Raise unless the condition on a column holds."""
        if not condition:
            raise UserError(
                f"{self.table}, line {self.line}: {column} must be {rule}; correct it. "
                f"Received: {self[column]!r}"
            )

    def file(self, column: str) -> str:
        """The plain name of a file."""
        name = self[column]
        plain = bool(name) and name not in (".", "..") and not set(name) & set("/\\\0")
        self.require(plain, column, "the plain name of a file")
        return name

    def text(self, column: str) -> str:
        """A text that is not empty."""
        self.require(bool(self[column]), column, "filled")
        return self[column]

    def fold(self, kind: str) -> int:
        """The official fold, from 1 on."""
        known = [str(number) for number in range(1, FOLDS[kind] + 1)]
        self.require(self["fold"] in known, "fold", f"1 to {len(known)}")
        return int(self["fold"])


def read(table: Path, *columns: str) -> list[Row]:
    """The lines of a CSV file that has these columns.

    Raises:
        UserError: It is missing or no CSV file, or lacks a column.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for column in columns:
                if column not in (reader.fieldnames or ()):
                    wanted = ", ".join(columns)
                    raise UserError(
                        f"{table}: has no column '{column}'; its first line must name {wanted}"
                    )
            return [
                Row(table, reader.line_num, {name: (line[name] or "").strip() for name in columns})
                for line in reader
            ]
    except OSError as error:
        raise UserError(
            f"{table}: cannot be read ({error.strerror}); "
            "set data.root to the folder of the data set, which holds this table"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: not a CSV file in UTF-8 ({error}); fetch it again") from error


def index(table: Path, data: DataConfig, entries: Sequence[Entry], *, seed: int) -> Index:
    """The index of `data.root` whose test split is the official fold `data.fold`.

    A recording that also was cut into the test fold takes no part in learning.

    Args:
        table: Where the entries come from, for messages.
        data: Of it count root, kind, words, unknown, silence, fold and val_share.
        entries: All clips.
        seed: Of the choice of the selection split.

    Raises:
        UserError: A file is listed twice, an official fold has no clip, or the labels do not fit.
    """
    names = Counter(entry.path for entry in entries)
    twice = [path for path, count in names.items() if count > 1]
    if twice:
        raise UserError(f"{table}: lists {twice[0].name} twice; remove one of the lines")
    labels, classes = labels_of(data, sorted({entry.label for entry in entries}))
    known = [entry for entry in entries if entry.label in classes]
    kept = [(entry._replace(label=classes[entry.label]), entry.label) for entry in known]
    filled = {entry.fold for entry, _ in kept}
    empty = [fold for fold in range(1, FOLDS[data.kind] + 1) if fold not in filled]
    if empty:
        raise UserError(
            f"{table}: fold {empty[0]} holds no clip of {', '.join(classes)}; "
            "complete the table or choose other data.words"
        )
    tested = {entry.group for entry, _ in kept if entry.fold == data.fold}
    learning = [entry for entry, _ in kept if entry.fold != data.fold]
    leaks = sum(entry.group in tested for entry in learning)
    if leaks:
        _LOG.warning(
            "%d clips left out: cut from recordings that fold %d judges by", leaks, data.fold
        )
    pairs = [(entry.label, entry.group) for entry in learning if entry.group not in tested]
    selecting = select_groups(pairs, seed=seed, val_share=data.val_share)
    clips = []
    for entry, word in kept:
        split = "val" if entry.group in selecting else "train"
        if entry.group in tested:
            split = "test"
        if split != "test" or entry.fold == data.fold:
            clips.append(Clip(entry.path, entry.label, entry.group, split, word))
    return Index(Path(data.root), labels, tuple(clips), (), data.unknown_apart)
