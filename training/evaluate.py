"""Judge a run's stage or a .tflite file: python -m training.evaluate MODEL [FOLDER | --split test].

FOLDER holds one subfolder a label; a subfolder that is no label of the model counts as "unknown"
where the model has that class, else it is left out. --split takes the clips of the run that MODEL
belongs to.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from audio_edge import files
from audio_edge.errors import UserError, command
from training.session import start_logging


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument(
        "model", metavar="MODEL", help="a .tflite file, a run directory or a stage of it"
    )
    made.add_argument(
        "folder", metavar="FOLDER", nargs="?", help="recordings, one subfolder a label"
    )
    made.add_argument(
        "--split",
        choices=["train", "val", "test"],
        help="clips of the run's own data (default test)",
    )
    made.add_argument(
        "--runtime", help="of a .tflite file: ai_edge_litert, tflite_runtime or tensorflow"
    )
    made.add_argument("--json", metavar="OUT", help="write the figures as JSON")
    made.add_argument(
        "--png", metavar="OUT", help="draw the confusion matrix (default beside --json)"
    )
    made.add_argument("--csv", metavar="OUT", help="write label and scores of every file")
    made.add_argument("--force", action="store_true", help="overwrite files")
    args = made.parse_intermixed_args(argv)
    start_logging()
    if args.folder and args.split:
        raise UserError("give FOLDER or --split, not both")
    png = args.png or (str(Path(args.json).with_suffix(".png")) if args.json else None)
    written = [path for path in (args.json, args.csv, png) if path]
    if len({Path(path).resolve() for path in (args.model, *written)}) <= len(written):
        raise UserError(f"{', '.join(written)}: would overwrite MODEL or each other; name another")
    for path in written:
        if Path(path).exists() and not args.force:
            raise UserError(f"{path}: exists already; give --force or another name")
    from audio_edge import evaluation, plots

    score, labels, data = evaluation.scorer(args.model, runtime=args.runtime)
    if args.folder:
        clips, left_out = evaluation.clips_of_folder(Path(args.folder), labels, data)
        if left_out:
            print(f"left out, no label of the model: {', '.join(left_out)}", file=sys.stderr)
    else:
        clips = evaluation.clips_of_run(args.model, args.split or "test", labels, data)
    result, probs = evaluation.evaluate(score, labels, clips)
    _print(result)
    if png:
        plots.confusion(png, result["confusion"], labels)
    if args.json:
        files.write_json(args.json, {"model": args.model, **result})
    if args.csv:
        evaluation.write_csv(args.csv, clips, probs, labels)
    if written:
        print(", ".join(written))
    return 0


def _print(result: dict[str, Any]) -> None:
    width = max(map(len, [*result["labels"], "label"]))
    print(f"{'label':{width}}      n  recall  precision")
    for label, row in result["per_class"].items():
        recall = f"{100 * row['recall']:6.1f} %" if row["n"] else "       -"
        print(f"{label:{width}} {row['n']:6d} {recall} {100 * row['precision']:8.1f} %")
    accuracy, low, high = (100 * share for share in (result["accuracy"], *result["interval"]))
    interval = f"95 % interval {low:.2f} to {high:.2f}"
    print(f"accuracy {accuracy:.2f} % ({interval}), n = {result['n']}")
    print(f"mean recall {100 * result['mean_recall']:.2f} %, macro F1 {result['macro_f1']:.4f}")


if __name__ == "__main__":
    sys.exit(main())
