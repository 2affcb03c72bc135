"""The microphone as a source of samples, through sounddevice and PortAudio, both optional.

Whatever rate the device runs at, blocks come out at the rate that was asked for.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import numpy as np

from audio_edge import audio
from audio_edge.errors import UserError

_MAX_BLOCK = 1 << 20  # samples in one read, far above any use


class Resampler:
    """`audio.resample` over a stream: the blocks joined equal the whole resampled at once.

    It lags by half the width of the filter, about 2 ms from 48000 to 16000 Hz, because it waits for
    the samples on which an output depends.

    Args:
        rate_in: Hz.
        rate_out: Hz.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        common = math.gcd(rate_in, rate_out)
        self.rate_in, self.rate_out = rate_in, rate_out
        self._up, self._down = rate_out // common, rate_in // common
        self._half = math.ceil(40 * max(1.0, rate_in / rate_out)) + 2  # at least the filter's half
        self._kept = np.zeros(0, np.float32)  # input still needed
        self._done = 0  # outputs given, counted from the first of the kept input

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take input float [n]; return the outputs, float32 [any], that are settled by now."""
        self._kept = np.concatenate([self._kept, np.asarray(block, np.float32)])
        settled = max(0, (len(self._kept) - self._half) * self._up // self._down)
        if settled <= self._done:
            return np.zeros(0, np.float32)
        output = audio.resample(self._kept, self.rate_in, self.rate_out)[self._done : settled]
        periods = max(0, settled // self._up - -(-self._half // self._down))
        self._kept = self._kept[periods * self._down :]
        self._done = settled - periods * self._up
        return output


class Microphone:
    """An open input device; use it in a `with` block.

    Args:
        sample_rate: Hz of the samples that `read` returns.
        device: Index from `input_devices`; None is the system's default.

    Attributes:
        name: The device's name.
        device_rate: Hz at which it runs.
        overflows: Reads before which samples were lost, because they were not fetched in time.

    Raises:
        UserError: sounddevice or PortAudio is missing, or there is no such device.
    """

    def __init__(self, sample_rate: int, *, device: int | None = None) -> None:
        sounddevice = _sounddevice()
        self._failure = sounddevice.PortAudioError
        try:
            info = sounddevice.query_devices(device, "input")
        except (sounddevice.PortAudioError, ValueError) as error:
            wanted = f"{device} is no input device"
            if device is None:
                wanted = "there is no input device"
            raise UserError(f"{wanted}; plug in a microphone and see --list-devices") from error
        self.name, self.sample_rate, self.overflows = str(info["name"]), sample_rate, 0
        self._stream, self.device_rate = _open(sounddevice, device, sample_rate, info)
        same = self.device_rate == sample_rate
        self._resampler = None if same else Resampler(self.device_rate, sample_rate)
        self._ready = np.zeros(0, np.float32)

    def read(self, n: int) -> np.ndarray:
        """Wait for the next `n` samples, float32 [n] in [-1, 1].

        Raises:
            UserError: The device has gone.
        """
        if not 0 < n <= _MAX_BLOCK:
            raise ValueError(f"n must be in [1, {_MAX_BLOCK}]. Received: n={n}")
        while len(self._ready) < n:
            missing = n - len(self._ready)
            try:
                block, lost = self._stream.read(-(-missing * self.device_rate // self.sample_rate))
            except self._failure as error:
                raise UserError(f"{self.name}: lost ({error}); plug it in again") from error
            self.overflows += bool(lost)
            samples = np.clip(np.nan_to_num(block[:, 0]), -1.0, 1.0).astype(np.float32)
            new = self._resampler.push(samples) if self._resampler else samples
            self._ready = np.concatenate([self._ready, new])
        taken, self._ready = self._ready[:n], self._ready[n:]
        return taken

    def __enter__(self) -> Microphone:
        self._stream.start()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(self._failure):  # of a device that has gone
            self._stream.close()


def input_devices() -> list[tuple[int, str, int]]:
    """(index, name, default rate in Hz) of every device with an input."""
    found = []
    for index, info in enumerate(_sounddevice().query_devices()):
        if info["max_input_channels"] > 0:
            found.append((index, str(info["name"]), int(info["default_samplerate"])))
    return found


def look_again() -> None:
    """Have PortAudio list the devices anew: it does so only when it begins."""
    sounddevice = _sounddevice()
    with suppress(sounddevice.PortAudioError):
        sounddevice._terminate()
        sounddevice._initialize()


def _open(sounddevice: Any, device: int | None, sample_rate: int, info: Any) -> tuple[Any, int]:
    """The device's stream at `sample_rate`, or else at its default rate: (stream, rate)."""
    default = int(info["default_samplerate"])
    for rate in (sample_rate, default):
        try:
            stream = sounddevice.InputStream(
                samplerate=rate, channels=1, dtype="float32", device=device
            )
            return stream, rate
        except (sounddevice.PortAudioError, ValueError) as error:
            reason = str(error)
    raise UserError(
        f"{info['name']}: cannot be opened at {sample_rate} or {default} Hz ({reason}); "
        "choose another with --device"
    )


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise UserError("the microphone needs sounddevice; pip install sounddevice") from error
    except OSError as error:
        raise UserError(
            "the microphone needs the PortAudio library; on Debian and Raspberry Pi OS: "
            "apt install libportaudio2"
        ) from error
    return sounddevice
