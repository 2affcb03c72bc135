"""The application: its routes, and what starts and stops with it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import (
    RequestValidationError,
    ValidationException,
    WebSocketRequestValidationError,
)
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

import audio_edge
from audio_edge.errors import UserError
from audio_edge.serving import body, forms, keys, listening
from audio_edge.serving.body import Refused
from audio_edge.serving.gate import Gate
from audio_edge.serving.journal import Journal
from audio_edge.serving.limits import Limits
from audio_edge.serving.pool import Pool
from audio_edge.serving.process import Answer, Died
from audio_edge.serving.shelf import Shelf
from audio_edge.serving.shortcut import PATH, Shortcut
from audio_edge.serving.wire import SAMPLE_BYTES

if TYPE_CHECKING:
    from audio_edge.serving.feed import Feed, Feeding


def create(
    models: dict[str, str], *, workers: int, limits: Limits | None = None,
    keys_file: str | None = None, feed: Feeding | None = None, look_s: float = 1.0,
) -> FastAPI:  # fmt: skip
    """The ASGI application. Models are loaded, and workers started, as it starts.

    Args:
        models: Name -> file, as `shelf.named` gives them.
        workers: Processes that decode and run, >= 1.
        limits: What is refused.
        keys_file: Of `keys`, read again when it changes; None lets everyone in.
        feed: The review queue that takes doubtful clips, with consent; None keeps nothing.
        look_s: Seconds between two looks for replaced files.

    Raises:
        UserError: A number is out of range, the file of keys is bad, or there is no such queue.
    """
    if workers < 1 or not look_s > 0:
        raise UserError(f"--workers must be >= 1 and --look-s > 0. Received: {workers}, {look_s}")
    limits, journal = limits or Limits(), Journal()
    pool = Pool(workers, limits, journal.tell)
    feeding = _fed(feed, journal) if feed else None
    ring = keys.Ring(keys_file, journal.tell) if keys_file is not None else None

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="audio_edge_serving_") as folder:
            app.state.shelf = shelf = Shelf(models, pool, Path(folder), journal.tell)
            await shelf.open()
            if feeding:
                feeding.check({name: item.facts for name, item in shelf.served.items()})
            await pool.start()
            tasks = [asyncio.create_task(shelf.watch(look_s))]
            if ring:
                tasks.append(asyncio.create_task(ring.watch(look_s)))
            if feeding:
                tasks.append(asyncio.create_task(feeding.tend()))
            journal.tell("started", models=list(models), workers=workers)
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await pool.stop()
                if feeding:
                    await feeding.close(limits.drain_s)
                journal.tell("stopped")

    app = FastAPIOffline(  # its page loads nothing from elsewhere
        title="audio_edge", version=audio_edge.__version__, lifespan=lifespan, redoc_url=None,
        static_url="/docs/static",
        description="Recordings and live sound in, detections and probabilities out.",
    )  # fmt: skip
    app.state.pool, app.state.journal = pool, journal
    _errors(app)
    _facts(app, pool, journal)
    _work(app, pool, journal, limits, feeding)
    if feeding:
        from audio_edge.serving import reviewing

        reviewing.add_routes(app, pool, limits, feeding, _model)
    routes = (one for one in app.routes if isinstance(one, APIRoute))
    app.add_middleware(Shortcut, route=next(one for one in routes if one.path == PATH))
    app.add_middleware(
        Gate, known=lambda: ring.known if ring else None, limits=limits, journal=journal
    )
    if ring:
        _locked(app)
    return app


def _fed(feed: Feeding, journal: Journal) -> Feed:
    from audio_edge.serving.feed import Feed  # with it comes what writes sound

    return Feed(feed, journal)


def _locked(app: FastAPI) -> None:
    """Tell the page of the schema that a key is needed, so that it asks for one."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        schema = plain()
        schemes = {"key": {"type": "http", "scheme": "bearer"}}
        schema.setdefault("components", {})["securitySchemes"] = schemes
        schema["security"] = [{"key": []}]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def _errors(app: FastAPI) -> None:
    """Every error in one shape, {"error": reason}."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return JSONResponse({"error": error.reason}, error.status)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": _first(error)}, 422)

    @app.exception_handler(WebSocketRequestValidationError)
    async def unfit(socket: WebSocket, error: WebSocketRequestValidationError) -> None:
        await socket.send_denial_response(JSONResponse({"error": _first(error)}, 400))


def _first(error: ValidationException) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _facts(app: FastAPI, pool: Pool, journal: Journal) -> None:
    """The routes that ask no worker."""

    @app.get("/healthz", response_model=forms.Health, responses=forms.errors(503))
    async def healthz() -> Response:
        """Whether there are workers that answer."""
        alive = pool.alive
        return JSONResponse({"status": "ok" if alive else "down", "workers": alive},
                            200 if alive else 503)  # fmt: skip

    @app.get("/metrics", response_class=Response, responses=forms.METRICS)
    async def metrics() -> Response:
        """Counters in Prometheus's text format."""
        journal.workers.set(pool.alive)
        return Response(journal.exposition(), media_type="text/plain; version=0.0.4")

    @app.get("/v1/models", response_model=forms.Models, responses=forms.errors(401))
    async def models(request: Request) -> Response:
        """Every model with its card."""
        served = request.app.state.shelf.served.values()
        return JSONResponse({"models": [item.facts for item in served]})

    @app.get("/v1/models/{name}", response_model=forms.Status, responses=forms.errors(401, 404))
    async def model(request: Request, name: str) -> Response:
        """The status of a model, as TensorFlow Serving tells it."""
        version = str(_model(request.app, name)["version"])
        status = {"error_code": "OK", "error_message": ""}
        told = {"version": version, "state": "AVAILABLE", "status": status}
        return JSONResponse({"model_version_status": [told]})


