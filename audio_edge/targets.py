"""The runtimes that a file may be meant for: which ops each has, and whether the file runs there.

The table `op_versions.json` was asked of the runtimes themselves by `python -m tflite.op_versions`.
One that is installed is asked again with every file; so is one of another Python, whose path the
environment gives: AUDIO_EDGE_TENSORFLOW_LITE_2_16_1=/path/to/python, for one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from audio_edge import elsewhere, tflite_file
from audio_edge.card import Card, split
from audio_edge.errors import UserError
from audio_edge.interpreter import RUNTIMES, version_of
from audio_edge.streaming_interpreter import open_model

# Name -> (runtime, how its version begins). 2.16.1 is the last on Maven Central, so Android's.
TARGETS = {
    "tflite-runtime-2.14": ("tflite_runtime", "2.14."),
    "tensorflow-lite-2.16.1": ("tensorflow", "2.16.1"),
    "ai-edge-litert": ("ai_edge_litert", ""),
}
ANY = "any"
_REMEDIES = {
    "LOG": "quantise only behind the front end",
    "FULLY_CONNECTED": "quantise its dense layers with one scale each",
}


def claimed(runtime: str) -> tuple[str, ...]:
    """The targets that `--runtime` stands for: one of them, or all for "any"."""
    if runtime not in (*TARGETS, ANY):
        known = ", ".join((*TARGETS, ANY))
        raise UserError(f"--runtime must be one of {known}. Received: {runtime!r}")
    return tuple(TARGETS) if runtime == ANY else (runtime,)


@cache
def known_ops() -> dict[str, dict[str, int]]:
    """Target -> op -> the highest version that it has."""
    path = Path(__file__).with_name("op_versions.json")
    table: dict[str, dict[str, int]] = json.loads(path.read_text(encoding="utf-8"))
    return table


def lacking(model: bytes, claims: Sequence[str]) -> list[tuple[str, str, int]]:
    """(target, op, version) of all that a flatbuffer needs and a target has not."""
    ops = {(op.name, op.version) for graph in tflite_file.parse(model, source="the model")
           for op in graph.ops if op.builtin}  # fmt: skip
    return [
        (target, name, version)
        for target in claims
        for name, version in sorted(ops)
        if version > known_ops()[target].get(name, 0)
    ]


def fitting(convert: Callable[[bool], bytes], claims: Sequence[str]) -> bytes:
    """A flatbuffer for all targets, if one of the ways to convert gives it.

    Args:
        convert: Whether dense layers may have a scale a channel -> flatbuffer. A channel's own
            scale loses less, but from TensorFlow 2.17 it takes a FULLY_CONNECTED of version 12.
        claims: The targets.
    """
    content = convert(True)
    missing = lacking(content, claims)
    if any(op == "FULLY_CONNECTED" for _, op, _ in missing):
        other = convert(False)
        if len(lacking(other, claims)) < len(missing):
            return other
    return content


def check_ops(model: bytes, claims: Sequence[str], source: str | os.PathLike[str]) -> None:
    """Refuse a flatbuffer that a target would refuse, by the name of the op.

    Raises:
        UserError: With op, version, and what to do.
    """
    for target, op, version in lacking(model, claims):
        has = known_ops()[target].get(op, 0)
        said = f"has {op} up to version {has}, and the file needs {version}"
        fit = [name for name in TARGETS if known_ops()[name].get(op, 0) >= version]
        ways = [_REMEDIES[op]] if op in _REMEDIES else []
        ways += [f"give --runtime {' or '.join(fit)}"] if fit else []
        raise UserError(
            f"{source}: not written, {target} {said if has else f'has no {op}'}; "
            f"{', or '.join(ways) or 'use another layer'}"
        )


def place(target: str) -> str | None:
    """Where to ask a target: the path of another Python, "here" if it is installed, or None."""
    runtime, version = TARGETS[target]
    named = os.environ.get("AUDIO_EDGE_" + re.sub(r"\W", "_", target).upper())
    if named:
        return named
    installed = importlib.util.find_spec(runtime) and version_of(runtime).startswith(version)
    return "here" if installed else None


def hear(
    paths: Sequence[str | os.PathLike[str]], target: str, clips: np.ndarray
) -> list[np.ndarray]:
    """Run files in a target on the same clips.

    Args:
        paths: `.tflite` files that take float32 [clip_samples], or the packets of a stream.
        target: One that has a `place`.
        clips: float32 [n, clip_samples].

    Returns:
        Probabilities [n, classes] of each file; those of a stream after the whole clip, heard after
        silence.

    Raises:
        UserError: The target does not run a file.
    """
    where = place(target)
    if where == "here":
        runtime = TARGETS[target][0]
        return [open_model(path, runtime=runtime)(clips) for path in paths]
    opened = [split(Path(path).read_bytes(), source=path) for path in paths]
    silences = [_silence(card, clips.shape[1]) for _, card in opened]
    answers = ask(target, [model for model, _ in opened], clips, silences)
    heard = []
    for path, answer in zip(paths, answers, strict=True):
        if isinstance(answer, str):
            raise UserError(f"{path}: {target} cannot run it ({answer}); give another --runtime")
        heard.append(answer)
    return heard


def _silence(card: Card | None, samples: int) -> int:
    """Zeros before a clip, so that a stream has forgotten its beginning and ends with the clip."""
    if card is None or not card.streaming:
        return 0
    packet = card.streaming["packet_samples"]
    return int(card.streaming["silence_packets"] * packet + -samples % packet)


def ask(
    target: str, models: Sequence[bytes], clips: np.ndarray | None = None,
    silences: Sequence[int] | None = None,
) -> list[np.ndarray | str]:  # fmt: skip
    """What a target makes of models in a process of its own: see `elsewhere.ask`.

    Args:
        target: One that has a `place`.
        models: Flatbuffers.
        clips: float32 [n, clip_samples]; without any, the models are only loaded.
        silences: See `elsewhere.ask`.
    """
    where = place(target)
    if where is None:
        raise UserError(f"{target}: not at hand; give its Python in the environment")
    python = sys.executable if where == "here" else where
    return elsewhere.ask(python, RUNTIMES[TARGETS[target][0]], models, clips, silences)
