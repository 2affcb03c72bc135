"""A bound on the hits that listening keeps: the oldest go, and nothing that it did not write.

The folder is read once, at the beginning; from then on each hit costs the same, however many there
are.
"""

from __future__ import annotations

import json
import os
from collections import deque

FACTS = ("label", "score", "time_s", "scores", "sample_rate")  # in the JSON of every hit


class Quota:
    """Deletes the oldest hits of a folder once all of them take more than they may.

    A hit is a pair of regular files, NAME.wav and NAME.json, the JSON holding `FACTS`.

    Args:
        folder: Where hits are; those of earlier days count too.
        max_bytes: What they may take, > 0. The newest is kept in any case.
    """

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int) -> None:
        self.folder, self.max_bytes = os.fspath(folder), max_bytes
        self._told = False
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                name, ending = os.path.splitext(entry.name)
                if ending == ".wav" and self._is_hit(name):
                    found.append((entry.stat(follow_symlinks=False).st_mtime_ns, name))
        self._hits = deque((name, self._size(name)) for _, name in sorted(found))  # oldest first
        self._bytes = sum(size for _, size in self._hits)

    def add(self, name: str) -> str | None:
        """Count a hit that was just saved, and make room.

        Args:
            name: Of its files in the folder, without ending.

        Returns:
            A sentence, when a hit cannot be deleted for the first time.
        """
        size = self._size(name)
        self._hits.append((name, size))
        self._bytes += size
        said = None
        while self._bytes > self.max_bytes and len(self._hits) > 1:
            oldest, size = self._hits.popleft()
            self._bytes -= size
            if not self._is_hit(oldest):  # taken away or changed meanwhile
                continue
            try:
                for path in self._paths(oldest):
                    os.unlink(path)
            except OSError as error:
                said = (
                    f"{self.folder}: old hits cannot be deleted ({error.strerror}), "
                    f"so they take more than {self.max_bytes / 1e6:g} MB"
                )
        said, self._told = (None if self._told else said), self._told or said is not None
        return said

    def _paths(self, name: str) -> tuple[str, str]:
        place = os.path.join(self.folder, name)
        return f"{place}.wav", f"{place}.json"

    def _size(self, name: str) -> int:
        try:
            return sum(os.lstat(path).st_size for path in self._paths(name))
        except OSError:  # taken away meanwhile
            return 0

    def _is_hit(self, name: str) -> bool:
        paths = self._paths(name)
        if any(os.path.islink(path) or not os.path.isfile(path) for path in paths):
            return False
        try:
            with open(paths[1], encoding="utf-8") as file:  # pathlib would intern every name
                facts = json.load(file)
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(facts, dict) and all(key in facts for key in FACTS)
