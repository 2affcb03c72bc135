"""The models that are served: which files, which versions, and what becomes of a replaced file.

Workers load copies that only the service writes: one that is started later must not meet a file
that nobody has checked.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_edge import files, registry
from audio_edge.card import read_model, split
from audio_edge.errors import UserError
from audio_edge.serving.pool import Held, Pool

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass
class Served:
    """A model's file, and what is served of it now."""

    path: str
    stamp: tuple[int, ...]
    digest: str
    facts: dict[str, Any]
    failure: str = ""  # of the last look, told already


class Shelf:
    """All models of a service.

    Args:
        models: Name -> file, as `named` gives them.
        pool: The workers that load them.
        folder: Of the copies; nobody else may write there.
        tell: Called with an event and its facts, to be counted and logged.

    Attributes:
        served: Name -> what is served of it.
    """

    def __init__(
        self, models: dict[str, str], pool: Pool, folder: Path, tell: Callable[..., None]
    ) -> None:
        self._paths, self._pool, self._folder, self._tell = models, pool, folder, tell
        self.served: dict[str, Served] = {}
        self._versions = dict.fromkeys(models, 0)

    async def open(self) -> None:
        """Check every file and hand it to the pool, before its workers start.

        Raises:
            UserError: A file cannot be served, or there is no space for its copy.
        """
        for name, path in self._paths.items():
            stamp = files.stamp(path)
            try:
                self.served[name] = await self._take(name, stamp, read_model(path))
            except OSError as error:
                raise UserError(str(error)) from error

    async def watch(self, pause_s: float) -> None:
        """Look for replaced files for ever; a failure is told once, and the old one goes on."""
        while True:
            await asyncio.sleep(pause_s)
            for name in self._paths:
                await self.look(name)

    async def look(self, name: str) -> None:
        """Take up a file if it has changed and is sound."""
        served = self.served[name]
        try:
            stamp = files.stamp(served.path)
            if stamp == served.stamp:
                return
            served.stamp = stamp
            content = read_model(served.path)
            if files.sha256(content) == served.digest:
                return
            self.served[name] = await self._take(name, stamp, content)
        except (UserError, OSError) as error:
            if not isinstance(error, UserError):  # no space for the copy, or no process: try again
                served.stamp = ()
            if str(error) != served.failure:
                kept = served.facts["version"]
                self._tell("reload_failed", model=name, error=str(error), kept=kept)
            served.failure = str(error)
            return
        self._tell("reloaded", model=name, version=self._versions[name])

    async def _take(self, name: str, stamp: tuple[int, ...], content: bytes) -> Served:
        path, version = self._paths[name], self._versions[name] + 1
        copy = self._folder / f"{name}.{version}.tflite"
        try:
            try:
                copy.write_bytes(content)
            except OSError as error:
                reason = f"cannot be copied to {self._folder} ({error.strerror})"
                raise OSError(f"{path}: {reason}; free space there") from error
            held = Held(name, version, str(copy))
            answer = await self._pool.check(held)
            facts = json.loads(answer.content)
            if answer.status != 200:
                reason = str(facts["error"]).removeprefix(f"{copy}: ")
                raise UserError(f"{path}: {reason}")
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
        await self._pool.switch(held)
        self._versions[name] = version
        (self._folder / f"{name}.{version - 1}.tflite").unlink(missing_ok=True)
        digest = files.sha256(content)
        return Served(path, stamp, digest, {**facts, "sha256": digest})


def named(models: Sequence[str]) -> dict[str, str]:
    """Name -> file, of arguments PATH or NAME=PATH; else the name is the card's, or the file's.

    The folder of a model in a registry stands for its current file, and for its own name.

    Raises:
        UserError: A file cannot be read, or a name is missing, unfit or taken.
    """
    found: dict[str, str] = {}
    for given in models:
        name: str | None
        name, equals, path = given.partition("=")
        if not equals or os.path.exists(given):
            name, path = None, given
        if os.path.isdir(path):
            name, path = name or Path(path).resolve().name, _current(path)
        elif name is None:
            _, card = split(read_model(path), source=path)
            name = card.name if card else Path(path).stem
        if not _NAME.fullmatch(name) or not name.strip("."):
            raise UserError(f"{path}: {name!r} is no name for a URL; give NAME={path}")
        if name in found:
            raise UserError(f"{path}: {found[name]} is called {name!r} too; give NAME={path}")
        found[name] = path
    if not found:
        raise UserError("no model given; usage: python -m audio_edge.serving MODEL...")
    return found


def _current(folder: str) -> str:
    """The path that follows what is promoted in a registry."""
    path = os.path.join(folder, registry.CURRENT, registry.MODEL)
    if not os.path.exists(path):
        raise UserError(f"{folder}: a folder without a current version; promote one or give a file")
    return path
