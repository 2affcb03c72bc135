"""The training loop that every stage shares, and the float stage.

A step is a pure function of (weights, seed, step number): shuffling, augmentation and dropout draw
statelessly, and a checkpoint is written at each epoch's end. A killed run therefore resumes to the
same weights, bit for bit on one machine.
"""

from __future__ import annotations

import itertools
import math
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge import augment, classifiers, distribution, files, frontends, pretrained
from audio_edge.board import Board
from audio_edge.config import SILENCE, Config
from audio_edge.datasets import pipeline
from audio_edge.datasets.index import Index
from audio_edge.datasets.pipeline import Split
from audio_edge.errors import UserError, first_line
from audio_edge.frontend import Frontend
from audio_edge.keeper import Keeper
from audio_edge.learner import Learner, Material, WarmupCosine
from audio_edge.models import shared_normalization
from audio_edge.run import TRAINED, Run
from audio_edge.teachers import Teachers

_CALIBRATING = 64  # clips that the statistics of given weights are measured on


def load_material(
    config: Config, index: Index, *, progress: Callable[[int], Any] | None = None
) -> Material:
    """Decode the training and selection splits; no test clip is opened."""
    train = pipeline.load(config, index, "train", progress=progress)
    val = pipeline.load(config, index, "val", progress=progress)
    noises = list(pipeline.noise_bank(config, index, "train").values())
    return Material(index, train, val, augment.NoiseBank(noises, config.data.clip_samples))


