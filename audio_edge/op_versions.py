"""Asking a runtime which builtin ops it has, and up to which version.

A model that only names an op, without using it, is refused on loading where the op is not known.
"""

from __future__ import annotations

from typing import Any

from audio_edge import targets

HIGHEST = 16  # version tried; the newest runtimes end at 14


def asked(target: str) -> dict[str, int]:
    """Op -> the highest version that a target loads; ops that it has not are left out.

    Args:
        target: Of `targets.TARGETS`, at hand.
    """
    from ai_edge_litert import schema_py_generated as schema

    codes = {name: code for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}
    del codes["CUSTOM"], codes["PLACEHOLDER_FOR_GREATER_OP_CODES"]
    tried = [(name, version) for name in sorted(codes) for version in range(1, HIGHEST + 1)]
    models = [_naming(schema, codes[name], version) for name, version in tried]
    found: dict[str, int] = {}
    for (name, version), answer in zip(tried, targets.ask(target, models), strict=True):
        if not isinstance(answer, str):
            found[name] = version
    return found


def _naming(schema: Any, code: int, version: int) -> bytes:
    """A model with one tensor and no op, which names one op in its table of operators."""
    from flatbuffers import Builder

    operator = schema.OperatorCodeT()
    operator.builtinCode, operator.deprecatedBuiltinCode = code, min(code, 127)
    operator.version = version
    tensor = schema.TensorT()
    tensor.shape, tensor.name, tensor.buffer = [1], "x", 0
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [tensor], [0], [0], []
    model = schema.ModelT()
    model.version, model.operatorCodes = 3, [operator]
    model.subgraphs, model.buffers = [graph], [schema.BufferT()]
    builder = Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
