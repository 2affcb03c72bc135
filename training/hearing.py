"""What the commands that judge detectors share: recordings, truth, what a model gives, a table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from audio_edge import audio
from audio_edge.detection import COLLAR_S, Recording, keywords
from audio_edge.detector import Detector
from audio_edge.errors import UserError
from audio_edge.interpreter import RUNTIMES
from audio_edge.replay import hear
from audio_edge.streaming_interpreter import open_model
from audio_edge.truth import read_truth
from training.session import bar


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """MODEL, RECORDING..., --truth, --collar-s and --runtime."""
    made = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    made.add_argument("model", metavar="MODEL", help="a .tflite file, of clips or of a stream")
    made.add_argument("recordings", metavar="RECORDING", nargs="+", type=Path, help="of any length")
    made.add_argument(
        "--truth", metavar="FILE", nargs="+", type=Path,
        help="of each recording: a table label,start_s,end_s[,snr_db] (.csv) or an Audacity label "
        "track (default: RECORDING.csv, else RECORDING.txt)",
    )  # fmt: skip
    made.add_argument(
        "--collar-s", metavar="S", type=float, default=COLLAR_S,
        help="from the middle of a word to its detection, at most (default %(default)s)",
    )  # fmt: skip
    made.add_argument("--runtime", choices=RUNTIMES, help="default: the first installed")
    return made


def listen(args: argparse.Namespace) -> tuple[Detector, list[Recording]]:
    """The detector as its card says, and what its model gives for each recording."""
    if not 0 <= args.collar_s < float("inf"):
        raise UserError(f"--collar-s must be >= 0. Received: {args.collar_s:g}")
    tracks = args.truth or [beside(path) for path in args.recordings]
    if len(tracks) != len(args.recordings):
        raise UserError(
            f"--truth names {len(tracks)} files for {len(args.recordings)} recordings; "
            "give one for each, in their order"
        )
    words = [tuple(read_truth(track)) for track in tracks]
    detector = Detector(open_model(args.model, runtime=args.runtime))
    known = keywords(detector.model.labels)
    if not any(word.label in known for some in words for word in some):
        raise UserError(f"{tracks[0]}: holds none of the model's words: {', '.join(known)}")
    found = []
    for path, track, some in zip(args.recordings, tracks, words, strict=True):
        with bar(f"hearing {path.name}", " blocks") as step:
            blocks = audio.blocks(path, sample_rate=detector.model.sample_rate)
            heard = hear(detector, (block for block in blocks if step(1) is None))
        if some[-1].start_s >= heard.seconds:
            raise UserError(
                f"{track}: '{some[-1].label}' at {some[-1].start_s:g} s lies beyond the "
                f"{heard.seconds:.2f} s of {path}; give the truth of this recording"
            )
        found.append(Recording(str(path), heard, some))
    return detector, found


def print_figures(found: dict[str, Any]) -> None:
    """A table of `detection.figures`."""
    print("| word | said | missed | miss rate | false accepts | per hour | delay, median | 90 % |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for label, row in [*found["per_label"].items(), ("all", found["total"])]:
        rate = f"{100 * row['miss_rate']:.1f} %" if row["said"] else ""
        delays = [
            "" if row[key] is None else f"{1000 * row[key]:.0f} ms"
            for key in ("delay_median_s", "delay_p90_s")
        ]
        print(
            f"| {label} | {row['said']} | {row['missed']} | {rate} | {row['false_accepts']} | "
            f"{row['false_accepts_per_hour']:.2f} | {delays[0]} | {delays[1]} |"
        )
    total = found["total"]
    missed = [f"{100 * share:.1f}" for share in total["miss_interval"]]
    hourly = [f"{value:.2f}" for value in total["false_accepts_interval"]]
    print(
        f"{length(found['hours'])}; 95 % intervals: missed {' to '.join(missed)} %, "
        f"false accepts per hour {' to '.join(hourly)}"
    )


def length(hours: float) -> str:
    """How long recordings are, in a unit that tells it."""
    if hours >= 1:
        return f"{hours:.2f} hours"
    return f"{60 * hours:.1f} minutes" if hours >= 1 / 30 else f"{3600 * hours:.1f} seconds"


def beside(recording: Path) -> Path:
    """The truth that lies beside a recording."""
    for suffix in (".csv", ".txt"):
        if recording.with_suffix(suffix).exists():
            return recording.with_suffix(suffix)
    raise UserError(f"{recording}: no truth beside it, neither .csv nor .txt; give --truth FILE")
