"""The service on a Ray cluster: `serve run audio_edge.serving.cluster:build models=FILE`.

Each replica is the whole application, with workers, limits and counters of its own. Ray says how
many there are and where they run, and hands each request to one of them.
"""

import dataclasses
import os
from typing import Any

import prometheus_client
import pydantic
from fastapi import FastAPI
from ray import serve

from audio_edge.serving import app, journal, shelf
from audio_edge.serving.limits import Limits

NAME = "audio_edge"  # of the deployment, in Ray's config files
_SPARE = 64  # requests beyond those that are counted, for looks at health and metrics
_END_S = 5.0  # for workers to end, once what was at work is answered
_LOOK_S = 5.0  # between two looks at a replica's health

_given = {item.name: (type(item.default), item.default) for item in dataclasses.fields(Limits)}
_limits: Any = pydantic.create_model("_limits", **_given)  # type: ignore[call-overload]


class Settings(_limits):
    """What `serve run` and config files may set: these, and each of `Limits` by its name.

    Attributes:
        models: Files or NAME=FILE: a list, or with commas between them.
        workers: Processes of a replica that decode and run; Ray reserves a core for each.
        keys: File of keys; None lets everyone in.
        look_s: Seconds between two looks for replaced files.
        log_level: "info", "warning" or "error".
        min_replicas: So many stay where nothing is asked.
        max_replicas: No more than these, whatever is asked.
        target_ongoing_requests: Requests and live streams at a time that one replica is for. By
            default two for each worker: one at work and one waiting.
    """

    model_config = pydantic.ConfigDict(extra="forbid")

    models: str | list[str]
    workers: int = pydantic.Field(1, ge=1)
    keys: str | None = None
    look_s: float = pydantic.Field(1.0, gt=0)
    log_level: str = pydantic.Field("info", pattern="^(info|warning|error)$")
    min_replicas: int = pydantic.Field(1, ge=1)
    max_replicas: int = pydantic.Field(1, ge=1)
    target_ongoing_requests: float | None = pydantic.Field(None, gt=0)


class Replica:
    """One replica; Ray adds to it what `build` makes."""

    app: FastAPI

    async def check_health(self) -> None:
        """Fail while no worker is alive; Ray replaces a replica that fails three times in a row."""
        if not self.app.state.pool.alive:
            raise RuntimeError("no worker is alive")


def build(settings: Settings) -> serve.Application:
    """What `serve run` runs. The files must lie at the same paths on every machine.

    Raises:
        UserError: A model cannot be read, its name is unfit or taken, or a limit is out of range.
    """
    given = settings.models.split(",") if isinstance(settings.models, str) else settings.models
    models = {name: os.path.abspath(path) for name, path in shelf.named(given).items()}
    keys_file = settings.keys and os.path.abspath(settings.keys)
    limits = Limits(**{name: getattr(settings, name) for name in _given})
    workers, look_s, log_level = settings.workers, settings.look_s, settings.log_level

    def make() -> FastAPI:  # in the replica: an application that has begun cannot travel
        journal.log_to_stderr(log_level)
        made = app.create(
            models, workers=workers, limits=limits, keys_file=keys_file, look_s=look_s
        )
        replica = prometheus_client.Info(
            "audio_edge_replica", "Whose counters these are", registry=made.state.journal.registry
        )
        name = serve.get_replica_context().replica_tag
        replica.info({"replica": name, "pid": str(os.getpid())})
        return made

    deployment: Any = serve.deployment(
        serve.ingress(make)(Replica),
        name=NAME,
        ray_actor_options={"num_cpus": workers},
        autoscaling_config={
            "min_replicas": settings.min_replicas, "max_replicas": settings.max_replicas,
            "target_ongoing_requests": settings.target_ongoing_requests or 2 * workers,
        },
        # the application refuses what is too much, where Ray would let it wait
        max_ongoing_requests=limits.requests + limits.streams + _SPARE,
        max_queued_requests=limits.requests,
        graceful_shutdown_timeout_s=limits.drain_s + _END_S,
        health_check_period_s=_LOOK_S,
        logging_config={"enable_access_log": False},  # the application tells of each request
    )  # fmt: skip
    return deployment.bind()
