"""Clips to be labelled by ear: python -m training.review QUEUE opens the page of a review queue.

`set` makes the queue and says who agreed to what; `import` takes in folders of
audio_edge.listen --save-hits and zips that the Android app exports, `find` recordings that a model
is unsure of or that another hears otherwise, `doubt` clips of a data set whose label is likely
wrong; `again` asks once more, `list` counts, `delete` deletes.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audio_edge import audio, card, files
from audio_edge.errors import UserError, command
from audio_edge.review import choice, doubts, sources
from audio_edge.review.queue import Queue, create
from audio_edge.review.server import Server
from audio_edge.review.store import FILE
from audio_edge.review.terms import Terms
from audio_edge.streaming_interpreter import open_model

if TYPE_CHECKING:
    from audio_edge.review.sources import Scores


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(prog="python -m training.review", description=__doc__)
    made.add_argument("queue", metavar="QUEUE", help="folder of the queue")
    made.add_argument("--port", type=int, default=8765, help="of the page (default: 8765)")
    actions = made.add_subparsers(dest="action", metavar="ACTION")
    setting = actions.add_parser("set", help="make the queue, or change its terms")
    setting.add_argument("--consent", metavar="TEXT", help="who agreed to what; '' takes it back")
    setting.add_argument("--model", metavar="MODEL", help="take the labels of this .tflite file")
    setting.add_argument("--labels", metavar="A,B", help="or name them")
    setting.add_argument("--days", type=float, help="to keep a clip (default: 90)")
    setting.add_argument("--mb", type=float, help="of audio to keep (default: 1000)")
    taking = actions.add_parser("import", help="take in what listen --save-hits or the app kept")
    taking.add_argument("folders", metavar="FOLDER", nargs="+", help="or an export of the app")
    taking.add_argument("--source", help="who or what recorded it (default: name of FOLDER)")
    taking.add_argument("--reported", action="store_true", help="take all of it: it was wrong")
    finding = actions.add_parser("find", help="take in what a model is unsure of")
    finding.add_argument("model", metavar="MODEL", help="the .tflite file that is deployed")
    finding.add_argument("folder", metavar="FOLDER", help="recordings, in any folders")
    finding.add_argument("--against", metavar="OTHER", help="another, such as model_float.tflite")
    for action in (taking, finding):
        action.add_argument(
            "--margin", type=float, default=choice.MARGIN,
            help=f"best score less the second that is low (default: {choice.MARGIN})",
        )  # fmt: skip
        action.add_argument(
            "--control", type=float, default=choice.CONTROL,
            help=f"share taken whatever the scores (default: {choice.CONTROL})",
        )  # fmt: skip
    doubting = actions.add_parser("doubt", help="take in clips whose label is likely wrong")
    doubting.add_argument("model", metavar="MODEL", help="of a run, or any .tflite file")
    doubting.add_argument("folder", metavar="FOLDER", nargs="?", help="one subfolder a label")
    doubting.add_argument("--split", choices=["train", "val", "test"], help="default: test")
    doubting.add_argument("--most", type=int, default=200, help="clips to take (default: 200)")
    asking = actions.add_parser("again", help="ask again of clips that were decided")
    asking.add_argument("clips", metavar="HASH", nargs="+", help="such as training.retrain names")
    actions.add_parser("list", help="count what is in the queue")
    deleting = actions.add_parser("delete", help="delete for good")
    which = deleting.add_mutually_exclusive_group(required=True)
    which.add_argument("--clip", metavar="HASH")
    which.add_argument("--source")
    args = made.parse_args(argv)
    if args.action == "set":
        return _set(args)
    queue = Queue(args.queue)
    if args.action in ("import", "find"):
        choice.check(args.margin, args.control)
    if args.action in ("import", "find", "doubt"):
        counts = {"import": _import, "find": _find, "doubt": _doubt}[args.action](queue, args)
        for why, count in sorted(counts.items()):
            print(f"{count:5d} {why}")
        print(queue.path)
    elif args.action == "delete":
        print(f"deleted: {queue.delete(sha256=args.clip, source=args.source)}")
    elif args.action == "again":
        for clip in args.clips:
            queue.decide(clip, "skip")
        _list(queue)
    elif args.action == "list":
        _list(queue)
    else:
        _serve(queue, args.port)
    return 0


def _set(args: argparse.Namespace) -> int:
    terms = Queue(args.queue).terms if (Path(args.queue) / FILE).exists() else Terms()
    given = {"consent": args.consent, "keep_days": args.days, "keep_mb": args.mb}
    if args.labels is not None:
        given["labels"] = tuple(args.labels.split(","))
    elif args.model is not None:
        given["labels"] = card.read_card(args.model).labels
    changes = {key: value for key, value in given.items() if value is not None}
    queue = create(args.queue, dataclasses.replace(terms, **changes))
    queue.expire(time.time())
    _list(queue)
    return 0


def _list(queue: Queue) -> None:
    terms, progress = queue.terms, queue.progress()
    print(f"labels: {', '.join(terms.labels) or 'none yet; give set --model or --labels'}")
    print(f"consent: {terms.consent or 'none, so nothing is taken in'}")
    print(f"kept: {terms.keep_days:g} days, {terms.keep_mb:g} MB")
    print(f"to be decided: {progress['open']}, {progress['skip']} of them skipped before")
    print(f"labelled: {progress['label']}, of no use: {progress['drop']}")
    for label, count in progress["labels"].items():
        print(f"{count:5d} {label}")
    print(queue.path)


def _import(queue: Queue, args: argparse.Namespace) -> dict[str, int]:
    counts: dict[str, int] = {}
    for folder in args.folders:
        found = sources.from_hits(
            queue, folder, now=time.time(), source=args.source, reported=args.reported,
            least=args.margin, control=args.control,
        )  # fmt: skip
        counts = {why: counts.get(why, 0) + found.get(why, 0) for why in {*counts, *found}}
    return counts


def _find(queue: Queue, args: argparse.Namespace) -> dict[str, int]:
    from audio_edge.datasets.index import recordings, speaker

    root = Path(args.folder)
    content = card.read_model(args.model)
    _, told = card.split(content, source=args.model)
    paths = recordings(root)
    if not paths:
        raise UserError(f"{root}: holds no recording ({', '.join(audio.EXTENSIONS)})")
    return sources.from_recordings(
        queue, [(path, speaker(path, root)) for path in paths], _hearing(args.model),
        model=told.name if told else Path(args.model).stem, model_sha256=files.sha256(content),
        now=time.time(), other=_hearing(args.against) if args.against else None,
        least=args.margin, control=args.control,
    )  # fmt: skip


def _hearing(path: str) -> Scores:
    """The scores that a file gives the loudest part of a recording."""
    from audio_edge.datasets.decoder import loudest

    model = open_model(path)

    def hear(samples: np.ndarray, rate: int) -> dict[str, float]:
        if rate != model.sample_rate:
            samples = audio.to_int16(audio.resample(samples / 32768.0, rate, model.sample_rate))
        part = loudest(samples, model.clip_samples)
        missing = model.clip_samples - len(part)
        probs = model(np.pad(part, (missing // 2, missing - missing // 2)))
        return dict(zip(model.labels, map(float, probs), strict=True))

    return hear


def _doubt(queue: Queue, args: argparse.Namespace) -> dict[str, int]:
    if args.most < 1:
        raise UserError(f"--most must be at least 1. Received: {args.most}")
    from training import judging
    from training.session import start_logging

    start_logging()
    judging.check(args, [])
    judged = judging.judge(argparse.Namespace(**vars(args), snr=None, runtime=None))
    clips, labels = judged.clips, judged.labels
    if clips.labels.ndim == 2:
        raise UserError(f"{args.model}: a clip may have several labels; give a model of one each")
    path = Path(args.model)
    digest = files.sha256(path.read_bytes()) if path.is_file() else ""
    counts = {"doubtful label": 0, "there already": 0}
    for row in doubts.ranked(clips.labels, judged.probs)[: args.most]:
        name = Path(clips.names[row])
        taken = queue.add(
            clips.waveforms[row], judged.data.sample_rate, why="doubtful label", now=time.time(),
            source=name.stem.partition("_nohash_")[0], model=path.stem, model_sha256=digest,
            scores=dict(zip(labels, map(float, judged.probs[row]), strict=True)),
            given=labels[clips.labels[row]],
        )  # fmt: skip
        counts["doubtful label" if taken else "there already"] += 1
    return counts


def _serve(queue: Queue, port: int) -> None:
    if not queue.terms.labels:
        raise UserError(f"{queue.folder}: has no labels; give set --model MODEL or --labels A,B")
    queue.expire(time.time())
    with Server(queue, port) as server:
        print(f"{server.address}  (Ctrl-C stops)", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
