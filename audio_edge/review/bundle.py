"""The zip that the Android app exports: unpacked into a folder, if it holds hits alone."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audio_edge.errors import UserError, first_line

MAX_FILES = 20_000
MAX_BYTES = 2 << 30  # of all files, unpacked
_NAME = re.compile(r"[\w-][\w .-]*\.(wav|json)")  # no folder, no way up, nothing hidden
_BLOCK = 1 << 20


@contextmanager
def unpacked(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Iterator[Path]:
    """Yield a folder with the files of a zip; it is gone when the block ends.

    What a header says of sizes is not believed: what comes out is counted.

    Args:
        path: The zip.
        max_bytes: Most that all files may take.

    Raises:
        UserError: It is damaged or too large, or holds something else than NAME.wav and NAME.json;
            or the block says what is wrong with a file.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                _extract(path, archive, Path(folder), max_bytes)
        except UserError:
            raise
        except Exception as error:  # of the zip, its names, a password, and four compressions
            told = getattr(error, "strerror", None) or first_line(error)  # without our own path
            raise UserError(f"{path}: cannot be unpacked ({told}); export it again") from error
        try:
            yield Path(folder)
        except UserError as error:
            raise _retold(error, folder, path) from error


def _retold(error: UserError, folder: str, path: str | os.PathLike[str]) -> UserError:
    """What is wrong with an unpacked file, told of the zip: nobody can mend the file itself."""
    said = str(error)
    if not said.startswith(folder):
        return error
    fault = said.removeprefix(folder).lstrip(os.sep + ": ").rpartition("; ")[0]
    return UserError(f"{path}: {fault}; export it again")


def _extract(
    path: str | os.PathLike[str], archive: zipfile.ZipFile, folder: Path, left: int
) -> None:
    names = archive.namelist()
    if len(names) > MAX_FILES or len(set(names)) < len(names):
        raise UserError(f"{path}: holds over {MAX_FILES} files, or a name twice; export it again")
    for name in names:
        if not _NAME.fullmatch(name):
            raise UserError(
                f"{path}: holds {name[:80]!r}, no WAV or JSON of a hit; export it again"
            )
        with archive.open(name) as source, (folder / name).open("xb") as target:
            while block := source.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    raise UserError(f"{path}: unpacks to too many bytes; export fewer hits")
                target.write(block)
