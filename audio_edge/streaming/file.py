"""The signature of a streaming file, by which Kotlin and C++ find what is to be handed on.

Inputs are `packet` and a `state_<layer>` for each state; outputs are `probs` and a `next_<layer>`
for each, of the same shape, type and scale. Tensors bear these names too, in the same order.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from audio_edge.errors import UserError
from audio_edge.streaming.walk import Streaming
from audio_edge.tflite_metadata import repacked

PACKET, PROBS, STATE, NEXT = "packet", "probs", "state_", "next_"


def concrete(streaming: Streaming) -> Any:
    """One step as a concrete function with the names of the signature."""

    def step(packet: tf.Tensor, **states: tf.Tensor) -> dict[str, tf.Tensor]:
        probs, after = streaming.step(
            packet, {name.removeprefix(STATE): value for name, value in states.items()}
        )
        return {PROBS: probs, **{f"{NEXT}{name}": value for name, value in after.items()}}

    shape = [streaming.streams, streaming.packet_samples]
    packet = tf.TensorSpec(shape, tf.float32, name=PACKET)
    states = {
        f"{STATE}{name}": tf.TensorSpec(shape, tf.float32, name=f"{STATE}{name}")
        for name, shape in streaming.shapes.items()
    }
    return tf.function(step, autograph=False).get_concrete_function(packet, **states)


def in_order(model: bytes, streaming: Streaming) -> bytes:
    """The converted file with the tensors of its signature named, and in the order of the states.

    Raises:
        UserError: A state would go in as another type, or at another scale, than it came out.
    """
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromPackedBuf(bytearray(model), 0)
    [graph], [signature] = tree.subgraphs, tree.signatureDefs
    names = list(streaming.shapes)
    graph.inputs = _named(graph, signature.inputs, [PACKET, *(f"{STATE}{name}" for name in names)])
    graph.outputs = _named(graph, signature.outputs, [PROBS, *(f"{NEXT}{name}" for name in names)])
    pairs = zip(names, graph.inputs[1:], graph.outputs[1:], strict=True)
    for name, before, after in pairs:
        if _kind(graph.tensors[before]) != _kind(graph.tensors[after]):
            raise UserError(
                f"layer '{name}' keeps a state that would be rounded again at every step; "
                "convert the float stage, or without --streaming"
            )
    return repacked(tree, len(model))


def _named(graph: Any, maps: list[Any], names: list[str]) -> list[int]:
    """Tensors of a signature, in the order of their names, which they take."""
    tensors = {_text(entry.name): int(entry.tensorIndex) for entry in maps}
    for name in names:
        graph.tensors[tensors[name]].name = name
    return [tensors[name] for name in names]


def _kind(tensor: Any) -> tuple[Any, ...]:
    quantization = tensor.quantization
    scale = [] if quantization is None or quantization.scale is None else quantization.scale
    point = [] if quantization is None or quantization.zeroPoint is None else quantization.zeroPoint
    return tensor.type, tuple(tensor.shape), tuple(scale), tuple(point)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
