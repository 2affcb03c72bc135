"""Ours beside the rivals, from PCM to answer: python -m benchmarks.peers MODEL... [--peers FOLDER].

CPU time per second of sound, memory, start-up and bytes, in one interleaved run. The packages
pymicro-wakeword and pyopen-wakeword are heard where they are installed. Needs no TensorFlow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from audio_edge import files
from audio_edge.canvas import check
from audio_edge.errors import UserError, command
from audio_edge.peers_benchmark.run import benchmark
from audio_edge.peers_benchmark.tables import chart, markdown
from benchmarks.progress import progress


@command
def main(argv: Sequence[str] | None = None) -> int:
    """What listening costs, ours and what a user would pick instead."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=main.__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help=".tflite files of ours")
    parser.add_argument("--peers", metavar="FOLDER", help=".tflite files of others")
    parser.add_argument("--data", metavar="FOLDER", help="label subfolders: sound and accuracy")
    parser.add_argument("--runs", type=int, default=100, help="rounds, at least 100")
    parser.add_argument("--json", metavar="OUT", help="write everything there")
    parser.add_argument("--markdown", metavar="OUT", help="write the table there")
    parser.add_argument("--chart", metavar="OUT.png", help="draw the times there")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_intermixed_args(argv)
    others: list[str] = []
    if args.peers:
        others = sorted(map(str, Path(args.peers).glob("*.tflite")))
        if not others:
            raise UserError(f"{args.peers}: holds no .tflite file; give the folder of the peers")
    outputs = [args.json, args.markdown, args.chart]
    files.require_free(outputs, inputs=[*args.models, *others], force=args.force)
    if args.chart:
        check(args.chart)
    results = benchmark(args.models, others, runs=args.runs, data=args.data, progress=progress)
    table = markdown(results)
    print(table)
    if args.markdown:
        files.write_bytes(args.markdown, table.encode(errors="backslashreplace"))
        print(f"wrote {args.markdown}")
    if args.json:
        files.write_json(args.json, results)
        print(f"wrote {args.json}")
    if args.chart:
        chart(args.chart, results)
        print(f"wrote {args.chart}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
