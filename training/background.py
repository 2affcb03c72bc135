"""What a model hears where nobody says its words: training.background MODEL [RECORDING...].

Without recordings: digital silence, and white, pink and brown noise, hum, clicks, a fan and traffic
at -60 to -6 dBFS, none of them as in training. With recordings: those, cut into clips end to end.
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
from training.session import bar, start_logging


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(prog="python -m training.background", description=__doc__)
    made.add_argument("model", metavar="MODEL", help="a .tflite file, a run or a stage of it")
    made.add_argument("recordings", metavar="RECORDING", nargs="*", help="without the words")
    made.add_argument("--runtime", help="of a .tflite file")
    made.add_argument("--json", metavar="OUT", help="write the figures as JSON")
    args = made.parse_args(argv)
    start_logging()
    if args.json and Path(args.json).exists():
        raise UserError(f"{args.json}: exists already; give another name")
    from audio_edge import background, evaluation

    score, labels, data = evaluation.scorer(args.model, runtime=args.runtime)
    with bar("listening", " sounds") as step:
        if args.recordings:
            rows = background.recordings(score, labels, data, args.recordings, progress=step)
        else:
            rows = background.made_up(score, labels, data, progress=step)
    sums = background.total(rows)
    _print(rows, sums)
    if args.json:
        files.write_json(args.json, {"model": args.model, "rows": rows, "total": sums})
        print(args.json)
    return 0


def _print(rows: Sequence[dict[str, Any]], sums: dict[str, Any]) -> None:
    print("| sound | level dBFS | clips | silence | unknown | words | highest score of a word |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        level = "" if row["level_db"] is None else f"{row['level_db']:.0f}"
        print(
            f"| {Path(row['sound']).name} | {level} | {row['n']} | {row['silence']} | "
            f"{row['unknown']} | {row['words']} | {row['highest']:.2f} |"
        )
    print()
    for name, key in (("silence", "silence_share"), ("silence or unknown", "no_word_share")):
        share, low, high = (100 * part for part in sums[key])
        print(f"heard as {name}: {share:.1f} % (95 % {low:.1f} to {high:.1f}) of {sums['n']} clips")


if __name__ == "__main__":
    sys.exit(main())
