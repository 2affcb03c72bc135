"""`WS /v1/listen`: live samples in, detections out, until either side has enough."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from audio_edge.serving.journal import Journal
from audio_edge.serving.limits import Limits
from audio_edge.serving.pool import Stream
from audio_edge.serving.process import Answer, Died

END = "end"  # the message of a client that has no more sound
NORMAL, UNSUPPORTED, POLICY, TOO_BIG, FAILED = 1000, 1003, 1008, 1009, 1011
_TOLD = ("version", "labels", "sample_rate", "clip_samples", "hop_samples")


async def listen(
    socket: WebSocket, stream: Stream, bytes_per_second: int, limits: Limits, journal: Journal,
    keep: Callable[[Answer], None],
) -> None:  # fmt: skip
    """Serve one stream from its acceptance to its close.

    The first message tells what hears: model, version, labels, sample_rate and lengths. Then each
    detection is a message of its own. Samples that come faster than they are heard wait in the
    client: no message is taken before the one before it was heard.

    Args:
        socket: Not yet accepted.
        stream: A worker's.
        bytes_per_second: Of the samples.
        limits: Of a message, and of silence on the line.
        journal: Where sound is counted.
        keep: Called with each answer, for the clips that come along.
    """
    name = stream.facts["name"]
    await socket.accept()
    await socket.send_json({"model": name, **{key: stream.facts[key] for key in _TOLD}})
    try:
        code, reason = await _heard(socket, stream, bytes_per_second, limits, journal, keep)
    except asyncio.TimeoutError:
        code, reason = POLICY, f"no sound for {limits.idle_timeout_s:g} s"
    except Died:
        code, reason = FAILED, "the worker of this stream died; open another"
    except WebSocketDisconnect:
        return
    try:
        await socket.close(code, reason)
    except (RuntimeError, WebSocketDisconnect):  # the client was first
        return


async def _heard(
    socket: WebSocket, stream: Stream, bytes_per_second: int, limits: Limits, journal: Journal,
    keep: Callable[[Answer], None],
) -> tuple[int, str]:  # fmt: skip
    """Hear a stream to its end: the code and the reason of its close."""
    while True:
        message = await asyncio.wait_for(socket.receive(), limits.idle_timeout_s)
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", NORMAL))
        content = message.get("bytes")
        if content is None:
            if message.get("text") == END:
                return NORMAL, "heard to the end"
            return UNSUPPORTED, f'samples are binary messages; the only text is "{END}"'
        if len(content) > limits.message_bytes:
            return TOO_BIG, f"a message holds at most {limits.message_bytes} bytes"
        answer = await stream.push(content)
        if answer.status != 200:
            failed = FAILED if answer.status >= 500 else UNSUPPORTED
            return failed, str(json.loads(answer.content)["error"])[:120]
        detections: list[dict[str, Any]] = json.loads(answer.content)
        journal.heard(stream.facts["name"], len(content) / bytes_per_second, len(detections))
        keep(answer)
        for item in detections:
            await socket.send_json(item)
