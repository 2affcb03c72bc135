"""Running a `.tflite` file on raw audio: waveform in, probabilities out, whatever the runtime.

Needs NumPy and one TFLite runtime; TensorFlow is not loaded unless it is the one asked for.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import io
import os
import zipfile
import zlib
from typing import Any

import numpy as np

from audio_edge.card import read_model, split
from audio_edge.errors import UserError, first_line

RUNTIMES = {
    "ai_edge_litert": "ai_edge_litert.interpreter",
    "tflite_runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}  # the preferred one first; each with the module of its class Interpreter
_LOUD = 0.1  # what any input for audio in [-1, 1] can hold, on both sides of 0
DEFAULT_SAMPLE_RATE = 16000  # Hz, of a model that does not say


def available_runtimes() -> list[str]:
    """Names of the installed runtimes, the preferred one first; none of them is imported."""
    return [name for name in RUNTIMES if importlib.util.find_spec(name) is not None]


def choose_runtime(runtime: str | None = None) -> str:
    """The runtime itself, once known to be installed, or the preferred one for None.

    Raises:
        UserError: There is no such runtime, or it is not installed.
    """
    installed = available_runtimes()
    if runtime is not None and runtime not in RUNTIMES:
        raise UserError(f"runtime must be one of {', '.join(RUNTIMES)}. Received: {runtime!r}")
    if not installed:
        raise UserError("no TFLite runtime is installed; pip install ai-edge-litert")
    if runtime is not None and runtime not in installed:
        package = runtime.replace("_", "-")
        raise UserError(f"runtime {runtime} is not installed; pip install {package}")
    return runtime or installed[0]


def version_of(runtime: str) -> str:
    """Version of an installed runtime."""
    try:
        return importlib.metadata.version(runtime.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:  # tensorflow-cpu and the like
        return str(getattr(importlib.import_module(runtime), "__version__", "unknown"))


def load(model: bytes, runtime: str, num_threads: int) -> Any:
    """The runtime's interpreter with the model in it; RuntimeError or ValueError if it refuses."""
    module = importlib.import_module(RUNTIMES[runtime])
    interpreter = module.Interpreter(model_content=model, num_threads=num_threads)
    interpreter.allocate_tensors()
    return interpreter


def loaded(path: str, model: bytes, runtime: str, num_threads: int) -> Any:
    """As `load`, but a refusal is a `UserError` that names the file."""
    if num_threads < 1:
        raise ValueError(f"num_threads must be >= 1. Received: num_threads={num_threads}")
    try:
        return load(model, runtime, num_threads)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"{path}: {runtime} {version_of(runtime)} cannot load it ({first_line(error)}); "
            "copy or export it again"
        ) from error


def as_float(samples: np.ndarray) -> np.ndarray:
    """float32 in [-1, 1] of float or int16 samples; int16 is divided by 32768.

    Raises:
        ValueError: Any other type, or NaN or infinite samples.
    """
    samples = np.asarray(samples)
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768.0)
    if not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(
            f"samples must be float in [-1, 1] or int16. Received: dtype={samples.dtype}"
        )
    if not np.isfinite(samples).all():
        raise ValueError("samples must be finite. Received: NaN or infinity")
    return samples.astype(np.float32, copy=False)


def as_clips(waveform: np.ndarray, clip_samples: int) -> np.ndarray:
    """One clip or several as float32 [clip_samples] or [n, clip_samples], see `as_float`.

    Raises:
        ValueError: Wrong shape or type, NaN or infinity.
    """
    waveform = np.asarray(waveform)
    if waveform.ndim not in (1, 2) or waveform.shape[-1] != clip_samples:
        raise ValueError(
            f"waveform must be [{clip_samples}] or [n, {clip_samples}]. "
            f"Received: shape={waveform.shape}"
        )
    return as_float(waveform)


