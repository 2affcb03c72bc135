"""Models side by side: python -m benchmarks.run MODEL... [--data FOLDER] [--json OUT].

A MODEL is a .tflite file or a run directory. Needs no TensorFlow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from audio_edge import files
from audio_edge.benchmark import benchmark, markdown
from audio_edge.errors import UserError, command
from audio_edge.interpreter import RUNTIMES
from benchmarks.progress import progress, whole_numbers


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Size, accuracy, latency, memory and delegate coverage of models, measured in one run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=main.__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help=".tflite file or run directory")
    parser.add_argument("--data", metavar="FOLDER", help="label subfolders to take the accuracy on")
    parser.add_argument("--runs", type=int, default=200, help="timed runs of each, at least 100")
    parser.add_argument(
        "--threads", type=whole_numbers, default=[1], metavar="1,2,4",
        help="threads of the interpreter; of several the first is that of all but the latencies",
    )  # fmt: skip
    parser.add_argument(
        "--runtime",
        action="append",
        choices=RUNTIMES,
        help="repeat for several; default: installed",
    )
    parser.add_argument("--json", metavar="OUT", help="write everything there")
    parser.add_argument("--markdown", metavar="OUT", help="write the table there")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_intermixed_args(argv)
    outputs = [out for out in (args.json, args.markdown) if out]
    places = {Path(path).resolve() for path in [*args.models, *outputs]}
    if len(places) < len({Path(path).resolve() for path in args.models}) + len(outputs):
        raise UserError(f"{', '.join(outputs)}: would overwrite MODEL or each other; name another")
    for out in outputs:
        if Path(out).exists() and not args.force:
            raise UserError(f"{out}: exists; give --force to overwrite it")
    results = benchmark(
        args.models,
        data=args.data,
        runs=args.runs,
        threads=args.threads,
        runtimes=args.runtime,
        progress=progress,
    )
    table = markdown(results)
    print(table)
    if args.markdown:
        files.write_bytes(args.markdown, table.encode(errors="backslashreplace"))
        print(f"wrote {args.markdown}")
    if args.json:
        files.write_json(args.json, results)
        print(f"wrote {args.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
