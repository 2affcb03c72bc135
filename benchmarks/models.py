"""The architectures side by side: python -m benchmarks.models [MODEL...] [--json OUT].

Needs what training needs, since the models are built and converted on the spot, untrained.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from audio_edge import files, measure
from audio_edge.errors import UserError, command
from benchmarks.progress import progress


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Parameters, multiplications, int8 bytes and latency of every model at some sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=main.__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="name (default: every model)")
    parser.add_argument(
        "--runs",
        nargs="+",
        default=[],
        metavar="DIR",
        help="run directories to measure, with the accuracy that they hold",
    )
    parser.add_argument("--repeats", type=int, default=200, help="timed runs of each, at least 100")
    parser.add_argument("--threads", type=int, default=1, help="threads of the interpreter")
    parser.add_argument("--json", metavar="OUT", help="write everything there")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_args(argv)
    measure.check_runs(args.repeats)
    if args.json and Path(args.json).exists() and not args.force:
        raise UserError(f"{args.json}: exists; give --force to overwrite it")
    from audio_edge.model_table import markdown, table

    results = table(
        names=args.models,
        directories=args.runs,
        runs=args.repeats,
        threads=args.threads,
        progress=progress,
    )
    print(markdown(results))
    if args.json:
        files.write_json(args.json, results)
        print(f"wrote {args.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
