"""Which ops the runtimes have: python -m tflite.op_versions [TARGET] [--write].

Asks each target that is at hand, and prints where it differs from the table that comes with the
library; `--write` puts the answers into it. One that is not installed is at hand where the
environment names a Python that has it, as in AUDIO_EDGE_TENSORFLOW_LITE_2_16_1=/path/to/python.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from audio_edge import files, op_versions, targets
from audio_edge.errors import UserError, command
from tflite.shadowing import check_not_shadowed


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    check_not_shadowed()
    made = argparse.ArgumentParser(prog="python -m tflite.op_versions", description=__doc__)
    made.add_argument("target", nargs="?", choices=list(targets.TARGETS), metavar="TARGET")
    made.add_argument("--write", action="store_true", help="write the answers into the table")
    args = made.parse_args(argv)
    chosen = [args.target] if args.target else list(targets.TARGETS)
    at_hand = [target for target in chosen if targets.place(target)]
    if not at_hand:
        raise UserError(f"{', '.join(chosen)}: not at hand; name its Python in the environment")
    path = Path(targets.__file__).with_name("op_versions.json")
    table = files.read_json(path, dict) if path.exists() else {}
    for target in at_hand:
        found, kept = op_versions.asked(target), table.get(target, {})
        changed = [
            f"{op} {kept.get(op, 0)} -> {found.get(op, 0)}"
            for op in sorted({*found, *kept})
            if found.get(op, 0) != kept.get(op, 0)
        ]
        print(f"{target}: {len(found)} ops, {', '.join(changed) or 'as in the table'}")
        table[target] = found
    if args.write:
        files.write_json(path, table)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
