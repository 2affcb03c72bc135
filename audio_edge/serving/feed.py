"""From the service to the review queue: in a thread, never in the way of an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_edge.errors import UserError, first_line
from audio_edge.review import choice
from audio_edge.review.queue import Queue
from audio_edge.serving.body import Refused
from audio_edge.serving.journal import Journal
from audio_edge.serving.process import Answer

_BACKLOG = 64 << 20  # bytes of sound that may wait
_TEND_S = 3600.0  # between two looks for what is too old


@dataclass(frozen=True)
class Feeding:
    """What is fed.

    Attributes:
        queue: Folder of the review queue.
        against: Name of a served model that gives the second opinion, or None.
        margin: Best score less the second that is low.
        control: Share of the clips that is taken whatever the scores.
    """

    queue: str
    against: str | None = None
    margin: float = choice.MARGIN
    control: float = choice.CONTROL

    def __post_init__(self) -> None:
        choice.check(self.margin, self.control)


class Feed:
    """The way into one review queue.

    Args:
        feeding: What is fed.
        journal: Where it is told and counted.

    Raises:
        UserError: There is no such queue.
    """

    def __init__(self, feeding: Feeding, journal: Journal) -> None:
        self._feeding, self._journal = feeding, journal
        self._queue = Queue(feeding.queue)
        self._labels = set(self._queue.terms.labels)
        self._thread = ThreadPoolExecutor(1, "review")
        self._looking: Future[None] | None = None
        self._waiting, self._works = 0, True

    def check(self, models: Mapping[str, Mapping[str, Any]]) -> None:
        """Look whether models, name -> facts, fit the queue and each other.

        Raises:
            UserError: They do not.
        """
        if not any(map(self.wish, models.values())):
            raise UserError(
                f"{self._feeding.queue}: its labels ({', '.join(sorted(self._labels))}) are those "
                "of no model, or several may be heard at once; give training.review set --model"
            )
        other = self._feeding.against
        if other is not None and other not in models:
            raise UserError(f"--against {other}: no such model; there are: {', '.join(models)}")
        keys = ("labels", "sample_rate", "clip_samples")
        if other is not None and not any(
            name != other and all(facts[key] == models[other][key] for key in keys)
            for name, facts in models.items()
        ):
            raise UserError(f"--against {other}: no other model has its labels, rate and length")

    def wish(self, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a worker is asked for along with an answer of a model; None if they do not fit.

        A queue of other labels does not, nor a model that may hear several at once. The labels are
        those last seen; where they do not fit, they are looked at again, for who comes next.
        """
        card = facts["card"] or {}
        if card.get("multi_label"):
            return None
        if not self._fit(facts["labels"]):
            self._look()
            return None
        feeding = self._feeding
        against = None if feeding.against == facts["name"] else feeding.against
        return {"least": feeding.margin, "control": feeding.control, "against": against}

    async def look(self, seconds: float) -> None:
        """See the labels that the queue has now, if it can be read in time."""
        await asyncio.wait([asyncio.wrap_future(self._look())], timeout=seconds)

    def offer(
        self, answer: Answer, key: str | None, source: str | None, given: str = ""
    ) -> asyncio.Future[int | None] | None:
        """Hand on the clips that came along with an answer.

        Args:
            answer: Of a worker.
            key: Whose key the client has.
            source: Who recorded them, as the client says.
            given: The label that they have, as far as anybody said.

        Returns:
            How many were new, or None if they cannot be kept; or None at once, and nothing is
            handed on, where too much is waiting.
        """
        size, clips = len(answer.sound), answer.head.get("clips")
        if not clips:
            return None
        if self._waiting + size > _BACKLOG:
            self._journal.reviewed("dropped", len(clips))
            return None
        self._waiting += size
        name = "/".join(part for part in (key, source) if part) or "service"

        def add() -> int | None:
            return self._tried(lambda: self._add(answer, name, given), clips=True)

        future = asyncio.get_running_loop().run_in_executor(self._thread, add)
        future.add_done_callback(lambda _: self._less(size))
        return future

    async def delete(self, sha256: str, seconds: float) -> int:
        """Delete a clip, and say how many there were: 1 or 0.

        Raises:
            Refused: The queue cannot be written.
        """

        def delete() -> int | None:
            return self._tried(lambda: self._queue.delete(sha256=sha256))

        future = asyncio.get_running_loop().run_in_executor(self._thread, delete)
        return await done(future, seconds)

    async def tend(self) -> None:
        """Delete what is too old, for ever."""
        while True:
            await asyncio.get_running_loop().run_in_executor(
                self._thread, self._tried, lambda: self._queue.expire(time.time())
            )
            await asyncio.sleep(_TEND_S)

    async def close(self, seconds: float) -> None:
        """Take in what is waiting, as far as that is possible in time."""
        last = asyncio.get_running_loop().run_in_executor(self._thread, lambda: None)
        await asyncio.wait([last], timeout=seconds)
        if not last.done():
            self._journal.tell("review_failed", error="stopped before all was kept")
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _add(self, answer: Answer, source: str, given: str) -> int:
        """Take in the clips of an answer: how many were new."""
        clips, sound, start = answer.head["clips"], np.frombuffer(answer.sound, "<i2"), 0
        outcomes: list[str] = []
        try:
            self._labels = set(self._queue.terms.labels)
            for clip in clips:
                samples = sound[start : start + clip["samples"]]
                start += len(samples)
                if not self._fit(clip["scores"]):  # others were set meanwhile
                    outcomes.append("dropped")
                    continue
                facts = {key: clip[key] for key in ("model", "model_sha256", "why", "scores")}
                new = self._queue.add(
                    samples, clip["sample_rate"], source=source, given=given, now=time.time(),
                    **facts,
                )  # fmt: skip
                outcomes.append("taken" if new else "known")
        finally:
            outcomes += ["failed"] * (len(clips) - len(outcomes))
            for outcome in outcomes:
                self._journal.reviewed(outcome, 1)
        return outcomes.count("taken")

    def _tried(self, work: Callable[[], int], *, clips: bool = False) -> int | None:
        """Do it. That clips cannot be taken in is told once, until they can again."""
        try:
            found = work()
        except Exception as error:  # a full disk, a damaged queue, a lock that is never released
            if self._works or not clips:
                self._journal.tell("review_failed", error=first_line(error))
            self._works = self._works and not clips
            return None
        if clips and not self._works:
            self._works = True
            self._journal.tell("review_works")
        return found

    def _fit(self, labels: Iterable[str]) -> bool:
        return not self._labels or not set(labels) - self._labels

    def _look(self) -> Future[None]:
        """Have the thread look, unless it is about to."""
        if self._looking is None or self._looking.done():
            self._looking = self._thread.submit(self._see)
        return self._looking

    def _see(self) -> None:
        with suppress(UserError):  # told of when a clip cannot be taken in
            self._labels = set(self._queue.terms.labels)

    def _less(self, size: int) -> None:
        self._waiting -= size


async def done(future: asyncio.Future[int | None] | None, seconds: float) -> int:
    """What came of work on the queue.

    Raises:
        Refused: Nothing, or not in time.
    """
    refused = Refused(503, "the review queue takes nothing now; try again later")
    if future is None:
        raise refused
    try:
        found = await asyncio.wait_for(asyncio.shield(future), seconds)
    except asyncio.TimeoutError:
        raise refused from None
    if found is None:
        raise refused
    return found
