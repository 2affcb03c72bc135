"""Serve models over HTTP: `python -m audio_edge.serving MODEL... [--port 8000]`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from audio_edge.errors import UserError, command
from audio_edge.review import choice
from audio_edge.serving.limits import Limits

_SPARE = 64  # connections beyond those of requests and streams, for looks at health and metrics


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Serve models over HTTP until SIGTERM or Ctrl-C; what is at work is answered first."""
    parser = argparse.ArgumentParser(
        prog="python -m audio_edge.serving", description=main.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "models", nargs="+", metavar="MODEL",
        help="model file (.tflite), a model's folder in a registry, or NAME=one of them",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port; 0 takes a free one")
    parser.add_argument(
        "--workers", type=int, default=_cores(), help="processes that decode and run"
    )
    parser.add_argument("--keys", metavar="FILE", help="ask for a key of this file")
    parser.add_argument("--look-s", type=float, default=1.0, help="between looks for new files")
    parser.add_argument("--log-level", default="info", choices=("info", "warning", "error"))
    review = parser.add_argument_group("what the review queue takes of requests with consent=true")
    review.add_argument(
        "--queue", metavar="FOLDER", help="of training.review; else nothing is kept"
    )
    review.add_argument("--against", metavar="NAME", help="model served that may disagree")
    review.add_argument(
        "--margin", type=float, default=choice.MARGIN, help="of scores, that is low"
    )
    review.add_argument("--control", type=float, default=choice.CONTROL, help="share taken anyway")
    limits = parser.add_argument_group("limits")
    for item in dataclasses.fields(Limits):
        kind = type(item.default)
        limits.add_argument(
            "--" + item.name.replace("_", "-"), type=kind, default=item.default, metavar="N",
            help=_meaning(item.name),
        )  # fmt: skip
    args = parser.parse_args(argv)
    try:
        import uvicorn

        from audio_edge.serving import app, journal, protocol, shelf
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed; pip install 'audio_edge[serve]'"
        ) from error
    names = [item.name for item in dataclasses.fields(Limits)]
    bounds = Limits(**{name: getattr(args, name) for name in names})
    journal.log_to_stderr(args.log_level)
    feeding = None
    if args.against is not None and args.queue is None:
        raise UserError("--against is for the review queue; give --queue FOLDER too")
    if args.queue is not None:
        from audio_edge.serving.feed import Feeding

        feeding = Feeding(args.queue, args.against, args.margin, args.control)
    service = app.create(
        shelf.named(args.models), workers=args.workers, limits=bounds, keys_file=args.keys,
        feed=feeding, look_s=args.look_s,
    )  # fmt: skip
    config = uvicorn.Config(
        service, lifespan="off", access_log=False,
        http=protocol.within(bounds.body_timeout_s), ws_max_size=bounds.message_bytes,
        ws_max_queue=4, ws_per_message_deflate=False,
        limit_concurrency=bounds.requests + bounds.streams + _SPARE,
        timeout_graceful_shutdown=max(1, round(bounds.drain_s)),
        log_config=None,
    )  # fmt: skip
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with _bound(args.host, args.port) as listening:
            _run(_serve(service, uvicorn.Server(config), listening))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        asyncio.run(work)
    else:
        uvloop.run(work)


async def _serve(service: Any, server: Any, listening: socket.socket) -> None:
    """Start what the application needs, then the server; stop them the other way round."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)  # while the server runs, it has handlers of its own
    async with service.router.lifespan_context(service):
        host, port = listening.getsockname()[:2]
        service.state.journal.tell("listening", url=f"http://{host}:{port}")
        with contextlib.suppress(KeyboardInterrupt):  # raised again once the server has stopped
            await server.serve(sockets=[listening])


def _leave(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError, TypeError) as error:  # TypeError: no name of a host
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--host {host} --port {port}: {reason}; choose others") from error
    # connections inherit it: else the body of an answer waits 40 ms for its headers to be confirmed
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _meaning(name: str) -> str:
    """What the docstring says of a limit."""
    lines = (Limits.__doc__ or "").splitlines()
    found = next(line for line in lines if line.strip().startswith(f"{name}:"))
    return found.partition(":")[2].strip().rstrip(".")


if __name__ == "__main__":
    sys.exit(main())
