"""Each thing that listens, ours or a rival's, as a function of the next samples.

A rival is fed as its own documentation does it, by its own package, its own features included. A
bare file that takes features cannot be fed at all: its call alone is timed, and said to be.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge.card import read_model, split
from audio_edge.detector import Detector
from audio_edge.errors import UserError
from audio_edge.interpreter import Interpreter, choose_runtime, loaded
from audio_edge.measure import Session
from audio_edge.stream_batch import StreamBatch
from audio_edge.streaming_interpreter import StreamingInterpreter, open_model

RATE = 16000  # Hz, of every stream here
CLIP_EVERY_S = 0.5  # how often a model of clips is asked
STEP_S = 0.03  # of microWakeWord's files
WHOLE = 8000  # values: an input of fewer holds features, not half a second of sound
MICRO, OPEN = "pymicro-wakeword", "pyopen-wakeword"
WORD = "okay_nabu"  # which both packages ship

Hear = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class Listener:
    """Something that listens.

    Attributes:
        name: As the table shows it.
        kind: A key of `KINDS`.
        files: What it loads, none for a package.
        covers: What is inside the time: "PCM to answer" or "model only".
    """

    name: str
    kind: str
    files: tuple[str, ...] = ()
    covers: str = "PCM to answer"

    def made(self) -> tuple[int, Hear]:
        """Samples of a packet, and the function that takes int16 packets of that length.

        Raises:
            UserError: A package is missing, or a file cannot be run.
        """
        return KINDS[self.kind](*self.files)


def ours(path: str) -> list[Listener]:
    """A file of ours: alone, and a stream also behind the detector that decides on its answers."""
    model = open_model(path)
    if model.card is None:
        raise UserError(f"{path}: carries no card, so it is none of ours; put it under --peers")
    if model.sample_rate != RATE:
        raise UserError(
            f"{path}: takes {model.sample_rate} Hz, the peers {RATE}; give one that does"
        )
    if isinstance(model, StreamBatch):
        raise UserError(
            f"{path}: takes {model.streams} streams at once, and the peers one; give a file "
            "converted without --streams, or see python -m benchmarks.streams"
        )
    name, stage = model.card.name, model.card.stage
    if isinstance(model, StreamingInterpreter):
        return [
            Listener(f"{name} {stage}, stream", "stream", (path,)),
            Listener(f"{name} {stage}, stream and detector", "detector", (path,)),
        ]
    return [Listener(f"{name} {stage}, clips", "clips", (path,))]


def bare(path: str) -> Listener:
    """A file of others without its package."""
    interpreter = _opened(path)
    values = int(np.prod(interpreter.get_input_details()[0]["shape"]))
    dtype = interpreter.get_input_details()[0]["dtype"]
    if values >= WHOLE and dtype == np.float32:
        return Listener(Path(path).stem, "whole", (path,))
    kind = "step" if Path(path).stem.startswith("microwakeword") else "call"
    covers = "model only" if values < WHOLE else "model only, samples at another rate"
    return Listener(Path(path).stem, kind, (path,), covers)


def packages() -> list[Listener]:
    """The rivals that ship as packages, those that are installed."""
    known = ((MICRO, "pymicro_wakeword"), (OPEN, "pyopen_wakeword"))
    return [
        Listener(f"{name} {importlib.metadata.version(name)}, {WORD}", name)
        for name, module in known
        if importlib.util.find_spec(module)
    ]


def package_files(kind: str) -> list[Path]:
    """The models that a package loads for one word."""
    names = {MICRO: ("pymicro_wakeword", [WORD]),
             OPEN: ("pyopen_wakeword", ["melspectrogram", "embedding_model", WORD])}  # fmt: skip
    if kind not in names:
        return []
    module, stems = names[kind]
    found = importlib.util.find_spec(module)
    assert found and found.origin
    return [Path(found.origin).parent / "models" / f"{stem}.tflite" for stem in stems]


def _opened(path: str) -> Any:
    return loaded(path, split(read_model(path), source=path)[0], choose_runtime(), 1)


def _stream(path: str) -> tuple[int, Hear]:
    model = StreamingInterpreter(path)
    return model.packet_samples, model.push


def _detector(path: str) -> tuple[int, Hear]:
    model = StreamingInterpreter(path)
    detector = Detector(model, hop_s=model.packet_samples / model.sample_rate)
    return model.packet_samples, detector.push


def _clips(path: str) -> tuple[int, Hear]:
    model = Interpreter(path)
    return _asked(model.clip_samples, lambda window: model(window))


def _whole(path: str) -> tuple[int, Hear]:
    """A file without our card that takes float samples: the newest ones, as it wants them."""
    model = _opened(path)
    [item] = model.get_input_details()
    output = model.get_output_details()[0]["index"]

    def answer(window: np.ndarray) -> np.ndarray:
        model.set_tensor(item["index"], (window / np.float32(32768)).reshape(item["shape"]))
        model.invoke()
        result: np.ndarray = model.get_tensor(output)
        return result

    return _asked(int(np.prod(item["shape"])), answer)


def _asked(length: int, answer: Hear) -> tuple[int, Hear]:
    """Keep the newest `length` samples, and ask after each packet."""
    packet = min(round(CLIP_EVERY_S * RATE), length)
    window = np.zeros(length, np.int16)

    def hear(samples: np.ndarray) -> Any:
        window[:-packet] = window[packet:]
        window[-packet:] = samples
        return answer(window)

    return packet, hear


def _call(path: str, every_s: float = CLIP_EVERY_S) -> tuple[int, Hear]:
    """The call of a file on inputs made beforehand."""
    model = _opened(path)
    session = Session(model, np.random.default_rng(0).uniform(-0.3, 0.3, 40000))
    return round(every_s * RATE), lambda _: session.run(0)


def _micro() -> tuple[int, Hear]:
    """10 ms at a time, as the package's own command does."""
    from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

    word, features = MicroWakeWord.from_builtin(Model(WORD)), MicroWakeWordFeatures()

    def hear(samples: np.ndarray) -> list[Any]:
        found = features.process_streaming(samples.tobytes())
        return [word.process_streaming(feature) for feature in found]

    return 160, hear


def _open() -> tuple[int, Hear]:
    """80 ms at a time, which is the step of its embedding."""
    from pyopen_wakeword import Model, OpenWakeWord, OpenWakeWordFeatures

    word, features = OpenWakeWord.from_builtin(Model(WORD)), OpenWakeWordFeatures.from_builtin()

    def hear(samples: np.ndarray) -> list[float]:
        found = features.process_streaming(samples.tobytes())
        return [prob for feature in found for prob in word.process_streaming(feature)]

    return 1280, hear


KINDS: dict[str, Callable[..., tuple[int, Hear]]] = {
    "stream": _stream, "detector": _detector, "clips": _clips, "whole": _whole, "call": _call,
    "step": functools.partial(_call, every_s=STEP_S), MICRO: _micro, OPEN: _open,
}  # fmt: skip
