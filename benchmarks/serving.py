"""The service under load, beside the bare interpreter: python -m benchmarks.serving MODEL.

Starts `python -m audio_edge.serving` on a free port and asks it with 1-second WAVs over loopback.
Bare interpreters and the service take turns, so that whatever slows the machine slows both. Needs
no TensorFlow.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

import numpy as np

from audio_edge import files, measure
from audio_edge.errors import UserError, command
from audio_edge.streaming_interpreter import open_model
from benchmarks import load

OUTPUTS = ("detections", "probabilities")
_LOOK_S = 5.0  # between two looks at the memory


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Requests a second, their latency and the service's memory; with --streams, live streams."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=main.__doc__)
    parser.add_argument("model", metavar="MODEL", help="model file (.tflite)")
    parser.add_argument("--workers", type=int, default=2, help="of the service (default 2)")
    parser.add_argument("--clients", type=int, default=8, help="requests at a time (default 8)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default 3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a turn (default 5)")
    parser.add_argument(
        "--half-s", type=float, help="seconds at half load, and of live streams (default 2 turns)"
    )
    parser.add_argument("--outputs", nargs="+", choices=OUTPUTS, default=OUTPUTS, metavar="OUTPUT",
                        help=f"what is asked for (default {' '.join(OUTPUTS)})")  # fmt: skip
    parser.add_argument(
        "--kill-s", type=float, help="at half load, end a worker with SIGKILL every so many seconds"
    )
    parser.add_argument("--streams", type=int, default=0, help="live streams at real time as well")
    parser.add_argument("--json", metavar="OUT", help="write everything there")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_args(argv)
    files.require_free([args.json], inputs=[args.model], force=args.force)
    args.half_s = 2 * args.seconds if args.half_s is None else args.half_s
    if min(args.workers, args.clients, args.rounds) < 1 or args.streams < 0:
        raise UserError("--workers, --clients and --rounds must be >= 1, --streams >= 0")
    if not (1 <= args.seconds < 1e5 and 0 < args.half_s < 1e5 and 0 < (args.kill_s or 1) < 1e5):
        raise UserError("--seconds must be >= 1, --half-s and --kill-s > 0, all below 100000")
    options = ["--workers", str(args.workers), "--streams", str(max(1, args.streams))]
    service, url = load.start([f"model={args.model}"], options)
    try:
        results = {"device": measure.device(), **_measure(args, service.pid, url)}
    finally:
        service.terminate()
        service.wait()
    print(markdown(results))
    if args.json:
        files.write_json(args.json, results)
        print(f"wrote {args.json}")
    return 0


def markdown(results: dict[str, Any]) -> str:
    """The table of `main`, under the facts that belong to it."""
    device = results["device"]
    kill_s = results["kill_s"]
    killing = f", a worker killed every {kill_s:g} s of it" if kill_s else ""
    lines = [
        f"Device: {device['cpu']} ({device['machine']}, {device['cores']} cores), "
        f"{results['workers']} workers, {results['clients']} requests at a time, "
        f"{results['rounds']} rounds of {results['seconds']:g} s, asked by {results['client']}; "
        f"{results['half_s']:g} s at half load{killing}.",
        "",
        "| 1 s of sound to | bare, a second | service, a second | share | errors "
        "| answers at half load | p50 ms | p99 ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in results["rows"]:
        lines.append(
            f"| {row['output']} | {row['bare']:.0f} | {row['service']:.0f} | {row['share']:.0%} "
            f"| {row['errors']} | {row['half']} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f} |"
        )
    memory = results["memory_mib"]
    lines += [
        "", f"Memory of all processes of the service: {memory[0]:.0f} MiB after the first round, "
        f"{memory[-1]:.0f} MiB at the end, {max(memory):.0f} MiB at most.",
    ]  # fmt: skip
    live = results.get("live")
    if live:
        lines.append(
            f"{live['streams']} live streams for {live['seconds']:g} s: {live['packets']} packets "
            f"of {1000 * load.PACKET_S:g} ms, {live['closed']} streams closed early; at the end "
            f"the last answer came {live['behind_s']:.2f} s after the last packet."
        )
    return "\n".join(lines) + "\n"


def _measure(args: argparse.Namespace, pid: int, url: str) -> dict[str, Any]:
    content = load.wav(open_model(args.model).sample_rate)
    ask = load.ask_with_wrk if shutil.which("wrk") else load.ask_at_full_load
    rows: list[dict[str, Any]] = []
    memory: list[float] = []
    for output in args.outputs:
        bare, rates, errors = [], [], 0
        for _ in range(args.rounds):
            bare.append(load.bare(args.model, output, content, args.workers, args.seconds))
            rate, failed = ask(url, output, content, args.clients, args.seconds)
            rates.append(rate)
            errors += failed
            memory.append(load.resident_mib(pid))
        half = float(np.median(rates)) / 2
        work = load.ask(url, output, content, 64, args.half_s, rate=half)
        waits, failed = asyncio.run(_watched(work, pid, memory, args.kill_s))
        p50, p99 = (1000 * float(value) for value in np.percentile(waits, [50, 99]))
        rows.append({
            "output": output, "bare": float(np.median(bare)), "service": float(np.median(rates)),
            "share": float(np.median(np.divide(rates, bare))), "errors": errors + failed,
            "half": len(waits), "p50_ms": p50, "p99_ms": p99,
        })  # fmt: skip
    names = ("workers", "clients", "rounds", "seconds", "half_s", "kill_s")
    found: dict[str, Any] = {key: getattr(args, key) for key in names}
    found["client"] = "wrk" if ask is load.ask_with_wrk else "Python"
    if args.streams:
        live = load.live(url, args.streams, args.half_s, content)
        found["live"] = asyncio.run(_watched(live, pid, memory))
    return {**found, "rows": rows, "memory_mib": memory}


async def _watched(
    work: Coroutine[Any, Any, Any], pid: int, memory: list[float], kill_s: float | None = None
) -> Any:
    """Wait for it, and note the service's memory every few seconds."""
    task = asyncio.ensure_future(work)
    killer = asyncio.ensure_future(load.kill(pid, kill_s)) if kill_s else None
    while not task.done():
        await asyncio.wait({task}, timeout=_LOOK_S)
        memory.append(load.resident_mib(pid))
    if killer:
        killer.cancel()
    return await task


if __name__ == "__main__":
    sys.exit(main())
