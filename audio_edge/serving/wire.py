"""Messages between the service and its workers: a JSON header and bytes, each behind its length."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

LENGTHS = struct.Struct(">II")  # of header and payload, in bytes
SAMPLE_BYTES = {"pcm16": 2, "float32": 4}  # the formats of a live stream, little-endian


def pack(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """One message."""
    head = json.dumps(header).encode()
    return LENGTHS.pack(len(head), len(payload)) + head + payload


def read(file: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next message of a blocking file; None where it ends."""
    lengths = file.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head, payload = LENGTHS.unpack(lengths)
    header = json.loads(file.read(head))
    return header, file.read(payload)
