"""Serves the page of the review to the browser on this machine; each decision goes to the disk."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from audio_edge import audio, media
from audio_edge.errors import UserError
from audio_edge.review import page
from audio_edge.review.items import Item
from audio_edge.review.queue import Queue

_MAX_BODY = 1 << 16


class Server(ThreadingHTTPServer):
    """A server of one queue, on 127.0.0.1 alone.

    Args:
        queue: What is reviewed.
        port: 0 takes a free one.

    Raises:
        UserError: The port is taken.
    """

    daemon_threads = True

    def __init__(self, queue: Queue, port: int = 0) -> None:
        self.queue = queue
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"port {port}: {error}; give another --port") from error

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://127.0.0.1:{self.server_port}/"


def state(queue: Queue, item: Item | None = None) -> dict[str, Any]:
    """What the page shows: a clip, by default the next one, and how far the review is."""
    found = [item] if item else queue.next()
    while found and not found[0].path.exists():  # somebody has removed the sound by hand
        queue.delete(sha256=found[0].sha256)
        found = queue.next()
    progress = queue.progress()
    decided = progress["label"] + progress["drop"] + progress["skip"]
    return {
        "item": _told(found[0]) if found else None, "progress": progress, "undo": decided > 0
    }  # fmt: skip


def _told(item: Item) -> dict[str, Any]:
    waveform, rate = audio.read(item.path, sample_rate=None)
    picture = media.png(media.spectrogram(waveform, rate))
    return {
        "sha256": item.sha256, "why": item.why, "source": item.source, "model": item.model,
        "given": item.given, "scores": item.scores, "seconds": len(waveform) / rate,
        "high_khz": rate / 2000, "picture": media.data_uri(picture, "image/png"),
        "sound": media.data_uri(item.path.read_bytes(), "audio/wav"),
    }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """The page, or the next clip."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """A decision, or its undoing."""
        self._answer(self._post)

    def _get(self) -> None:
        queue = self.server.queue
        if self.path == "/":
            html = page.render(queue.folder.resolve().name, queue.terms.labels)
            self._send(html.encode(errors="replace"), "text/html; charset=utf-8")
        elif self.path == "/next":
            self._tell(state(queue))
        else:
            self._tell({"error": "there is nothing here"}, HTTPStatus.NOT_FOUND)

    def _post(self) -> None:
        queue, asked = self.server.queue, self._body()
        if self.path == "/decide":
            given = [asked.get(key, "") for key in ("sha256", "kind", "label")]
            if not all(isinstance(value, str) for value in given):
                raise UserError("sha256, kind and label must be text")
            queue.decide(*given)
            self._tell(state(queue))
        elif self.path == "/undo":
            back = queue.undo()
            self._tell(state(queue, queue.find(back) if back else None))
        else:
            self._tell({"error": "there is nothing here"}, HTTPStatus.NOT_FOUND)

    def _body(self) -> dict[str, Any]:
        """The JSON that came; asking for its type keeps out forms of other pages."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json" or not length.isdigit():
            raise UserError("give a JSON object, as application/json, with its length")
        if int(length) > _MAX_BODY:
            raise UserError(f"give at most {_MAX_BODY} bytes")
        try:
            found = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise UserError(f"not valid JSON ({error})") from error
        if not isinstance(found, dict):
            raise UserError("give a JSON object")
        return found

    def _answer(self, work: Any) -> None:
        """Do what is asked, unless it is asked under another name: by a page from elsewhere."""
        port = self.server.server_port
        if self.headers.get("Host") not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            self._tell({"error": "wrong host"}, HTTPStatus.FORBIDDEN)
            return
        try:
            work()
        except UserError as error:
            self.close_connection = True  # of a body that was refused, the rest would come next
            self._tell({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        except OSError as error:
            self.close_connection = True
            said = f"{error.strerror or error}; load the page again"
            self._tell({"error": said}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _tell(self, value: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(value).encode(), "application/json", status)

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Content-Security-Policy", page.POLICY)
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):  # the browser has moved on
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
