"""The routes of the review queue: an error that a client reports, and a clip that shall go."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from audio_edge.serving import body, forms
from audio_edge.serving.body import Refused
from audio_edge.serving.feed import Feed, done
from audio_edge.serving.limits import Limits
from audio_edge.serving.pool import Pool

Hash = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="of the clip, as answers give it")]


def add_routes(
    app: FastAPI, pool: Pool, limits: Limits, feed: Feed,
    named: Callable[[FastAPI, str | None], dict[str, Any]],
) -> None:  # fmt: skip
    """Add the routes.

    Args:
        app: The application.
        pool: Its workers.
        limits: Of bodies and waiting.
        feed: The way into the queue.
        named: Gives the facts of a model by its name.
    """

    @app.post(
        "/v1/report", response_model=forms.Reported, openapi_extra=forms.RECORDING,
        responses=forms.errors(400, 401, 404, 408, 413, 422, 503, 504),
    )  # fmt: skip
    async def report(
        request: Request, model: str | None = None, label: str | None = None,
        time_s: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
        source: forms.Source = None, consent: forms.Consent = False,
    ) -> Response:  # fmt: skip
        """Keep what was misheard: the clip around a second, else around the first detection."""
        facts = named(request.app, model)
        if not consent:
            raise Refused(400, "a report keeps the sound; say consent=true to that")
        await feed.look(limits.wait_timeout_s)
        if feed.wish(facts) is None:
            raise Refused(400, f"the queue has other labels than {facts['name']}")
        if label is not None and label not in facts["labels"]:
            raise Refused(400, f"label must be one of {', '.join(facts['labels'])}")
        content = await body.recording(request, limits)
        told = request.scope["state"]["facts"]
        told.update(model=facts["name"], bytes=len(content))
        answer = await pool.ask({"do": "report", "model": facts["name"], "time_s": time_s}, content)
        if answer.status != 200:
            return forms.said(answer)
        new = await done(
            feed.offer(answer, told.get("key"), source, label or ""), limits.wait_timeout_s
        )
        return JSONResponse({**json.loads(answer.content), "taken": new > 0})

    @app.delete(
        "/v1/clips/{clip}", response_model=forms.Deleted,
        responses=forms.errors(401, 422, 503),
    )  # fmt: skip
    async def delete(clip: Hash) -> Response:
        """Delete a clip for good; who knows its hash may."""
        return JSONResponse({"deleted": await feed.delete(clip, limits.wait_timeout_s)})
