"""Running a streaming `.tflite` file: samples in as they come, probabilities out, the state hidden.

Needs NumPy and one TFLite runtime, as the interpreter of clips does.
"""

from __future__ import annotations

import copy
import os

import numpy as np

from audio_edge.card import read_model, split
from audio_edge.errors import UserError
from audio_edge.interpreter import Interpreter, as_float
from audio_edge.stream_batch import StreamBatch


def open_model(
    path: str | os.PathLike[str], *, runtime: str | None = None, num_threads: int = 1
) -> Interpreter | StreamingInterpreter | StreamBatch:
    """The interpreter that a file wants, of clips, of a stream or of several at once.

    Any of them may be called on clips.
    """
    _, card = split(read_model(path), source=path)
    if card is None or not card.streaming:
        return Interpreter(path, runtime=runtime, num_threads=num_threads)
    kind = StreamingInterpreter if card.streams == 1 else StreamBatch
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
        UserError: The file is missing, damaged, of clips or of several streams at once, or the
            runtime is missing or cannot load it.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, runtime: str | None = None, num_threads: int = 1
    ) -> None:
        batch = StreamBatch(path, runtime=runtime, num_threads=num_threads)
        if batch.streams > 1:
            raise UserError(
                f"{batch.path}: takes {batch.streams} streams at once; open it with StreamBatch, "
                "or convert its run without --streams"
            )
        self._batch = batch
        self.path, self.card, self.labels = batch.path, batch.card, batch.labels
        self.runtime, self.runtime_version = batch.runtime, batch.runtime_version
        self.sample_rate, self.clip_samples = batch.sample_rate, batch.clip_samples
        self.packet_samples = batch.packet_samples
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self._batch.reset()
        self._waiting = np.zeros(0, np.float32)

    def fork(self) -> StreamingInterpreter:
        """Another stream through the same file: a state of its own, the model in memory once.

        Streams of one file take turns: only one of them may be pushed at a time.
        """
        other = copy.copy(self)
        other._batch = self._batch.fork()
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
            return self._batch.step(as_float(samples)[None])
        waiting = np.concatenate([self._waiting, as_float(samples)])
        whole = len(waiting) - len(waiting) % self.packet_samples
        self._waiting = waiting[whole:]
        packets = waiting[:whole].reshape(-1, 1, self.packet_samples)
        rows = [self._batch.step(packet) for packet in packets]
        return np.concatenate(rows) if rows else np.empty((0, len(self.labels)), np.float32)

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
        heard = self._batch(waveform)
        self.reset()
        return heard
