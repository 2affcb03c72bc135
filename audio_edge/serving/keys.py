"""Keys of the API: `python -m audio_edge.serving.keys NAME --keys FILE` makes and prints one.

FILE holds a line a key, its name and its SHA-256. A key has 256 random bits, so that its hash needs
neither salt nor many rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import os
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from audio_edge import files
from audio_edge.errors import UserError, command

_LINE = re.compile(r"([A-Za-z0-9_.-]{1,64}) ([0-9a-f]{64})")


def read(path: str | os.PathLike[str]) -> dict[str, str]:
    """Name -> SHA-256 of each key in a file; "#" begins a comment.

    Raises:
        UserError: The file cannot be read, holds no key, or a line is none.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        remedy = f"make one: python -m audio_edge.serving.keys NAME --keys {path}"
        raise UserError(f"{path}: cannot be read ({error}); {remedy}") from error
    found, bad = _sorted(lines)
    if bad:
        raise UserError(f"{path}: line {bad[0]} is no new name and SHA-256; mend or remove it")
    if not found:
        raise UserError(f"{path}: holds no key, so that nobody could ask; make one")
    return found


def _sorted(lines: Sequence[str]) -> tuple[dict[str, str], list[int]]:
    """The keys of a file, and the numbers of the lines that are none."""
    found: dict[str, str] = {}
    bad = []
    for number, line in enumerate(lines, 1):
        told = line.partition("#")[0].strip()
        match = _LINE.fullmatch(told)
        if match and match[1] not in found:
            found[match[1]] = match[2]
        elif told:
            bad.append(number)
    return found, bad


def owner(key: str, known: dict[str, str]) -> str | None:
    """The name of a key; None if it is unknown. Takes as long for every key."""
    digest = hashlib.sha256(key.encode(errors="replace")).hexdigest()
    found = None
    for name, held in known.items():
        if hmac.compare_digest(digest, held):
            found = name
    return found


def add(path: str | os.PathLike[str], name: str) -> str:
    """Make a key, put its hash into the file, and return it: nobody can tell it later.

    Raises:
        UserError: The name is taken or unfit, or the file cannot be written.
    """
    known = read(path) if os.path.exists(path) else {}
    if name in known:
        raise UserError(f"{path}: holds a key called {name}; remove its line or choose another")
    if not _LINE.fullmatch(f"{name} {64 * '0'}"):
        raise UserError(f"{name!r}: a name is made of letters, digits, '_', '.' and '-'")
    key = secrets.token_urlsafe(32)
    known_lines = Path(path).read_text(encoding="utf-8").splitlines() if known else []
    line = f"{name} {hashlib.sha256(key.encode()).hexdigest()}"
    files.write_bytes(path, "".join(f"{item}\n" for item in [*known_lines, line]).encode())
    return key


class Ring:
    """The keys of a file, read again when it changes.

    Args:
        path: The file.
        tell: Called with an event and its facts. If the file turns bad, or is gone, its good lines
            are the keys: who was removed from it is refused in any case.

    Attributes:
        known: Name -> SHA-256.
    """

    def __init__(self, path: str, tell: Callable[..., None]) -> None:
        self._path, self._tell = path, tell
        self._stamp, self.known = files.stamp(path), read(path)

    async def watch(self, pause_s: float) -> None:
        """Look for changes for ever."""
        while True:
            await asyncio.sleep(pause_s)
            self.look()

    def look(self) -> None:
        """Take up the file if it has changed."""
        stamp = files.stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.known = read(self._path)
        except UserError as error:
            self.known = self._left()
            self._tell("keys_failed", error=str(error), keys=list(self.known))
        else:
            self._tell("keys_reloaded", keys=list(self.known))

    def _left(self) -> dict[str, str]:
        try:
            content = Path(self._path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return {}
        return _sorted(content.splitlines())[0]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Make a key of the API and print it."""
    parser = argparse.ArgumentParser(
        prog="python -m audio_edge.serving.keys", description=main.__doc__
    )
    parser.add_argument("name", metavar="NAME", help="whose key it is, for the logs")
    parser.add_argument("--keys", metavar="FILE", required=True, help="the file of hashes")
    args = parser.parse_args(argv)
    print(add(args.keys, args.name))
    print(f"wrote {args.keys}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
