"""Published networks that turn PCM into embeddings, run as they are: `.tflite`, `.onnx` or `.ort`.

An ONNX one needs onnxruntime, of the extra [onnx].
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge import interpreter
from audio_edge.errors import UserError, first_line

ONNX = (".onnx", ".ort")
Encode = Callable[[np.ndarray], np.ndarray]


def load(path: str) -> Encode:
    """Embeddings of clips: float32 [batch, samples] in [-1, 1] -> float32 [batch, frames, width].

    The first input takes the samples, [samples] or [batch, samples]; other inputs are masks and get
    ones. The first output holds the embeddings, its last axis is their width. Where the number of
    samples is fixed, the clips are cut into windows of that length, each beginning in the middle of
    the one before it; what is missing at the end is silence.

    Raises:
        UserError: The file or its runtime is missing, or it takes or gives something else.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; give a .tflite, .onnx or .ort file in encoder.path")
    one = _onnx(path) if Path(path).suffix in ONNX else _tflite(path)

    def encode(waveforms: np.ndarray) -> np.ndarray:
        try:
            embeddings = one(np.asarray(waveforms, np.float32))
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{path}: cannot hear clips ({first_line(error)})") from error
        return embeddings.astype(np.float32)

    return encode


def windows(waveforms: np.ndarray, length: int) -> np.ndarray:
    """[batch, samples] -> [batch, windows, length], half a window apart, zeros at the end."""
    hop = max(1, length // 2)
    count = 1 + max(0, -(-(waveforms.shape[1] - length) // hop))
    missing = max(0, (count - 1) * hop + length - waveforms.shape[1])
    padded = np.pad(waveforms, ((0, 0), (0, missing)))
    return np.stack([padded[:, n * hop : n * hop + length] for n in range(count)], axis=1)


def _stacked(waveforms: np.ndarray, length: int | None, run: Encode) -> np.ndarray:
    """What `run` gives of each window, or of the whole clips, in one row of frames a clip."""
    cut = windows(waveforms, length) if length else waveforms[:, None]
    outputs = [run(cut[:, n]) for n in range(cut.shape[1])]
    rows = [output.reshape(len(waveforms), -1, output.shape[-1]) for output in outputs]
    return np.concatenate(rows, axis=1)


def _tflite(path: str) -> Encode:
    runtime = interpreter.choose_runtime()
    model = interpreter.loaded(path, Path(path).read_bytes(), runtime, 1)
    details = model.get_input_details()[0]
    signature = details.get("shape_signature", details["shape"])
    if details["dtype"] is not np.float32 or not 1 <= len(signature) <= 2:
        raise UserError(f"{path}: does not take float32 samples; give another encoder.path")
    length = int(signature[-1]) if signature[-1] > 1 else None
    place, result = details["index"], model.get_output_details()[0]["index"]

    def run(clips: np.ndarray) -> np.ndarray:
        found = []
        for clip in clips:
            given = clip if len(signature) == 1 else clip[None]
            if length is None and tuple(model.get_input_details()[0]["shape"]) != given.shape:
                model.resize_tensor_input(place, given.shape)
                model.allocate_tensors()
            model.set_tensor(place, given)
            model.invoke()
            found.append(np.array(model.get_tensor(result)))
        return np.stack(found)

    return lambda waveforms: _stacked(waveforms, length, run)


def _onnx(path: str) -> Encode:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"{path}: onnxruntime is not installed; pip install 'audio_edge[onnx]'"
        ) from error
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes, which have no common base
        raise UserError(f"{path}: cannot be loaded ({first_line(error)}); get it again") from error
    samples, *masks = session.get_inputs()
    if samples.type != "tensor(float)" or not 1 <= len(samples.shape) <= 2:
        raise UserError(f"{path}: does not take float32 samples; give another encoder.path")
    length = samples.shape[-1] if isinstance(samples.shape[-1], int) else None
    together = len(samples.shape) == 2 and not isinstance(samples.shape[0], int)

    def run(clips: np.ndarray) -> np.ndarray:
        rank_two = [clip[None] if len(samples.shape) == 2 else clip for clip in clips]
        given = [clips] if together else rank_two
        try:
            found = [session.run(None, _fed(samples.name, part, masks))[0] for part in given]
        except Exception as error:  # see above
            raise RuntimeError(first_line(error)) from error
        return found[0] if together else np.stack(found)

    return lambda waveforms: _stacked(waveforms, length, run)


def _fed(name: str, part: np.ndarray, masks: list[Any]) -> dict[str, np.ndarray]:
    kinds = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}
    ones = {mask.name: np.ones(part.shape, kinds.get(mask.type, np.float32)) for mask in masks}
    return {name: part, **ones}
