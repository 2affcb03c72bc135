"""Convert a trained run to .tflite: python -m tflite.convert RUN_OR_STAGE [--to float|int8].

Without --to, a run becomes both files in RUN/tflite; a stage becomes what it can become. A file
takes raw PCM as float32 in [-1, 1] and gives probabilities; its card stands inside it and beside
it. With --streaming it takes the next packet and its state instead of a whole clip.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from audio_edge.errors import UserError, command
from tflite.shadowing import check_not_shadowed


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    check_not_shadowed()
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument(
        "source", metavar="RUN_OR_STAGE", help="a run directory, or DIR/float, DIR/pruned, DIR/qat"
    )
    made.add_argument(
        "--to",
        choices=["float", "int8"],
        help="what to write (default: what the source can become)",
    )
    made.add_argument(
        "--out", metavar="FILE", help="where to write (default DIR/tflite/model_KIND.tflite)"
    )
    made.add_argument(
        "--dft", choices=["factored", "compact", "dense", "rfft"], default="factored",
        help="how the front end computes its transform: factored is the fastest, compact has the "
        "fewest constants (default %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--streaming", action="store_true",
        help="write the file that goes on from packet to packet "
        "(default DIR/tflite/model_KIND_streaming.tflite)",
    )  # fmt: skip
    made.add_argument("--force", action="store_true", help="overwrite the file")
    args = made.parse_args(argv)
    from audio_edge import export
    from audio_edge.card import read_card
    from audio_edge.run import Run, locate

    found = locate(args.source)
    if found is None or not Path(args.source).is_dir():
        raise UserError(
            f"{args.source}: neither a run directory nor a stage of one; "
            "make one with python -m training.run CONFIG"
        )
    run, stage = found
    whole = Path(args.source) == run.dir
    kinds = ["float", "int8"] if whole else ["int8" if stage == "qat" else "float"]
    if args.to:
        kinds = [args.to]
    if args.out and len(kinds) > 1:
        raise UserError("--out names one file; say which by --to float or --to int8")
    targets = [
        (kind, Path(args.out) if args.out else run.model(kind, streaming=args.streaming))
        for kind in kinds
    ]
    for _, target in targets:
        if target.suffix != ".tflite":
            raise UserError(f"{target}: --out must end in .tflite")
        for path in (target, target.with_suffix(".json")):
            if path.exists() and not args.force:
                raise UserError(f"{path}: exists already; give --force or --out FILE")
    for kind, target in targets:
        chosen = None if whole else stage
        export.convert(
            Run.open(run.dir), kind, stage=chosen, out=target, dft=args.dft, stream=args.streaming
        )
        if args.streaming and not read_card(target).streaming["exact"]:
            print(
                f"note: {target} hears what was before a clip, where the clip's model hears its "
                "edge; see what that changes with python -m tflite.compare, and train with "
                "model.padding = 'valid' if it is too much",
                file=sys.stderr,
            )
        print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
