"""Speaking words offline by eSpeak NG (GPL-3) and SVOX Pico (Apache-2.0).

The engines run in a process of their own, `engines`: one that crashes or hangs costs a word, never
the caller.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge.datasets.voices import VARIANTS, Voice
from audio_edge.errors import UserError

# engine -> module, distribution
ENGINES = {"espeak": ("espeakng_loader", "espeakng-loader"), "pico": ("py_nanotts", "py-nanotts")}

_SPEAKABLE = re.compile(r"[A-Za-z0-9\u00c0-\u024f' -]{1,200}")
_TRIM_DB = -45.0
_MARGIN_S = 0.01


def versions() -> dict[str, str]:
    """Versions of the two engines' packages.

    Raises:
        UserError: One is not installed.
    """
    found = {}
    for engine, (module, distribution) in ENGINES.items():
        if importlib.util.find_spec(module) is None:
            raise UserError(
                f"the {engine} voices need the package {distribution}; pip install "
                "audio_edge[synthetic] (the engine of espeak is GPL-3, Pico Apache-2.0)"
            )
        try:
            found[distribution] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            found[distribution] = "unknown"
    return found


def check_speakable(text: str) -> None:
    """Raise a `UserError` unless `text` is a word or phrase in Latin letters or digits."""
    if not _SPEAKABLE.fullmatch(text) or not any(character.isalnum() for character in text):
        raise UserError(
            f"cannot speak {text!r}; give a word or phrase of Latin letters, digits, spaces, "
            "apostrophes and hyphens, 200 at most"
        )


class Speaker:
    """An engine process, started on demand and anew after each death; one thread at a time.

    Args:
        timeout_s: Seconds after which the process is killed and the word given up.
    """

    def __init__(self, *, timeout_s: float = 20.0):
        self.timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Speaker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def speak(
        self, text: str, who: Voice, *, pitch: float = 1.0, rate: float = 1.0
    ) -> tuple[np.ndarray, int]:
        """Speak a word or phrase.

        Args:
            text: Latin letters, digits, spaces, apostrophes and hyphens.
            who: The voice.
            pitch: Factor on the voice's own pitch, 0.5 to 2.
            rate: Factor on its speed, 0.4 to 3.

        Returns:
            (waveform float32 [samples] in [-1, 1] without the silence before and after, sample
            rate in Hz: 22050 of espeak, 16000 of Pico). On one machine the same call gives the same
            samples.

        Raises:
            UserError: A package is missing, the text cannot be spoken, or the engine crashed or
                hung.
        """
        for name, value, low, high in (("pitch", pitch, 0.5, 2.0), ("rate", rate, 0.4, 3.0)):
            if not low <= value <= high:
                raise ValueError(f"{name} must be in [{low:g}, {high:g}]. Received: {name}={value}")
        check_speakable(text)
        answer, content = self._ask(text, who, pitch=pitch, rate=rate)
        rate_hz = answer["sample_rate"]
        waveform = np.frombuffer(content, "<i2").astype(np.float32) / 32768
        waveform = trimmed(waveform, rate_hz)
        if not waveform.size:
            raise UserError(f"voice {who.name} says nothing for {text!r}; choose another spelling")
        return waveform, rate_hz

    def phonemes(self, text: str, accent: str = "en-US") -> str:
        """The phonemes, by espeak, of `text` without stress: equal for words that sound alike.

        Args:
            text: As in `speak`.
            accent: One of `ACCENTS`.
        """
        check_speakable(text)
        answer, _ = self._ask(text, Voice("espeak", accent, VARIANTS[0]), phonemes=True)
        return re.sub(r"[',%=_|\s]", "", answer["phonemes"])

    def _ask(self, text: str, who: Voice, **settings: Any) -> tuple[dict[str, Any], bytes]:
        process = self._process or self._start()
        name = f"gmw/{who.accent}+{who.variant}" if who.engine == "espeak" else who.accent
        request = {"engine": who.engine, "name": name, "text": text, **settings}
        timer = threading.Timer(self.timeout_s, process.kill)
        timer.daemon = True
        timer.start()
        try:
            assert process.stdin and process.stdout  # both are pipes
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            content = process.stdout.read(answer["bytes"])
            if len(content) != answer["bytes"]:
                raise EOFError
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise UserError(
                f"voice {who.name} crashed or took over {self.timeout_s:g} s on {text!r}; "
                "choose another spelling or voice"
            ) from error
        except BaseException:
            self.close()  # interrupted before the answer: it would be taken for the next one
            raise
        finally:
            timer.cancel()
        if "error" in answer:
            raise UserError(
                f"voice {who.name} cannot speak {text!r} ({answer['error']}); "
                "choose another spelling or voice"
            )
        return answer, content

    def _start(self) -> subprocess.Popen[bytes]:
        versions()
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "audio_edge.datasets.engines"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        return self._process

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # a dead reader's unflushed request
                    if pipe:
                        pipe.close()


def speak(
    text: str, who: Voice, *, pitch: float = 1.0, rate: float = 1.0
) -> tuple[np.ndarray, int]:
    """Speak one word or phrase as `Speaker.speak` does; for many keep a `Speaker`."""
    with Speaker() as speaker:
        return speaker.speak(text, who, pitch=pitch, rate=rate)


def trimmed(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Cut the silence on either side: what lies 45 dB below the loudest 10 ms, but for 5 ms."""
    window = max(1, round(_MARGIN_S * sample_rate))
    if not np.any(waveform):
        return waveform[:0]
    power = np.convolve(np.square(waveform, dtype=np.float64), np.full(window, 1 / window), "same")
    loud = np.flatnonzero(power > power.max() * 10 ** (_TRIM_DB / 10))
    return waveform[max(0, loud[0] - window // 2) : loud[-1] + window // 2 + 1]
