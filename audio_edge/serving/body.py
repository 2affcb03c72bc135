"""Reading a request's body: bounded in bytes and in time, in memory, never on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from audio_edge.serving.limits import Limits

FIELD = "file"  # of a form, where the recording is


class Refused(Exception):
    """A request that is answered with an error, {"error": reason}."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


async def read(request: Request, limits: Limits) -> bytes:
    """The body as it is.

    Raises:
        Refused: It is too large, comes too slowly, or is empty.
    """
    too_large = Refused(413, f"the body is larger than {limits.body_bytes} bytes; send less")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limits.body_bytes:
        raise too_large
    parts: list[bytes] = []

    async def collect() -> None:
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > limits.body_bytes:
                raise too_large
            parts.append(part)

    try:
        await asyncio.wait_for(collect(), limits.body_timeout_s)
    except asyncio.TimeoutError:
        limit = f"{limits.body_timeout_s:g} s"
        raise Refused(408, f"the body did not come within {limit}; send it faster") from None
    except ClientDisconnect:
        raise Refused(400, "the body ended early") from None
    body = b"".join(parts)
    if not body:
        raise Refused(400, "the body is empty; send a recording")
    return body


async def recording(request: Request, limits: Limits) -> bytes:
    """The recording in a body: the body itself, or the file of a multipart form.

    Raises:
        Refused: As `read`; or the form is damaged or holds no file.
    """
    body = await read(request, limits)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return body

    async def whole() -> AsyncGenerator[bytes, None]:
        yield body
        yield b""

    parser = MultiPartParser(request.headers, whole(), max_files=1, max_fields=8)
    parser.spool_max_size = limits.body_bytes + 1
    try:
        form = await parser.parse()
    except (MultiPartException, MultipartParseError, KeyError, ValueError) as error:
        raise Refused(400, f"the form is damaged ({error}); send it again") from None
    try:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise Refused(400, f'the form has no file called "{FIELD}"; name it so')
        content = await file.read()
    finally:
        await form.close()
    if not content:
        raise Refused(400, "the file is empty; send a recording")
    return content
