"""Running a streaming `.tflite` file: samples in as they come, probabilities out, the state hidden.

Needs NumPy and one TFLite runtime, as the interpreter of clips does.
"""

from __future__ import annotations

import copy
import os

import numpy as np

from audio_edge.card import Card, read_card, read_model, split
from audio_edge.errors import UserError, first_line
from audio_edge.interpreter import (
    Interpreter,
    as_clips,
    as_float,
    choose_runtime,
    loaded,
    version_of,
)


def open_model(
    path: str | os.PathLike[str], *, runtime: str | None = None, num_threads: int = 1
) -> Interpreter | StreamingInterpreter:
    """The interpreter that a file wants, of clips or of a stream; either may be called on clips."""
    _, card = split(read_model(path), source=path)
    kind = StreamingInterpreter if card and card.streaming else Interpreter
    return kind(path, runtime=runtime, num_threads=num_threads)


class StreamingInterpreter:
    """A `.tflite` file that takes a stream, packet by packet, its card checked on opening.

    A new stream begins as if there had been silence for ever.

    Args:
        path: The model file, written with `--streaming`.
        runtime: One of `audio_edge.interpreter.RUNTIMES`; None takes the first that is installed.
        num_threads: Threads of the runtime, >= 1.

    Attributes:
        path, runtime, runtime_version: What runs where.
        card: The `Card`.
        labels: Class names, in the order of the probabilities.
        sample_rate: Hz.
        packet_samples: Samples from one answer to the next.
        clip_samples: Samples that an answer is about.

    Raises:
        UserError: The file is missing, damaged or of clips, or the runtime is missing or cannot
            load it.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, runtime: str | None = None, num_threads: int = 1
    ) -> None:
        self.path = os.fspath(path)
        self.card: Card = read_card(path)
        if not self.card.streaming:
            raise UserError(
                f"{self.path}: takes clips and no stream; open it with Interpreter, or convert its "
                "run with python -m tflite.convert --streaming"
            )
        model, _ = split(read_model(path), source=path)
        self.runtime = choose_runtime(runtime)
        self.runtime_version = version_of(self.runtime)
        self._runner = loaded(self.path, model, self.runtime, num_threads)
        self.labels, self.sample_rate = self.card.labels, self.card.sample_rate
        self.packet_samples = int(self.card.streaming["packet_samples"])
        self.clip_samples = self.card.clip_samples
        self._describe()
        self._states = [np.zeros(item["shape"], item["dtype"]) for item in self._before]
        for _ in range(self.card.streaming["silence_packets"]):
            self._step(np.zeros(self.packet_samples, np.float32))
        self._silence = self._states
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self._states = self._silence
        self._waiting = np.zeros(0, np.float32)

    def fork(self) -> StreamingInterpreter:
        """Another stream through the same file: a state of its own, the model in memory once.

        Streams of one file take turns: only one of them may be pushed at a time.
        """
        other = copy.copy(self)
        other.reset()
        return other

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take the next samples of the stream.

        Args:
            samples: float in [-1, 1] or int16, [n], any n.

        Returns:
            float32 [packets, classes]: a row for each packet that is now complete, of the clip that
            ends with it. What is left over waits for the next call.

        Raises:
            ValueError: Wrong shape or type, NaN or infinity.
            UserError: The runtime fails on the model.
        """
        samples = np.asarray(samples)
        if samples.ndim != 1:
            raise ValueError(f"samples must be [n]. Received: shape={samples.shape}")
        if len(samples) == self.packet_samples and not len(self._waiting):
            return self._step(as_float(samples))[None]
        waiting = np.concatenate([self._waiting, as_float(samples)])
        whole = len(waiting) - len(waiting) % self.packet_samples
        self._waiting = waiting[whole:]
        rows = [self._step(packet) for packet in waiting[:whole].reshape(-1, self.packet_samples)]
        return np.stack(rows) if rows else np.empty((0, len(self.labels)), np.float32)

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Probabilities of one clip or of several, each heard after silence; ends the stream.

        Args:
            waveform: float in [-1, 1] or int16, [clip_samples] or [n, clip_samples].

        Returns:
            float32 [classes] or [n, classes].

        Raises:
            ValueError: Wrong shape or type, NaN or infinity.
            UserError: The runtime fails on the model.
        """
        samples = as_clips(waveform, self.clip_samples)
        before = np.zeros(-self.clip_samples % self.packet_samples, np.float32)
        clips = np.atleast_2d(samples)
        heard = np.empty((len(clips), len(self.labels)), np.float32)
        for row, clip in zip(heard, clips, strict=True):
            self.reset()
            row[:] = self.push(np.concatenate([before, clip]))[-1]
        self.reset()
        return heard if samples.ndim == 2 else heard[0]

    def _step(self, packet: np.ndarray) -> np.ndarray:
        runner = self._runner
        runner.set_tensor(self._packet["index"], packet[None])
        for item, state in zip(self._before, self._states, strict=True):
            runner.set_tensor(item["index"], state)
        try:
            runner.invoke()
        except RuntimeError as error:
            raise UserError(
                f"{self.path}: {self.runtime} {self.runtime_version} cannot run it "
                f"({first_line(error)}); copy or export it again"
            ) from error
        self._states = [runner.get_tensor(item["index"]) for item in self._after]
        probs: np.ndarray = runner.get_tensor(self._probs["index"])[0]
        return probs

    def _describe(self) -> None:
        """Find packet, states and probabilities by the names of the card."""
        names = self.card.streaming["states"]
        inputs = {item["name"]: item for item in self._runner.get_input_details()}
        outputs = {item["name"]: item for item in self._runner.get_output_details()}
        try:
            self._packet, self._probs = inputs["packet"], outputs["probs"]
            self._before = [inputs[f"state_{name}"] for name in names]
            self._after = [outputs[f"next_{name}"] for name in names]
        except KeyError as error:
            raise UserError(
                f"{self.path}: the card names {error}, which the model has not; export it again"
            ) from error
        shapes = [tuple(item["shape"]) for item in (self._packet, self._probs)]
        if shapes != [(1, self.packet_samples), (1, len(self.labels))]:
            raise UserError(
                f"{self.path}: the card says {self.packet_samples} samples and "
                f"{len(self.labels)} labels, the model {shapes}; export it again"
            )
