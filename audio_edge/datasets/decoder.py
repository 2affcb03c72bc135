"""Decoding untrusted recordings once, by soundfile, in worker processes that may hang or die.

Each good file becomes a mono 16-bit WAV in a cache, named by the hash of its content and of the
settings. `python -m audio_edge.datasets.decoder` is the worker: JSON requests on stdin, answers on
stdout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from audio_edge import audio, files
from audio_edge.errors import UserError

_RECIPE = 2  # part of every cache name: raise it when the decoding changes


class CacheError(UserError):
    """A decoded recording cannot be stored: no fault of the file, so it must not be left out."""


@dataclass(frozen=True)
class Decoded:
    """A validated recording: its 16-bit mono WAV in the cache and that file's sample rate in Hz."""

    path: Path
    sample_rate: int


def decode(
    paths: Sequence[Path],
    cache: Path,
    *,
    sample_rate: int | None = None,
    clip_s: float = 0.0,
    max_s: float = 600.0,
    timeout_s: float = 20.0,
    workers: int | None = None,
    progress: Callable[[int], Any] | None = None,
) -> tuple[dict[Path, Decoded], dict[Path, str]]:
    """Decode recordings into `cache`, as 16-bit mono.

    Args:
        paths: Recordings in any format.
        cache: Folder of the decoded files; what is there already is used again.
        sample_rate: Hz to resample to; None keeps the rate of each file.
        clip_s: Keep only the loudest window of so many seconds; 0 keeps the whole recording.
        max_s: Longest recording accepted, in seconds.
        timeout_s: Seconds after which a worker is killed and its file counted as bad.
        workers: Worker processes; None is one a core.
        progress: Called with 1 after each file.

    Returns:
        (good, bad): what each path was decoded to, and the reason why each other one was not.

    Raises:
        CacheError: The cache cannot be written.
    """
    good: dict[Path, Decoded] = {}
    bad: dict[Path, str] = {}
    failures: list[Exception] = []
    queue: SimpleQueue[Path] = SimpleQueue()
    for path in paths:
        queue.put(path)
    settings = {
        "cache": str(cache), "sample_rate": sample_rate, "clip_s": clip_s, "max_s": max_s,
    }  # fmt: skip
    count = max(1, min(workers or os.cpu_count() or 1, len(paths)))

    def serve() -> None:
        worker = Worker(timeout_s)
        try:
            while True:
                try:
                    path = queue.get_nowait()
                except Empty:
                    return
                answer = worker.ask({"path": str(path), **settings})
                if "cache_error" in answer:
                    raise CacheError(answer["cache_error"])
                if "error" in answer:
                    bad[path] = answer["error"]
                else:
                    good[path] = Decoded(Path(answer["path"]), answer["sample_rate"])
                if progress:
                    progress(1)
        except Exception as error:  # a thread's error would be lost, and its files with it
            failures.append(error)
        finally:
            worker.stop()

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    in_order = {path: good[path] for path in paths if path in good}
    return in_order, {path: bad[path] for path in paths if path in bad}


class Worker:
    """One worker process, started on demand and again after each death."""

    def __init__(self, timeout_s: float):
        self.timeout_s = timeout_s
        self.process: subprocess.Popen[str] | None = None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Have one file decoded: {"path", "cache", and the settings of `decode_one`}.

        Returns:
            "path" and "sample_rate" of what it was decoded to, or "error" with the reason, or
            "cache_error".
        """
        process = self.process or self._start()
        timer = threading.Timer(self.timeout_s, process.kill)
        timer.start()
        try:
            assert process.stdin and process.stdout  # both are pipes
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            timer.cancel()
        if line.endswith("\n"):
            return json.loads(line)
        self.stop()
        what = f"decoding died or took over {self.timeout_s:g} s"
        return {"error": f"{request['path']}: {what}; remove or convert it"}

    def _start(self) -> subprocess.Popen[str]:
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "audio_edge.datasets.decoder"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        return self.process

    def stop(self) -> None:
        """End the process, if there is one."""
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None


def decode_one(
    path: Path, cache: Path, *, clip_s: float, max_s: float, sample_rate: int | None = None
) -> Decoded:
    """Validate and decode one recording into the cache; bad input is a `UserError`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; put it there or remove what names it") from error
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); remove it or mend its permissions"
        ) from error
    key = files.fingerprint([_RECIPE, files.sha256(content), sample_rate, clip_s, max_s])
    folder = cache / "decoded" / key[:2]
    hit = next(folder.glob(f"{key}.*.wav"), None)
    if hit:
        return Decoded(hit, int(hit.suffixes[-2][1:]))
    waveform, rate = audio.read(path, sample_rate=sample_rate, max_s=max_s)
    # rounded first: shards hold it rounded, and must show the same loudest window
    waveform = audio.to_int16(waveform) / np.float32(32768)
    if clip_s:
        waveform = loudest(waveform, round(clip_s * rate))
    target = folder / f"{key}.{rate}.wav"
    try:
        with files.replacing(target) as temporary:
            audio.write(temporary, waveform, rate)
    except UserError as error:
        raise CacheError(f"data.cache: {error}") from error
    return Decoded(target, rate)


def loudest(waveform: np.ndarray, samples: int) -> np.ndarray:
    """The window of `samples` with the most energy, to a hundredth of its length.

    Shorter waveforms come back whole.
    """
    if len(waveform) <= samples:
        return waveform
    energy = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    starts = np.arange(0, len(waveform) - samples + 1, max(1, samples // 100))
    best = int(starts[np.argmax(energy[starts + samples] - energy[starts])])
    return waveform[best : best + samples]


def _serve_requests() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        path, cache = Path(request.pop("path")), Path(request.pop("cache"))
        try:
            decoded = decode_one(path, cache, **request)
            answer = {"path": str(decoded.path), "sample_rate": decoded.sample_rate}
        except CacheError as error:
            answer = {"cache_error": str(error)}
        except UserError as error:
            answer = {"error": str(error)}
        except Exception as error:  # a codec's unforeseen failure is the file's
            what = f"{type(error).__name__}: {error}"
            answer = {"error": f"{path}: cannot be decoded ({what}); remove it"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve_requests()
