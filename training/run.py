"""From recordings to an int8 .tflite file: python -m training.run CONFIG.

Trains, prunes, quantises, converts, compares, judges and benchmarks. Steps that are up to date are
skipped, an interrupted one goes on from its last checkpoint. Exits 1 if the converted files are not
what was trained. With --streaming, files for streams are written too, and held against those of
clips at every hop. With --folds or --seeds all this is done for each of them, in directories of
their own, and their accuracies are put together.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audio_edge import files, repeats
from audio_edge.config import load_config
from audio_edge.errors import UserError, command
from training.session import Session, open_run, parser, report


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = parser("training.run", __doc__)
    made.add_argument("--runs", type=int, default=200, help="timed runs of the benchmark")
    made.add_argument(
        "--streaming", action="store_true",
        help="write the files that take packets too: model_float_streaming.tflite, ...",
    )  # fmt: skip
    made.add_argument(
        "--folds", metavar="1,3", nargs="?", const="all",
        help="one run for each official fold of the data set, or for these, in DIR/fold1 and so on",
    )  # fmt: skip
    made.add_argument("--seeds", metavar="0,1,2", help="one run a seed, in DIR/seed0 and so on")
    args = made.parse_args(argv)
    if not 100 <= args.runs <= 10**6:  # said now, not after the training
        raise UserError(f"--runs must be 100 to 1000000. Received: {args.runs}")
    if args.folds is None and args.seeds is None:
        return _run(args)
    return _repeat(args)


def _run(args: argparse.Namespace) -> int:
    """Do one run, all stages and all steps."""
    config = load_config(args.config, args.set)  # what is not possible is said before all else
    config.encoder.require_none()
    if args.streaming:
        from audio_edge import untrained

        untrained.require_streams(config)
    with open_run(args) as session:
        for stage in session.run.stages:
            report(session.run, stage, session.make(stage))
        return _finish(session, args.runs, streaming=args.streaming)


def _repeat(args: argparse.Namespace) -> int:
    """Do one run for each fold or seed, and sum up those that were judged, after each of them."""
    config = load_config(args.config, args.set)
    plan = repeats.plan(config, folds=args.folds, seeds=args.seeds)
    import tf_keras as keras

    done: list[int] = []
    for number in plan.numbers:
        print(f"{plan.by} {number}: {plan.folder(number)}", flush=True)
        own = [*args.set, *plan.overrides(number)]
        if _run(argparse.Namespace(**{**vars(args), "set": own})) == 0:
            done.append(number)
        files.write_json(plan.target, repeats.summary(plan, done))
        keras.backend.clear_session()  # the graphs of one run are of no use to the next
        print()
    print(repeats.markdown(repeats.summary(plan, done)))
    print(plan.target)
    return 0 if len(done) == len(plan.numbers) else 1


def _finish(session: Session, runs: int, *, streaming: bool) -> int:
    """Convert, compare, judge, benchmark, and say what came out."""
    from audio_edge import benchmark, evaluation, export, measure, parity
    from audio_edge.datasets import pipeline

    run = session.run
    float_file, int8_file = run.model("float"), run.model("int8")
    pairs = [(run.stage("float"), float_file), (float_file, int8_file)]
    if "qat" in run.stages:
        pairs.insert(1, (run.stage("qat"), int8_file))
    streams = {kind: run.model(kind, streaming=True) for kind in ("float", "int8") if streaming}
    pairs += [(path, run.model(kind)) for kind, path in streams.items()]
    steps = _Steps(session)

    parity_file, accuracy_file = run.results / "parity.json", run.results / "accuracy.json"
    table = run.results / "benchmark.md"

    if steps.begin("convert", float_file, int8_file, *streams.values()):
        plan = [(kind, False) for kind in ("float", "int8")] + [(kind, True) for kind in streams]
        for kind, stream in plan:
            made = export.convert(run, kind, dft=run.config.run.dft, stream=stream)
            print(f"convert: {made}", flush=True)
        steps.done("convert")

    compared = "compare, with streams" if streams else "compare"
    if steps.begin(compared, parity_file):
        rows = [parity.compare(a, b) for a, b in pairs]
        first, *others = measure.light_runtimes()
        rows += [
            parity.compare(path, path, runtimes=(first, other))
            for path in (float_file, int8_file)
            for other in others
        ]
        files.write_json(parity_file, rows)
        if all(row["ok"] for row in rows):
            steps.done(compared)
    rows = files.read_json(parity_file, list)
    with _whole(parity_file):
        for row in rows:
            print(
                f"compare: {_pair(row)}: agreement {100 * row['agreement']:.2f} %, "
                f"greatest difference {row['max_delta']:.2g} on {row['n']} clips{_hops(row)}: "
                f"{'ok' if row['ok'] else 'BEYOND THE LIMITS'}"
            )
    if not all(row["ok"] for row in rows):
        return 1

    if steps.begin("judge", accuracy_file):
        clips = pipeline.load(run.config, session.index, "test")
        judged: dict[str, Any] = {}
        for stage, path in (("float", float_file), ("int8", int8_file)):
            score, labels, _ = evaluation.scorer(path)
            judged[stage], _ = evaluation.evaluate(score, labels, clips)
            judged[stage]["sha256"] = files.sha256(path.read_bytes())
        files.write_json(accuracy_file, judged)
        steps.done("judge")

    if steps.begin("benchmark", table):
        results = benchmark.benchmark([run.dir], runs=runs)
        files.write_json(run.results / "benchmark.json", results)
        files.write_bytes(table, benchmark.markdown(results).encode())
        steps.done("benchmark")

    print()
    print(table.read_text(encoding="utf-8"))
    judged = files.read_json(accuracy_file, dict)
    with _whole(accuracy_file):
        int8, float_ = judged["int8"], judged["float"]
        low, high = int8["interval"]
        print(
            f"{run.config.run.name}: int8 {100 * int8['accuracy']:.1f} % "
            f"(95 % interval {100 * low:.1f} to {100 * high:.1f}) on {int8['n']} test clips, "
            f"float {100 * float_['accuracy']:.1f} %"
        )
        if "lwlrap" in int8:
            print(
                f"mean average precision: int8 {int8['mean_average_precision']:.4f}, "
                f"float {float_['mean_average_precision']:.4f}"
            )
    print(int8_file)
    return 0


def _pair(row: dict[str, Any]) -> str:
    """What a comparison is of: two models, or one in two runtimes."""
    if "runtimes" in row:
        return f"{row['a']} in {' and '.join(row['runtimes'])}"
    return f"{row['a']} and {row['b']}"


def _hops(row: dict[str, Any]) -> str:
    """What a comparison of a stream adds."""
    if "hops" not in row:
        return ""
    hops = row["hops"]
    return (
        f", {100 * hops['agreement']:.2f} % and {hops['max_delta']:.2g} at {hops['hops']} hops, "
        f"each 1 / {1 / hops['cost']:.1f} of a clip's time"
    )


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Turn what a damaged file of results lacks into a sentence."""
    try:
        yield
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path}: damaged; delete it and run again") from error


class _Steps:
    """Which of the steps after training are up to date; each is redone when one before it was."""

    def __init__(self, session: Session):
        run = session.run
        settings = run.config.to_dict()
        trained, licence = run.require(run.stages[-1])["fingerprint"], settings["data"]["licence"]
        how = [run.config.run.name, run.config.run.dft]
        self._key = files.fingerprint([trained, settings["detector"], licence, *how])
        self._where = run.results / "steps.json"
        kept = self._where.exists() and not session.force
        self._marks = files.read_json(self._where, dict) if kept else {}

    def begin(self, name: str, *made: Path) -> bool:
        """Whether a step is to be done, and what it makes is not there yet.

        If so, those after it are to be redone too.
        """
        if self._marks.get(name) == self._key and all(path.exists() for path in made):
            return False
        names = list(self._marks)
        if name in names:
            for later in names[names.index(name) :]:
                del self._marks[later]
        return True

    def done(self, name: str) -> None:
        """Note that a step is up to date."""
        self._marks[name] = self._key
        files.write_json(self._where, self._marks)


if __name__ == "__main__":
    sys.exit(main())
