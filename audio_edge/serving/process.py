"""One worker process, as the service sees it: messages out, answers in, in order."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audio_edge.serving import wire
from audio_edge.serving.limits import Limits

_LOAD_S = 60.0  # for a model to be loaded: the service's own work, not a client's
_QUIET = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Answer:
    """What a worker says.

    Attributes:
        status: Of HTTP.
        content: JSON.
        head: What is counted of it, and the facts of `clips` for the review queue.
        sound: Those clips end to end, int16.
    """

    status: int
    content: bytes
    head: dict[str, Any] = field(default_factory=dict)
    sound: bytes = b""


class Died(Exception):
    """The worker is gone.

    Attributes:
        guilty: It was at work on this very request.
        late: It was killed, for that took longer than allowed.
    """

    def __init__(self, guilty: bool, late: bool) -> None:
        super().__init__("the worker died")
        self.guilty, self.late = guilty, late


class Process:
    """A worker process. It answers in order, so its oldest request is the one it works on.

    Attributes:
        streams: Live streams that it holds, counted by the pool.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: deque[tuple[asyncio.Future[Answer], float]] = deque()  # and its seconds
        self._timer: asyncio.TimerHandle | None = None
        self._late = False
        self.streams = 0
        self.alive = False

    async def start(self) -> None:
        """Start the process.

        Raises:
            OSError: The system refuses.
        """
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        single = dict.fromkeys(_QUIET, "1")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "audio_edge.serving.worker",
            json.dumps(dataclasses.asdict(self._limits)),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env={**os.environ, **single, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the service, which stops its workers itself
        )  # fmt: skip
        assert self._process.stdin and self._process.stdout  # both are pipes
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self.alive = True
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        """The system's number of the process."""
        return self._process.pid

    @property
    def exit(self) -> int | None:
        """How the process ended: its exit status, or less the number of the signal; None yet."""
        return self._process.returncode

    async def ask(self, header: dict[str, Any], payload: bytes = b"") -> Answer:
        """Send a request and wait for its answer.

        Raises:
            Died: The process ended first, by itself or because it took too long.
        """
        if not self.alive:
            raise Died(guilty=False, late=False)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        seconds = _LOAD_S if header["do"] == "load" else self._limits.work_timeout_s
        self._waiting.append((future, seconds))
        if len(self._waiting) == 1:
            self._watch()
        self._stdin.write(wire.pack(header, payload))
        with contextlib.suppress(ConnectionError):  # the reader tells
            await self._stdin.drain()
        return await asyncio.shield(future)  # who stops waiting does not change the order

    async def ended(self) -> None:
        """Wait until the process has ended."""
        await asyncio.shield(self._reader)

    async def stop(self) -> None:
        """End the process at once."""
        self.alive = False
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reader

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._waiting[0][1], self._kill)

    def _kill(self) -> None:
        self._late = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                lengths = await self._stdout.readexactly(wire.LENGTHS.size)
                head, payload = wire.LENGTHS.unpack(lengths)
                content = await self._stdout.readexactly(head + payload)
                self._answered(json.loads(content[:head]), content[head:])
        self.alive = False
        if self._timer:
            self._timer.cancel()
        for place, (future, _) in enumerate(self._waiting):
            if not future.done():
                future.set_exception(Died(guilty=place == 0, late=place == 0 and self._late))
                future.exception()  # nobody may be waiting any more
        self._waiting.clear()
        await self._process.wait()

    def _answered(self, head: dict[str, Any], content: bytes) -> None:
        if self._timer:
            self._timer.cancel()
        future, _ = self._waiting.popleft()
        if self._waiting:
            self._watch()
        if not future.done():
            end = len(content) - head.pop("sound")
            future.set_result(Answer(head.pop("status"), content[:end], head, content[end:]))