def _work(
    app: FastAPI, pool: Pool, journal: Journal, limits: Limits, feed: Feed | None
) -> None:  # fmt: skip
    """The routes that ask a worker."""

    @app.post(
        PATH, response_model=forms.Recognized, openapi_extra=forms.RECORDING,
        responses=forms.errors(400, 401, 404, 408, 413, 422, 503, 504),
    )  # fmt: skip
    async def recognize(
        request: Request, model: str | None = None,
        output: Literal["detections", "probabilities"] = "detections",
        consent: forms.Consent = False, source: forms.Source = None,
    ) -> Response:  # fmt: skip
        """Detections in a recording with their seconds, or the probabilities of its clips."""
        served = _model(request.app, model)
        name, wish = served["name"], feed.wish(served) if feed and consent else None
        content = await body.recording(request, limits)
        header = {"do": "recognize", "model": name, "output": output, "wish": wish}
        answer = await pool.ask(header, content)
        facts = request.scope["state"]["facts"]
        facts.update(model=name, bytes=len(content))
        if answer.status == 200:
            facts["audio_s"] = answer.head["seconds"]
            journal.heard(name, answer.head["seconds"], answer.head["heard"])
            if feed:
                feed.offer(answer, facts.get("key"), source)
        return forms.said(answer)

    @app.post(
        "/v1/models/{name}:predict", response_model=forms.Predicted, openapi_extra=forms.PREDICT,
        responses=forms.errors(400, 401, 404, 408, 413, 422, 503, 504),
    )  # fmt: skip
    async def predict(request: Request, name: str) -> Response:
        """Probabilities of waveforms, in the words of TensorFlow Serving's REST API."""
        name = _model(request.app, name)["name"]
        content = await body.read(request, limits)
        request.scope["state"]["facts"].update(model=name, bytes=len(content))
        return forms.said(await pool.ask({"do": "predict", "model": name, "refusal": 400}, content))

    @app.websocket("/v1/listen")
    async def listen(
        socket: WebSocket, model: str | None = None, format: str = "pcm16",
        sample_rate: int | None = None, consent: forms.Consent = False, source: forms.Source = None,
    ) -> None:  # fmt: skip
        """Live samples in, detections out."""
        try:
            facts = _model(socket.app, model)
            if format not in SAMPLE_BYTES:
                raise Refused(400, f"format must be one of {', '.join(SAMPLE_BYTES)}")
            if sample_rate not in (None, facts["sample_rate"]):
                raise Refused(400, f"{facts['name']} hears {facts['sample_rate']} Hz; resample")
            wish = feed.wish(facts) if feed and consent else None
            stream = await pool.open(facts["name"], format, wish)
        except (Refused, Died) as error:
            status, reason = (
                (error.status, error.reason) if isinstance(error, Refused)
                else (503, "no worker is there; try again later")
            )  # fmt: skip
            await socket.send_denial_response(JSONResponse({"error": reason}, status))
            return
        told = socket.scope["state"]["facts"]
        told["model"] = facts["name"]

        def keep(answer: Answer) -> None:
            if feed:
                feed.offer(answer, told.get("key"), source)

        try:
            rate = SAMPLE_BYTES[format] * stream.facts["sample_rate"]
            await listening.listen(socket, stream, rate, limits, journal, keep)
        finally:
            await stream.close()

    @app.websocket("/{path:path}")
    async def nowhere(socket: WebSocket, path: str) -> None:
        error = {"error": "live sound goes to /v1/listen"}
        await socket.send_denial_response(JSONResponse(error, 404))


def _model(app: FastAPI, name: str | None) -> dict[str, Any]:
    """What is served under a name; without one, the only model there is."""
    served = app.state.shelf.served
    if name is None and len(served) > 1:
        raise Refused(400, f"name a model: ?model= one of {', '.join(served)}")
    if name is not None and name not in served:
        raise Refused(404, f"there is no model {name[:64]!r}; GET /v1/models lists them")
    facts: dict[str, Any] = served[name or next(iter(served))].facts
    return facts
