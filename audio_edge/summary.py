"""Taking a .tflite file apart: ops, bytes of front end and classifier, params, sparsity."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import numpy as np

from audio_edge.card import read_model, split
from audio_edge.tflite_file import STORED, Graph, Op, Tensor, front_end, parse

FRONT_END, CLASSIFIER = "front_end", "classifier"
_WEIGHT_TYPES = {*STORED, "BFLOAT16", "INT4", "INT2", "UINT4", "FLOAT8_E4M3FN", "FLOAT8_E5M2"}
_KERNEL_INPUT = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1}
_BIAS_INPUT = {**dict.fromkeys([*_KERNEL_INPUT, "CONV_3D"], 2), "TRANSPOSE_CONV": 3}
_UNPACK = ("DEQUANTIZE", "DENSIFY")  # stands between a kernel stored smaller and its op


def model_summary(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Take a file apart.

    Returns:
        ops: rows of op, version, dtype (of its output) and count, over all subgraphs;
        not_builtin: names of ops that a runtime without extras lacks (custom and Flex);
        tensors: the constants with name, dtype, shape, bytes and part, largest first;
        parts: "front_end" and "classifier" -> ops and bytes of constants, shared buffers once;
        params: weights and biases of the classifier;
        kernels: of convolutions and dense layers, with op, dtype, shape, elements, zeros, sparsity,
            distinct (different stored values), of_four (the most values that are not zero among any
            four neighbours along the inputs) and part;
        sparsity: share of zeros over the classifier's kernels, None where it has none.

    Raises:
        UserError: See `audio_edge.tflite_file.read`.
    """
    model, card = split(read_model(path), source=path)
    graphs = parse(model, source=path)
    shape = card.frontend.get("output_shape") if card else None
    front = front_end(graphs[0], shape if isinstance(shape, list) else None)
    tensors: list[dict[str, Any]] = []
    kernels: list[dict[str, Any]] = []
    parts = {name: {"ops": 0, "bytes": 0} for name in (FRONT_END, CLASSIFIER)}
    counts: Counter[tuple[str, int, str]] = Counter()
    buffers: set[int] = set()
    params = 0
    for graph in graphs:
        inside = front if graph is graphs[0] else frozenset()
        parts[FRONT_END]["ops"] += len(inside)
        parts[CLASSIFIER]["ops"] += len(graph.ops) - len(inside)
        counts.update((op.name, op.version, _dtype(graph, op)) for op in graph.ops)
        early = {index for position in inside for index in graph.ops[position].inputs}
        roles = _roles(graph)
        for index, tensor in enumerate(graph.tensors):
            if tensor.data is None:
                continue
            part = FRONT_END if index in early else CLASSIFIER
            row = {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}
            tensors.append({**row, "bytes": tensor.data.size, "part": part})
            parts[part]["bytes"] += tensor.data.size if tensor.buffer not in buffers else 0
            buffers.add(tensor.buffer)
            role = roles.get(index)
            if part == CLASSIFIER and _is_weight(tensor, role):
                params += tensor.elements
            if role in _KERNEL_INPUT and tensor.dtype in STORED:
                kernels.append({**row, "op": role, **_zeros(tensor), "part": part})
    judged = [kernel for kernel in kernels if kernel["part"] == CLASSIFIER]
    elements = sum(kernel["elements"] for kernel in judged)
    return {
        "ops": [
            {"op": op, "version": version, "dtype": dtype, "count": count}
            for (op, version, dtype), count in sorted(counts.items())
        ],
        "not_builtin": sorted({op.name for graph in graphs for op in graph.ops if not op.builtin}),
        "tensors": sorted(tensors, key=lambda row: -row["bytes"]),
        "parts": parts,
        "params": params,
        "kernels": kernels,
        "sparsity": sum(kernel["zeros"] for kernel in judged) / elements if elements else None,
    }


def _roles(graph: Graph) -> dict[int, str]:
    """Constant -> the op whose kernel it is, or "bias"."""
    source = {op.outputs[0]: op.inputs[0] for op in graph.ops if op.name in _UNPACK}
    roles = {}
    for op in graph.ops:
        for position, index in enumerate(op.inputs):
            if position == _KERNEL_INPUT.get(op.name):
                roles[source.get(index, index)] = op.name
            elif position == _BIAS_INPUT.get(op.name):
                roles[source.get(index, index)] = "bias"
    return roles


def _is_weight(tensor: Tensor, role: str | None) -> bool:
    """Kernels, biases, float and small-integer arrays; not shapes, axes, paddings, lone scalars."""
    return role is not None or (tensor.dtype in _WEIGHT_TYPES and tensor.elements > 1)


def _zeros(tensor: Tensor) -> dict[str, Any]:
    """Zeros of a constant: values at the zero point, and those that a sparse one does not store."""
    values = np.asarray(tensor.data).view(STORED[tensor.dtype])
    used = values != tensor.zero_point
    zeros = tensor.elements - int(np.count_nonzero(used))
    facts = {"elements": tensor.elements, "zeros": zeros, "sparsity": zeros / tensor.elements}
    if values.size < tensor.elements:  # a sparse one: where its values stand is not read
        return {**facts, "distinct": None, "of_four": None}
    used = used.reshape(-1, tensor.shape[-1])
    fours = np.pad(used, ((0, 0), (0, -tensor.shape[-1] % 4))).reshape(-1, 4)
    return {**facts, "distinct": len(np.unique(values)), "of_four": int(fours.sum(axis=1).max())}


def _dtype(graph: Graph, op: Op) -> str:
    indices = [index for index in (*op.outputs, *op.inputs) if index >= 0]
    return graph.tensors[indices[0]].dtype if indices else ""
