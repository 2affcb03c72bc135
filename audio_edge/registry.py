"""A registry of models on disk: versions that never change, and `current`, which names one of them.

REGISTRY/NAME/2 holds model.tflite, its card as model.json, and version.json: hashes of both files,
and the lineage. REGISTRY/NAME/current is a link to the folder of a version, so that
REGISTRY/NAME/current/model.tflite is always what is deployed. Folder and link are made under
another name and renamed: whoever reads meets the old one or the new one, and nothing between.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_edge import files
from audio_edge.card import Card, read_model, split
from audio_edge.errors import UserError

MODEL, CARD, RECORD = "model.tflite", "model.json", "version.json"
CURRENT = "current"
_PROMOTED = "promoted.json"  # numbers, the newest last: the way back
_DRAFT = ".draft-"


@dataclass(frozen=True)
class Version:
    """One version of a model, found to be as it was written.

    Attributes:
        name: Of the model.
        number: From 1 on.
        folder: Where it lies.
        sha256: Of the `.tflite` file.
        lineage: Where it comes from, any JSON: hashes of the data, config, parent, metrics.
        added: When, as the caller said.
    """

    name: str
    number: int
    folder: Path
    sha256: str
    lineage: dict[str, Any]
    added: str

    @property
    def model(self) -> Path:
        """The `.tflite` file."""
        return self.folder / MODEL


def add(
    root: str | os.PathLike[str], name: str, model: str | os.PathLike[str], *,
    lineage: Mapping[str, Any], added: str,
) -> Version:  # fmt: skip
    """Copy a model into a new version; `current` stays as it is.

    Args:
        root: The registry, made if need be.
        name: Of the model: letters, digits, "_", "-" and ".".
        model: A `.tflite` file with a card.
        lineage: See `Version`.
        added: Date and time.

    Raises:
        UserError: The file is damaged or has no card, the name is no name, the disk refuses.
    """
    content = read_model(model)
    _, card = split(content, source=model)
    if card is None:
        raise UserError(f"{model}: carries no model card; it was not exported by audio_edge")
    with _writing(_place(root, name)) as place:
        number = max(_numbers(place), default=0) + 1
        draft = place / f"{_DRAFT}{number}"
        draft.mkdir()
        told = json.dumps(card.to_dict(), indent=2, ensure_ascii=False) + "\n"
        contents = {MODEL: content, CARD: told.encode(errors="backslashreplace")}
        record: dict[str, Any] = {
            "name": name, "version": number, "added": added, "lineage": dict(lineage),
            "files": {file: files.sha256(written) for file, written in contents.items()},
        }  # fmt: skip
        record = json.loads(json.dumps(record))
        record["sha256"] = files.fingerprint(record)
        contents[RECORD] = (json.dumps(record, indent=2) + "\n").encode()
        for file, written in contents.items():
            _keep(draft / file, written)
        os.rename(draft, place / str(number))
        _flush(place)
    return find(root, name, number)


def names(root: str | os.PathLike[str]) -> list[str]:
    """The models that have a version.

    Raises:
        UserError: There is no such registry.
    """
    place = Path(root)
    if not place.is_dir():
        raise UserError(f"{root}: no such registry; python -m training.registry ROOT add makes one")
    return sorted(each.name for each in place.iterdir() if each.is_dir() and _numbers(each))


def numbers(root: str | os.PathLike[str], name: str) -> list[int]:
    """The versions of a model, the oldest first; none if it is not known."""
    return _numbers(_place(root, name))


def current(root: str | os.PathLike[str], name: str) -> int | None:
    """The version that is deployed; None if none was promoted yet."""
    return _current(_place(root, name))


def find(root: str | os.PathLike[str], name: str, number: int | None = None) -> Version:
    """A version, by default the current one, with every file held against its hash.

    Raises:
        UserError: There is none, or a file was changed.
    """
    place = _place(root, name)
    if number is None:
        number = _current(place)
        if number is None:
            raise UserError(f"{place}: no version is current; promote one first")
    folder = place / str(number)
    if not folder.is_dir():
        known = ", ".join(map(str, _numbers(place))) or "none"
        raise UserError(f"{place}: has no version {number}; there are: {known}")
    changed = "was changed since it was added; promote another version, or add it anew"
    record = files.read_json(folder / RECORD, dict)
    whole = {"files": dict, "lineage": dict, "added": str}
    if (
        record.pop("sha256", None) != files.fingerprint(record)
        or not all(isinstance(record.get(key), kind) for key, kind in whole.items())
        or not record["files"].keys() >= {MODEL, CARD}
    ):
        raise UserError(f"{folder / RECORD}: {changed}")
    for file, digest in record["files"].items():
        if files.sha256(read_model(folder / file)) != digest:
            raise UserError(f"{folder / file}: {changed}")
    return Version(name, number, folder, record["files"][MODEL], record["lineage"], record["added"])


def card(version: Version) -> Card:
    """The card of a version."""
    return Card.from_dict(files.read_json(version.folder / CARD, dict))


def promote(root: str | os.PathLike[str], name: str, number: int) -> Version:
    """Make a version current.

    Raises:
        UserError: There is none, or a file of it was changed.
    """
    version = find(root, name, number)
    with _writing(_place(root, name)) as place:
        before = _current(place)
        if before != number:
            # written first: a way back that was never gone does no harm, see `rollback`
            way = _way(place, before)
            files.write_json(place / _PROMOTED, [*way, number])
            _switch(place, number)
    return version


def rollback(root: str | os.PathLike[str], name: str) -> Version:
    """Make the version current that was so before this one was promoted.

    Raises:
        UserError: There is none, or a file of it was changed.
    """
    with _writing(_place(root, name)) as place:
        way = _way(place, _current(place))
        if len(way) < 2:
            raise UserError(f"{place}: nothing was current before; promote the version you want")
        version = find(root, name, way[-2])
        _switch(place, version.number)
        files.write_json(place / _PROMOTED, way[:-1])
    return version


def _way(place: Path, number: int | None) -> list[int]:
    """What was promoted, up to the version that is current: what lies beyond never came to be."""
    if number is None:
        return []
    where = place / _PROMOTED
    way = files.read_json(where, list) if where.exists() else []
    while way and way[-1] != number:
        way.pop()
    return way or [number]


def _place(root: str | os.PathLike[str], name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII):
        raise UserError(
            f"{name!r} is no name of a model; use letters, digits, '_', '-' and '.', "
            "beginning with a letter or digit"
        )
    return Path(root) / name


def _numbers(place: Path) -> list[int]:
    if not place.is_dir():
        return []
    return sorted(
        int(each.name) for each in place.iterdir() if re.fullmatch("[1-9][0-9]*", each.name)
    )


def _current(place: Path) -> int | None:
    try:
        return int(os.readlink(place / CURRENT))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{place / CURRENT}: is no link to a version; delete it and promote one"
        ) from error


def _switch(place: Path, number: int) -> None:
    draft = place / f"{_DRAFT}{CURRENT}"
    os.symlink(str(number), draft)
    os.replace(draft, place / CURRENT)
    _flush(place)


@contextmanager
def _writing(place: Path) -> Iterator[Path]:
    """One writer at a time; what one left that was killed is removed."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with (place / ".lock").open("w") as handle:
            with suppress(ImportError):  # not on Windows
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX)
            for left in place.glob(f"{_DRAFT}*"):
                if left.is_symlink():
                    left.unlink()
                else:
                    shutil.rmtree(left)
            yield place
    except OSError as error:
        raise UserError(
            f"{place}: cannot be written ({error.strerror}); free space or choose another place"
        ) from error


def _keep(path: Path, content: bytes) -> None:
    """Write a file of a version, read-only, and onto the disk itself."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o444)


def _flush(folder: Path) -> None:
    """Bring a folder's names onto the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
