"""A service for tests: in this process with real workers, or the real command on a free port."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
from fastapi.testclient import TestClient

from audio_edge.serving import app
from audio_edge.serving.limits import Limits
from tests.conftest import SAMPLE_RATE, tone

ROOT = Path(__file__).parents[1]
PRELUDE = """
import runpy, sys
for name in ("tensorflow", "tf_keras", "keras", "librosa", "scipy"):
    sys.modules[name] = None  # importing it fails
runpy.run_module("audio_edge.serving", run_name="__main__", alter_sys=True)
"""


def encoded(wave: np.ndarray, form: str = "WAV", rate: int = SAMPLE_RATE, **keys) -> bytes:
    """A recording as a file of some format."""
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=form, **keys)
    return file.getvalue()


CONTENT = encoded(np.concatenate([tone("silence", 0.3), tone("low", 0.15), tone("silence", 0.3)]))


def heard(answer) -> list[str]:
    """The words of an answer's detections."""
    return [item["label"] for item in answer.json()["detections"]]


def is_well(client) -> bool:
    """Whether the service hears the low tone in CONTENT."""
    return heard(client.post("/v1/recognize", content=CONTENT)) == ["low"]


@contextlib.contextmanager
def client(models: dict[str, str], *, workers: int = 1, **keys) -> Iterator[TestClient]:
    """A client of a started application; `limits` are given as keywords of `Limits`."""
    limits = Limits(**keys.pop("limits", {}))
    made = app.create(models, workers=workers, limits=limits, **keys)
    with TestClient(made, raise_server_exceptions=False) as found:
        yield found


class Command:
    """`python -m audio_edge.serving` on a free port, where TensorFlow cannot be imported."""

    def __init__(self, *arguments: str) -> None:
        self.lines: list[dict] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE, *arguments, "--port", "0"],
            stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._listening.wait(60), self.lines

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        return next(line["url"] for line in self.lines if line.get("event") == "listening")

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        return self._process.wait(60)

    def _read(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self.lines.append(json.loads(line))
            if self.lines[-1].get("event") == "listening":
                self._listening.set()
        self._process.stderr.close()
        self._listening.set()


def workers(test_client: TestClient) -> list[int]:
    """The process ids of an application's workers."""
    pool = test_client.app.state.pool
    return [worker.pid for worker in pool._workers if worker.alive]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def recording(*pieces: np.ndarray) -> bytes:
    """Sounds one after the other, as WAV."""
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(pieces), SAMPLE_RATE, format="WAV")
    return file.getvalue()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
