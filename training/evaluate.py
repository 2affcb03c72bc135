"""Judge a run's stage or a .tflite file: python -m training.evaluate MODEL [FOLDER | --split test].

FOLDER holds one subfolder a label; a subfolder that is no label of the model counts as "unknown"
where the model has that class, else it is left out. --split takes the clips of the run that MODEL
belongs to. --against holds another model against MODEL on the same clips; --snr repeats them in the
noise that the run keeps for its test.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audio_edge import files
from audio_edge.errors import command
from training import judging
from training.session import start_logging


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = judging.parser("training.evaluate", __doc__)
    made.add_argument(
        "--against", metavar="OTHER_MODEL", help="test whether MODEL hears better on the same clips"
    )
    made.add_argument("--json", metavar="OUT", help="write the figures as JSON")
    made.add_argument(
        "--png", metavar="OUT", help="draw the confusion matrix (default beside --json)"
    )
    made.add_argument("--csv", metavar="OUT", help="write label and scores of every file")
    args = made.parse_intermixed_args(argv)
    start_logging()
    png = args.png or (str(Path(args.json).with_suffix(".png")) if args.json else None)
    written = [path for path in (args.json, args.csv, png) if path]
    judging.check(args, written)
    judged = judging.judge(args)
    from audio_edge import evaluation, plots

    result, labels, clips, probs = judged.result, judged.labels, judged.clips, judged.probs
    if args.against:
        found = evaluation.against(
            args.against, labels, judged.data, clips, probs, runtime=args.runtime
        )
        result["against"] = {"model": args.against, **found}
    if judged.noise:
        result["snr"] = judged.noise
    _print(result)
    if png and "confusion" not in result:
        print("no confusion matrix: a clip may have several labels", file=sys.stderr)
    elif png:
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
    print(f"{'label':{width}}      n  recall  precision      F1      AP     AUC")
    for label, row in result["per_class"].items():
        recall = f"{100 * row['recall']:6.1f} %" if row["n"] else "       -"
        shares = "  ".join(_share(row[key]) for key in ("f1", "average_precision", "auc"))
        print(f"{label:{width}} {row['n']:6d} {recall} {100 * row['precision']:8.1f} %  {shares}")
    print(f"accuracy {_percent(result)}, n = {result['n']}")
    print(f"mean recall {100 * result['mean_recall']:.2f} %, macro F1 {result['macro_f1']:.4f}")
    line = f"mean average precision {result['mean_average_precision']:.4f}"
    if result.get("lwlrap") is not None:
        line += f", lwlrap {result['lwlrap']:.4f}"
        line += f", d-prime {result['d_prime']:.3f}" if result["d_prime"] is not None else ""
    if result.get("ece") is not None:
        line += f", calibration error {result['ece']:.4f}, Brier score {result['brier']:.4f}"
    print(line)
    if "against" in result:
        other = result["against"]
        low, high = (100 * share for share in other["interval"])
        print(
            f"against {other['model']}: {100 * other['accuracy_b']:.2f} %, "
            f"difference {100 * other['difference']:+.2f} % "
            f"(95 % interval {low:+.2f} to {high:+.2f}), exact McNemar p = {other['p_value']:.3g}; "
            f"{other['only_a']} clips right here only, {other['only_b']} there only"
        )
    if "snr" in result:
        for row in result["snr"]["rows"]:
            print(f"at {row['snr_db']:g} dB: accuracy {_percent(row)}, n = {row['n']}")
        clean = result["snr"]["clean"]
        print(f"without noise: accuracy {_percent(clean)}, n = {clean['n']}")


def _share(value: float | None) -> str:
    return "     -" if value is None else f"{value:6.4f}"


def _percent(row: dict[str, Any]) -> str:
    accuracy, low, high = (100 * share for share in (row["accuracy"], *row["interval"]))
    return f"{accuracy:.2f} % (95 % interval {low:.2f} to {high:.2f})"


if __name__ == "__main__":
    sys.exit(main())
