"""Long recordings to judge detectors by: python -m training.soundscape CONFIG --out FILE.flac.

Lays clips of one split of the config's data set into noise of the same split, and writes the truth
beside the recording: FILE.txt, an Audacity label track, and FILE.csv with the ratio to noise of
each word. Words that are no label of the config are among them under their own names.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from audio_edge import audio, files, truth
from audio_edge.config import load_config
from audio_edge.errors import UserError, command
from training.session import bar, start_logging

if TYPE_CHECKING:
    import numpy as np

    from audio_edge.events import Word


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    args = _parser().parse_args(argv)
    start_logging()
    tracks = [args.out.with_suffix(".txt"), args.out.with_suffix(".csv")]
    _check(args, tracks)
    config = load_config(args.config, args.set)
    from audio_edge.datasets import soundscape

    scene = soundscape.Scene(
        args.minutes, args.keywords_per_minute, args.others_per_minute, args.snr_db,
        args.noise_dbfs, args.seed,
    )  # fmt: skip
    with bar("decoding", " files") as step:
        given = soundscape.material(config, args.split, progress=step)
    words: list[Word] = []

    def blocks() -> Iterator[np.ndarray]:
        with bar("laying", " sections", total=soundscape.count(scene)) as step:
            for samples, some in soundscape.lay(scene, given):
                words.extend(some)
                yield samples
                step(1)

    with files.replacing(args.out) as sound:
        audio.write_blocks(sound, blocks(), given.sample_rate)
        truth.write_labels(tracks[0], words)
        truth.write_table(tracks[1], words)
    said = sum(word.label in given.keywords for word in words)
    print(
        f"{said} keywords and {len(words) - said} other words in {args.minutes:g} minutes of "
        f"{len(given.noise)} noises, the {args.split} split"
    )
    print(", ".join(str(path) for path in (args.out, *tracks)))
    return 0


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m training.soundscape", description=__doc__)
    made.add_argument("config", metavar="CONFIG", help="TOML file whose [data] names the clips")
    made.add_argument("--out", metavar="FILE", required=True, type=Path, help=".wav or .flac")
    made.add_argument(
        "--split", choices=["train", "val", "test"], default="test",
        help="whose clips and noise: training, selection or test (default %(default)s)",
    )  # fmt: skip
    made.add_argument("--minutes", metavar="M", type=float, default=60.0, help="default 60")
    made.add_argument(
        "--keywords-per-minute", metavar="N", type=float, default=4.0, help="default 4"
    )
    made.add_argument(
        "--others-per-minute", metavar="N", type=float, default=10.0,
        help="other words, which must not be detected (default 10)",
    )  # fmt: skip
    made.add_argument(
        "--snr-db", metavar="LOW,HIGH", type=_range, default=(0.0, 20.0),
        help="of each word to the noise around it, drawn between these (default 0,20)",
    )  # fmt: skip
    made.add_argument(
        "--noise-dbfs", metavar="LOW,HIGH", type=_range, default=(-50.0, -35.0),
        help="its level, drawn anew about every 20 s (default, in this form: --noise-dbfs=-50,-35)",
    )  # fmt: skip
    made.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default 0)")
    made.add_argument(
        "--set", metavar="SECTION.KEY=VALUE", action="append", default=[],
        help="override one key of the config; may be repeated",
    )  # fmt: skip
    made.add_argument("--force", action="store_true", help="overwrite files")
    return made


def _range(text: str) -> tuple[float, float]:
    low, _, high = text.partition(",")
    ends = float(low), float(high or low)
    if not -100 <= ends[0] <= ends[1] <= 100:
        raise ValueError(text)
    return ends


def _check(args: argparse.Namespace, tracks: Sequence[Path]) -> None:
    if args.out.suffix.lower() not in (".wav", ".flac"):
        raise UserError(f"--out must end in .wav or .flac. Received: {args.out}")
    for path in (args.out, *tracks):
        if path.exists() and not args.force:
            raise UserError(f"{path}: exists already; give --force or another name")
    if not 0.1 <= args.minutes <= 1440:
        raise UserError(f"--minutes must be 0.1 to 1440. Received: {args.minutes:g}")
    rates = (args.keywords_per_minute, args.others_per_minute)
    if not (min(rates) >= 0 and 0 < sum(rates) < float("inf")):
        raise UserError(f"words a minute must be >= 0, and some of them > 0. Received: {rates}")
    for kind, rate in zip(("keywords", "others"), rates, strict=True):
        if rate and round(rate * args.minutes) < 1:
            raise UserError(
                f"--{kind}-per-minute {rate:g} gives no word in {args.minutes:g} minutes; "
                "give 0, or more"
            )
    if args.noise_dbfs[1] > 0:
        raise UserError(f"--noise-dbfs must be at most 0. Received: {args.noise_dbfs[1]:g}")
    if args.seed < 0:
        raise UserError(f"--seed must be >= 0. Received: {args.seed}")


if __name__ == "__main__":
    sys.exit(main())
