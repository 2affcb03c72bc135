"""CPU time per second of sound from PCM to answer, memory and start-up, of all in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge import audio, measure, scoring
from audio_edge.errors import UserError
from audio_edge.peers_benchmark import listeners, starts
from audio_edge.peers_benchmark.listeners import RATE, Hear, Listener

SECONDS = 2.4  # of sound that a round feeds: whole packets of 10, 30, 40, 80 and 500 ms, nearly


def benchmark(
    models: Sequence[str], peers: Sequence[str] = (), *, runs: int = 100,
    data: str | None = None, progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> dict[str, Any]:  # fmt: skip
    """Feed the same sound to every listener, interleaved in one run, one thread each.

    Args:
        models: Files of ours. Streams answer after each packet, models of clips are asked every
            `listeners.CLIP_EVERY_S`.
        peers: Files of others.
        runs: Rounds, at least 100; in each of them every listener hears some `SECONDS`.
        data: Folder of label subfolders: the sound, and the accuracy of our files; None is
            synthetic speech, and no accuracy.
        progress: Wraps the rounds and the recordings, as tqdm does.

    Returns:
        device, runtime, runs, waveform, rows: name, kind, covers, files, answers_per_s,
        cpu_us_per_s (median) with cpu_us_p10 and cpu_us_p90, wall_us_per_s, size_bytes, accuracy,
        start_s, peak_mib.

    Raises:
        UserError: A file is missing, damaged or of another rate, or a listener does not run.
    """
    measure.check_runs(runs)
    every = [one for path in models for one in listeners.ours(path)]
    every += [*listeners.packages(), *(listeners.bare(path) for path in peers)]
    for one in every:
        alike = [other for other in every if other.name == one.name]
        if len(alike) > 1:
            named = " and ".join(dict.fromkeys(name for other in alike for name in other.files))
            raise UserError(f"{named}: both are called '{one.name}'; give one of them")
    labelled = scoring.recordings(data) if data else {}
    waveform, told = scoring.pcm(labelled)
    made = [one.made() for one in every]
    feeds = [_feed(packet, hear, waveform) for packet, hear in made]
    functions = [function for function, _ in feeds]
    cpu = measure.interleaved(functions, runs, progress, clock=measure.CPU)
    wall = measure.interleaved(functions, runs, progress)
    hits: dict[Path, Any] = {}
    if labelled:
        paths = [Path(path) for path in models]
        runtime = measure.light_runtimes()[0]
        hits, _ = scoring.accuracies(paths, labelled, runtime=runtime, progress=progress)
    rows = [
        _row(one, packet, cpu[:, at] / seconds, wall[:, at] / seconds, hits)
        for at, (one, (packet, _), (_, seconds)) in enumerate(zip(every, made, feeds, strict=True))
    ]
    for one, row in zip(every, rows, strict=True):
        row.update(starts.started(one))
    runtime = measure.light_runtimes()[0]
    return {
        "device": measure.device(), "runtime": runtime, "runs": runs, "waveform": told,
        "rows": rows,
    }  # fmt: skip


def _feed(packet: int, hear: Hear, waveform: np.ndarray) -> tuple[Callable[[int], None], float]:
    """A function of the round's number that feeds packets, and the seconds of sound it feeds."""
    count = max(1, round(SECONDS * RATE / packet))
    sound = np.resize(audio.to_int16(waveform), count * packet)
    variants = [list(cut.reshape(count, packet)) for cut in measure.cuts(sound)]

    def feed(number: int) -> None:
        for samples in variants[number % len(variants)]:
            hear(samples)

    return feed, count * packet / RATE


def _row(
    one: Listener, packet: int, cpu: np.ndarray, wall: np.ndarray, hits: dict[Path, Any]
) -> dict[str, Any]:
    p10, p50, p90 = (float(value) * 1e6 for value in np.percentile(cpu, [10, 50, 90]))
    loaded = [Path(path) for path in one.files] or listeners.package_files(one.kind)
    answers = {listeners.MICRO: 1 / listeners.STEP_S}.get(one.kind, RATE / packet)
    return {
        "name": one.name, "kind": one.kind, "covers": one.covers,
        "files": [path.name for path in loaded], "answers_per_s": answers,
        "cpu_us_per_s": p50, "cpu_us_p10": p10, "cpu_us_p90": p90,
        "wall_us_per_s": float(np.median(wall)) * 1e6,
        "size_bytes": sum(path.stat().st_size for path in loaded),
        "accuracy": hits.get(Path(one.files[0])) if one.files else None,
    }  # fmt: skip
