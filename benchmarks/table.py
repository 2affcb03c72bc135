"""The results of several devices in one table: python -m benchmarks.table pi4.json pi5.json ..."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from audio_edge import devices_table, files
from audio_edge.errors import command


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Latencies of the same models on several devices, of their benchmarks.run --json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=main.__doc__)
    parser.add_argument("results", nargs="+", metavar="JSON", help="of benchmarks.run --json")
    parser.add_argument("--markdown", metavar="OUT", help="write the table there")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_intermixed_args(argv)
    files.require_free([args.markdown], inputs=args.results, force=args.force)
    table = devices_table.markdown(devices_table.read(args.results))
    print(table)
    if args.markdown:
        files.write_bytes(args.markdown, table.encode(errors="backslashreplace"))
        print(f"wrote {args.markdown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
