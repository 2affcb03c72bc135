"""Reading a .tflite file's graph from its flatbuffer, without running it.

Ops, tensors and the boundary between front end and classifier. The format is known from
ai-edge-litert's generated schema, imported only when a file is read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_edge.card import read_model, split
from audio_edge.errors import UserError

STORED: dict[str, type[np.generic]] = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
}  # the types of weights that NumPy can read


@dataclass(frozen=True)
class Tensor:
    """One tensor: `data` is the stored uint8 [bytes] of a constant, None where it is computed."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    buffer: int
    data: np.ndarray | None
    zero_point: int
    scales: tuple[float, ...] = ()
    axis: int = 0

    def values(self) -> np.ndarray:
        """What a constant stands for, its scales applied: float32, of its shape.

        Raises:
            ValueError: It is computed, or of a type that NumPy cannot read.
        """
        types: dict[str, Any] = {**STORED, "INT32": np.int32}  # those of biases
        dtype = types.get(self.dtype)
        if self.data is None or dtype is None:
            raise ValueError(f"{self.name}: no constant that can be read")
        stored: np.ndarray = self.data.view(dtype).reshape(self.shape).astype(np.float32)
        if not self.scales:
            return stored
        along = [1] * len(self.shape)
        along[self.axis] = len(self.scales)
        return (stored - self.zero_point) * np.reshape(self.scales, along).astype(np.float32)

    @property
    def elements(self) -> int:
        """Values the tensor holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Op:
    """One operator: tensor indices in and out; -1 is an input left out."""

    name: str
    version: int
    builtin: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """One subgraph, ops in the order in which they run."""

    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read(path: str | os.PathLike[str]) -> tuple[Graph, ...]:
    """Read every subgraph of a file, the main one first.

    Raises:
        UserError: The file is missing, damaged or not a TFLite model, or ai-edge-litert is not
            installed.
    """
    model, _ = split(read_model(path), source=path)
    return parse(model, source=path)


def parse(model: bytes, *, source: str | os.PathLike[str]) -> tuple[Graph, ...]:
    """Read every subgraph of a flatbuffer; `source` names it in errors."""
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise UserError(
            f"{source}: reading a model's graph needs ai-edge-litert; pip install ai-edge-litert"
        ) from error
    builtins, dtypes = _names(schema.BuiltinOperator), _names(schema.TensorType)
    try:
        root = schema.ModelT.InitFromPackedBuf(model, 0)
        codes = [_operator(code, builtins) for code in root.operatorCodes]
        graphs = tuple(_graph(graph, codes, root.buffers, dtypes) for graph in root.subgraphs)
        if not graphs:
            raise ValueError("no subgraph")
    except Exception as error:  # a damaged flatbuffer fails anywhere: offsets, text, indices
        raise UserError(
            f"{source}: not a readable TFLite model (its flatbuffer is damaged); export it again"
        ) from error
    return graphs


def front_end(graph: Graph, shape: Sequence[int] | None = None) -> frozenset[int]:
    """Positions of the ops that make the features; empty where they are made outside the file.

    Args:
        graph: The main graph of a file.
        shape: (frames, bands) of the features, as a card gives it: the front end ends with the
            first tensor (1, frames, bands, 1). Without it, or such a tensor, it ends with the first
            LOG that hangs on the input or, in int8 files, in front of the first QUANTIZE of floats
            behind it.
    """
    producer = {index: position for position, op in enumerate(graph.ops) for index in op.outputs}
    wanted = (1, *shape, 1) if shape else None
    for op in graph.ops:
        ends = [index for index in op.outputs if tuple(graph.tensors[index].shape) == wanted]
        if ends:
            return _behind(graph, producer, ends)
    live = set(graph.inputs)
    logged: set[int] = set()
    boundary = None
    for op in graph.ops:
        if not live.intersection(op.inputs):
            continue
        live.update(op.outputs)
        if boundary is None and op.name == "LOG":
            boundary = op.outputs
            logged.update(op.outputs)
        elif logged.intersection(op.inputs):
            if op.name == "QUANTIZE" and graph.tensors[op.inputs[0]].dtype.startswith("FLOAT"):
                boundary = op.inputs
                break
            logged.update(op.outputs)
    return _behind(graph, producer, boundary or ())


def _behind(graph: Graph, producer: dict[int, int], tensors: Sequence[int]) -> frozenset[int]:
    """Positions of all ops that some tensors are made by."""
    found: set[int] = set()
    waiting = [producer[index] for index in tensors if index in producer]
    while waiting:
        position = waiting.pop()
        if position not in found:
            found.add(position)
            inputs = graph.ops[position].inputs
            waiting += [producer[index] for index in inputs if index in producer]
    return frozenset(found)


def _names(enum: type) -> dict[int, str]:
    return {code: name for name, code in vars(enum).items() if not name.startswith("_")}


def _operator(code: Any, builtins: dict[int, str]) -> tuple[str, int, bool]:
    """(name, version, builtin). Codes above 127 need builtinCode; old files fill the other only."""
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = builtins.get(number, f"BUILTIN_{number}")
    if name != "CUSTOM":
        return name, code.version, number in builtins
    return _text(code.customCode) or "CUSTOM", code.version, False


def _graph(
    graph: Any, codes: list[tuple[str, int, bool]], buffers: list[Any], dtypes: dict[int, str]
) -> Graph:
    tensors = tuple(_tensor(tensor, buffers, dtypes) for tensor in graph.tensors)
    ops = tuple(
        Op(*codes[int(op.opcodeIndex)], _indices(op.inputs), _indices(op.outputs))
        for op in _listed(graph.operators)
    )
    result = Graph(tensors, ops, _indices(graph.inputs), _indices(graph.outputs))
    used = [*result.inputs, *result.outputs]
    used += [index for op in ops for index in (*op.inputs, *op.outputs)]
    if used and not -1 <= min(used) <= max(used) < len(tensors):
        raise ValueError("tensor index out of range")
    return result


def _tensor(tensor: Any, buffers: list[Any], dtypes: dict[int, str]) -> Tensor:
    data = buffers[tensor.buffer].data
    stored = None if data is None or not len(data) else np.asarray(data, np.uint8)
    points = tensor.quantization.zeroPoint if tensor.quantization is not None else None
    zero_point = 0 if points is None or not len(points) else int(points[0])
    dtype, shape = dtypes[tensor.type], _indices(tensor.shape)
    if stored is not None and dtype in STORED:
        size = np.dtype(STORED[dtype]).itemsize
        if stored.size % size or stored.size > size * math.prod(shape):  # sparse ones hold fewer
            raise ValueError("a constant does not fit its shape")
    quantization = tensor.quantization
    scales = () if quantization is None else tuple(map(float, _listed(quantization.scale)))
    axis = quantization.quantizedDimension if len(scales) > 1 else 0
    return Tensor(_text(tensor.name), dtype, shape, tensor.buffer, stored, zero_point, scales, axis)


def _listed(values: Any) -> Iterable[Any]:
    return () if values is None else values


def _indices(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in _listed(values))


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
