"""Files: written whole or not at all, hashed, and zipped to the same bytes every time.

A file is written to a temporary name beside the target, then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from audio_edge.errors import UserError, first_line


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` only if the block ends well.

    Raises:
        UserError: The system refuses: no permission, no space left, a folder in its place.
    """
    with drafting(os.fspath(path)) as name:
        yield Path(name)


@contextmanager
def drafting(path: str) -> Iterator[str]:
    """`replacing` by names alone, for what writes for days.

    pathlib keeps the parts of every name in a table, which grows with what comes and goes.

    Raises:
        UserError: As `replacing`.
    """
    folder, suffix = os.path.dirname(path) or ".", os.path.splitext(path)[1]
    try:
        os.makedirs(folder, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=suffix)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); choose another place"
        ) from error
    os.close(handle)
    try:
        yield name
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise UserError(
            f"{path}: cannot be written ({reason}); free space or choose another place"
        ) from error
    finally:
        with suppress(OSError):
            os.unlink(name)


def require_free(
    outputs: Sequence[str | os.PathLike[str] | None], *,
    inputs: Sequence[str | os.PathLike[str] | None] = (), force: bool,
) -> None:  # fmt: skip
    """Stop before the work unless every output may be written.

    Args:
        outputs: What a command will write; None is nothing.
        inputs: What it reads, never to be written over.
        force: Existing outputs may be.

    Raises:
        UserError: An output is an input or another output, or it exists.
    """
    taken = {os.path.realpath(path) for path in inputs if path is not None}
    for path in (path for path in outputs if path is not None):
        if os.path.realpath(path) in taken:
            raise UserError(f"{path}: would overwrite what is read or written too; name another")
        if os.path.exists(path) and not force:
            raise UserError(f"{path}: exists; give --force to overwrite it")
        taken.add(os.path.realpath(path))


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented UTF-8 JSON to `path` atomically; NaN is an error."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode(errors="backslashreplace"))  # a name that is not UTF-8


def read_json(path: str | os.PathLike[str], kind: type = object) -> Any:
    """Read a JSON file that a command has written.

    Args:
        path: The file.
        kind: What its outermost value must be: `dict`, `list` or `str`.

    Raises:
        UserError: It is missing or damaged, or holds something else.
    """
    remedy = "delete it and run the command that made it again"
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); {remedy}") from error
    if not isinstance(value, kind):
        raise UserError(f"{path}: damaged, it holds no {kind.__name__}; {remedy}")
    return value


def stamp(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """What changes when a file is replaced or written to; () where there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return ()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form (sorted keys, no spaces)."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def stored_zip(contents: Mapping[str, bytes], *, offset: int) -> bytes:
    """A zip of uncompressed files of 1980-01-01, to stand `offset` bytes into another file.

    Written field by field (PKWARE APPNOTE 6.3.3, sections 4.3.7, 4.3.12, 4.3.16), because the bytes
    that `zipfile` writes may differ between versions of Python, and ours are compared.
    """
    flags = stored = disk = comment = extra = internal = 0
    version, unix, mode = 20, 3 << 8, 0o100644 << 16  # version 2.0; a regular file, rw-r--r--
    time, date = 0, 1 << 5 | 1  # midnight; years since 1980 << 9 | month << 5 | day
    local, central = b"", b""
    for name, content in sorted(contents.items()):
        path, size = name.encode(), len(content)
        sizes = (zlib.crc32(content), size, size, len(path), extra)
        common = struct.pack("<HHHHHIIIHH", version, flags, stored, time, date, *sizes)
        place = (comment, disk, internal, mode, offset + len(local))
        central += b"PK\x01\x02" + struct.pack("<H", unix | version) + common
        central += struct.pack("<HHHII", *place) + path
        local += b"PK\x03\x04" + common + path + content
    count, start = len(contents), offset + len(local)
    end = struct.pack("<HHHHIIH", disk, disk, count, count, len(central), start, comment)
    return local + central + b"PK\x05\x06" + end
