"""Starting from the convolutions of a published `.tflite` file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras

from audio_edge import files, tflite_file
from audio_edge.errors import UserError

_KINDS = {"CONV_2D": keras.layers.Conv2D, "DEPTHWISE_CONV_2D": keras.layers.DepthwiseConv2D}
_LEAST = 1e-3  # of the deviation of a channel, which may be dead
Convolution = tuple[Any, np.ndarray, np.ndarray]


def convolutions(path: str) -> list[Convolution]:
    """Kind, kernel in the layout of Keras and bias of each convolution, in the order of the graph.

    Kernels are [height, width, in, out], or [height, width, channels, 1] of a depthwise one.
    Quantised ones are given as the numbers that they stand for.

    Raises:
        UserError: The file cannot be read.
    """
    graph = tflite_file.read(path)[0]
    found: list[Convolution] = []
    for op in graph.ops:
        if op.name not in _KINDS:
            continue
        try:
            kernel = graph.tensors[op.inputs[1]].values()
            with_bias = len(op.inputs) > 2 and op.inputs[2] >= 0
            bias = graph.tensors[op.inputs[2]].values() if with_bias else np.zeros(1, np.float32)
        except ValueError as error:
            raise UserError(f"{path}: {error}; give another model.weights") from error
        found.append((_KINDS[op.name], kernel.transpose(1, 2, 3, 0), bias))
    return found


def start(classifier: keras.Model, path: str, features: np.ndarray, *, frozen: bool) -> int:
    """Give a classifier the convolutions of a file, from the first on, as far as they agree.

    The file has its normalisation folded into kernel and bias. Unfolded, each convolution is
    followed by one whose statistics are those of `features`, so that it changes nothing at first,
    in training neither.

    Args:
        classifier: Changed in place; each convolution is followed by a batch normalisation.
        path: A `.tflite` file.
        features: float32 [n, frames, bands, 1], of some training clips.
        frozen: Let the layers not learn.

    Returns:
        Convolutions taken over.

    Raises:
        UserError: Not even the first agrees.
    """
    given = convolutions(path)
    layers = list(classifier.layers)
    own = [n for n, layer in enumerate(layers) if type(layer) in _KINDS.values()]
    taken = 0
    for (kind, kernel, bias), position in zip(given, own, strict=False):
        layer: Any = layers[position]
        norm: Any = layers[min(position + 1, len(layers) - 1)]
        agree = type(layer) is kind and tuple(layer.weights[0].shape) == kernel.shape
        if not agree or not isinstance(norm, keras.layers.BatchNormalization):
            break
        layer.set_weights([kernel])
        until = keras.Model(classifier.input, layer.output)
        values = until.predict(features, batch_size=32, verbose=0)
        mean, variance = values.mean(axis=(0, 1, 2)), values.var(axis=(0, 1, 2))
        variance = np.maximum(variance, _LEAST**2)
        gamma = np.sqrt(variance + norm.epsilon)
        norm.set_weights([gamma, bias + mean, mean, variance])
        taken += 1
    if not taken:
        shape = "x".join(map(str, given[0][1].shape)) if given else "none"
        raise UserError(
            f"{path}: its first convolution, {shape}, is not that of {classifier.name}; "
            "give another model.weights, model.name or model.width"
        )
    if frozen:
        freeze(classifier, first(classifier, taken))
    return taken


def first(classifier: keras.Model, count: int) -> set[str]:
    """Names of the first convolutions and of the layers behind each, its normalisation."""
    layers = list(classifier.layers)
    own = [n for n, layer in enumerate(layers) if type(layer) in _KINDS.values()][:count]
    return {layer.name for n in own for layer in layers[n : n + 2]}


def freeze(classifier: keras.Model, names: Collection[str]) -> None:
    """Let these layers not learn, nor follow the statistics of what they hear."""
    layers: list[Any] = list(classifier.layers)
    for layer in layers:
        if layer.name.removeprefix("quant_") in names:
            layer.trainable = False


def origin(path: str) -> dict[str, str]:
    """Name and hash of the file, for the card."""
    return {"file": Path(path).name, "sha256": files.sha256(Path(path).read_bytes())}
