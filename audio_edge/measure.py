"""Sizes, latency, peak memory and delegate coverage of finished .tflite files, ours or anyone's.

The only module that reads a clock. A file may take raw audio or features: inputs are filled from a
waveform, quantised by rounding where they are integers. No TensorFlow, unless it is asked for.
"""

from __future__ import annotations

import itertools
import os
import platform
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from audio_edge.card import Card, read_model, split
from audio_edge.condition import system
from audio_edge.errors import UserError, first_line
from audio_edge.interpreter import available_runtimes, choose_runtime, load, version_of
from audio_edge.probe import delegate_coverage, light_runtimes, peak_memory, run_apart
from audio_edge.summary import model_summary

__all__ = [
    "CPU",
    "Session",
    "Usage",
    "check_runs",
    "cuts",
    "delegate_coverage",
    "device",
    "interleaved",
    "latency",
    "light_runtimes",
    "model_summary",
    "peak_memory",
    "sizes",
    "timed",
]

MIN_RUNS, MAX_RUNS = 100, 10**6
MAX_THREADS = 256
_WARM_UP = 20
_VARIANTS = 8  # cuts of a waveform
CPU = time.process_time  # seconds of all threads of this process
_T = TypeVar("_T")


def sizes(path: str | os.PathLike[str]) -> dict[str, int]:
    """Bytes of a file: size_bytes as it lies on disk, zip_bytes after deflate at level 9."""
    content = read_model(path)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)  # raw, as in a zip
    return {
        "size_bytes": len(content),
        "zip_bytes": len(deflate.compress(content) + deflate.flush()),
    }


