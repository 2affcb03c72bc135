"""What a worker answers: recordings, waveforms as numbers, and live sound, for one loaded model."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import numpy as np

from audio_edge import audio
from audio_edge.detector import Detector
from audio_edge.errors import UserError
from audio_edge.streaming_interpreter import StreamingInterpreter, open_model

FORMATS: dict[str, np.dtype[Any]] = {"pcm16": np.dtype("<i2"), "float32": np.dtype("<f4")}
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
        self.interpreter = open_model(path)
        self.detector = Detector(self.interpreter)
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
        self, path: str | os.PathLike[str], output: str, *, max_s: float, max_samples: int
    ) -> dict[str, Any]:
        """Detections in a recording, or the probabilities of its clips end to end.

        A recording that is shorter than a clip stands in the middle of one; the last clip of a
        longer one ends with it.

        Raises:
            UserError: The recording is damaged or beyond a limit.
        """
        model = self.interpreter
        rate = model.sample_rate
        waveform, _ = audio.read(path, sample_rate=rate, max_s=max_s, max_samples=max_samples)
        answer: dict[str, Any] = {
            "model": self.name, "version": self.version, "seconds": len(waveform) / rate,
        }  # fmt: skip
        if output == "detections":
            heard = self.detector.detect(waveform)
            return {**answer, "detections": [dataclasses.asdict(item) for item in heard]}
        starts, clips = cut(waveform, model.clip_samples)
        rows = [
            {"start_s": start / rate, "probabilities": dict(zip(model.labels, row, strict=True))}
            for start, row in zip(starts, model(clips).tolist(), strict=True)
        ]
        return {**answer, "clips": rows}

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

    def listen(self, encoding: str) -> Ear:
        """A new live stream, its samples in one of `FORMATS`."""
        model = self.interpreter
        own = model.fork() if isinstance(model, StreamingInterpreter) else model
        return Ear(Detector(own), encoding)


class Ear:
    """One live stream: bytes in, detections out."""

    def __init__(self, detector: Detector, encoding: str) -> None:
        self._detector, self._dtype = detector, FORMATS[encoding]

    def push(self, content: bytes) -> list[dict[str, Any]]:
        """Take the next samples, any number of them.

        Raises:
            UserError: Half a sample, NaN or infinity.
        """
        if len(content) % self._dtype.itemsize:
            size = self._dtype.itemsize
            raise UserError(f"a message must hold whole samples of {size} bytes each")
        samples = np.frombuffer(content, self._dtype)
        if samples.dtype.kind == "f":
            if not np.isfinite(samples).all():
                raise UserError("samples must be finite; they hold NaN or infinity")
            samples = np.clip(samples, -1, 1)
        hop = self._detector.hop_samples
        parts = (samples[start : start + hop] for start in range(0, len(samples), hop))
        heard = (self._detector.push(part) for part in parts)
        return [dataclasses.asdict(item) for item in heard if item]


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
