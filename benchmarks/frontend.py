"""The library's front ends side by side: python -m benchmarks.frontend [--json OUT] [--chart OUT].

Every feature in every form and runtime, beside librosa and pymicro-features where they are
installed. Needs what training needs, since the front ends are converted on the spot.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from audio_edge import canvas, files, measure
from audio_edge.errors import UserError, command
from audio_edge.frontend_benchmark import chart
from audio_edge.frontend_benchmark.tables import markdown
from benchmarks.progress import progress

_BESIDE = Path(__file__).parents[2] / "shared" / "data" / "speech_commands_subset"


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Time, size and accuracy of the front ends, measured in one run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frontend", description=main.__doc__)
    parser.add_argument("--json", metavar="OUT", help="write everything there")
    parser.add_argument("--chart", metavar="OUT.png", help="draw the times there")
    parser.add_argument("--markdown", metavar="OUT", help="write the tables there")
    parser.add_argument(
        "--speech",
        metavar="FILE",
        help="recording for times and errors (default: the words under AUDIO_EDGE_DATA, else a "
        "synthetic voice, if there is one)",
    )
    parser.add_argument("--runs", type=int, default=200, help="timed runs of each, at least 100")
    parser.add_argument("--quick", action="store_true", help="log-mel alone, at one setting")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    args = parser.parse_args(argv)
    measure.check_runs(args.runs)
    outputs = [out for out in (args.chart, args.markdown, args.json) if out]
    _check(outputs, args.speech, force=args.force)
    if args.chart:
        canvas.check(args.chart)
    from audio_edge.frontend_benchmark.run import benchmark

    results = benchmark(
        runs=args.runs,
        quick=args.quick,
        speech_file=args.speech,
        speech_folder=os.environ.get("AUDIO_EDGE_DATA") or _BESIDE,
        progress=progress,
    )
    tables = markdown(results)
    print(tables)
    if args.chart:
        chart.chart(args.chart, results)
        print(f"wrote {args.chart}")
    if args.markdown:
        files.write_bytes(args.markdown, tables.encode(errors="backslashreplace"))
        print(f"wrote {args.markdown}")
    if args.json:
        files.write_json(args.json, results)
        print(f"wrote {args.json}")
    return 0


def _check(outputs: Sequence[str], speech: str | None, *, force: bool) -> None:
    """Raise a `UserError` now rather than after the measurement."""
    places = [Path(path).resolve() for path in outputs]
    if speech is not None:
        places.append(Path(speech).resolve())
    if len(set(places)) < len(places):
        raise UserError(f"{', '.join(outputs)}: would overwrite FILE or each other; name another")
    for out in outputs:
        parents = [folder for folder in Path(out).absolute().parents if folder.exists()]
        if Path(out).is_dir() or not (parents[0].is_dir() and os.access(parents[0], os.W_OK)):
            raise UserError(f"{out}: cannot be written; choose another place")
        if Path(out).exists() and not force:
            raise UserError(f"{out}: exists; give --force to overwrite it")


if __name__ == "__main__":
    sys.exit(main())
