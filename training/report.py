"""One HTML page on how well a model hears: python -m training.report MODEL --out report.html.

FOLDER and --split name the clips as in training.evaluate. The page holds its pictures and sounds
and loads nothing: figures, curves, confusions, and the misheard clips to look at and listen to.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from audio_edge import files
from audio_edge.errors import UserError, command
from training import judging
from training.session import start_logging


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = judging.parser("training.report", __doc__)
    made.add_argument("--out", metavar="HTML", required=True, help="the page to write")
    args = made.parse_intermixed_args(argv)
    start_logging()
    if not args.out.lower().endswith((".html", ".htm")):
        raise UserError(f"{args.out}: must end in .html")
    judging.check(args, [args.out])
    judged = judging.judge(args)
    if judged.clips.labels.ndim == 2:
        raise UserError(
            f"{args.model}: a clip may have several labels, which the page cannot show; "
            "use training.evaluate"
        )
    from audio_edge import report

    page = report.render(
        report.Content(
            subject=report.subject(args.model, judged.score), source=judged.source,
            result=judged.result, probs=judged.probs, waveforms=judged.clips.waveforms,
            truth=judged.clips.labels, names=judged.clips.names,
            sample_rate=judged.data.sample_rate, histories=report.histories(args.model),
            noise=judged.noise,
        )
    )  # fmt: skip
    files.write_bytes(args.out, page.encode(errors="backslashreplace"))
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