def latency(
    models: Sequence[str | os.PathLike[str]],
    waveform: np.ndarray,
    *,
    runtimes: Sequence[str] | None = None,
    threads: int | Sequence[int] = 1,
    runs: int = 200,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> list[dict[str, Any]]:
    """Time one inference (input set, invoked, output read) of each file in each runtime, in turn.

    Figures of one call may be compared, figures of two may not: see `interleaved`.

    Args:
        models: .tflite files.
        waveform: float [samples > 0] in [-1, 1], repeated or cut to what an input holds.
        runtimes: Of `audio_edge.interpreter.RUNTIMES`; None takes `light_runtimes()`.
        threads: Threads of the interpreter, or several numbers of them.
        runs: Timed runs of each, at least 100.
        progress: Wraps the rounds, as tqdm does.

    Returns:
        A row for each (file, runtime, threads): path, runtime, version, threads, and either runs,
        p50_ms, p90_ms and rtf (p50 over the duration of a clip, or of a packet; None where no card
        says it), or `error`, the reason why the runtime does not run the file.

    Raises:
        UserError: A file is missing or damaged, a runtime is not installed, too few runs.
    """
    check_runs(runs)
    counts = [threads] if isinstance(threads, int) else list(threads)
    if not counts or not all(1 <= count <= MAX_THREADS for count in counts):
        received = ", ".join(map(str, counts))
        raise UserError(f"threads must be 1 to {MAX_THREADS}. Received: threads={received}")
    rows: list[dict[str, Any]] = []
    timed: list[tuple[dict[str, Any], Session, Card | None]] = []
    for path in models:
        model, card = split(read_model(path), source=path)
        for runtime, count in itertools.product(runtimes or light_runtimes(), counts):
            row: dict[str, Any] = {"path": os.fspath(path), "runtime": runtime}
            row.update(version=version_of(choose_runtime(runtime)), threads=count)
            rows.append(row)
            try:
                run_apart(path, runtime, count)  # a file that crashes must not take us along
                session = Session(load(model, runtime, count), waveform)
                session.run(0)
                timed.append((row, session, card))
            except (RuntimeError, ValueError) as error:
                row["error"] = first_line(error)
    seconds = interleaved([session.run for _, session, _ in timed], runs, progress)
    for (row, _, card), column in zip(timed, seconds.T, strict=True):
        p50, p90 = (1000 * float(p) for p in np.percentile(column, [50, 90]))
        rtf = p50 / 1000 / _seconds(card) if card else None
        row.update(runs=runs, p50_ms=p50, p90_ms=p90, rtf=rtf)
    return rows


def _seconds(card: Card) -> float:
    """Of new audio that one inference takes: a clip, or a packet of each of its streams."""
    samples = card.streaming.get("packet_samples", card.clip_samples)
    return float(card.streams * samples / card.sample_rate)


def check_runs(runs: int) -> None:
    """Raise a `UserError` unless that many timed runs make a figure."""
    if runs < MIN_RUNS:
        raise UserError(f"a latency takes at least {MIN_RUNS} timed runs. Received: runs={runs}")
    if runs > MAX_RUNS:
        raise UserError(f"a latency takes at most {MAX_RUNS} timed runs. Received: runs={runs}")


def interleaved(
    functions: Sequence[Callable[[int], object]],
    runs: int,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
    *,
    settle: int = 0,
    clock: Callable[[], float] | None = None,
) -> np.ndarray:
    """Time functions in turn.

    All are warmed up; then each round calls each of them once, so that whatever slows the machine
    for a while slows them alike. Figures of one call may be compared, figures of two may not.

    Args:
        functions: Each takes the number of the round.
        runs: Rounds, at least 100.
        progress: Wraps the rounds, as tqdm does.
        settle: Calls of a function just before each timed one. With 0 a time holds what the
            function before has driven out of the caches: much, where it takes less than 1 ms.
        clock: `CPU`; None is the seconds that pass.

    Returns:
        float64 [runs, functions], seconds.

    Raises:
        UserError: Too few or too many runs.
    """
    check_runs(runs)
    clock = clock or time.perf_counter
    for function in functions:
        for number in range(_WARM_UP):
            function(number)
    seconds = np.empty((runs, len(functions)))
    for number in progress(range(runs)):
        for column, function in enumerate(functions):
            for before in range(settle, 0, -1):
                function(number + before)
            start = clock()
            function(number)
            seconds[number, column] = clock() - start
    return seconds


class Usage:
    """What this process has taken since the object was made."""

    def __init__(self) -> None:
        self._began, self._worked = time.perf_counter(), CPU()

    def cpu_share(self) -> float:
        """CPU time over time, 1 for a core that is always busy."""
        return self.cpu_s() / max(1e-9, time.perf_counter() - self._began)

    def cpu_s(self) -> float:
        """Seconds of CPU time."""
        return CPU() - self._worked


def timed(function: Callable[[], _T]) -> tuple[float, _T]:
    """Seconds that one call takes, and what it returns."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def cuts(waveform: np.ndarray) -> list[np.ndarray]:
    """The waveform begun at several places, so that no branch or cache learns one input."""
    starts = np.linspace(0, len(waveform), _VARIANTS, endpoint=False).astype(int)
    return [np.roll(waveform, -start) for start in starts]


class Session:
    """One file in one runtime, its inputs made beforehand so that only the inference is timed.

    Args:
        interpreter: Of `audio_edge.interpreter.load`.
        waveform: float [samples > 0] in [-1, 1], repeated or cut to what an input holds.
    """

    def __init__(self, interpreter: Any, waveform: np.ndarray) -> None:
        self._interpreter = interpreter
        details = interpreter.get_input_details()
        self._inputs = [
            [(detail["index"], _filled(detail, cut)) for detail in details]
            for cut in cuts(waveform)
        ]
        self._outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def run(self, number: int) -> None:
        """Set the inputs to cut `number` of the waveform, invoke, and read the outputs."""
        for index, value in self._inputs[number % _VARIANTS]:
            self._interpreter.set_tensor(index, value)
        self._interpreter.invoke()
        for index in self._outputs:
            self._interpreter.get_tensor(index)


def _filled(detail: dict[str, Any], waveform: np.ndarray) -> np.ndarray:
    """An input tensor filled with the waveform, quantised where the input is."""
    dtype = np.dtype(detail["dtype"])
    values = np.resize(np.asarray(waveform, np.float32), tuple(detail["shape"]))
    scale, zero_point = detail["quantization"]
    if dtype.kind == "f":
        return values.astype(dtype)
    if dtype.kind not in "iu" or not scale:
        return np.zeros(values.shape, dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(dtype)


def device() -> dict[str, Any]:
    """Facts that belong to every figure.

    machine, cpu (the board's name, if it has one), cores, os, system (its own name), kernel,
    python, numpy and runtimes (versions).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cores": cores,
        "os": platform.platform(),
        "system": system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "runtimes": {name: version_of(name) for name in available_runtimes()},
    }


def _cpu() -> str:
    """The board's name (Raspberry Pi), else the processor's."""
    board = Path("/sys/firmware/devicetree/base/model")
    if board.is_file():
        return board.read_text(errors="replace").strip("\0\n ")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
