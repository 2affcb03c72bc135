"""Around every request: its number, its key and how many there may be; then a line and a count."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audio_edge.serving import keys
from audio_edge.serving.journal import Journal
from audio_edge.serving.limits import Limits

OPEN = ("/healthz", "/docs", "/openapi.json")  # no key is asked for, nor below /docs
_COUNTED = ("POST", "DELETE")  # what workers or the disk are asked for
_LONGEST = 200  # characters of a path in the log


class Gate:
    """ASGI middleware around the whole application.

    Args:
        app: What is behind it.
        known: Gives name -> hash of the keys, None where none is wanted.
        limits: Of requests and streams at a time.
        journal: Where they are told.
    """

    def __init__(
        self, app: ASGIApp, known: Callable[[], dict[str, str] | None], limits: Limits,
        journal: Journal,
    ) -> None:  # fmt: skip
        self._app, self._known, self._limits, self._journal = app, known, limits, journal
        self._count = {"http": 0, "websocket": 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with 401 or 503."""
        kind = scope["type"]
        if kind not in self._count:
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        facts: dict[str, Any] = {"id": uuid.uuid4().hex[:16], "path": scope["path"][:_LONGEST]}
        scope.setdefault("state", {})["facts"] = facts

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                extra = [(b"x-request-id", facts["id"].encode())]
                if status in (401, 408, 413, 503):  # what is left of a body is not read
                    extra.append((b"connection", b"close"))
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        counted = kind == "websocket" or scope["method"] in _COUNTED
        gauge = self._journal.streams if kind == "websocket" else self._journal.requests
        if counted:
            self._count[kind] += 1
            gauge.inc()
        try:
            refused = self._refuse(scope, facts)
            if refused is None:
                await self._app(scope, receive, noted)
            elif kind == "http":
                await refused(scope, receive, noted)
            else:
                await receive()  # websocket.connect
                await refused(scope, receive, noted)
        finally:
            if counted:
                self._count[kind] -= 1
                gauge.dec()
            route = getattr(scope.get("route"), "path", "other")
            method = scope.get("method", "WEBSOCKET")
            self._journal.request(route, method, status, time.perf_counter() - began, **facts)

    def _refuse(self, scope: Scope, facts: dict[str, Any]) -> JSONResponse | None:
        """The answer to who may not go on."""
        known = self._known()
        if known is not None and not _open(scope["path"]):
            name = keys.owner(_key(Headers(scope=scope)), known)
            if name is None:
                error = {"error": "a key is needed: Authorization: Bearer KEY"}
                return JSONResponse(error, 401, {"WWW-Authenticate": "Bearer"})
            facts["key"] = name
        limits = self._limits
        most = limits.streams if scope["type"] == "websocket" else limits.requests
        if self._count[scope["type"]] > most and scope.get("method", "POST") in _COUNTED:
            what = "streams" if scope["type"] == "websocket" else "requests"
            error = {"error": f"{most} {what} are at work; try again later"}
            return JSONResponse(error, 503, {"Retry-After": "1"})
        return None


def _open(path: str) -> bool:
    return path in OPEN or path.startswith("/docs/")


def _key(headers: Headers) -> str:
    kind, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
