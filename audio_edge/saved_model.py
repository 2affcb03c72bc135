"""A trained stage as a SavedModel, for TensorFlow Serving: waveforms [batch, clip_samples] in."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge import doors, export
from audio_edge.card import CARD_FILE, LABELS_FILE, Card
from audio_edge.errors import UserError, first_line
from audio_edge.run import Run

SIGNATURE = "serving_default"
MARK = "saved_model.pb"
BATCHING_FILE = "batching_params.pbtxt"  # a name that TensorFlow Serving looks for, too
BATCHING = """\
# Of tensorflow_model_server --enable_batching: requests that come together are computed together.
max_batch_size { value: 32 }  # clips; a request of more is refused
batch_timeout_micros { value: 2000 }  # that the first clip of a batch waits for others
max_enqueued_batches { value: 16 }  # that may wait; beyond them requests are refused
# what there is of a batch is filled up to one of these, the last of them max_batch_size
allowed_batch_sizes: 1
allowed_batch_sizes: 2
allowed_batch_sizes: 4
allowed_batch_sizes: 8
allowed_batch_sizes: 16
allowed_batch_sizes: 32
"""


def convert(run: Run, target: Path, *, stage: str = "float", dft: str = "factored") -> Path:
    """Write a folder that TensorFlow Serving loads, labels and card among its assets.

    Its signature `serving_default` maps waveform, float32 [batch, clip_samples] in [-1, 1], to
    probs, float32 [batch, labels]. Beside it lies `BATCHING`, how requests are put into batches.

    Args:
        run: The run.
        target: The folder to write; TensorFlow Serving wants it to be called by a number.
        stage: "float" or "pruned".
        dft: The form of the front end's transform.

    Raises:
        UserError: The stage is missing, the folder cannot be written or holds something else, or
            what was written does not give what Keras gives.
    """
    doors.check_stage(stage, "a SavedModel")
    if target.exists() and not (target / MARK).is_file():
        raise UserError(f"{target}: exists and is no SavedModel; give another --out")
    card = export.card_of(run, stage, dft)
    model = export.compose(run, stage, dft=dft)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:
            draft = Path(folder) / "model"
            _save(model, card, draft, Path(folder))
            doors.prove(scorer(draft), run, stage, target)
            if target.exists():
                target.rename(Path(folder) / "old")
            draft.rename(target)
    except OSError as error:
        raise UserError(
            f"{target}: cannot be written ({error.strerror}); choose another place"
        ) from error
    return target


def _save(model: keras.Model, card: Card, draft: Path, folder: Path) -> None:
    (folder / LABELS_FILE).write_text("".join(f"{label}\n" for label in card.labels), "utf-8")
    text = json.dumps(card.to_dict(), indent=2, ensure_ascii=False) + "\n"
    (folder / CARD_FILE).write_text(text, "utf-8")
    module = tf.Module()
    module.held = model.variables
    module.assets = [tf.saved_model.Asset(str(folder / name)) for name in (LABELS_FILE, CARD_FILE)]
    signature = tf.TensorSpec([None, card.clip_samples], tf.float32, name="waveform")
    module.serve = tf.function(
        lambda waveform: {"probs": model(waveform, training=False)}, input_signature=[signature]
    )
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        tf.saved_model.save(module, str(draft), signatures={SIGNATURE: module.serve})
    finally:
        logger.setLevel(level)
    (draft / BATCHING_FILE).write_text(BATCHING, "utf-8")


def is_saved_model(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder that holds a SavedModel."""
    return (Path(path) / MARK).is_file()


def read_card(path: str | os.PathLike[str]) -> Card:
    """The card among the assets of a SavedModel that `convert` wrote."""
    try:
        return Card.from_dict(json.loads((Path(path) / "assets" / CARD_FILE).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: no SavedModel of audio_edge ({first_line(error)}); convert it again"
        ) from error


def scorer(path: str | os.PathLike[str]) -> Callable[[np.ndarray], np.ndarray]:
    """A function float32 [n, clip_samples] -> probs [n, labels], by the serving signature."""
    loaded = tf.saved_model.load(os.fspath(path))
    serve = loaded.signatures[SIGNATURE]

    def score(waveforms: np.ndarray, held: object = loaded) -> np.ndarray:
        parts = [waveforms[start : start + 64] for start in range(0, len(waveforms), 64)]
        return np.concatenate([serve(waveform=tf.constant(part))["probs"] for part in parts])

    return score
