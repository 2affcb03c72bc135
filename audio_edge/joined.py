"""Several .tflite graphs made into one, each fed by the one before: a part converted by itself.

So the classifier can be quantised after its training while front end and softmax stay float.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def join(parts: Sequence[bytes]) -> bytes:
    """One graph of several that have one input and one output each.

    The names of the signature are the first part's for the input, the last part's for the output.

    Args:
        parts: Flatbuffers in the order in which they run.
    """
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import Builder

    whole, *others = (schema.ModelT.InitFromPackedBuf(bytearray(part), 0) for part in parts)
    graph, signature = whole.subgraphs[0], whole.signatureDefs[0]
    for other in others:
        _append(whole, other)
        signature.outputs = other.signatureDefs[0].outputs
    signature.inputs[0].tensorIndex = int(graph.inputs[0])
    signature.outputs[0].tensorIndex = int(graph.outputs[0])
    builder = Builder(sum(map(len, parts)))
    builder.Finish(whole.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _append(whole: Any, other: Any) -> None:
    """Move the ops and tensors of one model behind those of another."""
    graph, added = whole.subgraphs[0], other.subgraphs[0]
    [fed], [feeding] = list(added.inputs), list(graph.outputs)
    buffers, tensors, codes = len(whole.buffers), len(graph.tensors), len(whole.operatorCodes)
    whole.buffers += other.buffers
    whole.operatorCodes += other.operatorCodes
    for tensor in added.tensors:
        tensor.buffer += buffers
    kept = [number for number in range(len(added.tensors)) if number != fed]
    place = {number: tensors + at for at, number in enumerate(kept)}
    place.update({fed: int(feeding), -1: -1})
    graph.tensors += [added.tensors[number] for number in kept]
    for operator in added.operators:
        operator.opcodeIndex += codes
        for field in ("inputs", "outputs", "intermediates"):
            numbers = getattr(operator, field)
            if numbers is not None:
                setattr(operator, field, [place[int(number)] for number in numbers])
        graph.operators.append(operator)
    graph.outputs = [place[int(number)] for number in added.outputs]
