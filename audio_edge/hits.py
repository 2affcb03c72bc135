"""What follows a detection: a command of the user's, and the sound saved beside its scores."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from audio_edge import audio, files
from audio_edge.detector import Detection
from audio_edge.errors import UserError
from audio_edge.hit_quota import Quota

MAX_MB = 500.0  # some five thousand hits of 3 s at 16 kHz
AT_ONCE = 4  # commands that may run beside each other
CLOSE_S = 1.0


class Hits:
    """Saves the last seconds before each detection as WAV, and beside it what was heard as JSON.

    A disk that refuses does not stop the listening: it is said once, and again when saving works.

    Args:
        folder: Where they go, made if need be.
        facts: Of the model; they go into every JSON file.
        max_mb: Millions of bytes that all hits in the folder may take; beyond, the oldest go.

    Attributes:
        saved, missed: Counts.

    Raises:
        UserError: The folder cannot be made or read.
    """

    def __init__(
        self, folder: str | os.PathLike[str], facts: Mapping[str, Any], *, max_mb: float = MAX_MB
    ) -> None:
        self.folder, self.facts = os.fspath(folder), dict(facts)
        self.saved = self.missed = 0
        self._works = True
        try:
            os.makedirs(self.folder, exist_ok=True)
            self._quota = Quota(self.folder, round(1e6 * max_mb))
        except OSError as error:
            raise UserError(
                f"{folder}: cannot be made or read ({error.strerror}); choose another place"
            ) from error

    def save(
        self, heard: Detection, samples: np.ndarray, sample_rate: int,
        scores: Mapping[str, float], stamp: str,
    ) -> str | None:  # fmt: skip
        """Save one.

        Args:
            heard: The detection.
            samples: float32 in [-1, 1] or int16, [n], the sound before it.
            sample_rate: Hz.
            scores: Of all labels.
            stamp: Date and time, the beginning of the names.

        Returns:
            A sentence, if saving has just begun to fail or to work again, or old hits stay.
        """
        stem = self._free(f"{stamp}_{heard.label}")
        sound, facts = f"{stem}.wav", f"{stem}.json"
        told = {
            "label": heard.label, "score": heard.score, "time_s": heard.time_s,
            "scores": dict(scores), "sample_rate": sample_rate, **self.facts,
        }  # fmt: skip
        try:
            with files.drafting(sound) as draft:
                audio.write(draft, samples, sample_rate)
            with files.drafting(facts) as draft, open(draft, "w", encoding="utf-8") as file:
                file.write(json.dumps(told, indent=2) + "\n")
        except UserError as error:
            with suppress(OSError):  # no sound without its facts
                os.unlink(sound)
            self.missed += 1
            said = None if not self._works else f"{error}; listening goes on"
            self._works = False
            return said
        said = None if self._works else f"{self.folder}: hits are saved again"
        self.saved, self._works = self.saved + 1, True
        return self._quota.add(os.path.basename(stem)) or said

    def _free(self, stem: str) -> str:
        """A place without ending that is not taken, whatever the clock says."""
        stem = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in stem)
        place, number = os.path.join(self.folder, stem), 1
        while os.path.exists(f"{place}.wav"):
            number += 1
            place = os.path.join(self.folder, f"{stem}_{number}")
        return place


class Command:
    """Starts a program at each detection, and does not wait for it.

    It finds AUDIO_EDGE_LABEL, AUDIO_EDGE_SCORE and AUDIO_EDGE_TIME_S in its environment.

    Args:
        line: Program and arguments, quoted as in a shell, which is not asked.

    Attributes:
        skipped: Detections at which `AT_ONCE` were still running.

    Raises:
        UserError: There is no such program.
    """

    def __init__(self, line: str) -> None:
        try:
            self.words = shlex.split(line)
        except ValueError as error:
            raise UserError(f"--on-detect {line!r}: {error}; close what you quote") from error
        if not self.words or shutil.which(self.words[0]) is None:
            raise UserError(f"--on-detect {line!r}: no such program; give one on the path")
        self.skipped = 0
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, heard: Detection) -> None:
        """Start it, unless too many are running."""
        self._running = [one for one in self._running if one.poll() is None]
        if len(self._running) >= AT_ONCE:
            self.skipped += 1
            return
        told = {
            "LABEL": heard.label,
            "SCORE": f"{heard.score:.4f}",
            "TIME_S": f"{heard.time_s:.3f}",
        }
        environment = {**os.environ, **{f"AUDIO_EDGE_{key}": value for key, value in told.items()}}
        try:
            # to stderr: on stdout there may be JSON
            one = subprocess.Popen(self.words, env=environment, stdin=subprocess.DEVNULL, stdout=2)
        except OSError:  # gone since, or no process to be had
            self.skipped += 1
            return
        self._running.append(one)

    def close(self) -> None:
        """Give those that still run `CLOSE_S` to end; longer ones go on by themselves."""
        for one in self._running:
            with suppress(subprocess.TimeoutExpired):
                one.wait(CLOSE_S)
