"""The library's front ends side by side, and beside librosa and pymicro-features, in one run.

Each front end is a .tflite file of its own, raw PCM in, the feature out, at the default settings.
What was not measured is None in the results.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import audio_edge
from audio_edge import interpreter, measure, scoring
from audio_edge.config import FrontendConfig
from audio_edge.errors import UserError, first_line
from audio_edge.frontend_benchmark import rivals
from audio_edge.frontend_benchmark.accuracy import (
    NEAR_DB,
    RATE,
    SCALES,
    Judge,
    noise,
    speech,
    tones,
)
from audio_edge.frontend_benchmark.cases import Case, cases, growth
from audio_edge.frontend_benchmark.rivals import LIBROSA, MICRO, Rival

_PACKAGES = ("tensorflow", "tf_keras", "numpy", LIBROSA, MICRO)
_SETTLE = 3  # with one, Python's own code is not yet in the caches again: librosa takes 1.4 times
_Progress = Callable[[Sequence[Any]], Iterable[Any]]
_Timed = tuple[dict[str, Any], Callable[[int], object] | None]  # a row and what it is the time of


def benchmark(
    *,
    runs: int = 200,
    quick: bool = False,
    speech_file: str | os.PathLike[str] | None = None,
    speech_folder: str | os.PathLike[str] | None = None,
    progress: _Progress = iter,
) -> dict[str, Any]:
    """Measure every front end in every installed runtime and every library, interleaved in one run.

    A time is that of one clip (input set, invoked, output read; or the library's calls) in one
    thread, in microseconds per second of audio. Each timed run follows three more of the same front
    end, so that it does not depend on the order.

    Args:
        runs: Timed runs of each, at least 100.
        quick: Log-mel alone, and not how its cost grows.
        speech_file: A recording to take errors and times on; see `accuracy.speech`.
        speech_folder: Subfolders of recordings, where there is no file.
        progress: Wraps the conversions and the rounds, as tqdm does.

    Returns:
        device, versions, runtimes (versions), threads, runs, settings, signals (what each is),
        near_db, scales (of the errors), rows, libraries, growth, missing (library -> reason).
        A row: feature, form (None where no spectrum is read), runtime, file_bytes, constant_bytes
        and either p50_us, p90_us, spread ((p90 - p10) / p50), to_tf_signal, to_librosa, to_micro
        (ratios of p50, below 1 is faster), delegated, ops, share and error (of
        `accuracy.Judge`), or `failed`, why the runtime does not run it.
        A library: library, version, feature, timed (what is), p50_us, p90_us, spread, error.
        Growth: axis, value, form, runtime, sample_rate, clip_s, frame_length, hop_length, n_fft,
        n_mels, file_bytes, constant_bytes, and p50_us, p90_us, spread, to_tf_signal or `failed`.

    Raises:
        UserError: Too few runs, or the recording cannot be read.
    """
    measure.check_runs(runs)
    spoken, told = speech(speech_file, speech_folder)
    signals = {"noise": noise(), "tones": tones()}
    if spoken is not None:
        signals["speech"] = spoken
    pcm = scoring.speech_like(4 * RATE, sample_rate=RATE) if spoken is None else spoken.reshape(-1)
    runtimes = measure.light_runtimes()
    wanted = cases(quick=quick)
    with rivals.one_thread():
        judges = _judges(wanted, signals)
        rows = _files(wanted, runtimes, pcm, judges, progress)
        grown = _files([] if quick else growth(), runtimes[:1], pcm, {}, progress)
        libraries, missing = _libraries(judges, pcm)
        timed = [(row, run) for row, run in [*rows, *grown, *libraries] if run]
        seconds = measure.interleaved([run for _, run in timed], runs, progress, settle=_SETTLE)
    for (row, _), column in zip(timed, seconds.T, strict=True):
        row.update(_times(column / row.get("clip_s", 1.0)))
    results = {
        "rows": [row for row, _ in rows],
        "libraries": [row for row, _ in libraries],
        "growth": [row for row, _ in grown],
    }
    _compare(**results)
    return {
        "device": measure.device(),
        "versions": {
            "audio_edge": audio_edge.__version__,
            **{name: _version(name) for name in _PACKAGES},
        },
        "runtimes": {name: interpreter.version_of(name) for name in runtimes},
        "threads": 1,
        "runs": runs,
        "settings": {"sample_rate": RATE, "clip_s": 1.0, **dataclasses.asdict(FrontendConfig())},
        "signals": {
            "noise": "1 s of Gaussian noise, 0.2 of full scale",
            "tones": "1 s each of six tones from 100 to 7000 Hz and a square wave at full scale",
            "speech": told,
            "timed": told or "synthetic PCM, like speech",
        },
        "near_db": NEAR_DB,
        "scales": SCALES,
        **results,
        "missing": missing,
    }


def _judges(wanted: Sequence[Case], signals: dict[str, np.ndarray]) -> dict[FrontendConfig, Judge]:
    judges: dict[FrontendConfig, Judge] = {}
    for case in wanted:
        if case.config not in judges:
            judges[case.config] = Judge(case.config, signals)
    return judges


def _files(
    wanted: Sequence[Case],
    runtimes: Sequence[str],
    pcm: np.ndarray,
    judges: dict[FrontendConfig, Judge],
    progress: _Progress,
) -> list[_Timed]:
    """Convert each case and make it ready in each runtime, judged where there is a judge."""
    timed: list[_Timed] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "front_end.tflite"
        for case in progress(wanted):
            path.write_bytes(case.convert())
            parts = measure.model_summary(path)["parts"].values()
            constants = sum(part["bytes"] for part in parts)
            sizes = {"file_bytes": path.stat().st_size, "constant_bytes": constants}
            for runtime in runtimes:
                row = {**case.facts(), "runtime": runtime, **sizes}
                timed.append((row, _ready(path, row, pcm, judges.get(case.config))))
    return timed


def _ready(
    path: Path, row: dict[str, Any], pcm: np.ndarray, judge: Judge | None
) -> Callable[[int], object] | None:
    """What to time; the row gets the errors, or the reason why the runtime refuses."""
    try:
        runner = interpreter.load(path.read_bytes(), row["runtime"], 1)
        session = measure.Session(runner, pcm)
        session.run(0)
    except (RuntimeError, ValueError) as error:
        row["failed"] = first_line(error)
        return None
    if judge:
        row.update(measure.delegate_coverage(path, runtime=row["runtime"]))
        row["error"] = judge(lambda clip: _output(runner, clip))
    return session.run


def _output(runner: Any, clip: np.ndarray) -> np.ndarray:
    """Features of a clip: [frames, width]."""
    runner.set_tensor(runner.get_input_details()[0]["index"], clip[None])
    runner.invoke()
    return runner.get_tensor(runner.get_output_details()[0]["index"])[0, ..., 0]


def _libraries(
    judges: dict[FrontendConfig, Judge], pcm: np.ndarray
) -> tuple[list[_Timed], dict[str, str]]:
    """The same features in the libraries that have them; which are missing, and why."""
    clips = [np.resize(cut, RATE) for cut in measure.cuts(pcm)]
    timed: list[_Timed] = []
    missing: dict[str, str] = {}
    try:
        for config, judge in judges.items():
            rival = rivals.of_librosa(config, sample_rate=RATE)
            if rival:
                error = judge(functools.partial(_bands, rival))
                timed.append(({**rival.facts(), "error": error}, rival.over(clips)))
    except UserError as error:
        missing[LIBROSA] = str(error)
    try:
        rival = rivals.micro()
        timed.append(({**rival.facts(), "error": None}, rival.over(clips)))
    except UserError as error:
        missing[MICRO] = str(error)
    return timed, missing


def _bands(rival: Rival, clip: np.ndarray) -> np.ndarray:
    """Features of a clip by librosa: [frames, width]."""
    return rival.compute(rival.prepare(clip)).T


def _times(seconds: np.ndarray) -> dict[str, float]:
    p10, p50, p90 = (1e6 * float(p) for p in np.percentile(seconds, [10, 50, 90]))
    return {"p50_us": p50, "p90_us": p90, "spread": (p90 - p10) / p50}


def _compare(
    rows: list[dict[str, Any]], libraries: list[dict[str, Any]], growth: list[dict[str, Any]]
) -> None:
    """Add ratios of times to rows and growth, in place; None where one of the two is missing."""

    def ratio(row: dict[str, Any], other: dict[str, Any] | None) -> float | None:
        return row["p50_us"] / other["p50_us"] if other and "p50_us" in other else None

    theirs = {(row["library"], row["feature"]): row for row in libraries}
    graphs = {
        tuple(row.get(key) for key in ("runtime", "feature", "axis", "value")): row
        for row in [*rows, *growth]
        if row["form"] == "rfft"
    }
    for row in [*rows, *growth]:
        if "failed" in row:
            continue
        key = tuple(row.get(key) for key in ("runtime", "feature", "axis", "value"))
        row["to_tf_signal"] = ratio(row, graphs.get(key))
        if "feature" in row:
            row["to_librosa"] = ratio(row, theirs.get((LIBROSA, row["feature"])))
            row["to_micro"] = ratio(row, theirs.get((MICRO, row["feature"])))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return None
