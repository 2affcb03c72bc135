"""What a candidate costs on a device, and the most it may cost.

Neither bytes nor milliseconds depend on the weights, so that an untrained conversion tells both.
"""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras

from audio_edge import files, measure, untrained
from audio_edge.config import Config
from audio_edge.errors import UserError
from audio_edge.learner import Material

SIZE, LATENCY = "size_bytes", "latency_ms"
_RUNS = 200


@dataclass(frozen=True)
class Limit:
    """The most that a candidate may cost.

    Attributes:
        kind: "size_bytes", of the int8 file as it is stored, front end and card included; or
            "latency_ms", the median of one inference on this machine.
        most: None for no limit; then candidates are not held against it before they are trained.
    """

    kind: str = SIZE
    most: float | None = None

    def __post_init__(self) -> None:
        if self.most is not None and not self.most > 0:
            option = "--max-size-bytes" if self.kind == SIZE else "--max-latency-ms"
            raise UserError(f"{option} must be > 0. Received: {self.most:g}")

    def refusal(self, cost: dict[str, Any]) -> str | None:
        """Why a candidate of that cost is refused; None if it is not."""
        if self.most is None or cost[self.kind] <= self.most:
            return None
        if self.kind == SIZE:
            return f"{cost[SIZE]} bytes, more than {self.most:.0f}"
        return f"{cost[LATENCY]:.3f} ms, more than {self.most:g}"


class Meter:
    """Costs of candidates before they are trained, each architecture measured once.

    A latency is that of the candidate against a reference, which is the first one measured, the
    config that the search begins with: both are timed in turn, and the ratio is multiplied by what
    the reference took at first. So a machine that is busy for a while, or a search that goes on
    another day, refuses nobody who would else have passed.

    Args:
        limit: Says which cost counts; latencies are taken only if it is them.
        material: Gives the labels, and clips to time.
        folder: Where the reference is kept.
    """

    def __init__(self, limit: Limit, material: Material, folder: Path):
        self._limit, self._folder = limit, folder
        self._labels, self._outputs = material.index.labels, material.index.outputs.labels
        self._waveform = material.val.waveforms[:8].reshape(-1).astype(np.float32) / 32768.0
        self._known: dict[str, dict[str, Any]] = {}

    def cost(self, config: Config) -> dict[str, Any]:
        """size_bytes, classifier_bytes and, if it is limited, latency_ms of a config's int8 file.

        Raises:
            UserError: The settings make no model.
        """
        sections = [dataclasses.asdict(getattr(config, name)) for name in ("frontend", "model")]
        key = files.fingerprint(sections)
        if key not in self._known:
            keras.backend.clear_session()
            with tempfile.TemporaryDirectory() as folder:
                path = untrained.convert(config, self._labels, Path(folder), outputs=self._outputs)
                self._known[key] = {**sizes(path), **self._latency(path)}
        return self._known[key]

    def _latency(self, path: Path) -> dict[str, float]:
        if self._limit.kind != LATENCY:
            return {}
        reference, note = self._folder / "reference.tflite", self._folder / "reference.json"
        if not note.exists():
            files.write_bytes(reference, path.read_bytes())
            first = self._timed(reference)[0]
            files.write_json(note, {LATENCY: first, "device": measure.device()})
        usual = files.read_json(note, dict).get(LATENCY)
        if not isinstance(usual, float):
            raise UserError(f"{note}: damaged; delete it and run again")
        candidate, beside = self._timed(path, reference)
        return {LATENCY: round(usual * candidate / beside, 4)}

    def _timed(self, *paths: Path) -> list[float]:
        runtime = measure.light_runtimes()[0]
        rows = measure.latency(paths, self._waveform, runtimes=[runtime], runs=_RUNS)
        for row in rows:
            if "error" in row:
                raise UserError(f"{row['path']}: {runtime} does not run it ({row['error']})")
        return [row["p50_ms"] for row in rows]


def sizes(path: Path) -> dict[str, int]:
    """size_bytes of a file, and classifier_bytes, those of the classifier's constants in it."""
    parts = measure.model_summary(path)["parts"]
    return {
        SIZE: measure.sizes(path)["size_bytes"],
        "classifier_bytes": parts["classifier"]["bytes"],
    }
