"""Every way to shrink one float stage, side by side: python -m benchmarks.compression CONFIG.

Trains the float stage of the run unless it is there, makes each way from it in DIR/compression,
holds each file against what it claims, judges it on the test clips, and times all in one run. What
is there already is not made again. Writes DIR/compression/compression.json, .md and .png.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from audio_edge import files, measure
from audio_edge.config import load_config
from audio_edge.errors import UserError, command
from audio_edge.run import Run
from benchmarks.progress import progress

if TYPE_CHECKING:
    from audio_edge.config import Config


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compression", description=__doc__)
    parser.add_argument("config", metavar="CONFIG", help="TOML file, as for training.run")
    parser.add_argument(
        "--set", metavar="SECTION.KEY=VALUE", action="append", default=[],
        help="override one key; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--rows", nargs="+", default=[], metavar="ROW", help="these ways only (default: all)"
    )
    parser.add_argument(
        "--peers", type=Path, metavar="FOLDER", help="finished models of others, timed beside ours"
    )
    parser.add_argument(
        "--dft", choices=["factored", "compact"], default="factored",
        help="the front end's transform: the fastest or the smallest (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--runs", type=int, default=200, help="timed runs of each, at least 100")
    parser.add_argument("--force", action="store_true", help="make anew what has other settings")
    args = parser.parse_args(argv)
    measure.check_runs(args.runs)
    config = load_config(args.config, args.set)
    from audio_edge.compression import chart, judge, table

    others = judge.peers(args.peers)
    made = _make(config, args.rows, args.dft, force=args.force)
    results = table.collect(made, others, name=config.run.name, runs=args.runs, progress=progress)
    folder = Path(config.run.dir) / "compression"
    text = table.markdown(results)
    files.write_json(folder / "compression.json", results)
    files.write_bytes(folder / "compression.md", text.encode())
    chart.chart(folder / "compression.png", results)
    print(text)
    for ending in ("json", "md", "png"):
        print(folder / f"compression.{ending}")
    return 0


def _make(config: Config, names: list[str], dft: str, *, force: bool) -> list[dict[str, Any]]:
    """The rows, each made, verified and judged."""
    from audio_edge import train
    from audio_edge.compression import judge, make, rows
    from audio_edge.datasets import pipeline

    chosen = rows.chosen(config, names)
    runs = [Run.create(row.config, force=force) for row in chosen]
    index = pipeline.index(config)
    material = train.load_material(config, index)
    clips = pipeline.load(config, index, "test")
    sources = [Run(Path(config.run.dir), config), *runs]
    done = []
    for row, run in zip(chosen, runs, strict=True):
        try:
            trained = make.stages(run, material, sources, callbacks=_epochs)
            done.append(judge.judged(row, run, clips, dft=dft))
        except UserError as error:
            raise UserError(f"row '{row.name}': {error}") from error
        how = f"trained {', '.join(trained)}" if trained else "up to date"
        print(f"{row.name}: {how}, {100 * done[-1]['accuracy']:.1f} %", flush=True)
    return done


def _epochs(stage: str) -> list[Any]:
    """What a stage has learnt after each epoch, on stderr."""
    import tf_keras as keras

    def told(epoch: int, logs: dict[str, float]) -> None:
        share = 100 * logs.get("val_accuracy", 0.0)
        print(f"{stage}: epoch {epoch + 1}, selection clips {share:.1f} %", file=sys.stderr)

    return [keras.callbacks.LambdaCallback(on_epoch_end=told)]


if __name__ == "__main__":
    sys.exit(main())
