"""A stand-in for the sounddevice module: one loudspeaker, one microphone that plays an array."""

from __future__ import annotations

import types
from typing import Any

import numpy as np


class PortAudioError(Exception):
    """As sounddevice's."""


class FakeSoundDevice(types.ModuleType):
    """Raises KeyboardInterrupt, as Ctrl-C does, once the array has been read."""

    PortAudioError = PortAudioError

    def __init__(
        self, waveform: np.ndarray, *, rates: tuple[int, ...] = (16000,), devices: int = 1,
        overflow: bool = False, fails_at: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__("sounddevice")
        self.waveform, self.rates, self.devices, self.overflow = waveform, rates, devices, overflow
        self.closed, self.fails_at, self.looked = False, fails_at, 0

    def _terminate(self) -> None:
        """PortAudio ends, and is begun again: the device is there anew."""

    def _initialize(self) -> None:
        self.fails_at, self.looked = None, self.looked + 1

    def query_devices(self, device: int | None = None, kind: str | None = None) -> Any:
        default = float(self.rates[0] if self.rates else 44100)
        speaker = {"name": "fake speaker", "max_input_channels": 0, "default_samplerate": 44100.0}
        one = {"name": "fake microphone", "max_input_channels": 1, "default_samplerate": default}
        if kind is None:
            return [speaker, one][: 1 + self.devices]
        if not self.devices or device not in (None, 1):
            raise PortAudioError("Error querying device -1")
        return one

    def InputStream(self, *, samplerate: int, channels: int, dtype: str, device: int | None) -> Any:
        if samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate")
        assert (channels, dtype) == (1, "float32")
        return FakeStream(self)


class FakeStream:
    def __init__(self, owner: FakeSoundDevice) -> None:
        self.owner, self.at = owner, 0

    def start(self) -> None:
        self.at = 0

    def close(self) -> None:
        self.owner.closed = True

    def read(self, n: int) -> tuple[np.ndarray, bool]:
        if self.owner.fails_at is not None and self.at + n > self.owner.fails_at:
            raise PortAudioError("Device unavailable")
        block = self.owner.waveform[self.at : self.at + n]
        if len(block) < n:
            raise KeyboardInterrupt
        self.at += n
        return block[:, None], self.owner.overflow
