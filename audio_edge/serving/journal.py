"""What the service tells of itself: a JSON object a line on stderr, and counters for Prometheus.

Neither ever holds sound, a body or a key.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LOGGER = "audio_edge.serving"
_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)  # seconds
_WARNINGS = (
    "reload_failed", "worker_died", "worker_not_started", "keys_failed", "review_failed",
)  # fmt: skip

# uvicorn's lines of live streams: they hold the query, and an error for each that is refused
_OTHERS = ('%s - "WebSocket ', "ASGI callable returned without completing handshake")


class Journal:
    """Counters and log of one application.

    Attributes:
        registry: Of the counters, for whoever adds one.
    """

    def __init__(self) -> None:
        self._log = logging.getLogger(LOGGER)
        registry = self.registry = CollectorRegistry()
        self._requests = Counter(
            "audio_edge_requests", "Requests by route, method and status",
            ["route", "method", "status"], registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "audio_edge_request_seconds", "From the headers of a request to the end of its answer",
            ["route"], buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self._audio = Counter(
            "audio_edge_audio_seconds", "Sound that was heard", ["model"], registry=registry
        )
        self._heard = Counter("audio_edge_detections", "Detections", ["model"], registry=registry)
        self._reviewed = Counter(
            "audio_edge_review_clips",
            "Clips for the review queue: taken, known, dropped as too much waited, failed",
            ["outcome"], registry=registry,
        )  # fmt: skip
        self._events = Counter(
            "audio_edge_events", "Reloads, failed reloads, workers that died", ["event"],
            registry=registry,
        )  # fmt: skip
        self.requests = Gauge(
            "audio_edge_requests_at_work", "Requests at work or waiting", registry=registry
        )
        self.streams = Gauge("audio_edge_streams", "Live streams", registry=registry)
        self.workers = Gauge("audio_edge_workers", "Workers that answer", registry=registry)

    def tell(self, event: str, **facts: Any) -> None:
        """Log an event and count it."""
        self._events.labels(event).inc()
        self._write(logging.WARNING if event in _WARNINGS else logging.INFO, event, facts)

    def request(self, route: str, method: str, status: int, seconds: float, **facts: Any) -> None:
        """Log a request that is answered, and count it."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        told = {"method": method, "status": status, "ms": round(1000 * seconds, 1), **facts}
        self._write(logging.INFO, "request", told)

    def heard(self, model: str, seconds: float, detections: int) -> None:
        """Count sound and what was found in it."""
        self._audio.labels(model).inc(seconds)
        if detections:
            self._heard.labels(model).inc(detections)

    def reviewed(self, outcome: str, clips: int) -> None:
        """Count clips for the review queue."""
        self._reviewed.labels(outcome).inc(clips)

    def exposition(self) -> bytes:
        """The counters in Prometheus's text format."""
        return generate_latest(self.registry)

    def _write(self, level: int, event: str, facts: dict[str, Any]) -> None:
        if self._log.isEnabledFor(level):
            self._log.log(level, event, extra={"facts": facts})


class Formatter(logging.Formatter):
    """A record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """The line: time, level, event or message, and the facts."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        told: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z", "level": record.levelname.lower(),
        }  # fmt: skip
        told["event" if record.name == LOGGER else "message"] = record.getMessage()
        told.update(getattr(record, "facts", {}))
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)


def log_to_stderr(level: str) -> None:
    """Write what this process tells, and what uvicorn tells, to stderr, a JSON object a line."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter())
    handler.addFilter(lambda record: not str(record.msg).startswith(_OTHERS))
    for name in (LOGGER, "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level.upper())
