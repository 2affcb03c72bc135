"""HTTP/1.1 as uvicorn speaks it, with limits on a request's headers.

uvicorn limits the pause between requests, but a request that has begun may drip for ever, and its
headers may grow for ever; each such connection would hold one of the places there are.
"""

from __future__ import annotations

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_BYTES = 1 << 16
_BODY = (b"content-length", b"transfer-encoding")


def within(seconds: float) -> type[HttpToolsProtocol]:
    """The protocol whose connections are closed if headers take longer, or more than 64 KiB."""

    class Protocol(HttpToolsProtocol):
        """One connection."""

        _slow: asyncio.TimerHandle | None = None
        _taken = 0  # bytes since the last message
        _within = False  # the body of a message

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect()

        def data_received(self, data: bytes) -> None:
            if self._slow is None and (self.cycle is None or self.cycle.response_complete):
                self._expect()
            self._taken += len(data)
            super().data_received(data)
            if self._slow is not None and not self._within and self._taken > HEADER_BYTES:
                self._drop()

        def on_headers_complete(self) -> None:
            self._calm()
            self._within = True
            # httptools would take such a body for the next request
            if self.parser.should_upgrade() and any(
                name in _BODY and value != b"0" for name, value in self.headers
            ):
                raise ValueError("an upgrade with a body")
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._taken, self._within = 0, False
            super().on_message_complete()

        def send_400_response(self, msg: str) -> None:
            content = json.dumps({"error": msg}).encode()
            head = (
                "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            )
            self.transport.write(head.encode() + content)
            self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._calm()
            super().connection_lost(exc)

        def _expect(self) -> None:
            self._slow = self.loop.call_later(seconds, self._drop)

        def _calm(self) -> None:
            if self._slow is not None:
                self._slow.cancel()
                self._slow = None

        def _drop(self) -> None:
            self._calm()
            if not self.transport.is_closing():
                self.transport.close()

    return Protocol