def setup(config: Config, *, mixed_precision: bool = False) -> None:
    """Seed everything, ask for deterministic kernels, set the precision policy.

    The memory of a GPU is taken as it is needed, not all at once.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.run.seed)
    keras.mixed_precision.set_global_policy("mixed_float16" if mixed_precision else "float32")


def train(
    run: Run, material: Material, *, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> dict[str, Any]:
    """Train the float stage into `run.stage("float")`, or resume it; returns its record.

    With `train.patience` it may stop early. The rate falls along a cosine over all of
    `train.epochs`, and a stop cuts that short: what stops while the rate is high has not settled.
    Where that happens much, fewer epochs are better than patience; what patience is for is the end
    of the cosine, when the selection clips are learnt no better but the training clips are.

    Under the scope of a strategy of `distribution.start` it trains on all of its replicas, with the
    losses of one: `train.batch_size` is what all of them share. Only the chief writes, and the
    others return {}. XLA is left out then. The stages after this one are short and have one device.

    Raises:
        UserError: The loss is not finite, a checkpoint is damaged, the workers disagree, or there
            are more replicas than clips to share.
    """
    settings = run.config.train
    setup(run.config, mixed_precision=settings.mixed_precision)
    classifier = classifiers.build(run.config, len(material.index.outputs.names))
    front = frontends.build(run.config)
    frontends.fit(front, material.train.waveforms)
    facts = _start(run.config, front, classifier, material) if run.config.model.weights else {}
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        classifier = shared_normalization.share(classifier)
    return fit(
        run, "float", front, classifier, material, epochs=settings.epochs,
        learning_rate=settings.learning_rate, warmup_epochs=settings.warmup_epochs,
        callbacks=callbacks, finish=lambda model: (model, facts),
    )  # fmt: skip


def _start(
    config: Config, front: Frontend, classifier: keras.Model, material: Material
) -> dict[str, Any]:
    """Give the classifier the weights that it starts from; returns where they are from."""
    clips = material.train.waveforms
    some = clips[:: max(1, len(clips) // _CALIBRATING)].astype(np.float32) / 32768.0
    features = np.concatenate([front(some[n : n + 16]).numpy() for n in range(0, len(some), 16)])
    path, frozen = config.model.weights, config.model.frozen
    taken = pretrained.start(classifier, path, features, frozen=frozen)
    return {"initial_weights": {**pretrained.origin(path), "convolutions": taken}}


def fit(
    run: Run, stage: str, front: Frontend, classifier: keras.Model, material: Material, *,
    epochs: int, learning_rate: float, warmup_epochs: float = 0.0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    finish: Callable[[keras.Model], tuple[keras.Model, dict[str, Any]]] = lambda model: (model, {}),
) -> dict[str, Any]:  # fmt: skip
    """Train `classifier`, with checkpoints; its weights and record go into the stage's folder.

    Args:
        run: Where and with which settings.
        stage: "float", "pruned" or "qat".
        front: Maps waveforms to features; learns along unless it is frozen.
        classifier: Maps features to logits; its weights are where training starts.
        material: Data.
        epochs: Epochs in all.
        learning_rate: Peak of the schedule.
        warmup_epochs: Linear warm-up before the cosine.
        callbacks: Further Keras callbacks.
        finish: Turns the trained model into the one to save, and adds facts to the record.

    Returns:
        The record that was written to stage.json.
    """
    folder, config = run.stage(stage), run.config
    fingerprint = run.fingerprint(stage, material.index.fingerprint())
    steps = steps_per_epoch(material, config)
    chief, one_device = (
        distribution.is_chief(),
        _one_device(stage, fingerprint, material, config, steps),
    )
    runs, outputs = run.teachers(), material.index.outputs.names
    teachers = Teachers(runs, outputs, config.distill.temperature) if runs else None
    learner = Learner(config, front, classifier, material, teachers)
    schedule = WarmupCosine(learning_rate, epochs * steps, round(warmup_epochs * steps))
    ema = config.train.ema if stage == "float" else 0.0  # a mean over changing masks has no zeros
    patience = config.train.patience if stage == "float" else 0  # the others end with a schedule
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=config.train.weight_decay,
        use_ema=bool(ema),
        ema_momentum=ema or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    jit = one_device and bool(tf.config.list_physical_devices("GPU"))
    learner.compile(optimizer=optimizer, jit_compile=jit)
    optimizer.build(learner.trainable_variables)
    if chief:
        run.save()
        _drop_foreign_checkpoint(run, stage, fingerprint)
    weights = [*front.weights, *classifier.weights]
    keeper = Keeper(optimizer, learner.trainable_variables, weights, patience=patience)
    saver = _Saver(folder, front, classifier, learner.optimizer, keeper, writes=chief)
    first = saver.restore() if chief else 0
    if not one_device:
        distribution.send([*weights, *learner.optimizer.variables, *keeper.variables, saver.epoch])
        first = int(saver.epoch.numpy())
    curves = run.dir / "tensorboard" / stage
    shown: list[keras.callbacks.Callback] = []
    if chief:
        shown.append(keras.callbacks.TensorBoard(curves, write_graph=False, profile_batch=0))
    if chief and config.run.tensorboard == "full":
        shown.append(
            Board(
                curves / "detail", learner, material, epochs=epochs,
                batch=lambda epoch: next(iter(_batches(material, config, epoch, epoch + 1, steps))),
            )
        )  # fmt: skip
    if first < epochs and not keeper.ended(first):
        checks = _val_steps(material.val, config)
        learner.fit(
            distribution.dataset(partial(_batches, material, config, first, epochs, steps)),
            steps_per_epoch=steps, initial_epoch=first, epochs=epochs, verbose=0,
            validation_data=distribution.dataset(partial(_validation, material.val, checks)),
            validation_steps=checks, callbacks=[*callbacks, *shown, keeper, saver],
        )  # fmt: skip
    ran = int(saver.epoch.numpy())
    kept = keeper.keep(ran)
    if not chief:
        return {}
    model, facts = finish(classifier)
    record = {
        "stage": stage, "fingerprint": fingerprint, "epochs": ran, "steps": ran * steps,
        "kept_epoch": kept, **saver.figures(kept),
        "labels": list(material.index.labels),
        "outputs": list(material.index.outputs.names),
        "output_labels": list(material.index.outputs.labels),
        "params": int(model.count_params()), **facts,
    }  # fmt: skip
    with files.replacing(folder / "weights.h5") as temporary:
        model.save_weights(temporary)
    if stage == "float":
        frontends.save(front, folder)
    files.write_json(folder / "stage.json", record)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return record


def steps_per_epoch(material: Material, config: Config) -> int:
    """Batches in an epoch; the last may be smaller."""
    return math.ceil(len(_order(material, config, 0)) / config.train.batch_size)


def _drop_foreign_checkpoint(run: Run, stage: str, fingerprint: str) -> None:
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


def _one_device(
    stage: str, fingerprint: str, material: Material, config: Config, steps: int
) -> bool:
    """Whether there is one replica; where there are more, all must have something to do.

    Raises:
        UserError: They have not, the stage is not the float one, or the workers would learn
            different things.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas == 1:
        return True
    if stage != "float":
        raise UserError(
            f"stage '{stage}' is made on one device; make it outside the scope of the strategy"
        )
    if config.distill.teachers:
        raise UserError("[distill] teachers need a single device; leave --distribute out")
    data = zlib.crc32(material.train.waveforms.data, zlib.crc32(material.val.waveforms.data))
    distribution.agree("settings or recordings", int(fingerprint[:7], 16) ^ data >> 4)
    order = _order(material, config, 0)
    last = len(order) - (steps - 1) * config.train.batch_size
    least = min(last, len(material.val.labels) // _val_steps(material.val, config))
    if least < replicas:
        raise UserError(
            f"[train] {replicas} replicas share batches of {config.train.batch_size} clips, and "
            f"one has only {least}; give another train.batch_size or fewer devices"
        )
    return False


def _batches(
    material: Material, config: Config, first: int, epochs: int, steps: int,
    replicas: Sequence[int] = (0,), number: int = 1,
) -> tf.data.Dataset:  # fmt: skip
    """Batches from epoch `first` on.

    int16 [batch, clip_samples], the outputs that they shall raise int64 [batch], step int64. Where
    `number` replicas share each batch, those of `replicas` one after the other.
    """
    split, size = material.train, config.train.batch_size
    outputs = material.index.outputs.names
    silence = outputs.index(SILENCE) if SILENCE in outputs else -1

    def generate() -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        for epoch in range(first, epochs):
            order = _order(material, config, epoch)
            for step in range(steps):
                for replica in replicas:
                    rows = order[step * size : (step + 1) * size][replica::number]
                    silent = rows < 0
                    clips = np.where(silent[:, None], np.int16(0), split.waveforms[rows])
                    targets = split.targets[rows]
                    targets[silent] = silence
                    yield clips, targets, epoch * steps + step

    signature = (
        tf.TensorSpec([None, config.data.clip_samples], tf.int16),
        tf.TensorSpec([None, *split.labels.shape[1:]], split.labels.dtype),
        tf.TensorSpec([], tf.int64),
    )
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(4)


def _order(material: Material, config: Config, epoch: int) -> np.ndarray:
    labels, classes = material.train.labels, material.index.labels
    return pipeline.epoch_order(labels, classes, config.data, seed=config.run.seed, epoch=epoch)


def _val_steps(split: Split, config: Config) -> int:
    return math.ceil(len(split.labels) / (4 * config.train.batch_size))


def _validation(
    split: Split, steps: int, replicas: Sequence[int] = (0,), number: int = 1
) -> tf.data.Dataset:
    """The selection clips in `steps` batches of about the same size, shared as in `_batches`."""
    ends = np.linspace(0, len(split.labels), steps + 1).astype(int)

    def generate() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start, end in itertools.pairwise(ends):
            for replica in replicas:
                rows = slice(start + replica, end, number)
                yield split.waveforms[rows], split.labels[rows]

    signature = (
        tf.TensorSpec([None, split.waveforms.shape[1]], tf.int16),
        tf.TensorSpec([None, *split.labels.shape[1:]], split.labels.dtype),
    )
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(2)


class _Saver(keras.callbacks.Callback):
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
