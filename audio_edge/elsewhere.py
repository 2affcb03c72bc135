"""A TFLite runtime in another Python, which has NumPy and the runtime, but not this package."""

from __future__ import annotations

import os
import pickle
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge.errors import UserError

_TIMEOUT_S = 300.0

_WORKER = """
import importlib, pickle, sys
import numpy as np

Interpreter = importlib.import_module(sys.argv[1]).Interpreter
with open(sys.argv[2], "rb") as file:
    models, silences, clips = pickle.load(file)
answers = []
for model, silence in zip(models, silences):
    try:
        interpreter = Interpreter(model_content=model)
        heard = []
        if clips:
            interpreter.allocate_tensors()
            (given, *before), (made, *after) = (
                interpreter.get_input_details(), interpreter.get_output_details()
            )
            for clip in clips:
                states = [np.zeros(item["shape"], item["dtype"]) for item in before]
                samples = np.append(np.zeros(silence, np.float32), np.frombuffer(clip, np.float32))
                streams, *shape = given["shape"]
                for packet in samples.reshape(-1, 1, *shape):
                    interpreter.set_tensor(given["index"], packet.repeat(streams, axis=0))
                    for item, state in zip(before, states):
                        interpreter.set_tensor(item["index"], state)
                    interpreter.invoke()
                    states = [interpreter.get_tensor(item["index"]) for item in after]
                heard.append(interpreter.get_tensor(made["index"])[-1].astype(np.float32).tobytes())
        answers.append(heard)
    except (RuntimeError, ValueError) as error:
        answers.append(str(error).strip().split("\\n")[0])
with open(sys.argv[3], "wb") as file:
    pickle.dump(answers, file)
"""


def ask(
    python: str, module: str, models: Sequence[bytes], clips: np.ndarray | None = None,
    silences: Sequence[int] | None = None,
) -> list[np.ndarray | str]:  # fmt: skip
    """What a runtime makes of models.

    A model of several inputs is a stream: it takes a clip packet by packet, each further output
    going into the input of the same place, and its last answer counts; one that takes several at
    once hears the clip in all of them, and the last of these counts.

    Args:
        python: Path of the interpreter to start.
        module: Where its runtime has the class Interpreter.
        models: Flatbuffers.
        clips: float32 [n, samples]; without any, the models are only loaded.
        silences: For each model, samples of zeros to hear before every clip; None is none.

    Returns:
        For each model float32 [n, outputs], or the reason why the runtime refuses it.

    Raises:
        UserError: That Python does not start, lacks the runtime, crashes or hangs.
    """
    rows = [] if clips is None else [np.float32(clip).tobytes() for clip in clips]
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given", Path(folder) / "made"
        given.write_bytes(pickle.dumps((list(models), list(silences or [0] * len(models)), rows)))
        command = [python, "-I", "-c", _WORKER, module, str(given), str(made)]
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, env=quiet
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(f"{python}: does not answer ({error}); check that Python") from error
        if done.returncode or not made.exists():
            said = done.stderr.strip().splitlines() or [f"it ends with code {done.returncode}"]
            raise UserError(f"{python}: {module} does not answer ({said[-1]}); check that Python")
        answers: list[Any] = pickle.loads(made.read_bytes())
    return [answer if isinstance(answer, str) else _table(answer) for answer in answers]


def _table(rows: list[bytes]) -> np.ndarray:
    found = [np.frombuffer(row, np.float32) for row in rows]
    return np.stack(found) if found else np.empty((0, 0), np.float32)
