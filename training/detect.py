"""Judge detections in long recordings: python -m training.detect MODEL RECORDING... --truth FILE.

Prints false accepts per hour, misses and delay, label by label, as the card of MODEL sets it up;
with --json writes them with the curve over all thresholds, and draws it. A false accept is a
detection that answers no word of its label; the delay counts from the end of a word.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audio_edge import det_plot, detection, files, operating
from audio_edge.errors import command
from training import hearing
from training.session import start_logging


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = hearing.parser("training.detect", __doc__)
    made.add_argument("--json", metavar="OUT", help="write the figures and the curve as JSON")
    made.add_argument("--png", metavar="OUT", help="draw the curve (default beside --json)")
    made.add_argument("--force", action="store_true", help="overwrite files")
    args = made.parse_intermixed_args(argv)
    start_logging()
    png = args.png or (str(Path(args.json).with_suffix(".png")) if args.json else None)
    written = [path for path in (args.json, png) if path]
    tracks = args.truth or [hearing.beside(path) for path in args.recordings]
    files.require_free(
        [args.json, png], inputs=[args.model, *args.recordings, *tracks], force=args.force
    )
    detector, recordings = hearing.listen(args)
    outcomes = operating.replay(detector, recordings, {}, collar_s=args.collar_s)
    found = detection.figures(outcomes)
    snr, false = detection.misses_by_snr(outcomes), detection.false_by_word(outcomes)
    hearing.print_figures(found)
    _print_limits(snr, false)
    if not written:
        return 0
    hops = [detector.hops(item.window_s, item.refractory_s) for item in detector.configs]
    points = detection.sweep(recordings, hops, collar_s=args.collar_s)
    if args.json:
        report = {
            "model": args.model, "recordings": [item.name for item in recordings],
            "collar_s": args.collar_s, **found, "by_snr": snr, "false_by_word": false,
            "curve": points,
        }  # fmt: skip
        files.write_json(args.json, report)
    if png:
        det_plot.det(png, points, found)
    print(", ".join(written))
    return 0


def _print_limits(snr: Sequence[dict[str, Any]], false: Sequence[dict[str, Any]]) -> None:
    for row in snr:
        print(
            f"at {row['from_db']:g} to {row['to_db']:g} dB: "
            f"missed {row['missed']} of {row['said']}, {100 * row['miss_rate']:.1f} %"
        )
    for row in false[:10]:
        said = f"'{row['said']}' was said" if row["said"] else "nobody spoke"
        print(f"heard '{row['heard']}' where {said}: {row['count']}")


if __name__ == "__main__":
    sys.exit(main())
