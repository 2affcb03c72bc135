"""What a worker answers: recordings, waveforms as numbers, and live sound, for one loaded model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from audio_edge import files
from audio_edge.card import read_model
from audio_edge.detector import Detector
from audio_edge.errors import UserError
from audio_edge.serving import chosen
from audio_edge.serving.chosen import Chosen
from audio_edge.serving.ear import Ear
from audio_edge.streaming_interpreter import StreamingInterpreter, open_model

INPUT, OUTPUT, SIGNATURE = "waveform", "probs", "serving_default"  # as in our SavedModel


class Model:
    """A model file, opened and run once.

    Args:
        path: The file.
        name: What the service calls it.
        version: Counted up at each reload.
    """

    def __init__(self, path: str, name: str, version: int) -> None:
        self.name, self.version = name, version
        self._sha256 = files.sha256(read_model(path))
        self.detector = Detector(open_model(path))
        self.interpreter = self.detector.model
        self.detector.detect(np.zeros(self.interpreter.clip_samples, np.float32))

    def facts(self) -> dict[str, Any]:
        """What `GET /v1/models` tells: name, version, labels, rate, lengths and the card."""
        model = self.interpreter
        return {
            "name": self.name, "version": self.version, "labels": list(model.labels),
            "sample_rate": model.sample_rate, "clip_samples": model.clip_samples,
            "hop_samples": self.detector.hop_samples,
            "streaming": isinstance(model, StreamingInterpreter), "runtime": model.runtime,
            "runtime_version": model.runtime_version,
            "card": model.card.to_dict() if model.card else None,
        }  # fmt: skip

    def recognize(
        self, waveform: np.ndarray, output: str, *, wish: Mapping[str, Any] | None = None,
        other: Model | None = None,
    ) -> tuple[dict[str, Any], list[Chosen]]:  # fmt: skip
        """Detections in a recording, or the probabilities of its clips end to end.

        A recording that is shorter than a clip stands in the middle of one; the last clip of a
        longer one ends with it.

        Args:
            waveform: float32 [samples > 0] at the model's rate.
            output: "detections" or "probabilities".
            wish: What is wanted for the review queue, see `chosen.choose`; None is nothing.
            other: Gives the second opinion.

        Returns:
            The answer, and the clips that are worth a person's time.
        """
        model, rate = self.interpreter, self.interpreter.sample_rate
        answer: dict[str, Any] = {
            "model": self.name, "version": self.version, "seconds": len(waveform) / rate,
        }  # fmt: skip
        if output == "detections":
            traced = self.detector.trace(waveform)
            answer["detections"] = [dataclasses.asdict(item) for item in traced[0]]
            starts = chosen.starts(self.detector, *traced, len(waveform)) if wish else []
        else:
            starts, clips = cut(waveform, model.clip_samples)
            rows = model(clips).tolist()
            answer["clips"] = [
                {"start_s": at / rate, "probabilities": dict(zip(model.labels, row, strict=True))}
                for at, row in zip(starts, rows, strict=True)
            ]
        if wish is None:
            return answer, []
        found = self._choose(waveform, starts, wish, self._second(other))
        return {**answer, "review": [clip.told() for clip in found]}, found

    def report(
        self, waveform: np.ndarray, time_s: float | None
    ) -> tuple[dict[str, Any], list[Chosen]]:
        """The clip that somebody says was misheard, and what is told of it.

        Args:
            waveform: float32 [samples > 0] at the model's rate.
            time_s: The middle of the clip; None is the first detection, or the strongest score.

        Raises:
            UserError: The recording ends before.
        """
        seconds = len(waveform) / self.interpreter.sample_rate
        if time_s is not None and time_s > seconds:
            raise UserError(f"the recording ends before {time_s:g} s; give a time within it")
        if time_s is None:
            heard, times, scores = self.detector.trace(waveform)
            [start] = chosen.starts(self.detector, heard[:1], times, scores, len(waveform))
        else:
            start = chosen.start_at(time_s, self.interpreter, len(waveform))
        found = self._choose(waveform, [start], {"why": "reported"}, None)
        told = {"model": self.name, "version": self.version, "seconds": seconds}
        return {**told, **found[0].told()}, found

    def _choose(
        self, waveform: np.ndarray, starts: Iterable[int], wish: Mapping[str, Any],
        other: chosen.Heard | None,
    ) -> list[Chosen]:  # fmt: skip
        by = {"model": self.name, "model_sha256": self._sha256}
        return chosen.choose(self.interpreter, other, waveform, starts, wish, by)

    def _second(self, other: Model | None) -> chosen.Heard | None:
        """Another model, unless it was replaced by one that hears something else."""
        alike = other and chosen.alike(self.interpreter, other.interpreter)
        return other.interpreter if other and alike else None

    def predict(self, body: bytes) -> dict[str, Any]:
        """The answer to a predict request of TensorFlow Serving, by rows or by columns.

        Raises:
            UserError: The body is not such a request.
        """
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise UserError(f"JSON Parse error: {error}") from error
        if not isinstance(request, dict):
            raise UserError("the body must be a JSON object")
        if request.get("signature_name", SIGNATURE) not in ("", SIGNATURE):
            raise UserError(f'the signature is "{SIGNATURE}"; leave signature_name out')
        if ("instances" in request) == ("inputs" in request):
            raise UserError('the body must have "instances" or "inputs", one of them')
        if "instances" in request:
            rows = request["instances"]
            if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
                rows = [_only_input(row) for row in rows]
            return {"predictions": self._probs(rows)}
        columns = request["inputs"]
        if isinstance(columns, dict):
            columns = _only_input(columns)
        return {"outputs": self._probs(columns)}

    def _probs(self, rows: Any) -> list[list[float]]:
        length = self.interpreter.clip_samples
        rule = f"waveforms must be numbers in [-1, 1], [n, {length}]"
        try:
            clips = np.array(rows, dtype=np.float64) if isinstance(rows, list) and rows else None
        except (ValueError, TypeError, OverflowError) as error:
            raise UserError(f"{rule}; they are ragged or hold something else") from error
        if clips is None or clips.shape != (len(rows), length):
            shape = None if clips is None else list(clips.shape)
            raise UserError(f"{rule}. Received: shape={shape}")
        if not np.isfinite(clips).all():
            raise UserError(f"{rule}; they hold NaN or infinity")
        probs: list[list[float]] = self.interpreter(np.clip(clips, -1, 1)).tolist()
        return probs

    def listen(
        self, encoding: str, *, wish: Mapping[str, Any] | None = None, other: Model | None = None
    ) -> Ear:
        """A new live stream, its samples in one of `ear.FORMATS`; the rest as `recognize`."""
        model = self.interpreter
        own = model.fork() if isinstance(model, StreamingInterpreter) else model
        if wish is None:
            return Ear(Detector(own), encoding)
        second = self._second(other)
        return Ear(Detector(own), encoding, lambda clip: self._choose(clip, [0], wish, second))


def cut(waveform: np.ndarray, length: int) -> tuple[list[int], np.ndarray]:
    """Where clips of a recording begin, and the clips: float32 [n, length].

    Args:
        waveform: float32 [samples > 0].
        length: Samples of a clip.
    """
    missing = length - len(waveform)
    if not missing:
        return [0], waveform[None]
    if missing > 0:
        padded = np.pad(waveform, (missing // 2, missing - missing // 2))
        return [0], padded[None]
    starts = [*range(0, len(waveform) - length, length), len(waveform) - length]
    return starts, np.stack([waveform[start : start + length] for start in starts])


def _only_input(named: dict[str, Any]) -> Any:
    if set(named) != {INPUT}:
        raise UserError(f'the only input is "{INPUT}". Received: {", ".join(map(repr, named))}')
    return named[INPUT]
