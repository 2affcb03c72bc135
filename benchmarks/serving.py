"""The service under load, beside the bare interpreter: python -m benchmarks.serving MODEL.

Starts `python -m audio_edge.serving` on a free port and asks it with 1-second WAVs over loopback.
Bare interpreters and the service take turns, so that whatever slows the machine slows both. Needs
no TensorFlow.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audio_edge import audio, files, measure, scoring
from audio_edge.detector import Detector
from audio_edge.errors import UserError, command
from audio_edge.streaming_interpreter import open_model

OUTPUTS = ("detections", "probabilities")
_PACKET_S = 0.1  # of a live stream's message
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
    parser.add_argument("--streams", type=int, default=0, help="live streams at real time as well")
    parser.add_argument("--json", metavar="OUT", help="write everything there")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_args(argv)
    files.require_free([args.json], inputs=[args.model], force=args.force)
    args.half_s = 2 * args.seconds if args.half_s is None else args.half_s
    if min(args.workers, args.clients, args.rounds) < 1 or args.streams < 0:
        raise UserError("--workers, --clients and --rounds must be >= 1, --streams >= 0")
    if not (args.seconds >= 1 and args.half_s > 0):
        raise UserError("--seconds must be >= 1 and --half-s > 0")
    service, url = _start(args.model, args.workers, args.streams)
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
    lines = [
        f"Device: {device['cpu']} ({device['machine']}, {device['cores']} cores), "
        f"{results['workers']} workers, {results['clients']} requests at a time, "
        f"{results['rounds']} rounds of {results['seconds']:g} s, asked by {results['client']}; "
        f"{results['half_s']:g} s at half load.",
        "",
        "| 1 s of sound to | bare, a second | service, a second | share | errors "
        "| p50 ms at half load | p99 ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in results["rows"]:
        lines.append(
            f"| {row['output']} | {row['bare']:.0f} | {row['service']:.0f} | {row['share']:.0%} "
            f"| {row['errors']} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f} |"
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
            f"of {1000 * _PACKET_S:g} ms, {live['closed']} streams closed early; at the end the "
            f"last answer came {live['behind_s']:.2f} s after the last packet."
        )
    return "\n".join(lines) + "\n"


def _measure(args: argparse.Namespace, pid: int, url: str) -> dict[str, Any]:
    content = _wav(open_model(args.model).sample_rate)
    ask = _ask_with_wrk if shutil.which("wrk") else _ask_at_full_load
    rows: list[dict[str, Any]] = []
    memory: list[float] = []
    for output in args.outputs:
        bare, rates, errors = [], [], 0
        for _ in range(args.rounds):
            bare.append(_bare(args.model, output, content, args.workers, args.seconds))
            rate, failed = ask(url, output, content, args.clients, args.seconds)
            rates.append(rate)
            errors += failed
            memory.append(_resident_mib(pid))
        half = float(np.median(rates)) / 2
        work = _ask(url, output, content, 64, args.half_s, rate=half)
        waits, failed = asyncio.run(_watched(work, pid, memory))
        p50, p99 = (1000 * float(value) for value in np.percentile(waits, [50, 99]))
        rows.append({
            "output": output, "bare": float(np.median(bare)), "service": float(np.median(rates)),
            "share": float(np.median(np.divide(rates, bare))), "errors": errors + failed,
            "half": len(waits), "p50_ms": p50, "p99_ms": p99,
        })  # fmt: skip
    names = ("workers", "clients", "rounds", "seconds", "half_s")
    found: dict[str, Any] = {key: getattr(args, key) for key in names}
    found["client"] = "wrk" if ask is _ask_with_wrk else "Python"
    if args.streams:
        live = _live(url, args.streams, args.half_s, content)
        found["live"] = asyncio.run(_watched(live, pid, memory))
    return {**found, "rows": rows, "memory_mib": memory}


async def _watched(work: Coroutine[Any, Any, Any], pid: int, memory: list[float]) -> Any:
    """Wait for it, and note the service's memory every few seconds."""
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait({task}, timeout=_LOOK_S)
        memory.append(_resident_mib(pid))
    return await task


