"""The training loop that every stage shares, and the float stage.

A step is a pure function of (weights, seed, step number): shuffling, augmentation and dropout draw
statelessly, and a checkpoint is written at each epoch's end. A killed run therefore resumes to the
same weights, bit for bit on one machine.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge import (
    augment,
    batches,
    classifiers,
    distribution,
    files,
    frontends,
    lessons,
    pretrained,
)
from audio_edge.board import Board
from audio_edge.config import Config
from audio_edge.datasets import pipeline
from audio_edge.datasets.index import Index
from audio_edge.errors import UserError
from audio_edge.frontend import Frontend
from audio_edge.keeper import Keeper
from audio_edge.learner import Learner, Material, WarmupCosine
from audio_edge.models import training_layers
from audio_edge.optimizer import FlatAdamW
from audio_edge.run import Run
from audio_edge.saver import Saver, drop_foreign_checkpoint
from audio_edge.teachers import Teachers, origins
from audio_edge.tracing import as_written

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


@as_written
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
    classifier = training_layers.for_training(classifier)
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
        stage: One of `run.TRAINED`.
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
    steps = batches.per_epoch(material, config)
    chief, one_device = (
        distribution.is_chief(),
        _one_device(stage, fingerprint, material, config, steps),
    )
    runs, outputs = run.teachers(), material.index.outputs.names
    if not runs and stage != "float" and "narrow" in run.stages:
        runs = (run,)  # what has become narrower learns from what it was
    given_by = (runs, outputs, config.distill.temperature, config.crop_samples)
    teachers = Teachers(*given_by) if runs else None
    kind = lessons.Pupil if config.train.lessons else Learner
    learner = kind(config, front, classifier, material, teachers)
    schedule = WarmupCosine(learning_rate, epochs * steps, round(warmup_epochs * steps))
    # a mean over changing masks has no zeros
    ema = config.train.ema if stage in ("float", "narrow") else 0.0
    patience = config.train.patience if stage == "float" else 0  # the others end with a schedule
    optimizer = (FlatAdamW if one_device else keras.optimizers.AdamW)(
        schedule,
        weight_decay=config.train.weight_decay,
        use_ema=bool(ema),
        ema_momentum=ema or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    heard = [config] if kind is lessons.Pupil else [config, *(each.config for each in runs)]
    compiles = one_device and not any(other.encoder.path for other in heard)
    jit = compiles and bool(tf.config.list_physical_devices("GPU"))
    learner.compile(optimizer=optimizer, jit_compile=jit)
    optimizer.build(learner.trainable_variables)
    if chief:
        run.save()
        drop_foreign_checkpoint(run, stage, fingerprint)
    weights = [*front.weights, *classifier.weights]
    keeper = Keeper(optimizer, learner.trainable_variables, weights, patience=patience)
    saver = Saver(folder, front, classifier, learner.optimizer, keeper, writes=chief)
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
                batch=lambda epoch: next(
                    iter(batches.training(material, config, epoch, epoch + 1, steps))
                ),
            )
        )  # fmt: skip
    if first < epochs and not keeper.ended(first):
        checks = batches.checks(material.val, config)
        if kind is lessons.Pupil:
            made = lessons.prepare(
                run, front, classifier, material, epochs=epochs, teachers=teachers, runs=runs
            )
            given = lessons.training(made, config, first, epochs, steps)
        else:
            given = distribution.dataset(
                partial(batches.training, material, config, first, epochs, steps)
            )
        learner.fit(
            given,
            steps_per_epoch=steps, initial_epoch=first, epochs=epochs, verbose=0,
            validation_data=distribution.dataset(partial(batches.selection, material.val, checks)),
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
        "params": int(model.count_params()),
        **({"taught_by": origins(run.teachers())} if run.teachers() else {}), **facts,
    }  # fmt: skip
    with files.replacing(folder / "weights.h5") as temporary:
        model.save_weights(temporary)
    if stage == "float":
        frontends.save(front, folder)
    files.write_json(folder / "stage.json", record)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return record


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
    if config.distill.teachers or config.train.lessons:
        raise UserError(
            "[distill] teachers and [train] lessons need a single device; leave --distribute out"
        )
    data = zlib.crc32(material.train.waveforms.data, zlib.crc32(material.val.waveforms.data))
    distribution.agree("settings or recordings", int(fingerprint[:7], 16) ^ data >> 4)
    order = batches.order(material, config, 0)
    last = len(order) - (steps - 1) * config.train.batch_size
    least = min(last, len(material.val.labels) // batches.checks(material.val, config))
    if least < replicas:
        raise UserError(
            f"[train] {replicas} replicas share batches of {config.train.batch_size} clips, and "
            f"one has only {least}; give another train.batch_size or fewer devices"
        )
    return False
