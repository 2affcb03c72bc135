"""How many live streams one core serves: the cost of a packet as streams grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from audio_edge import audio, measure, scoring
from audio_edge.errors import UserError
from audio_edge.probe import resident
from audio_edge.streaming_interpreter import StreamingInterpreter

COUNTS = (1, 10, 100, 1000)


def load(
    path: str, *, counts: Sequence[int] = COUNTS, runs: int = 100,
    progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> dict[str, Any]:  # fmt: skip
    """Push packets to more and more streams of one file, one thread, interleaved in one run.

    Args:
        path: A streaming file.
        counts: Numbers of streams, each > 0.
        runs: Rounds, at least 100; in each of them every stream takes a packet.
        progress: Wraps the rounds, as tqdm does.

    Returns:
        device, runtime, version, packet_s, runs and rows: streams, cpu_us (a packet of one stream,
        median), cpu_us_p90, per_core (streams at real time), kib (resident memory of a stream, None
        where the system does not tell).

    Raises:
        UserError: The file is no stream, or a count is not positive.
    """
    if not counts or min(counts) < 1:
        raise UserError(f"--streams must be > 0. Received: {', '.join(map(str, counts))}")
    model = StreamingInterpreter(path)
    rate, packet = model.sample_rate, model.packet_samples
    sound = audio.to_int16(scoring.speech_like(8 * packet, sample_rate=rate))
    packets = list(sound.reshape(-1, packet))
    functions, sizes = [], []
    for count in counts:
        before = resident()
        streams = [model.fork() for _ in range(count)]
        functions.append(_round(streams, packets))
        functions[-1](0)  # the states are made
        after = resident()
        sizes.append(None if before is None or after is None else 1024 * (after - before) / count)
    seconds = measure.interleaved(functions, runs, progress, clock=measure.CPU)
    rows = []
    for at, (count, kib) in enumerate(zip(counts, sizes, strict=True)):
        p50, p90 = (float(value) / count for value in np.percentile(seconds[:, at], [50, 90]))
        rows.append({
            "streams": count, "cpu_us": 1e6 * p50, "cpu_us_p90": 1e6 * p90,
            "per_core": int(packet / rate / p50), "kib": kib,
        })  # fmt: skip
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
        "| streams | CPU us a packet | 90th percentile | times the first | live streams a core "
        "| KiB a stream |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in results["rows"]:
        kib = "" if row["kib"] is None or row["streams"] < 100 else f"{row['kib']:.0f}"
        lines.append(
            f"| {row['streams']} | {row['cpu_us']:.1f} | {row['cpu_us_p90']:.1f} "
            f"| {row['cpu_us'] / first:.2f} | {row['per_core']} | {kib} |"
        )
    return "\n".join(lines) + "\n"


def _round(
    streams: Sequence[StreamingInterpreter], packets: Sequence[np.ndarray]
) -> Callable[[int], None]:
    """A function of the round's number: every stream takes a packet, each another one."""

    def run(number: int) -> None:
        for at, stream in enumerate(streams):
            stream.push(packets[(number + at) % len(packets)])

    return run
