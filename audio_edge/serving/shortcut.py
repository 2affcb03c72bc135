"""The way of plain recordings past FastAPI's machinery, which costs as much as all the rest."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from audio_edge.serving.body import Refused

PATH = "/v1/recognize"
_OUTPUTS = ("detections", "probabilities")


class Shortcut:
    """ASGI middleware that answers a recording that is the body of a well-formed request itself.

    Forms, and whatever is to be refused for its query, go the long way, with the same answers.

    Args:
        app: The long way.
        route: What the way ends at: a function of request, model and output.
    """

    def __init__(self, app: ASGIApp, route: APIRoute) -> None:
        self._app, self._route = app, route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or hand it on."""
        asked = _asked(scope)
        if asked is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route  # as a router would say
        try:
            response = await self._route.endpoint(Request(scope, receive), *asked)
        except Refused as error:
            response = JSONResponse({"error": error.reason}, error.status)
        await response(scope, receive, send)


def _asked(scope: Scope) -> tuple[str | None, str] | None:
    """Model and output of a request that may take the shortcut."""
    if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
        return None
    if any(name == b"content-type" and b"multipart" in value.lower()
           for name, value in scope["headers"]):  # fmt: skip
        return None
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    model, output = query.pop("model", [None]), query.pop("output", [_OUTPUTS[0]])
    if query or len(model) != 1 or len(output) != 1 or output[0] not in _OUTPUTS:
        return None
    return model[0], output[0]
