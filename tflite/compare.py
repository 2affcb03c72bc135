"""Hold two models against each other: python -m tflite.compare A B [--data FOLDER].

A and B are .tflite or .onnx files, SavedModels, run directories or stages; with --runtimes X,Y A
runs in X, and B, or A again, in Y. A streaming file is held against one of clips at every hop, too.
Exits 1 when they differ beyond the limits; of fewer than 100 clips, top-1 agreement is a breach
only if so little would come by chance less than once in twenty.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from audio_edge import files
from audio_edge.errors import UserError, command
from tflite.shadowing import check_not_shadowed

if TYPE_CHECKING:
    from audio_edge.parity import Limits


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    check_not_shadowed()
    made = argparse.ArgumentParser(prog="python -m tflite.compare", description=__doc__)
    made.add_argument("a", metavar="A", help="the reference")
    made.add_argument("b", metavar="B", nargs="?", help="the other; with --runtimes A again")
    made.add_argument(
        "--data",
        metavar="FOLDER",
        help="clips, one subfolder a label (default: of the run, else made-up noises)",
    )
    made.add_argument(
        "--split",
        choices=["train", "val", "test"],
        default="val",
        help="of the run's data (default val)",
    )
    made.add_argument(
        "--max-delta", type=float, help="greatest |p_a - p_b| allowed (default by kind of model)"
    )
    made.add_argument(
        "--min-agreement",
        type=float,
        help="least share of clips with the same top-1 (default by kind)",
    )
    made.add_argument(
        "--recordings", metavar="FILE", nargs="+", default=[],
        help="stream against clips: where every hop is compared (default: the clips, joined)",
    )  # fmt: skip
    made.add_argument(
        "--runtimes", metavar="X,Y", help="runtimes of A and B: ai_edge_litert,tflite_runtime"
    )
    made.add_argument(
        "--per-layer", action="store_true",
        help="where the error enters: the SNR of every layer of two .tflite files",
    )  # fmt: skip
    made.add_argument("--csv", metavar="FILE", help="write the differences of every clip")
    made.add_argument("--force", action="store_true", help="overwrite FILE")
    made.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = made.parse_args(argv)
    if args.runtimes and args.runtimes.count(",") != 1:
        raise UserError("--runtimes must name two: ai_edge_litert,tflite_runtime")
    if not args.b and not args.runtimes:
        raise UserError("give B, or two --runtimes to run A in")
    files.require_free([args.csv], inputs=[args.a, args.b, *args.recordings], force=args.force)
    first, _, second = (args.runtimes or ",").partition(",")
    b = args.b or args.a
    from audio_edge import parity

    default = parity.limits_for(args.a, b)
    limits = parity.Limits(
        default.max_delta if args.max_delta is None else args.max_delta,
        default.min_agreement if args.min_agreement is None else args.min_agreement,
    )
    result = parity.compare(
        args.a, b, data=args.data, split=args.split, limits=limits, per_layer=args.per_layer,
        runtimes=(first.strip() or None, second.strip() or None), table=args.csv,
        recordings=args.recordings,
    )  # fmt: skip
    if args.json:
        print(json.dumps(result, indent=2))
        return 0 if result["ok"] else 1
    _print(result, limits)
    print("equal within the limits" if result["ok"] else "DIFFERENT beyond the limits")
    return 0 if result["ok"] else 1


def _print(result: dict[str, Any], limits: Limits) -> None:
    from audio_edge import parity

    delta = f"{result['max_delta']:.3g} (limit {limits.max_delta:g}; {result['worst_clip']})"
    agreement, least = 100 * result["agreement"], 100 * limits.min_agreement
    rows = [
        ("clips", str(result["n"])),
        ("max |delta p|", delta),
        ("mean of per-clip maxima", f"{result['mean_delta']:.3g}"),
        ("mean |delta p|", f"{result['mean_abs_delta']:.3g}"),
        (
            "top-1 agreement",
            f"{agreement:.2f} % (limit {least:g} %; "
            f"by chance this or less: {_chance(result['agreement_tail'])})",
        ),
        ("SNR", "equal" if result["snr_db"] is None else f"{result['snr_db']:.1f} dB"),
    ]
    if "accuracy_a" in result:
        a, b = (100 * result[f"accuracy_{name}"] for name in "ab")
        rows.append(("accuracy", f"{a:.2f} % and {b:.2f} %"))
        low, high = (-100 * end for end in reversed(result["paired"]["interval"]))
        rows.append(("B less A, 95 % interval", f"{b - a:+.2f} points ({low:+.2f} to {high:+.2f})"))
    hops = result.get("hops")
    if hops:
        least = 100 * max(limits.min_agreement, parity.SAME_STEPS.min_agreement)
        rows += [
            ("hops", str(hops["hops"])),
            ("  max |delta p|", f"{hops['max_delta']:.3g} ({hops['worst']})"),
            ("  mean of per-hop maxima", f"{hops['mean_delta']:.3g}"),
            ("  top-1 agreement", f"{100 * hops['agreement']:.2f} % (limit {least:g} %)"),
        ]
    if hops and "cost" in hops:
        times = f"{hops['hop_ms']:.4f} ms, a whole clip {hops['clip_ms']:.4f} ms"
        rows.append(("  one hop", f"{times}: 1 / {1 / hops['cost']:.1f}"))
    for name, figure in rows:
        print(f"{name:25}{figure}")
    if "layers" in result:
        _print_layers(result["layers"])


def _chance(tail: float) -> str:
    return f"{100 * tail:.1f} %" if tail >= 0.0005 else "under 0.1 %"


def _print_layers(rows: list[dict[str, Any]]) -> None:
    """The layers that differ; an arrow marks where error enters, and where it grows most."""
    differing = [row for row in rows if row["snr_db"] is not None]
    print(f"\n{len(rows)} layers of the same name, {len(rows) - len(differing)} of them equal")
    grown = sorted((row["lost_db"] for row in differing if row["lost_db"]), reverse=True)[:3]
    table = [("layer", "op", "dtype", "SNR", "lost", "")]
    for row in differing:
        lost = row["lost_db"]
        mark = "<- enters" if lost is None else "<-" if lost > 0 and lost in grown else ""
        cells = f"{row['snr_db']:.1f} dB", "" if lost is None else f"{lost:.1f} dB"
        table.append((row["layer"], row["op"], row["dtype"], *cells, mark))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, op, dtype, snr, lost, mark in table:
        told = f"{name:{widths[0]}}  {op:{widths[1]}}  {dtype:{widths[2]}}"
        print(f"{told}  {snr:>{widths[3]}}  {lost:>{widths[4]}}  {mark}".rstrip())
    print()


if __name__ == "__main__":
    sys.exit(main())