def _start(model: str, workers: int, streams: int) -> tuple[subprocess.Popen[str], str]:
    options = ["--port", "0", "--workers", str(workers), "--streams", str(max(1, streams))]
    service = subprocess.Popen(
        [sys.executable, "-m", "audio_edge.serving", f"model={model}", *options],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert service.stderr
    for line in service.stderr:
        told = json.loads(line) if line.startswith("{") else {}
        if told.get("event") == "listening":
            # its log must go somewhere: a full pipe would stop it
            subprocess.Popen(["cat"], stdin=service.stderr, stdout=subprocess.DEVNULL)
            return service, told["url"]
        if not told:
            service.wait()
            raise UserError(line.strip().removeprefix("error: "))
    raise UserError(f"{model}: the service did not start; start it by itself to see why")


def _wav(sample_rate: int) -> bytes:
    file = io.BytesIO()
    sound = audio.to_int16(scoring.speech_like(sample_rate, sample_rate=sample_rate))
    soundfile.write(file, sound, sample_rate, format="WAV")
    return file.getvalue()


def _bare(model: str, output: str, content: bytes, processes: int, seconds: float) -> float:
    """Recordings a second that so many processes decode and hear, with nothing around them."""
    with ProcessPoolExecutor(processes) as pool:
        tasks = [pool.submit(_alone, model, output, content, seconds) for _ in range(processes)]
        return sum(task.result() for task in tasks)


def _alone(model: str, output: str, content: bytes, seconds: float) -> float:
    detector = Detector(model)
    hear: Any = detector.detect if output == "detections" else detector.model
    count, began = -20, time.perf_counter()  # the first 20 warm up
    while count < 1 or time.perf_counter() - began < seconds:
        waveform, _ = soundfile.read(io.BytesIO(content), dtype="float32")
        hear(waveform[: detector.model.clip_samples] if output != "detections" else waveform)
        count += 1
        if not count:
            began = time.perf_counter()
    return count / (time.perf_counter() - began)


def _ask_with_wrk(
    url: str, output: str, content: bytes, clients: int, seconds: float
) -> tuple[float, int]:
    """Answers a second, and failed requests, as wrk counts them: it takes little from the cores."""
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder) / "body", Path(folder) / "post.lua"
        body.write_bytes(content)
        script.write_text(
            f'wrk.method = "POST"\nlocal file = io.open("{body}", "rb")\n'
            'wrk.body = file:read("*all")\nfile:close()\n'
        )
        done = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", f"-d{round(seconds)}s", "-s", str(script),
             f"{url}/v1/recognize?output={output}"], capture_output=True, text=True, check=True,
        )  # fmt: skip
    failed = re.findall(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", done.stdout)
    count = sum(
        int(number) for pair in failed for part in pair for number in re.findall(r"\d+", part)
    )
    answered = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert answered, done.stdout
    return float(answered[1]), count


def _ask_at_full_load(
    url: str, output: str, content: bytes, clients: int, seconds: float
) -> tuple[float, int]:
    waits, failed = asyncio.run(_ask(url, output, content, clients, seconds))
    return len(waits) / seconds, failed


async def _ask(
    url: str, output: str, content: bytes, clients: int, seconds: float, rate: float | None = None
) -> tuple[list[float], int]:
    """Send requests for so long, as many as are answered or `rate` a second.

    Returns:
        (seconds that each good answer took, counted from when it was due; failed requests).
    """
    host, port = url.removeprefix("http://").split(":")
    head = f"POST /v1/recognize?output={output} HTTP/1.1\r\nHost: {host}\r\n"
    request = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
    began, waits, failed, sent = time.perf_counter(), [], 0, 0

    async def client() -> None:
        nonlocal failed, sent
        reader, writer = await asyncio.open_connection(host, int(port))
        while time.perf_counter() - began < seconds:
            due = time.perf_counter()
            if rate:
                due = began + sent / rate
                sent += 1
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(request)
            status = await _status(reader)
            if status == 200:
                waits.append(time.perf_counter() - due)
            else:
                failed += 1
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return waits, failed


async def _status(reader: asyncio.StreamReader) -> int:
    """Read one answer whole: its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ")[1])


async def _live(url: str, streams: int, seconds: float, content: bytes) -> dict[str, Any]:
    """Live streams, a packet each `_PACKET_S`, spread over it."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    sound, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    size = round(_PACKET_S * rate)
    packets = [sound[at : at + size].tobytes() for at in range(0, len(sound) - size + 1, size)]
    sent, closed, behind = 0, 0, 0.0

    async def stream(number: int) -> None:
        nonlocal sent, closed, behind
        address = url.replace("http", "ws", 1) + "/v1/listen"
        async with connect(address, compression=None, ping_interval=None) as socket:
            began = time.perf_counter() + _PACKET_S * number / streams
            try:
                for turn in range(round(seconds / _PACKET_S)):
                    await asyncio.sleep(max(0.0, began + turn * _PACKET_S - time.perf_counter()))
                    await socket.send(packets[turn % len(packets)])
                    sent += 1
                last = time.perf_counter()
                await socket.send("end")
                async for _ in socket:
                    pass
                behind = max(behind, time.perf_counter() - last)
                closed += socket.close_code != 1000
            except ConnectionClosed:
                closed += 1

    await asyncio.gather(*(stream(number) for number in range(streams)))
    return {
        "streams": streams, "seconds": seconds, "packets": sent, "closed": closed,
        "behind_s": behind,
    }  # fmt: skip


def _resident_mib(pid: int) -> float:
    """Of a process and its children, where the system tells."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        children: list[str] = []
        for task in tasks:
            with open(f"/proc/{pid}/task/{task}/children") as file:
                children += file.read().split()
        total = 0
        for number in [str(pid), *children]:
            with open(f"/proc/{number}/statm") as file:
                total += int(file.read().split()[1])
        return total * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return float("nan")


if __name__ == "__main__":
    sys.exit(main())
