"""What the training commands share: arguments, the run they work in, its data, progress bars."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tqdm import tqdm

from audio_edge.config import load_config
from audio_edge.errors import UserError
from audio_edge.run import Run

if TYPE_CHECKING:
    from audio_edge.datasets.index import Index
    from audio_edge.learner import Material


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """CONFIG, --set and --force; `name` is that of the command, such as training.run."""
    made = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    made.add_argument(
        "config", metavar="CONFIG", help="TOML file, such as training/configs/demo.toml"
    )
    made.add_argument(
        "--set", metavar="SECTION.KEY=VALUE", action="append", default=[],
        help="override one key; may be repeated",
    )  # fmt: skip
    made.add_argument(
        "--force", action="store_true", help="make anew what was made with other settings or data"
    )
    return made


def start_logging() -> None:
    """Warnings and progress of the library go to stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("audio_edge").setLevel(logging.INFO)


@contextmanager
def open_run(args: argparse.Namespace) -> Iterator[Session]:
    """Make or reopen the run of `args.config`; only one process may work in it at a time."""
    start_logging()
    config = load_config(args.config, args.set)
    run = Run.create(config, force=args.force)
    with locked(run.dir, "run.dir"):
        yield Session(run, force=args.force)


class Session:
    """A run with its data, decoded when first needed, unless it is given the material."""

    def __init__(self, run: Run, *, force: bool, material: Material | None = None):
        self.run, self.force = run, force
        self._index: Index | None = material.index if material else None
        self._material = material

    @property
    def index(self) -> Index:
        """The index of the data set."""
        from audio_edge.datasets import pipeline

        if self._index is None:
            with bar("speaking", " clips") as step:
                self._index = pipeline.index(self.run.config, progress=step)
        return self._index

    @property
    def data(self) -> str:
        """Fingerprint of the data."""
        return self.index.fingerprint()

    @property
    def material(self) -> Material:
        """Training and selection clips and noise."""
        from audio_edge import train

        if self._material is None:
            index = self.index
            total = len(index.split("train")) + len(index.split("val"))
            with bar("decoding", " files", total=total) as step:
                self._material = train.load_material(self.run.config, index, progress=step)
        return self._material

    def make(self, stage: str) -> bool:
        """Make a trained stage unless it is up to date; returns whether it had to be made."""
        from audio_edge import classifiers, compress, distribution

        if distribution.told(lambda: self._is_made(stage)):
            return False
        if stage == "float":  # a network that does not fit is said before an hour of decoding
            classifiers.build(self.run.config, 2, dropout=False)
        for teacher in self.run.teachers():
            self._teach(teacher)
        callbacks = [epoch_bar(stage)] if distribution.is_chief() else []
        compress.MAKERS[stage](self.run, self.material, callbacks=callbacks)
        return True

    def _teach(self, teacher: Run) -> None:
        """Train a teacher's float stage, from the clips of its pupil, unless it is up to date."""
        from audio_edge import train

        if not teacher.up_to_date("float", self.data):
            with locked(teacher.dir, "[distill] teachers"):
                train.train(teacher, self.material, callbacks=[epoch_bar(str(teacher.dir))])
            report(teacher, "float", True)

    def _is_made(self, stage: str) -> bool:
        """Whether a stage is up to date; its run then has the config given."""
        record = self.run.record(stage)
        fresh = record and record["fingerprint"] == self.run.fingerprint(stage, self.data)
        made = bool(fresh or (not self.force and self.run.up_to_date(stage, self.data)))
        if made:
            self.run.save()
        return made

    def require(self, stage: str) -> None:
        """Stop with a clear message unless an earlier stage is finished and up to date."""
        self.run.require(stage)
        self.run.up_to_date(stage, self.data)


def report(run: Run, stage: str, made: bool) -> None:
    """One line about a stage."""
    record = run.require(stage)
    state = "trained" if made else "up to date"
    line = f"{stage}: {state}"
    if "val_accuracy" in record:
        line += f", accuracy on the selection clips {100 * record['val_accuracy']:.1f} %"
    shares = record.get("sparsity", {}).values()
    if any(shares):
        line += f", sparsity {min(shares):.2f}"
    if "distinct" in record:
        line += f", at most {max(record['distinct'].values())} distinct weights a kernel"
    if "filters" in record:
        line += f", {record['params']} params"
    print(line, flush=True)


def stage_command(
    name: str, description: str | None, stages: Sequence[str], argv: Sequence[str] | None
) -> int:
    """The whole of a command that makes those of some stages that the config asks for.

    Raises:
        UserError: It asks for none of them.
    """
    args = parser(name, description).parse_args(argv)
    with open_run(args) as session:
        asked = [stage for stage in session.run.stages if stage in stages]
        if not asked:
            keys = {
                "narrow": "channels.remove", "pruned": "prune.sparsity",
                "clustered": "cluster.number", "qat": "quantize.epochs",
            }  # fmt: skip
            wanted = " or ".join(keys[stage] for stage in stages)
            raise UserError(f"{args.config}: asks for nothing of the kind; set {wanted}")
        for stage in asked:
            if stage != "float":
                session.require(session.run.before(stage))
            report(session.run, stage, session.make(stage))
        print(session.run.stage(asked[-1]))
    return 0


@contextmanager
def bar(what: str, unit: str, total: int | None = None) -> Iterator[Callable[[int], Any]]:
    """A progress bar on stderr that appears with the first step and counts by calls."""
    shown: list[tqdm] = []

    def step(count: int) -> None:
        if not shown:
            shown.append(tqdm(desc=what, unit=unit, total=total, file=sys.stderr, leave=False))
        shown[0].update(count)

    try:
        yield step
    finally:
        if shown:
            shown[0].close()


def epoch_bar(stage: str) -> Any:
    """A Keras callback that shows epochs, loss and accuracy."""
    import tf_keras as keras

    class EpochBar(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            total = self.params["epochs"]
            self.bar = tqdm(desc=stage, unit=" epochs", total=total, file=sys.stderr)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.bar.n = epoch
            self.bar.refresh()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.bar.n = epoch + 1
            self.bar.set_postfix({key: f"{value:.3f}" for key, value in (logs or {}).items()})

        def on_train_end(self, logs: Any = None) -> None:
            self.bar.close()

    return EpochBar()


@contextmanager
def locked(folder: Path, key: str) -> Iterator[None]:
    """Keep a folder to one process at a time; `key` says where its name was given."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be made ({error.strerror}); give another {key}"
        ) from error
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"{folder}: another process is working there; wait for it or give another {key}"
            ) from error
        yield
