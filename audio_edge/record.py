"""Record clips of one word from the microphone: `python -m audio_edge.record WORD --out FOLDER`.

Clips go to FOLDER/WORD/<speaker>_nohash_<n>.wav, which is how Speech Commands names them, so that
data sets are split by speaker. Existing clips are never overwritten.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge import audio, files
from audio_edge.config import SILENCE, UNKNOWN
from audio_edge.errors import UserError, command
from audio_edge.microphone import Microphone, input_devices

CLIPPED_SAMPLES = 3  # at full scale, in one clip; fewer is chance
QUIET_PEAK_DBFS = -30.0
QUIET_RMS_DBFS = -55.0
MAX_TRIES = 5
PAUSE_S = 0.7  # between two clips, to breathe


@dataclass(frozen=True)
class Level:
    """How loud a clip is: peak and RMS in dB of full scale; "ok", "clipped" or "too quiet"."""

    peak_dbfs: float
    rms_dbfs: float
    verdict: str

    def __str__(self) -> str:
        return f"peak {self.peak_dbfs:.1f} dBFS, RMS {self.rms_dbfs:.1f} dBFS, {self.verdict}"


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, record, print."""
    parser = argparse.ArgumentParser(
        prog="python -m audio_edge.record", description=(__doc__ or "").split(":")[0] + "."
    )
    parser.add_argument("word", nargs="?", help="what is said; the name of the subfolder")
    parser.add_argument("--out", metavar="FOLDER", help="data folder")
    parser.add_argument("--count", type=int, default=20, help="clips (20)")
    parser.add_argument("--clip-s", type=float, default=1.0, help="seconds of a clip (1.0)")
    parser.add_argument("--sample-rate", type=int, default=16000, help="Hz (16000)")
    parser.add_argument(
        "--speaker", default="me", help="who speaks (me); splits keep speakers apart"
    )
    parser.add_argument("--device", type=int, metavar="N", help="input device, see --list-devices")
    parser.add_argument("--list-devices", action="store_true", help="print input devices and stop")
    args = parser.parse_intermixed_args(argv)
    if args.list_devices:
        for index, name, rate in input_devices():
            print(f"{index:3d}  {name}  ({rate} Hz)")
        return 0
    _check(args)
    folder = Path(args.out) / args.word
    with Microphone(args.sample_rate, device=args.device) as microphone:
        record(
            microphone, folder, speaker=args.speaker, count=args.count, clip_s=args.clip_s,
            sample_rate=args.sample_rate, say=lambda text: print(text, flush=True),
        )  # fmt: skip
    print(f"{args.count} clips of '{args.word}' by {args.speaker} in {folder}")
    return 0


def record(
    source: Any,
    folder: Path,
    *,
    speaker: str,
    count: int,
    clip_s: float,
    sample_rate: int,
    say: Callable[[str], None],
) -> list[Path]:
    """Record `count` good clips; a clipped or too quiet one is said and recorded again.

    Args:
        source: The microphone, or anything with `read(n) -> float32 [n]`.
        folder: Where the clips go; numbering continues there.
        speaker: Beginning of the file names.
        count: Clips to write.
        clip_s: Seconds of a clip.
        sample_rate: Hz.
        say: Takes each line for the speaker.

    Returns:
        The files written, in order.

    Raises:
        UserError: One clip failed `MAX_TRIES` times, or a file cannot be written.
    """
    written: list[Path] = []
    for number in range(1, count + 1):
        for _ in range(MAX_TRIES):
            source.read(max(1, round(PAUSE_S * sample_rate)))
            say(f"{number} of {count}: speak now")
            waveform = source.read(round(clip_s * sample_rate))
            level = measure(waveform)
            if level.verdict == "ok":
                break
            say(f"  {level}; again")
        else:
            raise UserError(
                f"clip {number} was {level.verdict} {MAX_TRIES} times ({level}); "
                "change the distance or the input level and record again"
            )
        path = _free_path(folder, speaker)
        with files.replacing(path) as temporary:
            audio.write(temporary, waveform, sample_rate)
        written.append(path)
        say(f"  {level}: {path.name}")
    return written


def measure(waveform: np.ndarray) -> Level:
    """Level of float [samples > 0] in [-1, 1]; a constant 1 has peak and RMS 0 dBFS."""
    waveform = np.asarray(waveform, np.float64)
    peak, rms = float(np.abs(waveform).max()), math.sqrt(float(np.square(waveform).mean()))
    peak_dbfs, rms_dbfs = (20 * math.log10(max(value, 1e-6)) for value in (peak, rms))
    if np.count_nonzero(np.abs(waveform) >= 0.999) >= CLIPPED_SAMPLES:
        verdict = "clipped"
    elif peak_dbfs < QUIET_PEAK_DBFS or rms_dbfs < QUIET_RMS_DBFS:
        verdict = "too quiet"
    else:
        verdict = "ok"
    return Level(peak_dbfs, rms_dbfs, verdict)


def _free_path(folder: Path, speaker: str) -> Path:
    """The next name of this speaker, one above the highest number that exists."""
    pattern = re.compile(re.escape(speaker) + r"_nohash_(\d+)\.wav")
    names = (path.name for path in folder.glob("*_nohash_*.wav")) if folder.is_dir() else ()
    numbers = [int(found[1]) for found in map(pattern.fullmatch, names) if found]
    return folder / f"{speaker}_nohash_{max(numbers, default=-1) + 1}.wav"


def _check(args: argparse.Namespace) -> None:
    if not args.word or not args.out:
        raise UserError("usage: python -m audio_edge.record WORD --out FOLDER")
    for option, value in (("WORD", args.word), ("--speaker", args.speaker)):
        if not re.fullmatch(r"[^\W_](?:[\w' -]*[\w'])?", value):
            raise UserError(
                f"{option} must be letters, digits, spaces, - or ', a letter or digit first. "
                f"Received: {value!r}"
            )
    if "_nohash_" in args.speaker:
        raise UserError(f"--speaker must not contain _nohash_. Received: {args.speaker!r}")
    if args.word in (SILENCE, UNKNOWN):
        raise UserError(f"'{args.word}' is a class of its own and is not recorded; choose a word")
    if not 1 <= args.count <= 10000:
        raise UserError(f"--count must be 1 to 10000. Received: {args.count}")
    if not 0.05 <= args.clip_s <= 60:
        raise UserError(f"--clip-s must be 0.05 to 60 s. Received: {args.clip_s:g}")
    if not 4000 <= args.sample_rate <= 192000:
        raise UserError(f"--sample-rate must be 4000 to 192000 Hz. Received: {args.sample_rate}")


if __name__ == "__main__":
    sys.exit(main())
