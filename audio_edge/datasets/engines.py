"""The process that speaks: eSpeak NG by ctypes and SVOX Pico, run apart by `speech.Speaker`.

Both engines keep state between words and may crash, so each word starts them anew. `python -m
audio_edge.datasets.engines` reads JSON lines on stdin and answers each with a JSON line on stdout,
followed by little-endian int16 samples where there are any. Nothing but the standard library and
the engines is imported.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import json
import math
import os
import sys
from typing import Any

_SYNCHRONOUS, _DONT_EXIT, _UTF8 = 2, 0x8000, 1
_RATE, _PITCH = 1, 3
_WORDS_PER_MINUTE, _MIN_WORDS_PER_MINUTE = 175, 80
_PICO_RATE = 16000
_PICO_VOLUME = 0.5  # at 1.0 it clips

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Espeak:
    """A freshly loaded libespeak-ng; `close` unloads it, and with it its state.

    Flutter, noise and resonators run on from word to word: only a new load gives the same samples
    for the same word, and the library seeds its generator by the time of day on starting.
    """

    def __init__(self) -> None:
        import espeakng_loader

        self._chunks: list[bytes] = []
        self._callback = _Callback(self._keep)  # referenced here as long as the library may call it
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        initialize = self._library.espeak_Initialize
        initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        self.sample_rate = initialize(
            _SYNCHRONOUS, 0, os.fsencode(espeakng_loader.get_data_path()), _DONT_EXIT
        )
        if self.sample_rate <= 0:
            raise RuntimeError("espeak-ng does not start")
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        _seed_c_library()

    def _keep(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def choose(self, name: str) -> None:
        """Choose a voice, such as gmw/en-US+f1."""
        if self._library.espeak_SetVoiceByName(name.encode()):
            raise RuntimeError(f"espeak-ng has no voice {name}")

    def speak(self, text: str, *, pitch: float, rate: float) -> bytes:
        """Speak with the chosen voice; int16 samples. `pitch` and `rate` are factors."""
        points = 50 + 60 * math.log2(pitch)  # measured: about 60 of its 100 points are an octave
        self._library.espeak_SetParameter(_PITCH, round(min(99.0, max(0.0, points))), 0)
        speed = max(_MIN_WORDS_PER_MINUTE, round(_WORDS_PER_MINUTE * rate))
        self._library.espeak_SetParameter(_RATE, speed, 0)
        content = text.encode()
        synth = self._library.espeak_Synth
        synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
            ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        if synth(content, len(content) + 1, 0, 1, 0, _UTF8, None, None):
            raise RuntimeError("espeak-ng refused the text")
        self._library.espeak_Synchronize()
        return b"".join(self._chunks)

    def phonemes(self, text: str) -> str:
        """The chosen voice's phonemes of a text, in espeak's own notation."""
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        left = ctypes.c_char_p(text.encode())
        clauses = []
        while left.value:  # one clause a call; NULL at the end
            found = self._library.espeak_TextToPhonemes(ctypes.byref(left), _UTF8, 0)
            clauses.append(found.decode())
        return " ".join(clauses)

    def close(self) -> None:
        """Stop and unload the library."""
        import _ctypes

        self._library.espeak_Terminate()
        unload = getattr(_ctypes, "FreeLibrary" if os.name == "nt" else "dlclose")
        unload(self._library._handle)


def _seed_c_library() -> None:
    """Seed rand(), which espeak's Klatt voices draw from."""
    name = "ucrtbase" if os.name == "nt" else None
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(name).srand(1)


def _fresh_memory() -> None:
    """Let glibc take large blocks from the system, zeroed: Pico reads its memory before writing."""
    threshold, size = -3, 1 << 16  # M_MMAP_THRESHOLD; once set, glibc no longer raises it
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(threshold, size)


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    if request["engine"] == "pico":
        import py_nanotts

        samples = py_nanotts.NanoTTS().speak(
            request["text"],
            voice=request["name"],
            speed=request["rate"],
            pitch=request["pitch"],
            volume=_PICO_VOLUME,
        )
        return {"sample_rate": _PICO_RATE}, samples
    engine = Espeak()
    try:
        engine.choose(request["name"])
        if request.get("phonemes"):
            return {"phonemes": engine.phonemes(request["text"])}, b""
        samples = engine.speak(request["text"], pitch=request["pitch"], rate=request["rate"])
        return {"sample_rate": engine.sample_rate}, samples
    finally:
        engine.close()


def serve() -> None:
    """Answer requests until stdin ends."""
    _fresh_memory()
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what an engine prints must not mix with the answers
        for line in sys.stdin:
            try:
                answer, samples = _answer(json.loads(line))
            except Exception as error:  # an engine's failure is that word's failure
                answer, samples = {"error": f"{type(error).__name__}: {error}"}, b""
            if sys.byteorder == "big":
                swapped = array.array("h", samples)
                swapped.byteswap()
                samples = swapped.tobytes()
            out.write(json.dumps(answer | {"bytes": len(samples)}).encode() + b"\n" + samples)
            out.flush()


if __name__ == "__main__":
    serve()
