"""The worker processes: who gets what, and a new one for each that died."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from audio_edge.serving.limits import Limits
from audio_edge.serving.process import Answer, Died, Process

_TRIES = 2  # of a request whose worker dies: a second worker shows whose fault it was
_PAUSE_S = 1.0  # before a worker that did not start is started again


@dataclass(frozen=True)
class Held:
    """A model as workers load it: a file that nobody else writes."""

    name: str
    version: int
    path: str

    def request(self) -> dict[str, Any]:
        """The message to a worker."""
        return {
            "do": "load", "name": self.name, "version": self.version, "path": self.path,
            "refusal": 400,
        }  # fmt: skip


class Pool:
    """Worker processes that hold the same models.

    Args:
        count: Workers.
        limits: Of their work.
        tell: Called with an event and its facts, to be counted and logged.
    """

    def __init__(self, count: int, limits: Limits, tell: Callable[..., None]) -> None:
        self._count, self._limits, self._tell = count, limits, tell
        self.models: dict[str, Held] = {}
        self._workers: list[Process] = []
        self._idle: asyncio.Queue[Process] = asyncio.Queue()
        self._asking = 0
        self._keepers: list[asyncio.Task[None]] = []
        self._numbers = itertools.count()

    @property
    def alive(self) -> int:
        """Workers that answer."""
        return sum(worker.alive for worker in self._workers)

    @property
    def waiting(self) -> int:
        """Workers with nothing to do."""
        return self._idle.qsize()

    async def start(self) -> None:
        """Start the workers and wait until one of them answers."""
        self._keepers = [asyncio.create_task(self._keep()) for _ in range(self._count)]
        while not self.alive and any(not keeper.done() for keeper in self._keepers):
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """End all workers."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    async def ask(self, header: dict[str, Any], payload: bytes) -> Answer:
        """Have a request answered by the next free worker.

        A request whose worker dies goes to another one. If that dies of it too, it is refused.
        """
        tries = 0
        while True:
            try:
                worker = await self._free()
            except asyncio.TimeoutError:
                return refusal(503, "every worker is busy; try again later")
            try:
                return await worker.ask(header, payload)
            except Died as death:
                if death.late:
                    limit = self._limits.work_timeout_s
                    return refusal(504, f"the answer took over {limit:g} s; send less")
                tries += death.guilty
                if tries == _TRIES:
                    return refusal(422, "decoding it ended the worker; convert the recording")
            finally:
                if worker.alive:
                    self._idle.put_nowait(worker)

    async def open(self, model: str, encoding: str, wish: dict[str, Any] | None = None) -> Stream:
        """Begin a live stream, on the worker with the fewest.

        Args:
            model: Its name.
            encoding: Of the samples.
            wish: What of it is wanted for the review queue.

        Raises:
            Died: There is none, or it died.
        """
        living = [worker for worker in self._workers if worker.alive]
        if not living:
            raise Died(guilty=False, late=False)
        worker = min(living, key=lambda item: item.streams)
        stream = Stream(worker, next(self._numbers))
        worker.streams += 1
        try:
            header = {
                "do": "open", "model": model, "format": encoding, "stream": stream.number,
                "wish": wish,
            }  # fmt: skip
            stream.facts = json.loads((await worker.ask(header)).content)
        except BaseException:
            worker.streams -= 1
            raise
        return stream

    async def check(self, model: Held) -> Answer:
        """Load a model in a process of its own, which may die of it."""
        worker = Process(self._limits)
        await worker.start()
        try:
            return await worker.ask(model.request())
        except Died:
            return refusal(400, "loading it ended the process; export it again")
        finally:
            await worker.stop()

    async def switch(self, model: Held) -> None:
        """Make every worker take up a model that was checked; what is at work goes on as it was."""
        self.models[model.name] = model
        workers = [worker for worker in self._workers if worker.alive]
        await asyncio.gather(*(self._load(worker, [model]) for worker in workers))

    async def _load(self, worker: Process, models: list[Held]) -> bool:
        """Whether the worker now holds them; one that does not is ended, and replaced."""
        with contextlib.suppress(Died):
            answers = [await worker.ask(model.request()) for model in models]
            answers.append(await worker.ask({"do": "limit"}))
            if all(answer.status == 200 for answer in answers):
                return True
        await worker.stop()
        return False

    async def _free(self) -> Process:
        """The next free worker, in the order in which it was asked for one."""
        if not self._asking:
            while not self._idle.empty():
                worker = self._idle.get_nowait()
                if worker.alive:
                    return worker
        self._asking += 1
        try:
            return await asyncio.wait_for(self._next(), self._limits.wait_timeout_s)
        finally:
            self._asking -= 1

    async def _next(self) -> Process:
        while True:
            worker = await self._idle.get()
            if worker.alive:
                return worker

    async def _keep(self) -> None:
        """One worker after the other, for as long as the service runs."""
        while True:
            worker = Process(self._limits)
            try:
                await worker.start()
            except OSError as error:
                self._tell("worker_not_started", error=str(error))
                await asyncio.sleep(_PAUSE_S)
                continue
            try:
                held: dict[str, Held] = {}
                while held != self.models:  # one may be switched meanwhile
                    wanted = dict(self.models)
                    news = [model for name, model in wanted.items() if held.get(name) != model]
                    if not await self._load(worker, news):
                        break
                    held = wanted
                if held == self.models and worker.alive:
                    self._workers.append(worker)
                    self._idle.put_nowait(worker)
                    await worker.ended()
                    self._workers.remove(worker)
                else:
                    await asyncio.sleep(_PAUSE_S)
                self._tell("worker_died", pid=worker.pid, exit=worker.exit)
            finally:
                await worker.stop()


class Stream:
    """A live stream, held by one worker.

    Attributes:
        number: The worker's name for it.
        facts: Of the model that hears it, as in `GET /v1/models`.
    """

    def __init__(self, worker: Process, number: int) -> None:
        self._worker, self.number = worker, number
        self.facts: dict[str, Any] = {}

    async def push(self, content: bytes) -> Answer:
        """Hand samples on: a JSON list of detections.

        Raises:
            Died: The worker is gone, and the stream's state with it.
        """
        return await self._worker.ask({"do": "push", "stream": self.number}, content)

    async def close(self) -> None:
        """Forget the stream."""
        self._worker.streams -= 1
        with contextlib.suppress(Died):
            await self._worker.ask({"do": "close", "stream": self.number})


def refusal(status: int, error: str) -> Answer:
    """An answer that the service gives by itself, in the shape of TensorFlow Serving's errors."""
    return Answer(status, json.dumps({"error": error}).encode())
