"""One .tflite file in one runtime: whether it runs, peak memory, delegate coverage."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from audio_edge.card import read_model, split
from audio_edge.errors import UserError, first_line
from audio_edge.interpreter import RUNTIMES, available_runtimes, choose_runtime, load

_PROBE_TIMEOUT_S = 120.0


def peak() -> float | None:
    """Peak resident memory of this process so far, in MiB; None where the system does not tell.

    VmHWM starts at zero in a new program, but ru_maxrss is inherited from the process that forked
    it, which may hold gigabytes; so ru_maxrss serves only where there is no /proc.
    """
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def resident() -> float | None:
    """Resident memory of this process now, in MiB; None where the system does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError):
        return None


# of a process that imports nothing of this library
_PROBE = f"""
from __future__ import annotations
import importlib, json, sys
import numpy as np

{inspect.getsource(peak)}

Interpreter = getattr(importlib.import_module(sys.argv[1]), "Interpreter")
baseline = peak()
with open(sys.argv[2], "rb") as file:
    interpreter = Interpreter(model_content=file.read(), num_threads=int(sys.argv[3]))
interpreter.allocate_tensors()
for detail in interpreter.get_input_details():
    interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
interpreter.invoke()
print(json.dumps({{"peak_mib": peak(), "baseline_mib": baseline}}))
"""


def light_runtimes() -> list[str]:
    """The installed runtimes without TensorFlow, unless it is the only one.

    Raises:
        UserError: None is installed.
    """
    light = [name for name in available_runtimes() if name != "tensorflow"]
    return light or [choose_runtime()]


def peak_memory(
    path: str | os.PathLike[str], *, runtime: str | None = None, threads: int = 1
) -> dict[str, float | None]:
    """Peak resident memory of a fresh process that imports NumPy and the runtime and runs once.

    Returns:
        peak_mib with the model, baseline_mib just before it was loaded; None where the system does
        not tell.

    Raises:
        UserError: The file is missing or damaged, or the runtime does not run it.
    """
    split(read_model(path), source=path)
    chosen = runtime or light_runtimes()[0]
    try:
        return run_apart(path, chosen, threads)
    except RuntimeError as error:
        raise UserError(f"{path}: does not run in {chosen} ({error})") from error


def run_apart(
    path: str | os.PathLike[str], runtime: str, threads: int = 1
) -> dict[str, float | None]:
    """Run a file once on zeros in a process of its own, where a crash does no harm.

    Returns:
        See `peak_memory`.

    Raises:
        RuntimeError: It does not run; the message is the reason.
    """
    module = RUNTIMES[choose_runtime(runtime)]
    arguments = [module, os.path.abspath(path), str(threads)]
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, *arguments],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"no answer within {_PROBE_TIMEOUT_S:g} s") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith(("Runtime", "Value"))]
        raise RuntimeError(said[-1] if said else f"it ends with code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def delegate_coverage(
    path: str | os.PathLike[str], *, runtime: str | None = None, threads: int = 1
) -> dict[str, Any]:
    """How many of a file's ops the runtime's default delegate (XNNPACK) has taken over.

    Returns:
        delegated, ops (of the main graph) and share = delegated / ops.

    Raises:
        UserError: The file is missing or damaged, or the runtime does not load it.
    """
    model, _ = split(read_model(path), source=path)
    chosen = choose_runtime(runtime or light_runtimes()[0])
    try:
        interpreter = load(model, chosen, threads)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{path}: does not load in {chosen} ({first_line(error)})") from error
    nodes = interpreter._get_ops_details()
    ops = [node for node in nodes if node["op_name"] != "DELEGATE"]
    delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
    count = len(_delegated(ops, delegates))
    return {"delegated": count, "ops": len(ops), "share": count / len(ops) if ops else 0.0}


def _delegated(ops: Sequence[dict[str, Any]], delegates: Iterable[dict[str, Any]]) -> set[int]:
    """Positions of the ops inside delegates.

    The node list keeps the original ops and appends the delegates. Walking back from a delegate's
    outputs to its inputs meets exactly its ops, but for those without outputs (assignments to
    variables): they belong to it if they read what exists only inside.
    """
    producer = {int(index): at for at, op in enumerate(ops) for index in op["outputs"]}
    found: set[int] = set()
    for delegate in delegates:
        given, seen = set(map(int, delegate["inputs"])), set(map(int, delegate["outputs"]))
        outside = given | seen
        waiting = list(seen)
        inner: set[int] = set()
        while waiting:
            at = producer.get(waiting.pop())
            if at is None or at in inner:
                continue
            inner.add(at)
            waiting += [int(index) for index in ops[at]["inputs"] if int(index) not in given]
        made = {int(index) for at in inner for index in ops[at]["outputs"]} - outside
        sinks = (at for at, op in enumerate(ops) if not len(op["outputs"]))
        found |= inner | {at for at in sinks if made.intersection(map(int, ops[at]["inputs"]))}
    return found
