"""HTTP/1.1 as uvicorn speaks it, with a limit on how long a request's headers may take.

uvicorn limits the pause between requests, but a request that has begun may drip for ever; each
such connection would hold one of the places there are.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def within(seconds: float) -> type[H11Protocol]:
    """The protocol whose connections are closed if headers take longer than that."""

    class Protocol(H11Protocol):
        """One connection."""

        _slow: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._slow = self.loop.call_later(seconds, self._drop)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._calm()
            elif self._slow is None and self.timeout_keep_alive_task is None:
                self._slow = self.loop.call_later(seconds, self._drop)

        def connection_lost(self, exc: Exception | None) -> None:
            self._calm()
            super().connection_lost(exc)

        def _calm(self) -> None:
            if self._slow is not None:
                self._slow.cancel()
                self._slow = None

        def _drop(self) -> None:
            self._slow = None
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self.transport.close()

    return Protocol
