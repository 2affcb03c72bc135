"""Hours of sound, faster than time: python -m benchmarks.endurance MODEL [--hours 24].

The microphone, simulated, is lost every half hour; hits are saved. Exits 1 if the memory grew by
more than a MiB after the first minute.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from audio_edge import audio, measure, scoring
from audio_edge.detector import Detector
from audio_edge.endurance import endure
from audio_edge.errors import UserError, command

GROWTH_MIB = 1.0


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Whether listening for days takes more and more memory."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.endurance",
        description="Hear hours of sound as fast as they can be heard, through a simulated "
        "microphone that is lost every half hour, saving hits. Prints a row after the first minute "
        "and after every hour. Exits 1 if memory has grown by more than a MiB since the first row.",
    )
    parser.add_argument("model", metavar="MODEL", help=".tflite file, of clips or of a stream")
    parser.add_argument(
        "recording", metavar="RECORDING", nargs="?",
        help="played over and over, of a second at least (default: a minute of made-up speech)",
    )  # fmt: skip
    parser.add_argument(
        "--hours", type=float, default=24.0, help="of sound, 0.05 to 10000 (default %(default)g)"
    )
    args = parser.parse_args(argv)
    if not 0.05 <= args.hours <= 10000:
        raise UserError(f"--hours must be in [0.05, 10000]. Received: {args.hours:g}")
    detector, usage = Detector(args.model), measure.Usage()
    rate = detector.model.sample_rate
    waveform = (
        audio.read(args.recording, sample_rate=rate)[0]
        if args.recording
        else scoring.speech_like(60 * rate, sample_rate=rate)
    )
    if len(waveform) < rate:
        raise UserError(f"{args.recording}: is shorter than a second; give a longer one")
    print("heard h  detections  lost  hits saved  resident MiB", flush=True)
    first = last = None
    for row in endure(detector, waveform, hours=args.hours):
        last = row["resident_mib"]
        first = last if first is None else first
        print(
            f"{row['heard_s'] / 3600:7.2f}  {row['detections']:10d}  {row['lost']:4d}  "
            f"{row['saved']:10d}  {'' if last is None else f'{last:12.2f}'}",
            flush=True,
        )
        heard_s = row["heard_s"]
    print(f"CPU time: {1e6 * usage.cpu_s() / heard_s:.0f} us per second of sound")
    if first is None or last is None:
        print("this system does not tell the memory")
        return 0
    grown = last - first
    print(f"memory: {grown:+.2f} MiB after the first minute (limit {GROWTH_MIB:g})")
    return 0 if grown <= GROWTH_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
