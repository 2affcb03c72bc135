"""Checkpoints and history of a stage, from which an interrupted training goes on."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import tensorflow as tf
import tf_keras as keras

from audio_edge import files
from audio_edge.errors import UserError, first_line
from audio_edge.frontend import Frontend
from audio_edge.keeper import Keeper
from audio_edge.run import TRAINED, Run


def drop_foreign_checkpoint(run: Run, stage: str, fingerprint: str) -> None:
    """Resume only what was begun with the same settings and data.

    What is begun anew is no longer finished, and neither are the stages made from it.
    """
    checkpoints = run.stage(stage) / "checkpoints"
    mark = checkpoints / "fingerprint.json"
    if not mark.exists() or files.read_json(mark) != fingerprint:
        shutil.rmtree(checkpoints, ignore_errors=True)
        for later in TRAINED[TRAINED.index(stage) :]:
            (run.stage(later) / "stage.json").unlink(missing_ok=True)
        files.write_json(mark, fingerprint)


class Saver(keras.callbacks.Callback):
    """Checkpoint and history at each epoch's end; the checkpoint is complete or absent."""

    def __init__(
        self, folder: Path, front: Frontend, classifier: keras.Model,
        optimizer: keras.optimizers.Optimizer, keeper: Keeper, *, writes: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.folder, self.writes = folder, writes
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        state = tf.train.Checkpoint(
            frontend=front, classifier=classifier, optimizer=optimizer, epoch=self.epoch,
            best=keeper.state,
        )  # fmt: skip
        state.save_counter  # noqa: B018  made now: all workers make a variable together
        self.manager = tf.train.CheckpointManager(state, str(folder / "checkpoints"), max_to_keep=1)
        self.history: list[dict[str, float]] = []

    def restore(self) -> int:
        """Load the last checkpoint, if any, and say at which epoch to go on."""
        latest = self.manager.latest_checkpoint
        if not latest:
            return 0
        try:
            self.manager.checkpoint.restore(latest).assert_existing_objects_matched()
            epoch = int(self.epoch.numpy())
            self.history = files.read_json(self.folder / "history.json", list)[:epoch]
            if len(self.history) < epoch:
                raise ValueError(f"history.json has {len(self.history)} of {epoch} epochs")
        except (tf.errors.OpError, AssertionError, ValueError, LookupError, RuntimeError) as error:
            raise UserError(
                f"{latest}: cannot be resumed ({first_line(error)}); "
                f"delete {latest.rpartition('/')[0]} to begin the stage anew"
            ) from error
        return epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the figures, then the weights: a kill between the two repeats the epoch."""
        values = {key: float(value) for key, value in (logs or {}).items()}
        for key, value in values.items():
            if not math.isfinite(value):
                raise UserError(
                    f"{self.folder.name}: the {key} is {value} after epoch {epoch + 1}; "
                    "lower the learning rate"
                )
        self.epoch.assign(epoch + 1)
        if not self.writes:
            return
        self.history = [*self.history[:epoch], values]
        files.write_json(self.folder / "history.json", self.history)
        try:
            self.manager.save(checkpoint_number=epoch + 1)
        except tf.errors.OpError as error:
            reason = first_line(error).rpartition("; ")[2].partition(" [Op:")[0]
            raise UserError(
                f"{self.folder}/checkpoints: cannot be written ({reason}); free space and run again"
            ) from error

    def figures(self, epoch: int) -> dict[str, float]:
        """Figures of an epoch, counted from 1."""
        figures = self.history[epoch - 1] if self.history else {}
        return {key: round(value, 6) for key, value in figures.items()}
