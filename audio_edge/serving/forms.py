"""What OpenAPI tells of bodies and answers; the answers themselves are made by the workers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import Response
from pydantic import BaseModel

from audio_edge.serving.body import FIELD
from audio_edge.serving.process import Answer

Consent = Annotated[
    bool, Query(description="the clips may be kept, to be reviewed and learnt from")
]
Source = Annotated[
    str | None,
    Query(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="who or what recorded what is kept"),
]


class Error(BaseModel):
    """Why a request was refused."""

    error: str


class Health(BaseModel):
    """Whether workers answer, and how many."""

    status: str
    workers: int


class Model(BaseModel):
    """A model: `card` is null for files of other projects."""

    name: str
    version: int
    labels: list[str]
    sample_rate: int
    clip_samples: int
    hop_samples: int
    streaming: bool
    runtime: str
    runtime_version: str
    card: dict[str, Any] | None
    sha256: str


class Models(BaseModel):
    """Every model that is served."""

    models: list[Model]


class Status(BaseModel):
    """A model's status, as TensorFlow Serving tells it."""

    model_version_status: list[dict[str, Any]]


class Detection(BaseModel):
    """A label heard, its smoothed score, and the second where it was."""

    label: str
    score: float
    time_s: float


class Clip(BaseModel):
    """Where a clip begins, and the probability of each label in it."""

    start_s: float
    probabilities: dict[str, float]


class Offered(BaseModel):
    """A clip that goes to the review queue, known by its hash, and why."""

    clip: str
    start_s: float
    why: str


class Recognized(BaseModel):
    """`detections` or, if they were asked for, the probabilities of `clips` end to end.

    `review` is there with consent alone: the clips that are worth a person's time. They may yet be
    dropped.
    """

    model: str
    version: int
    seconds: float
    detections: list[Detection] | None = None
    clips: list[Clip] | None = None
    review: list[Offered] | None = None


class Reported(Offered):
    """The clip that was reported.

    `taken` is false if that was known: it was reported so before, or decided on, or deleted.
    """

    model: str
    version: int
    seconds: float
    taken: bool


class Deleted(BaseModel):
    """How many clips were deleted: 1 or 0."""

    deleted: int


class Predicted(BaseModel):
    """`predictions` of instances, `outputs` of inputs: a row of probabilities for each."""

    predictions: list[list[float]] | None = None
    outputs: list[list[float]] | None = None


_MEANING = {
    400: "damaged request", 401: "no key, or an unknown one", 404: "no such model",
    408: "the body came too slowly", 413: "too large or too long",
    422: "not a readable recording, or a parameter out of range",
    503: "too much at work; try again later", 504: "the answer took too long",
}  # fmt: skip
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FILE = {
    "schema": {
        "type": "object", "required": [FIELD],
        "properties": {FIELD: {"type": "string", "format": "binary"}},
    }
}  # fmt: skip
RECORDING = {
    "requestBody": {
        "required": True,
        "description": "WAV, FLAC, Ogg, MP3, AIFF or AU, of any rate and any channels.",
        "content": {"application/octet-stream": _BYTES, "multipart/form-data": _FILE},
    }
}
_WAVEFORMS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
PREDICT = {
    "requestBody": {
        "required": True,
        "description": "Waveforms in [-1, 1] of a clip's length: `instances` or `inputs`.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "signature_name": {"type": "string"},
                        "instances": _WAVEFORMS,
                        "inputs": _WAVEFORMS,
                    },
                }
            }
        },
    }
}
METRICS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
    401: {"model": Error, "description": _MEANING[401]},
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for its `responses`."""
    return {status: {"model": Error, "description": _MEANING[status]} for status in statuses}


def said(answer: Answer) -> Response:
    """The response with a worker's answer."""
    headers = {"Retry-After": "1"} if answer.status == 503 else None
    return Response(answer.content, answer.status, headers, "application/json")
