"""Where two files of one network begin to differ: the signal-to-noise ratio of every layer.

Layers are matched by the name of what they compute, so a float file may be held against its int8
one. Both run without delegates, because a delegate keeps its intermediate results to itself.
"""

from __future__ import annotations

import importlib
import math
import os
from typing import Any

import numpy as np

from audio_edge import tflite_file
from audio_edge.card import read_model, split
from audio_edge.errors import UserError
from audio_edge.interpreter import RUNTIMES, as_float, choose_runtime

_QUANT = "quant_"  # what quantisation-aware training puts in front of a layer's name


def layer_snr(
    a: str | os.PathLike[str], b: str | os.PathLike[str], clips: np.ndarray
) -> list[dict[str, Any]]:
    """Signal-to-noise ratio of what each layer of B gives, against the same layer of A.

    Args:
        a: The reference, a `.tflite` file.
        b: The other, with layers of the same names, whether "quant_" stands before them or not.
        clips: int16 or float [n, clip_samples].

    Returns:
        Rows in the order in which B runs: layer, op and dtype of B, snr_db over all clips, and
        lost_db, how much lower that is than the lowest of what the layer was given. None stands
        for infinity: in snr_db the two are equal, in lost_db the error enters here.

    Raises:
        UserError: A file cannot be read or run, or no layer has the same name in both.
    """
    runners = [_runner(path) for path in (a, b)]
    graphs = [tflite_file.read(path)[0] for path in (a, b)]
    named = [_named(graph) for graph in graphs]
    shapes = [
        {name: graph.tensors[index].shape for name, index in made.items()}
        for graph, made in zip(graphs, named, strict=True)
    ]
    shared = [name for name, shape in shapes[1].items() if shapes[0].get(name) == shape]
    if not shared:
        raise UserError(f"{a} and {b} have no layer of the same name; give files of one run")
    sums = {name: [0.0, 0.0] for name in shared}
    for clip in as_float(clips):
        for runner in runners:
            details = runner.get_input_details()[0]
            runner.set_tensor(details["index"], clip.reshape(details["shape"]))
            runner.invoke()
        for name in shared:
            x, y = (_real(runner, made[name]) for runner, made in zip(runners, named, strict=True))
            sums[name][0] += float(np.square(np.abs(x)).sum())
            sums[name][1] += float(np.square(np.abs(x - y)).sum())
    found = {named[1][name]: _ratio_db(*sums[name]) for name in shared}
    return _rows(graphs[1], found)


def _rows(graph: tflite_file.Graph, found: dict[int, float]) -> list[dict[str, Any]]:
    """One row a matched tensor; one that is not matched is as good as what it is made of."""
    ratio: dict[int, float] = {}
    rows = []
    for op in graph.ops:
        given = min((ratio.get(index, math.inf) for index in op.inputs), default=math.inf)
        for index in op.outputs:
            ratio[index] = found.get(index, given)
            if index in found:
                lost = given - ratio[index] if math.isfinite(ratio[index]) else 0.0
                rows.append(
                    {
                        "layer": _key(graph, index),
                        "op": op.name,
                        "dtype": graph.tensors[index].dtype,
                        "snr_db": _finite(ratio[index]),
                        "lost_db": _finite(lost),
                    }
                )
    return rows


def _runner(path: str | os.PathLike[str]) -> Any:
    model, _ = split(read_model(path), source=path)
    module = importlib.import_module(RUNTIMES[choose_runtime()])
    plain = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        runner = module.Interpreter(
            model_content=model,
            experimental_op_resolver_type=plain,
            experimental_preserve_all_tensors=True,
        )
        runner.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{path}: cannot be run without delegates ({error})") from error
    return runner


def _named(graph: tflite_file.Graph) -> dict[str, int]:
    """Layer -> the tensor that it computes."""
    found: dict[str, int] = {}
    for op in graph.ops:
        for index in op.outputs:
            found.setdefault(_key(graph, index), index)
    return found


def _key(graph: tflite_file.Graph, index: int) -> str:
    """What a tensor is, without the model's name, the ops fused into it, and "quant_"."""
    if index in graph.outputs:  # whose name is that of the call
        return "output" if len(graph.outputs) == 1 else f"output{graph.outputs.index(index)}"
    parts = graph.tensors[index].name.partition(";")[0].split("/")
    return "/".join(part.removeprefix(_QUANT) for part in (parts[1:] or parts))


def _real(runner: Any, index: int) -> np.ndarray:
    """A tensor's values in double precision, a spectrum's too, its scale applied."""
    stored = runner.get_tensor(index)
    values = stored.astype(np.complex128 if np.iscomplexobj(stored) else np.float64)
    scale, zero_point = runner._get_tensor_details(index, 0)["quantization"]
    return (values - zero_point) * scale if scale else values


def _ratio_db(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def _finite(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None
