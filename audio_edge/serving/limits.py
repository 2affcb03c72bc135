"""What the service takes, and for how long it tries."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from audio_edge.errors import UserError


@dataclass(frozen=True)
class Limits:
    """Every limit of the service; beyond one a request is refused, never cut.

    Attributes:
        body_bytes: Of a request's body.
        message_bytes: Of one message of a live stream.
        audio_s: Seconds of a recording.
        decoded_bytes: Of a recording once decoded, all channels as float32.
        memory_bytes: That a worker may take on top of its models.
        requests: At work or waiting at a time.
        streams: Live streams at a time.
        body_timeout_s: Until a request's headers, and again until its body, have come.
        work_timeout_s: Until a worker has answered; it is killed then.
        wait_timeout_s: Until a worker is free.
        idle_timeout_s: Without sound in a live stream.
        drain_s: For what is at work when the service is stopped.
    """

    body_bytes: int = 16 << 20
    message_bytes: int = 1 << 20
    audio_s: float = 60.0
    decoded_bytes: int = 64 << 20
    memory_bytes: int = 512 << 20
    requests: int = 64
    streams: int = 256
    body_timeout_s: float = 10.0
    work_timeout_s: float = 20.0
    wait_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0
    drain_s: float = 20.0

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if not 0 < value < math.inf:
                option = "--" + item.name.replace("_", "-")
                raise UserError(f"{option} must be > 0 and finite. Received: {value}")
