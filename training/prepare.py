"""Recordings into shards, once: python -m training.prepare SOURCE --out FOLDER.

SOURCE is any tree that `[data]` knows: one subfolder a label, Speech Commands, ESC-50, UrbanSound8K
or AudioSet. FOLDER takes its place as data.root, with the same kind, splits and labels: mono
16-bit samples at one rate in TFRecord files, and manifest.csv. A run that was interrupted goes on
where it was, to the same bytes. Recordings are kept whole; one that is longer than --max-s is bad.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from audio_edge.errors import command
from training.session import bar, locked, start_logging


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(prog="python -m training.prepare", description=__doc__)
    made.add_argument("source", metavar="SOURCE", type=Path, help="the tree of recordings")
    made.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="where to write")
    made.add_argument("--sample-rate", type=int, default=16000, help="Hz (default 16000)")
    made.add_argument("--max-s", type=float, default=600.0, help="longest recording (default 600)")
    made.add_argument(
        "--timeout-s", type=float, default=20.0, help="longest time to decode one (default 20)"
    )
    made.add_argument(
        "--max-bad-share", type=float, default=0.1, help="share of bad files borne (default 0.1)"
    )
    made.add_argument(
        "--shard-clips", type=int, default=1000, help="most recordings in a shard (default 1000)"
    )
    made.add_argument(
        "--workers", type=int, default=0, help="processes that decode (default one a core)"
    )
    made.add_argument(
        "--force", action="store_true", help="make anew what was made from other recordings"
    )
    args = made.parse_args(argv)
    start_logging()
    from audio_edge.datasets import prepare

    settings = prepare.Settings(
        sample_rate=args.sample_rate,
        max_s=args.max_s,
        timeout_s=args.timeout_s,
        max_bad_share=args.max_bad_share,
        shard_clips=args.shard_clips,
        workers=args.workers,
    )
    tree = prepare.tree(args.source)
    with locked(args.out, "--out"), bar("preparing", " files", len(tree.entries)) as step:
        found = prepare.prepare(tree, args.out, settings, force=args.force, progress=step)
    for path, reason in found["bad"].items():
        print(f"bad: {path}: {reason}", file=sys.stderr)
    print(
        f"{found['recordings']} recordings, {found['seconds'] / 3600:.2f} h at "
        f"{found['sample_rate']} Hz, in {found['shards']} shards; {len(found['bad'])} bad files"
    )
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
