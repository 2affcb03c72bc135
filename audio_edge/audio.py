"""Reading recordings: any format soundfile knows -> float32 mono in [-1, 1] at one sample rate.

Integer PCM is divided by 2^(bits - 1), so 16-bit full scale is 32768, as on the devices.
"""

from __future__ import annotations

import math
import os
import wave
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from audio_edge.errors import UserError

EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au")
MAX_CHANNELS = 64
MIN_RATE, MAX_RATE = 1000, 768000
_UNKNOWN_FRAMES = 2**62  # what libsndfile says of a stream is larger
_CACHED_TAPS = 1 << 18  # values of the largest table of a resampling that is kept


class TooLong(UserError):
    """A recording is longer or larger than its reader accepts."""


def read(
    path: str | os.PathLike[str], *, sample_rate: int | None = 16000, max_s: float = 24 * 3600.0,
    max_samples: int | None = None,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Read a recording as float32 mono.

    Args:
        path: WAV (8/16/24/32-bit, float), FLAC, Ogg, MP3, AIFF or AU; channels are averaged.
        sample_rate: Hz to resample to; None keeps the file's own rate.
        max_s: Longest recording that is accepted, in seconds.
        max_samples: Most samples of all channels, in the file and at `sample_rate`; None is any.

    Returns:
        (waveform float32 [samples] in [-1, 1], sample rate in Hz).

    Raises:
        TooLong: It is beyond `max_s` or `max_samples`.
        UserError: The file is missing, damaged, empty, or holds NaN or infinite samples.
    """
    with _opened(path, max_s) as file:
        rate = file.samplerate
        widest = max(file.channels, (sample_rate or rate) / rate)
        if max_samples is not None and max_samples / (widest * rate) < max_s:
            max_s = max_samples / (widest * rate)
        found = list(_checked(path, file, max_s))
    waveform = np.concatenate(found) if found else np.zeros(0, np.float32)
    if not waveform.size:
        raise UserError(f"{path}: holds no audio; remove it")
    if sample_rate is None or sample_rate == rate:
        return waveform, rate
    return resample(waveform, rate, sample_rate), sample_rate


def blocks(
    path: str | os.PathLike[str], *, sample_rate: int, max_s: float = 24 * 3600.0
) -> Iterator[np.ndarray]:
    """As `read`, in blocks end to end, float32 [any] each.

    A recording of another rate is held in memory, to be resampled; one of this rate is not.
    """
    with _opened(path, max_s) as file:
        if file.samplerate == sample_rate:
            empty = True
            for block in _checked(path, file, max_s):
                empty = False
                yield block
            if empty:
                raise UserError(f"{path}: holds no audio; remove it")
            return
    yield read(path, sample_rate=sample_rate, max_s=max_s)[0]


@contextmanager
def _opened(path: str | os.PathLike[str], max_s: float) -> Iterator[soundfile.SoundFile]:
    # soundfile itself refuses names that are not UTF-8
    name = os.fsencode(path) if os.name == "posix" else path
    try:
        with soundfile.SoundFile(name) as file:
            _check_header(path, file.samplerate, file.channels, file.frames, max_s)
            if file.frames >= _UNKNOWN_FRAMES:  # soundfile would seek to where a stream ends
                file.seekable = lambda: False
            yield file
    except (soundfile.SoundFileError, RuntimeError, OSError, TypeError) as error:
        raise UserError(
            f"{path}: not a readable recording ({_reason(path, error)}); remove or convert it"
        ) from error


def _checked(
    path: str | os.PathLike[str], file: soundfile.SoundFile, max_s: float
) -> Iterator[np.ndarray]:
    """Blocks of mono in [-1, 1], once found to be finite and not too long."""
    total = 0
    for block in _blocks(file, int(max_s * file.samplerate) + 1):
        total += len(block)
        if total > max_s * file.samplerate:
            raise TooLong(f"{path}: longer than the limit of {max_s:g} s; cut it")
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        if not np.isfinite(mono).all():
            raise UserError(f"{path}: holds NaN or infinite samples; export it again")
        yield np.clip(mono, -1.0, 1.0)


def _blocks(file: soundfile.SoundFile, limit: int) -> Iterator[np.ndarray]:
    """Read block by block: neither a lying header nor many channels allocate hours."""
    total = 0
    while total < limit:
        block = file.read(1 << 16, dtype="float32", always_2d=True)
        if not len(block):
            break
        yield block
        total += len(block)
        if total == file.frames:  # to look for more costs as much as a short recording
            break


def _check_header(
    path: str | os.PathLike[str], rate: int, channels: int, frames: int, max_s: float
) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise UserError(
            f"{path}: sample rate {rate} Hz is not between {MIN_RATE} and {MAX_RATE}; convert it"
        )
    if channels > MAX_CHANNELS:
        raise UserError(f"{path}: {channels} channels, more than {MAX_CHANNELS}; mix it down")
    if max_s * rate < frames < _UNKNOWN_FRAMES:
        length = f"{frames / rate:.0f} s by its header"
        raise TooLong(f"{path}: {length}, more than the limit of {max_s:g} s; cut it")


def _reason(path: str | os.PathLike[str], error: Exception) -> str:
    target = Path(path)
    if not target.exists():
        return "no such file"
    if target.is_dir():
        return "it is a folder"
    if not target.stat().st_size:
        return "it is empty"
    reason = str(error).rsplit(": ", 1)[-1].strip(" .")
    # libsndfile's words for an MP3 without a frame, though the file is there
    return "Format not recognised" if reason.startswith("File does not exist") else reason


def to_int16(waveform: np.ndarray) -> np.ndarray:
    """Float [-1, 1] -> int16, rounded, then clipped to [-32768, 32767]."""
    return np.clip(np.rint(np.asarray(waveform) * 32768.0), -32768, 32767).astype(np.int16)


def write(path: str | os.PathLike[str], waveform: np.ndarray, sample_rate: int) -> None:
    """Write float32 in [-1, 1] or int16, [samples], as a 16-bit WAV.

    Raises:
        OSError: The system refuses.
    """
    samples = np.asarray(waveform)
    samples = samples if samples.dtype == np.int16 else to_int16(samples)
    # libsndfile does not tell a full disk from a damaged file
    with wave.open(os.fspath(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(np.ascontiguousarray(samples).data)


def write_blocks(
    path: str | os.PathLike[str], blocks: Iterable[np.ndarray], sample_rate: int
) -> None:
    """Write int16 [any] blocks end to end as 16-bit WAV or FLAC, by the name's ending."""
    kind = Path(path).suffix[1:].upper()
    try:
        with soundfile.SoundFile(
            path, "w", samplerate=sample_rate, channels=1, subtype="PCM_16", format=kind
        ) as file:
            for block in blocks:
                file.write(block)
    except soundfile.SoundFileError as error:
        reason = _reason(path, error)
        raise UserError(f"{path}: cannot be written ({reason}); free space") from error


def resample(waveform: np.ndarray, rate_in: int, rate_out: int) -> np.ndarray:
    """Resample by a polyphase sinc, Kaiser-windowed: 0.45 of the lower rate wide, then 80 dB down.

    Args:
        waveform: float [samples].
        rate_in: Hz, rate of `waveform`.
        rate_out: Hz, wanted rate.

    Returns:
        float32 [ceil(samples * rate_out / rate_in)], aligned in time with the input.
    """
    common = math.gcd(rate_in, rate_out)
    up, down = rate_out // common, rate_in // common
    # odd rates take tables of megabytes: not to be held by a process that reads anyone's files
    small = up * _half(up, down) <= _CACHED_TAPS
    taps = (_resample_taps if small else _resample_taps.__wrapped__)(up, down)
    half = taps.shape[1] // 2
    length = -(-len(waveform) * up // down)
    output = np.empty(length, np.float32)
    padded = np.pad(np.asarray(waveform, np.float32), (half, half + 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps.shape[1])
    for phase in range(min(up, length)):
        first = phase * down // up  # output n sits at input position n * down / up
        chosen = windows[first::down][: -(-(length - phase) // up)]
        lane = output[phase::up]
        for start in range(0, len(lane), 1 << 14):  # bounds the copy that the product makes
            part = slice(start, start + (1 << 14))
            lane[part] = chosen[part] @ taps[phase * down % up]
    return output


def _half(up: int, down: int) -> int:
    """Taps on either side of the middle one."""
    return math.ceil(32 / _cutoff(up, down))


def _cutoff(up: int, down: int) -> float:
    return 0.9 * min(1.0, up / down)  # of the input's half rate


@lru_cache(maxsize=16)
def _resample_taps(up: int, down: int) -> np.ndarray:
    """float32 [up, taps]: the low-pass sampled at each of the `up` fractional positions."""
    cutoff, half = _cutoff(up, down), _half(up, down)
    fraction = np.arange(up)[:, None] / up
    at = np.arange(-half, half + 1)[None, :] - fraction
    shape = np.kaiser(2 * half + 3, 9.0)
    window = np.interp(at, np.arange(-half - 1, half + 2), shape)
    taps = cutoff * np.sinc(cutoff * at) * window
    return (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
