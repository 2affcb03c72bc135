"""How many live streams one core serves: the cost of a packet as streams grow."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from audio_edge import audio, measure, scoring
from audio_edge.card import read_card
from audio_edge.errors import UserError
from audio_edge.probe import resident
from audio_edge.stream_batch import StreamBatch
from audio_edge.streaming_interpreter import StreamingInterpreter

COUNTS = (1, 10, 100, 1000)


def load(
    path: str, batched: Sequence[str] = (), *, counts: Sequence[int] = COUNTS, runs: int = 100,
    progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> dict[str, Any]:  # fmt: skip
    """Push packets to more and more streams of one file, one thread, interleaved in one run.

    Args:
        path: A streaming file.
        batched: The same model for several streams at once. A batch that is not full costs what a
            full one does.
        counts: Numbers of streams, each > 0.
        runs: Rounds, at least 100; in each of them every stream takes a packet.
        progress: Wraps the rounds, as tqdm does.

    Returns:
        device, runtime, version, packet_s, runs and rows: at_once (streams that a call takes),
        streams, cpu_us (a packet of one stream, median), cpu_us_p90, per_core (streams at real
        time), kib (resident memory of a stream, None where the system does not tell).

    Raises:
        UserError: A file is no stream, takes other packets than the first, or a count is not
            positive.
    """
    if not counts or min(counts) < 1:
        raise UserError(f"--streams must be > 0. Received: {', '.join(map(str, counts))}")
    models = [_opened(each) for each in (path, *batched)]
    rate, packet = models[0].sample_rate, models[0].packet_samples
    for model in models:
        if (model.sample_rate, model.packet_samples) != (rate, packet):
            raise UserError(
                f"{model.path}: takes packets of {model.packet_samples} samples at "
                f"{model.sample_rate} Hz, {path} of {packet} at {rate}; convert them from one run"
            )
    sound = audio.to_int16(scoring.speech_like(8 * packet, sample_rate=rate))
    packets = sound.reshape(-1, packet)
    functions: list[Callable[[int], None]] = []
    rows: list[dict[str, Any]] = []
    for model, count in itertools.product(models, counts):
        before, at_once = resident(), model.card.streams
        forks = [model.fork() for _ in range(-(-count // at_once))]
        functions.append(_round(forks, packets, at_once))
        functions[-1](0)  # the states are made
        after = resident()
        kib = None if before is None or after is None else 1024 * (after - before) / count
        rows.append({"at_once": at_once, "streams": count, "kib": kib})
    seconds = measure.interleaved(functions, runs, progress, settle=1, clock=measure.CPU)
    for number, row in enumerate(rows):
        count = counts[number % len(counts)]
        p50, p90 = (float(value) / count for value in np.percentile(seconds[:, number], [50, 90]))
        row.update(cpu_us=1e6 * p50, cpu_us_p90=1e6 * p90, per_core=int(packet / rate / p50))
    model = models[0]
    return {
        "device": measure.device(), "runtime": model.runtime, "version": model.runtime_version,
        "packet_s": packet / rate, "runs": runs, "rows": rows,
    }  # fmt: skip


def markdown(results: dict[str, Any]) -> str:
    """The rows of `load` as a table under the facts that belong to them."""
    device, first = results["device"], results["rows"][0]["cpu_us"]
    lines = [
        f"Device: {device['cpu']} ({device['machine']}, {device['cores']} cores), {device['os']}, "
        f"Python {device['python']}; {results['runtime']} {results['version']}, one thread; "
        f"packets of {1000 * results['packet_s']:g} ms, {results['runs']} rounds, interleaved.",
        "",
        "| at once | streams | CPU us a packet | 90th percentile | times the first "
        "| live streams a core | KiB a stream |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in results["rows"]:
        kib = "" if row["kib"] is None or row["streams"] < 100 else f"{row['kib']:.0f}"
        lines.append(
            f"| {row['at_once']} | {row['streams']} | {row['cpu_us']:.1f} "
            f"| {row['cpu_us_p90']:.1f} | {row['cpu_us'] / first:.2f} | {row['per_core']} | {kib} |"
        )
    return "\n".join(lines) + "\n"


def _opened(path: str) -> StreamingInterpreter | StreamBatch:
    return (StreamBatch if read_card(path).streams > 1 else StreamingInterpreter)(path)


def _round(
    models: Sequence[StreamingInterpreter | StreamBatch], packets: np.ndarray, at_once: int
) -> Callable[[int], None]:
    """A function of the round's number: every stream takes a packet, each another one."""
    places = np.arange(at_once) if at_once > 1 else 0

    def run(number: int) -> None:
        for at, model in enumerate(models):
            model.push(packets[(number + at + places) % len(packets)])

    return run
