"""What the commands that judge a model share: its clips, its scores, and the clips in noise."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from audio_edge.errors import UserError
from training.session import bar

if TYPE_CHECKING:
    import numpy as np

    from audio_edge.config import DataConfig
    from audio_edge.datasets.pipeline import Split
    from audio_edge.evaluation import Scorer


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """MODEL, FOLDER, --split, --snr, --runtime and --force."""
    made = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    made.add_argument(
        "model", metavar="MODEL", help="a .tflite file, a run directory or a stage of it"
    )
    made.add_argument(
        "folder", metavar="FOLDER", nargs="?", help="recordings, one subfolder a label"
    )
    made.add_argument(
        "--split",
        choices=["train", "val", "test"],
        help="clips of the run's own data (default test)",
    )
    made.add_argument(
        "--snr", metavar="DB,DB", help="accuracy in noise at these ratios, such as 0,10,20,30"
    )
    made.add_argument(
        "--runtime", help="of a .tflite file: ai_edge_litert, tflite_runtime or tensorflow"
    )
    made.add_argument("--force", action="store_true", help="overwrite files")
    return made


def check(args: argparse.Namespace, written: Sequence[str]) -> None:
    """Refuse arguments that exclude each other, and files that would be overwritten."""
    if args.folder and args.split:
        raise UserError("give FOLDER or --split, not both")
    if len({Path(path).resolve() for path in (args.model, *written)}) <= len(written):
        raise UserError(f"{', '.join(written)}: would overwrite MODEL or each other; name another")
    for path in written:
        if Path(path).exists() and not args.force:
            raise UserError(f"{path}: exists already; give --force or another name")


@dataclass(frozen=True)
class Judged:
    """A model and how it did; `noise` is of `noisy.accuracy`, None unless it was asked for."""

    score: Scorer
    labels: tuple[str, ...]
    data: DataConfig
    clips: Split
    source: str
    result: dict[str, Any]
    probs: np.ndarray
    noise: dict[str, Any] | None


def judge(args: argparse.Namespace) -> Judged:
    """Score the clips that the arguments name, and those in noise if --snr is given."""
    from audio_edge import evaluation, noisy

    ratios = noisy.ratios(args.snr) if args.snr is not None else []
    score, labels, data = evaluation.scorer(args.model, runtime=args.runtime)
    if args.folder:
        clips, left_out = evaluation.clips_of_folder(Path(args.folder), labels, data)
        if left_out:
            print(f"left out, no label of the model: {', '.join(left_out)}", file=sys.stderr)
        source = f"of the folder {Path(args.folder).resolve().name}"
    else:
        split = args.split or "test"
        clips = evaluation.clips_of_run(args.model, split, labels, data)
        source = f"the {split} split of its run"
    bank, seed = noisy.bank_of_run(args.model, data) if ratios else ({}, 0)
    result, probs = evaluation.evaluate(score, labels, clips)
    noise = None
    if ratios:
        with bar("noise", " ratios", total=1 + len(ratios)) as step:
            noise = noisy.accuracy(score, labels, clips, bank, ratios, seed=seed, progress=step)
    return Judged(score, labels, data, clips, source, result, probs, noise)
