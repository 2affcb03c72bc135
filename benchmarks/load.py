"""Who asks a service under load, and who does the same work without one, for `benchmarks.serving`.

Needs no TensorFlow.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import soundfile

from audio_edge import audio, scoring
from audio_edge.detector import Detector
from audio_edge.errors import UserError

PACKET_S = 0.1  # of a live stream's message


def start(models: list[str], options: list[str]) -> tuple[subprocess.Popen[str], str]:
    """A service on a free port, and its address.

    Raises:
        UserError: It does not start.
    """
    service = subprocess.Popen(
        [sys.executable, "-m", "audio_edge.serving", *models, "--port", "0", *options],
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
    raise UserError(f"{models[0]}: the service did not start; start it by itself to see why")


def wav(sample_rate: int) -> bytes:
    """A second of sound."""
    file = io.BytesIO()
    sound = audio.to_int16(scoring.speech_like(sample_rate, sample_rate=sample_rate))
    soundfile.write(file, sound, sample_rate, format="WAV")
    return file.getvalue()


def bare(model: str, output: str, content: bytes, processes: int, seconds: float) -> float:
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


def ask_with_wrk(
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


def ask_at_full_load(
    url: str, output: str, content: bytes, clients: int, seconds: float
) -> tuple[float, int]:
    """As `ask_with_wrk`, by `ask`."""
    waits, failed = asyncio.run(ask(url, output, content, clients, seconds))
    return len(waits) / seconds, failed


async def ask(
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


async def live(url: str, streams: int, seconds: float, content: bytes) -> dict[str, Any]:
    """Live streams, a packet each `PACKET_S`, spread over it."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    sound, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    size = round(PACKET_S * rate)
    packets = [sound[at : at + size].tobytes() for at in range(0, len(sound) - size + 1, size)]
    sent, closed, behind = 0, 0, 0.0

    async def stream(number: int) -> None:
        nonlocal sent, closed, behind
        address = url.replace("http", "ws", 1) + "/v1/listen"
        async with connect(address, compression=None, ping_interval=None) as socket:
            began = time.perf_counter() + PACKET_S * number / streams
            try:
                for turn in range(round(seconds / PACKET_S)):
                    await asyncio.sleep(max(0.0, began + turn * PACKET_S - time.perf_counter()))
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


def children(pid: int) -> list[int]:
    """The processes that a process has started, where the system tells."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def resident_mib(pid: int) -> float:
    """Of a process and its children, where the system tells; without those that just ended."""
    pages = 0
    for number in [pid, *children(pid)]:
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{number}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20 if pages else float("nan")


async def kill(pid: int, pause_s: float) -> None:
    """End the youngest child of a process with SIGKILL every so often, until cancelled."""
    while True:
        await asyncio.sleep(pause_s)
        with contextlib.suppress(OSError, ValueError):
            os.kill(max(children(pid)), signal.SIGKILL)
