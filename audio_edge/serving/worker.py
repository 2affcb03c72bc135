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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from audio_edge import audio
from audio_edge.errors import UserError, first_line
from audio_edge.serving import wire
from audio_edge.serving.answers import Model
from audio_edge.serving.chosen import Chosen
from audio_edge.serving.ear import Ear
from audio_edge.serving.limits import Limits

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

_IN_MEMORY = hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd")


class Reply(NamedTuple):
    """An answer, and the clips that come along for the review queue."""

    value: Any = None
    clips: Sequence[Chosen] = ()


class Worker:
    """Models and live streams of one process, and how it answers.

    Args:
        limits: Of recordings and memory.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._models: dict[str, Model] = {}
        self._ears: dict[int, Ear] = {}

    def answer(self, header: dict[str, Any], payload: bytes) -> tuple[int, Reply]:
        """The HTTP status of a request and its answer, {"error": ...} for what is refused."""
        try:
            return 200, getattr(self, f"_{header['do']}")(header, payload)
        except audio.TooLong as error:
            return 413, Reply({"error": str(error)})
        except UserError as error:
            return header.get("refusal", 422), Reply({"error": str(error)})
        except MemoryError:
            return 413, Reply({"error": "the recording takes too much memory; cut it"})
        except Exception as error:  # a codec's or a runtime's unforeseen failure
            return 500, Reply({"error": f"{type(error).__name__}: {first_line(error)}"})

    def _load(self, header: dict[str, Any], payload: bytes) -> Reply:
        with unlimited():
            model = Model(header["path"], header["name"], header["version"])
        self._models[model.name] = model
        return Reply(model.facts())

    def _limit(self, header: dict[str, Any], payload: bytes) -> Reply:
        limit_memory(self._limits.memory_bytes)
        return Reply()

    def _recognize(self, header: dict[str, Any], payload: bytes) -> Reply:
        model = self._models[header["model"]]
        waveform = self._decoded(payload, model)
        return Reply(*model.recognize(waveform, header["output"], **self._wished(header)))

    def _report(self, header: dict[str, Any], payload: bytes) -> Reply:
        model = self._models[header["model"]]
        return Reply(*model.report(self._decoded(payload, model), header["time_s"]))

    def _decoded(self, payload: bytes, model: Model) -> np.ndarray:
        limits = self._limits
        with in_a_file(payload) as path:
            try:
                waveform, _ = audio.read(
                    path, sample_rate=model.interpreter.sample_rate, max_s=limits.audio_s,
                    max_samples=limits.decoded_bytes // 4,
                )  # fmt: skip
            except UserError as error:
                told = type(error)(str(error).replace(path, "the recording"))
                raise told from error
        return waveform

    def _wished(self, header: dict[str, Any]) -> dict[str, Any]:
        """What the review queue wants of a request or a stream."""
        wish = header.get("wish")
        return {"wish": wish, "other": wish and self._models.get(wish["against"])}

    def _predict(self, header: dict[str, Any], payload: bytes) -> Reply:
        return Reply(self._models[header["model"]].predict(payload))

    def _open(self, header: dict[str, Any], payload: bytes) -> Reply:
        model = self._models[header["model"]]
        self._ears[header["stream"]] = model.listen(header["format"], **self._wished(header))
        return Reply(model.facts())

    def _push(self, header: dict[str, Any], payload: bytes) -> Reply:
        return Reply(*self._ears[header["stream"]].push(payload))

    def _close(self, header: dict[str, Any], payload: bytes) -> Reply:
        self._ears.pop(header["stream"], None)
        return Reply()


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
        wanted = min(taken + spare_bytes, 2**62)
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
        status, (answer, clips) = worker.answer(*message)
        content = json.dumps(answer, ensure_ascii=False, allow_nan=False).encode(errors="replace")
        head: dict[str, Any] = {"status": status}
        if isinstance(answer, dict) and "seconds" in answer:
            head.update(seconds=answer["seconds"], heard=len(answer.get("detections", ())))
        if clips:
            head["clips"] = [clip.facts for clip in clips]
        sound = b"".join(clip.samples.astype("<i2").tobytes() for clip in clips)
        made.write(wire.pack({**head, "sound": len(sound)}, content + sound))
        made.flush()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    serve(Limits(**json.loads(sys.argv[1])), sys.stdin.buffer, answers)
