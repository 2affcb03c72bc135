"""Hold two models against each other: python -m tflite.compare A B [--data FOLDER].

A and B are .tflite files, run directories or stages. Exits 1 when they differ beyond the limits. A
streaming file is held against one of clips at every hop, too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from audio_edge.errors import command
from tflite.shadowing import check_not_shadowed

if TYPE_CHECKING:
    from audio_edge.parity import Limits


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    check_not_shadowed()
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("a", metavar="A", help="the reference")
    made.add_argument("b", metavar="B", help="the other")
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
    made.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = made.parse_args(argv)
    from audio_edge import parity

    default = parity.limits_for(args.a, args.b)
    limits = parity.Limits(
        default.max_delta if args.max_delta is None else args.max_delta,
        default.min_agreement if args.min_agreement is None else args.min_agreement,
    )
    result = parity.compare(
        args.a, args.b, data=args.data, split=args.split, limits=limits, recordings=args.recordings
    )
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
        ("top-1 agreement", f"{agreement:.2f} % (limit {least:g} %)"),
        ("SNR", "equal" if result["snr_db"] is None else f"{result['snr_db']:.1f} dB"),
    ]
    if "accuracy_a" in result:
        a, b = (100 * result[f"accuracy_{name}"] for name in "ab")
        rows.append(("accuracy", f"{a:.2f} % and {b:.2f} %"))
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


if __name__ == "__main__":
    sys.exit(main())
