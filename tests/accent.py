"""An accent that a model of tones never heard: its run, what it is served, and who labels that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import soundfile

from audio_edge import Interpreter
from audio_edge.review.queue import Queue
from tests import tones
from tflite import convert
from training import quantize, review, train

WORDS = ("low", "mid", "high")
RAISED = 1.5  # every word a fifth higher


def raised(word: str, seed: int) -> np.ndarray:
    """A word in the accent, float64 [samples]."""
    with mock.patch.dict(tones.PITCHES, {word: RAISED * tones.PITCHES[word]}):
        return tones.say(word, seed)


def make(folder: Path) -> None:
    """A finished run, and clips of the accent, of speakers of their own."""
    tones.make(folder / "data", words=WORDS, speakers=16, takes=2)
    tones.config(folder)
    sets = {
        "data.root": folder / "data", "run.dir": folder / "run", "data.cache": folder / "cache",
        "data.unknown": "false", "data.silence": "false", "data.test_share": 0.3,
        "train.epochs": 24, "prune.sparsity": 0, "quantize.epochs": 2,
    }  # fmt: skip
    config = [str(folder / "tones.toml"), *(f"--set={key}={value}" for key, value in sets.items())]
    assert train.main(config) == 0
    assert quantize.main(config) == 0
    assert convert.main([str(folder / "run"), "--to", "int8"]) == 0
    for speaker in range(14):
        for number, word in enumerate(WORDS):
            path = folder / "served" / word / f"a{speaker}_nohash_0.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, raised(word, 5000 + 10 * speaker + number), tones.RATE)


def served(place: Path) -> list[Path]:
    """The recordings of the accent."""
    return sorted((place / "served").rglob("*.wav"))


def mistakes(model: Path, place: Path) -> int:
    """How many of the served clips a file mishears."""
    heard = Interpreter(model)
    clips = [(path, soundfile.read(path, dtype="int16")[0]) for path in served(place)]
    return sum(heard.labels[int(heard(clip).argmax())] != path.parent.name for path, clip in clips)


def fill(place: Path, queue: Path, wrong: Callable[[int], bool] = lambda number: False) -> None:
    """A queue of what was served, labelled by somebody who knows; `wrong` says of which not."""
    model, folder = str(place / "run/tflite/model_int8.tflite"), str(queue)
    assert review.main([folder, "set", "--model", model, "--consent", "the testers"]) == 0
    everything = ["--margin", "1", "--control", "1"]
    assert review.main([folder, "find", model, str(place / "served"), *everything]) == 0
    opened = Queue(queue)
    truth = {
        soundfile.read(path, dtype="int16")[0].tobytes(): path.parent.name for path in served(place)
    }
    for number, item in enumerate(opened.next(999)):
        word = truth[soundfile.read(item.path, dtype="int16")[0].tobytes()]
        label = WORDS[(WORDS.index(word) + 1) % 3] if wrong(number) else word
        opened.decide(item.sha256, "label", label)
