"""Running several live streams through one streaming `.tflite` file, a packet of each at a step.

A file written with `--streams N` takes N at once, which costs less than N steps of one. Needs NumPy
and one TFLite runtime, as the interpreter of clips does.
"""

from __future__ import annotations

import copy
import os

import numpy as np

from audio_edge.card import Card, read_card, read_model, split
from audio_edge.errors import UserError, first_line
from audio_edge.interpreter import as_clips, as_float, choose_runtime, loaded, version_of


class StreamBatch:
    """As many streams as a file takes at once, each with a state of its own.

    Every stream begins as if there had been silence for ever, and may begin anew at any packet. A
    place that nobody takes hears whatever is put there, and changes nothing for the others.

    Args:
        path: The model file, written with `--streaming`, and for more than one with `--streams`.
        runtime: One of `audio_edge.interpreter.RUNTIMES`; None takes the first that is installed.
        num_threads: Threads of the runtime, >= 1.

    Attributes:
        path, runtime, runtime_version: What runs where.
        card: The `Card`.
        labels: Class names, in the order of the probabilities.
        sample_rate: Hz.
        streams: How many there are.
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
        self.streams = self.card.streams
        self.packet_samples = int(self.card.streaming["packet_samples"])
        self.clip_samples = self.card.clip_samples
        self._describe()
        self._states = [np.zeros(item["shape"], item["dtype"]) for item in self._before]
        silence = np.zeros((self.streams, self.packet_samples), np.float32)
        for _ in range(self.card.streaming["silence_packets"]):
            self.step(silence)
        self._silence = self._states
        self.reset()

    def reset(self, stream: int | None = None) -> None:
        """Begin stream number `stream` anew, from 0; None begins all of them."""
        if stream is None:
            self._states = [state.copy() for state in self._silence]
            return
        if not 0 <= stream < self.streams:
            raise ValueError(f"stream must be in [0, {self.streams}). Received: stream={stream}")
        for state, silence in zip(self._states, self._silence, strict=True):
            state[stream] = silence[stream]

    def fork(self) -> StreamBatch:
        """As many streams again through the same file: states of their own, the model held once.

        Batches of one file take turns: only one of them may be pushed at a time.
        """
        other = copy.copy(self)
        other.reset()
        return other

    def push(self, packets: np.ndarray) -> np.ndarray:
        """Take the next packet of every stream.

        Args:
            packets: float in [-1, 1] or int16, [streams, packet_samples].

        Returns:
            float32 [streams, classes]: of the clip that ends with each stream's packet.

        Raises:
            ValueError: Wrong shape or type, NaN or infinity.
            UserError: The runtime fails on the model.
        """
        packets = np.asarray(packets)
        if packets.shape != (self.streams, self.packet_samples):
            raise ValueError(
                f"packets must be [{self.streams}, {self.packet_samples}]. "
                f"Received: shape={packets.shape}"
            )
        return self.step(as_float(packets))

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Probabilities of one clip or of several, each heard after silence; ends the streams.

        Args:
            waveform: float in [-1, 1] or int16, [clip_samples] or [n, clip_samples].

        Returns:
            float32 [classes] or [n, classes].

        Raises:
            ValueError: Wrong shape or type, NaN or infinity.
            UserError: The runtime fails on the model.
        """
        samples = as_clips(waveform, self.clip_samples)
        before = -self.clip_samples % self.packet_samples
        clips = np.pad(np.atleast_2d(samples), [(0, 0), (before, 0)])
        heard = np.empty((len(clips), len(self.labels)), np.float32)
        for start in range(0, len(clips), self.streams):
            some = clips[start : start + self.streams]
            given = np.zeros((self.streams, clips.shape[1]), np.float32)
            given[: len(some)] = some
            self.reset()
            for packets in np.split(given, clips.shape[1] // self.packet_samples, axis=1):
                probs = self.step(packets)
            heard[start : start + len(some)] = probs[: len(some)]
        self.reset()
        return heard if samples.ndim == 2 else heard[0]

    def step(self, packets: np.ndarray) -> np.ndarray:
        """As `push`, of float32 packets that are known to be good."""
        runner = self._runner
        runner.set_tensor(self._packet["index"], packets)
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
        probs: np.ndarray = runner.get_tensor(self._probs["index"])
        return probs

    def _describe(self) -> None:
        """Find packet, states and probabilities by the names of the card."""
        inputs = {item["name"]: item for item in self._runner.get_input_details()}
        outputs = {item["name"]: item for item in self._runner.get_output_details()}
        try:
            self._packet, self._probs = inputs["packet"], outputs["probs"]
            self._before = [inputs[before] for before, _ in self.card.state_ends]
            self._after = [outputs[after] for _, after in self.card.state_ends]
        except KeyError as error:
            raise UserError(
                f"{self.path}: the card names {error}, which the model has not; export it again"
            ) from error
        shapes = [tuple(item["shape"]) for item in (self._packet, self._probs)]
        said = [(self.streams, self.packet_samples), (self.streams, len(self.labels))]
        if shapes != said:
            raise UserError(
                f"{self.path}: the card says packets and answers of {said}, the model {shapes}; "
                "export it again"
            )
