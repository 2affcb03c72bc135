"""The worker: a process that decodes, loads and runs what the service hands it, and may die.

`python -m audio_edge.serving.worker LIMITS` reads messages of `wire` from stdin and answers them in
order on stdout.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from audio_edge import audio
from audio_edge.errors import UserError, first_line
from audio_edge.serving import wire
from audio_edge.serving.answers import Ear, Model
from audio_edge.serving.limits import Limits

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

_IN_MEMORY = hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd")


class Worker:
    """Models and live streams of one process, and how it answers.

    Args:
        limits: Of recordings and memory.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._models: dict[str, Model] = {}
        self._ears: dict[int, Ear] = {}

    def answer(self, header: dict[str, Any], payload: bytes) -> tuple[int, Any]:
        """The HTTP status of a request and its answer, {"error": ...} for what is refused."""
        try:
            return 200, getattr(self, f"_{header['do']}")(header, payload)
        except audio.TooLong as error:
            return 413, {"error": str(error)}
        except UserError as error:
            return header.get("refusal", 422), {"error": str(error)}
        except MemoryError:
            return 413, {"error": "the recording takes too much memory; cut it"}
        except Exception as error:  # a codec's or a runtime's unforeseen failure
            return 500, {"error": f"{type(error).__name__}: {first_line(error)}"}

    def _load(self, header: dict[str, Any], payload: bytes) -> Any:
        with unlimited():
            model = Model(header["path"], header["name"], header["version"])
        self._models[model.name] = model
        return model.facts()

    def _limit(self, header: dict[str, Any], payload: bytes) -> None:
        limit_memory(self._limits.memory_bytes)

    def _recognize(self, header: dict[str, Any], payload: bytes) -> Any:
        limits = self._limits
        with in_a_file(payload) as path:
            try:
                return self._models[header["model"]].recognize(
                    path, header["output"],
                    max_s=limits.audio_s, max_samples=limits.decoded_bytes // 4,
                )  # fmt: skip
            except UserError as error:
                told = type(error)(str(error).replace(path, "the recording"))
                raise told from error

    def _predict(self, header: dict[str, Any], payload: bytes) -> Any:
        return self._models[header["model"]].predict(payload)

    def _open(self, header: dict[str, Any], payload: bytes) -> Any:
        model = self._models[header["model"]]
        self._ears[header["stream"]] = model.listen(header["format"])
        return model.facts()

    def _push(self, header: dict[str, Any], payload: bytes) -> Any:
        return self._ears[header["stream"]].push(payload)

    def _close(self, header: dict[str, Any], payload: bytes) -> None:
        self._ears.pop(header["stream"], None)


@contextlib.contextmanager
def in_a_file(content: bytes) -> Iterator[str]:
    """The path of a file with this content, in memory where the system can."""
    if _IN_MEMORY:
        handle = os.memfd_create("recording")
        try:
            with open(handle, "wb", closefd=False) as file:
                file.write(content)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        path.write_bytes(content)
        yield str(path)


def limit_memory(spare_bytes: int) -> None:
    """Let this process take so much address space on top of what it has."""
    statm = Path("/proc/self/statm")
    if resource and statm.is_file():
        taken = int(statm.read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = taken + spare_bytes
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


@contextlib.contextmanager
def unlimited() -> Iterator[None]:
    """Without the limit on memory, as long as a model is loaded."""
    if not resource:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def serve(limits: Limits, given: BinaryIO, made: BinaryIO) -> None:
    """Answer until the messages end."""
    worker = Worker(limits)
    while (message := wire.read(given)) is not None:
        status, answer = worker.answer(*message)
        content = json.dumps(answer, ensure_ascii=False, allow_nan=False).encode(errors="replace")
        head: dict[str, Any] = {"status": status}
        if isinstance(answer, dict) and "seconds" in answer:
            head.update(seconds=answer["seconds"], heard=len(answer.get("detections", ())))
        made.write(wire.pack(head, content))
        made.flush()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    serve(Limits(**json.loads(sys.argv[1])), sys.stdin.buffer, answers)
