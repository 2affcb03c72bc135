"""Learn from reviewed clips: python -m training.retrain RUN QUEUE --registry REGISTRY.

Mixes the labelled clips of the review queue with those of the run, fine-tunes its float stage,
shrinks and converts as its config says, and adds the int8 file to the registry. It is promoted only
if it hears better than the current one on the test clips of the run and on reviewed clips that were
held out, no class loses much, and size and time stay as they are; else one sentence says why not,
and the exit code is 1. Where the registry has no current model, the run's own is put there first.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio_edge import files, registry
from audio_edge.errors import UserError, command
from audio_edge.retraining import verdict
from audio_edge.review import doubts
from audio_edge.review.queue import Queue
from audio_edge.run import Run, lineage
from training.session import Session, epoch_bar, locked, report, start_logging

if TYPE_CHECKING:
    from audio_edge.datasets.pipeline import Split


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    args = _parser().parse_args(argv)
    if args.epochs is not None and args.epochs < 1:
        raise UserError(f"--epochs must be at least 1. Received: {args.epochs}")
    if args.learning_rate is not None and not 0 < args.learning_rate < math.inf:
        raise UserError(f"--learning-rate must be > 0. Received: {args.learning_rate}")
    start_logging()
    doubts.require()  # said now, not after the training
    from audio_edge.retraining import finetune, reviewed

    mixing = reviewed.Mixing(args.hold_out, args.by, args.repeat, args.replay)
    limits = verdict.Limits(
        args.significance, args.class_loss, args.larger, args.slower, args.doubtful
    )
    start, queue = Run.open(args.run), Queue(args.queue)
    name = args.name or start.config.run.name
    if start.config.data.multi_label:
        raise UserError(f"{args.run}: a clip may have several labels; give a run of one each")
    for stage in start.stages:
        start.require(stage)
    labels = tuple(start.require("float")["labels"])
    learnt, held_out = reviewed.share_out(queue, labels, mixing)
    old = _current(args.registry, name, start, labels)
    epochs = args.epochs or max(1, start.config.train.epochs // 4)
    rate = args.learning_rate or start.config.train.learning_rate / 4
    session = Session(start, force=False)
    session.require("float")  # the data are those it was trained on
    key = files.fingerprint([
        files.sha256((start.stage("float") / "weights.h5").read_bytes()), vars(mixing),
        [[item.sha256, item.label] for item in learnt],
    ])  # fmt: skip
    made_of = files.fingerprint([key, epochs, rate])[:12]
    new = finetune.successor(
        start, Path(args.out or start.dir / "retrained" / made_of), epochs=epochs,
        learning_rate=rate,
    )  # fmt: skip
    clips = reviewed.load(start, queue, learnt)
    print(
        f"{len(clips.labels)} reviewed clips to learn from, {len(held_out)} held out; "
        f"{name} {old.number} is current", flush=True,
    )  # fmt: skip
    with locked(new.dir, "--out"):
        _make(start, new, reviewed.mix(start, session.material, clips, mixing, key))
        if not _proved(new):
            return 1
        held = reviewed.load(start, queue, held_out)
        return _judge(args, new, old, session, (learnt, held_out), held, limits)


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m training.retrain", description=__doc__)
    made.add_argument("run", metavar="RUN", help="directory of a finished run")
    made.add_argument("queue", metavar="QUEUE", help="review queue, see training.review")
    made.add_argument("--registry", required=True, help="see training.registry")
    made.add_argument("--name", help="in the registry (default: that of the run)")
    made.add_argument("--out", metavar="DIR", help="of the new run (default: inside RUN)")
    made.add_argument("--epochs", type=int, help="of fine-tuning (default: a quarter of the run's)")
    made.add_argument("--learning-rate", type=float, help="default: a quarter of the run's")
    usual = verdict.Limits()
    options: list[tuple[str, Any, str]] = [
        ("--hold-out", 0.4, "share of the sources whose clips judge"),
        ("--by", "source", "what is held out: whole sources, or each clip for itself"),
        ("--repeat", 4, "times that a reviewed clip comes in an epoch"),
        ("--replay", 1.0, "share of the run's own training clips that come along"),
        ("--significance", usual.significance, "of the exact paired test"),
        ("--class-loss", usual.class_loss, "most that the recall of a class may lose"),
        ("--larger", usual.larger, "most bytes, as a multiple of the current file"),
        ("--slower", usual.slower, "most time of an inference, as a multiple of the current file"),
        ("--doubtful", usual.doubtful, "most of the clips held out whose label looks wrong"),
    ]
    for option, default, told in options:
        choices = ("source", "clip") if option == "--by" else None
        made.add_argument(
            option, type=type(default), default=default, choices=choices,
            help=f"{told} (default: {default})",
        )  # fmt: skip
    return made


def _current(root: str, name: str, start: Run, labels: tuple[str, ...]) -> registry.Version:
    """What is deployed; where there is nothing yet, the file of the run."""
    from audio_edge.streaming_interpreter import open_model

    if registry.current(root, name) is None:
        file = start.model("int8")
        told = {"parent": None, **lineage(file)}
        first = registry.add(root, name, file, lineage=told, added=_now())
        registry.promote(root, name, first.number)
    found = registry.find(root, name)
    known = open_model(found.model).labels
    if known != labels:
        raise UserError(
            f"{found.model}: hears {', '.join(known)}, the run {', '.join(labels)}; "
            "give the run that it comes from, or another --name"
        )
    return found


def _make(start: Run, new: Run, material: Any) -> None:
    """Make every stage that is not made yet."""
    from audio_edge import compress
    from audio_edge.retraining import finetune

    data = material.index.fingerprint()
    for stage in new.stages:
        due = not new.up_to_date(stage, data)
        bars = [epoch_bar(stage)]
        if due and stage == "float":
            finetune.finetune(new, start, material, callbacks=bars)
        elif due:
            compress.MAKERS[stage](new, material, callbacks=bars)
        report(new, stage, due)


def _proved(new: Run) -> bool:
    """Convert, and hold the files against what was trained."""
    from audio_edge import export, parity

    float_file, int8_file = (export.convert(new, kind) for kind in ("float", "int8"))
    pairs = [(new.stage("float"), float_file), (float_file, int8_file)]
    if "qat" in new.stages:
        pairs.append((new.stage("qat"), int8_file))
    rows = [parity.compare(a, b) for a, b in pairs]
    files.write_json(new.results / "parity.json", rows)
    wrong = [row for row in rows if not row["ok"]]
    for row in wrong:
        print(f"not promoted: {row['b']} is not {row['a']}, beyond the limits of tflite.compare")
    return not wrong


def _judge(
    args: argparse.Namespace, new: Run, old: registry.Version, session: Session,
    shares: Sequence[Sequence[Any]], held: Split, limits: verdict.Limits,
) -> int:  # fmt: skip
    """Hold the new file against the current one, add it to the registry, promote it if it may."""
    from audio_edge import measure
    from audio_edge.datasets import pipeline
    from audio_edge.streaming_interpreter import open_model

    test = pipeline.load(new.config, session.index, "test")
    frozen = files.sha256(test.waveforms.tobytes() + test.labels.tobytes())
    if old.lineage.get("test_sha256", frozen) != frozen:
        raise UserError(
            f"{old.folder}: was judged on other test clips; bring them back, or give --name"
        )
    paths = (old.model, new.model("int8"))
    digest = files.sha256(paths[1].read_bytes())
    if digest == old.sha256:
        print(f"{old.name} {old.number} is made of these clips already")
        return 0
    models = [open_model(path) for path in paths]
    heard = [
        verdict.Heard(clips.labels, *(model(clips.waveforms) for model in models))
        for clips in (test, held)
    ]
    waveform = test.waveforms[: len(test.labels) // 2].reshape(-1) / 32768.0
    rows = measure.latency(paths, waveform, runtimes=measure.light_runtimes()[:1])
    sizes = [measure.sizes(path)["size_bytes"] for path in paths]
    costs = {"size_bytes": (sizes[0], sizes[1]), "p50_ms": (rows[0]["p50_ms"], rows[1]["p50_ms"])}
    found = verdict.judge(heard[0], heard[1], models[0].labels, costs, limits)
    found["doubtful"] = [Path(held.names[row]).stem for row in found["doubtful"]]
    told = {
        "parent": old.number, **lineage(paths[1]), "test_sha256": frozen, "verdict": found,
        "metrics": {"accuracy": found["test"]["accuracy_a"], "n": found["test"]["n"]},
        "data": session.data,
        "reviewed": {
            side: [[item.sha256, item.label] for item in items]
            for side, items in zip(("learnt", "held_out"), shares, strict=True)
        },
    }  # fmt: skip
    version = _known(args.registry, old, digest) or registry.add(
        args.registry, old.name, paths[1], lineage=told, added=_now()
    )
    files.write_json(new.results / "verdict.json", found)
    for part in ("test", "reviewed"):
        row = found[part]
        print(
            f"{part} clips: {100 * row['accuracy_b']:.1f} % to {100 * row['accuracy_a']:.1f} %, "
            f"n = {row['n']}"
        )
    if found["doubtful"]:
        print(
            f"in doubt: python -m training.review {args.queue} again {' '.join(found['doubtful'])}"
        )
    if found["promoted"]:
        registry.promote(args.registry, old.name, version.number)
    print(f"{'' if found['promoted'] else 'not '}promoted: {found['reason']}")
    print(version.model)
    return 0 if found["promoted"] else 1


def _known(root: str, old: registry.Version, digest: str) -> registry.Version | None:
    """The version that an interrupted retraining has added."""
    for number in reversed(registry.numbers(root, old.name)):
        version = registry.find(root, old.name, number)
        if version.sha256 == digest and version.lineage.get("parent") == old.number:
            return version
    return None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


if __name__ == "__main__":
    sys.exit(main())
