"""Pictures and sounds of clips, small enough to travel inside a page."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np
import soundfile

from audio_edge import mel

RANGE_DB = 60.0  # what a spectrogram shows
BANDS, COLUMNS = 48, 128
_SHADES = 32  # fewer than 256, so that the picture packs to half the bytes
# from dark to bright, evenly apart to the eye: matplotlib's magma at every eighth of its range
_MAGMA = ("000004", "1d1147", "51127c", "832681", "b73779", "e75263", "fc8961", "fec488", "fcfdbf")


def spectrogram(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Log-mel power of a clip as shades, for the eye.

    Args:
        waveform: float [samples > 0] in [-1, 1].
        sample_rate: Hz.

    Returns:
        uint8 [48, columns <= 128] in [0, 31], high frequencies on top; 31 is the loudest place, or
        60 dB below full scale in a clip that is quieter, 0 is 60 dB less.
    """
    frame_length = 1 << round(np.log2(0.032 * sample_rate))
    hop_length = max(sample_rate // 100, -(-len(waveform) // COLUMNS))
    padded = np.pad(np.asarray(waveform, np.float64), (frame_length // 2, frame_length // 2))
    power_db = mel.logmel(
        padded, sample_rate=sample_rate, frame_length=frame_length, hop_length=hop_length,
        n_fft=2 * frame_length, n_mels=BANDS, fmin=50.0, log_floor=1e-12,
    ) * (10 / np.log(10))  # fmt: skip
    full_scale_db = 20 * np.log10(frame_length / 4)  # a sine of amplitude 1 under the window
    top_db = max(float(power_db.max()), full_scale_db - RANGE_DB)
    share = 1 + (power_db[:COLUMNS] - top_db) / RANGE_DB
    return np.rint((_SHADES - 1) * np.clip(share, 0, 1)).astype(np.uint8).T[::-1]


def png(shades: np.ndarray) -> bytes:
    """A PNG with a palette (W3C PNG, third edition, colour type 3).

    Args:
        shades: uint8 [height, width] in [0, 31].
    """
    anchors = np.array([list(bytes.fromhex(colour)) for colour in _MAGMA])
    at = np.linspace(0, len(anchors) - 1, _SHADES)
    palette = np.stack([np.interp(at, range(len(anchors)), part) for part in anchors.T], axis=1)
    rows = np.pad(shades, ((0, 0), (1, 0)))  # filter 0 before each row
    height, width = shades.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = [
        (b"IHDR", header), (b"PLTE", np.rint(palette).astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""),
    ]  # fmt: skip
    parts = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def wav(samples: np.ndarray, sample_rate: int) -> bytes:
    """A 16-bit WAV of int16 [samples]."""
    content = io.BytesIO()
    soundfile.write(content, samples, sample_rate, format="WAV", subtype="PCM_16")
    return content.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """The content as an address that loads nothing, kind such as "image/png"."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
