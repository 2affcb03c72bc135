"""How many live streams one core serves: python -m benchmarks.streams MODEL [BATCHED...].

MODEL is a streaming file, BATCHED the same for several streams at once. Needs no TensorFlow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from audio_edge import files
from audio_edge.errors import command
from audio_edge.stream_load import COUNTS, load, markdown
from benchmarks.progress import progress, whole_numbers


@command
def main(argv: Sequence[str] | None = None) -> int:
    """The cost of a packet as streams grow, and the streams that one core serves."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.streams",
        description="The CPU time of a packet, from int16 samples to the answer in Python, as live "
        "streams of one file grow, and how many of them one core serves in real time.",
    )
    parser.add_argument("model", metavar="MODEL", help="streaming .tflite file")
    parser.add_argument(
        "batched", metavar="BATCHED", nargs="*",
        help="the same for several streams at once, of tflite.convert --streaming --streams N",
    )  # fmt: skip
    parser.add_argument(
        "--streams",
        type=whole_numbers,
        default=list(COUNTS),
        metavar="1,10,100",
        help="live streams, each count a row of every file (default 1,10,100,1000)",
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=100,
        help="rounds, in which every stream takes a packet; at least 100 (default 100)",
    )
    parser.add_argument("--json", metavar="OUT", help="write everything there")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_intermixed_args(argv)
    files.require_free([args.json], inputs=[args.model, *args.batched], force=args.force)
    results = load(args.model, args.batched, counts=args.streams, runs=args.runs, progress=progress)
    print(markdown(results))
    if args.json:
        files.write_json(args.json, results)
        print(f"wrote {args.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
