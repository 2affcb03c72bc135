"""The manifest of prepared recordings: what each of them was, and where its samples lie.

A folder of shards holds `shards.json`, which says how it was made, `manifest.csv` with a line for
every recording of the tree, the tables of the data set, and the shards: TFRecord files of which
each record is the samples of one recording, mono, int16, little-endian.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from audio_edge import files
from audio_edge.errors import UserError

HEADER, TABLE = "shards.json", "manifest.csv"
FORMAT = 1


class Record(NamedTuple):
    """A recording: what the tree says of it, and where it lies.

    `fold` is 0 where there are none. `offset` is that of its first sample in `shard`, in bytes,
    and `crc32` of the samples. `shard` is empty for a recording that is bad.
    """

    label: str
    group: str
    fold: int
    size_bytes: int
    shard: str
    offset: int
    samples: int
    crc32: int


@dataclass(frozen=True)
class Manifest:
    """All recordings in the order of the tree, under the paths they would have below `root`.

    `bad` tells why some could not be decoded.
    """

    root: Path
    sample_rate: int
    records: Mapping[Path, Record]
    bad: Mapping[Path, str]


def write(root: Path, header: Mapping[str, Any], records: Mapping[str, Record]) -> None:
    """Write the manifest, and last of all the header, which makes the folder a prepared one.

    Args:
        root: The folder of the shards.
        header: `sample_rate`, `bad` (path -> reason), and what else is worth knowing.
        records: Path relative to the tree -> record.
    """
    with (
        files.replacing(root / TABLE) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", *Record._fields])
        writer.writerows((path, *record) for path, record in records.items())
    files.write_json(root / HEADER, {"format": FORMAT, **header})


def header(root: Path) -> dict[str, Any] | None:
    """What `shards.json` says; None if the folder holds no shards."""
    where = root / HEADER
    if not where.is_file():
        return None
    found = files.read_json(where, dict)
    if found.get("format") != FORMAT:
        raise UserError(
            f"{where}: its format must be {FORMAT}; prepare the recordings again. "
            f"Received: {found.get('format')!r}"
        )
    return found


def find(root: Path) -> Manifest | None:
    """The manifest of a folder of shards; None if it is none.

    Raises:
        UserError: The manifest is damaged.
    """
    found = header(root)
    if found is None:
        return None
    where, kinds = root / TABLE, [str, str, int, int, str, int, int, int]
    records = {}
    try:
        with where.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.reader(file)
            if next(reader) != ["path", *Record._fields]:
                raise ValueError("its first line does not name the columns")
            for path, *values in reader:
                fields = [kind(value) for kind, value in zip(kinds, values, strict=True)]
                records[root / path] = Record(*fields)
        rate, bad = (
            int(found["sample_rate"]),
            {root / path: why for path, why in found["bad"].items()},
        )
        if {path for path, record in records.items() if not record.shard} != set(bad):
            raise ValueError(f"its bad recordings are not those of {HEADER}")
    except (OSError, ValueError, LookupError, AttributeError, TypeError, csv.Error) as error:
        raise UserError(f"{where}: damaged ({error}); prepare the recordings again") from error
    return Manifest(root, rate, records, bad)