class Interpreter:
    """A `.tflite` file that takes raw audio, its card checked on opening.

    Models of other projects run too: they have no card, labels come from a label file appended to
    the model if its length fits (else class_0, class_1, ...), and `sample_rate` is taken to be
    16000 Hz. int8 and int16 inputs and outputs are scaled here, by rounding and clipping.

    Args:
        path: The model file.
        runtime: One of `RUNTIMES`; None takes the first that is installed.
        num_threads: Threads of the runtime, >= 1.

    Attributes:
        path, runtime, runtime_version: What runs where.
        card: The `Card`, or None.
        labels: Class names, in the order of the probabilities.
        sample_rate: Hz.
        clip_samples: Samples of one input.

    Raises:
        UserError: The file is missing, damaged or takes something other than raw audio, or the
            runtime is missing or cannot load it.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, runtime: str | None = None, num_threads: int = 1
    ) -> None:
        self.path = os.fspath(path)
        content = read_model(path)
        model, self.card = split(content, source=self.path)
        if self.card and self.card.streaming:
            raise UserError(
                f"{self.path}: takes a stream and not clips; open it with StreamingInterpreter"
            )
        self.runtime = choose_runtime(runtime)
        self.runtime_version = version_of(self.runtime)
        self._runner = loaded(self.path, model, self.runtime, num_threads)
        self._input, self._output = self._describe()
        self.clip_samples = int(self._input["shape"].max())
        classes = int(self._output["shape"][-1])
        self.sample_rate = self.card.sample_rate if self.card else DEFAULT_SAMPLE_RATE
        self.labels = self.card.labels if self.card else _zip_labels(content, classes)
        if self.card and (len(self.labels), self.card.clip_samples) != (classes, self.clip_samples):
            said = f"{len(self.labels)} labels and {self.card.clip_samples} samples"
            raise UserError(
                f"{self.path}: the card says {said}, "
                f"the model {classes} and {self.clip_samples}; export it again"
            )

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Probabilities of one clip or of several, one after the other.

        Args:
            waveform: float in [-1, 1] or int16, [clip_samples] or [n, clip_samples].

        Returns:
            float32 [classes] or [n, classes].

        Raises:
            ValueError: Wrong shape or type, NaN or infinity.
            UserError: The runtime fails on the model.
        """
        samples = as_clips(waveform, self.clip_samples)
        if samples.ndim == 1:
            return self._run(samples)
        return np.stack([self._run(clip) for clip in samples]) if len(samples) else self._none()

    def _run(self, samples: np.ndarray) -> np.ndarray:
        given = _quantize(samples, self._input).reshape(self._input["shape"])
        self._runner.set_tensor(self._input["index"], given)
        try:
            self._runner.invoke()
        except RuntimeError as error:  # a foreign file, damaged inside
            raise UserError(
                f"{self.path}: {self.runtime} {self.runtime_version} cannot run it "
                f"({first_line(error)}); copy or export it again"
            ) from error
        return _dequantize(self._runner.get_tensor(self._output["index"]).reshape(-1), self._output)

    def _none(self) -> np.ndarray:
        return np.empty((0, len(self.labels)), np.float32)

    def _describe(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Details of input and output, once found to be audio in, one vector out."""
        inputs, outputs = self._runner.get_input_details(), self._runner.get_output_details()
        shapes = [tuple(int(size) for size in item["shape"]) for item in inputs]
        fixed = len(shapes) == 1 and -1 not in inputs[0].get("shape_signature", shapes[0])
        if not fixed or sum(size > 1 for size in shapes[0]) != 1:
            raise UserError(
                f"{self.path}: does not take raw audio, which is one input of fixed shape "
                f"(1, samples). Its inputs: {shapes}"
            )
        shape = tuple(int(size) for size in outputs[0]["shape"])
        if not shape or int(np.prod(shape)) != shape[-1]:
            raise UserError(
                f"{self.path}: its first output must be (1, classes). Received: {shape}"
            )
        for item in (inputs[0], outputs[0]):
            if item["dtype"] not in (np.float32, np.int8, np.uint8, np.int16):
                kind = item["dtype"].__name__
                raise UserError(f"{self.path}: {kind} tensors are not supported; use float32")
        low, high = _range(inputs[0])
        if not low <= -_LOUD < _LOUD <= high:
            raise UserError(
                f"{self.path}: takes values from {low:g} to {high:g}, so features and not audio in "
                "[-1, 1]; give a file that takes raw audio"
            )
        return inputs[0], outputs[0]


def _quantize(samples: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Real values as the tensor stores them: round(x / scale + zero point), clipped."""
    dtype = details["dtype"]
    if dtype == np.float32:
        return samples
    scale, zero_point = details["quantization"]
    limits = np.iinfo(dtype)
    steps = np.rint(samples / (scale or 1.0) + zero_point)
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def _range(details: dict[str, Any]) -> tuple[float, float]:
    """The least and the greatest real value that a tensor can hold."""
    if details["dtype"] == np.float32:
        return -np.inf, np.inf
    limits = np.iinfo(details["dtype"])
    low, high = _dequantize(np.array([limits.min, limits.max]), details).tolist()
    return low, high


def _dequantize(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    if details["dtype"] == np.float32:
        return values.copy()
    scale, zero_point = details["quantization"]
    return ((values.astype(np.float32) - zero_point) * (scale or 1.0)).astype(np.float32)


def _zip_labels(content: bytes, classes: int) -> tuple[str, ...]:
    """Labels of a foreign model: the lines of a text file in its zip, if as many as classes."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                if not name.endswith(".txt"):
                    continue
                labels = tuple(archive.read(name).decode().splitlines())
                if len(labels) == classes == len(set(labels)):
                    return labels
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, RuntimeError, zlib.error):
        pass  # no zip, or one that is not ours to judge
    return tuple(f"class_{index}" for index in range(classes))
