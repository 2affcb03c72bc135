"""Set a detector up: python -m training.calibrate MODEL RECORDING... [--truth FILE...].

Finds threshold, window and refractory time of each label: fewest words missed in these recordings,
within the bound on false accepts of all labels together. They go into the card of MODEL, which
`Detector` and `audio_edge.listen` then use by themselves. Give recordings of other speakers and
other noise than those it will be judged by.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from audio_edge import detection, operating
from audio_edge.card import Card, read_card, rewrite
from audio_edge.errors import UserError, command
from audio_edge.events import poisson_interval
from audio_edge.operating import Setting
from training import hearing
from training.session import bar, start_logging


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = hearing.parser("training.calibrate", __doc__)
    made.add_argument(
        "--max-false-accepts-per-hour", metavar="N", type=float, default=0.5,
        help="of all labels together (default %(default)s)",
    )  # fmt: skip
    made.add_argument("--dry-run", action="store_true", help="leave MODEL as it is")
    args = made.parse_intermixed_args(argv)
    start_logging()
    bound = args.max_false_accepts_per_hour
    if not 0 <= bound < float("inf"):
        raise UserError(f"--max-false-accepts-per-hour must be >= 0. Received: {bound:g}")
    card = read_card(args.model)
    detector, recordings = hearing.listen(args)
    with bar("replaying", " settings", total=operating.steps()) as step:
        settings, outcomes = operating.calibrate(
            detector, recordings, most_per_hour=bound, collar_s=args.collar_s, progress=step
        )
    found = detection.figures(outcomes)
    print("| word | threshold | window s | refractory s |")
    print("| --- | ---: | ---: | ---: |")
    for label, own in settings.items():
        print(f"| {label} | {own.threshold:g} | {own.window_s:g} | {own.refractory_s:g} |")
    print()
    hearing.print_figures(found)
    _print_confidence(found)
    if not args.dry_run:
        rewrite(args.model, _with(card, settings, found, bound))
        print(args.model)
    return 0


def _with(card: Card, settings: dict[str, Setting], found: dict[str, Any], bound: float) -> Card:
    detector = {key: value for key, value in card.detector.items() if key != "labels"}
    detector["labels"] = {label: dataclasses.asdict(own) for label, own in settings.items()}
    kept = ("said", "missed", "false_accepts")
    how = {"hours": found["hours"], "max_false_accepts_per_hour": bound}
    how |= {key: found["total"][key] for key in kept}
    provenance = {**card.provenance, "calibration": how}
    return dataclasses.replace(card, detector=detector, provenance=provenance)


def _print_confidence(found: dict[str, Any]) -> None:
    """What so many hours can tell."""
    false, hours = found["total"]["false_accepts"], found["hours"]
    _, high = poisson_interval(false, tail=0.05)
    print(
        f"{false} false accepts in {hearing.length(hours)}: with 95 % confidence at most "
        f"{high / hours:.2f} an hour in recordings like these, less what choosing by them flatters"
    )


if __name__ == "__main__":
    sys.exit(main())
