"""The classifier of a run: built from its settings, or loaded from a stage."""

from __future__ import annotations

import h5py
import tf_keras as keras

from audio_edge import channels, frontends
from audio_edge.config import Config
from audio_edge.errors import UserError, first_line
from audio_edge.models import MODELS
from audio_edge.run import Run


def build(config: Config, n_outputs: int, *, dropout: bool = True) -> keras.Model:
    """The classifier of `[model]`: [batch, frames, bands, 1] -> logits [batch, n_outputs]."""
    model = config.model
    if model.name not in MODELS:
        raise UserError(f"[model] unknown name '{model.name}'; known: {', '.join(MODELS)}")
    frames, bands = frontends.shape(config)
    try:
        return MODELS[model.name](
            (frames, bands, 1), n_outputs, width=model.width, depth=model.depth,
            padding=model.padding, seed=config.run.seed, dropout=model.dropout if dropout else 0.0,
        )  # fmt: skip
    except ValueError as error:
        raise UserError(
            f"[model] {model.name} of depth {model.depth} does not fit features of shape "
            f"{(frames, bands)} ({str(error).splitlines()[0]}); "
            "lower model.depth or raise data.clip_s"
        ) from error


def cropped(classifier: keras.Model, config: Config, samples: int | None) -> keras.Model:
    """The same layers for so many samples, None for a whole clip; what learns is shared.

    Raises:
        UserError: A layer asks for the whole clip.
    """
    if samples in (None, config.data.clip_samples):
        return classifier
    frames, bands = frontends.shape(config, samples)
    features = keras.Input((frames, bands, 1), name="logmel")
    try:
        return keras.models.clone_model(classifier, input_tensors=features, clone_function=_itself)
    except ValueError as error:
        raise UserError(
            f"[train] crop_s: {classifier.name} takes whole clips only, or longer ones than "
            f"{frames} frames ({first_line(error)}); set crop_s = 0 or higher"
        ) from error


def _itself(layer: keras.layers.Layer) -> keras.layers.Layer:
    return layer


def load(run: Run, stage: str, *, dropout: bool = False) -> keras.Model:
    """The trained classifier of any stage but "qat".

    Maps features [batch, frames, bands, 1] to logits [batch, outputs].
    """
    model = shaped(run, stage, dropout=dropout)
    read_weights(run, stage, model, by_name=not dropout)
    return model


def shaped(run: Run, stage: str, *, dropout: bool) -> keras.Model:
    """The classifier as wide as it is in a stage, with fresh weights."""
    model = build(run.config, len(run.require(stage)["output_labels"]), dropout=dropout)
    if stage == "float" or "narrow" not in run.stages:
        return model
    record = run.require("narrow")
    try:
        return channels.rebuilt(model, record["filters"], record["dropped"])
    except (KeyError, TypeError, ValueError) as error:
        where = run.stage("narrow") / "stage.json"
        raise UserError(f"{where}: damaged; delete it and run again") from error


def read_weights(run: Run, stage: str, model: keras.Model, *, by_name: bool = False) -> None:
    """Fill a model, built as the stage was, with the stage's weights.

    Args:
        run: The run.
        stage: Whose weights.
        model: What is filled.
        by_name: The model may lack layers that the stage had.
    """
    source = run.stage(stage) / "weights.h5"
    try:
        if by_name:
            with h5py.File(source) as file:
                missing = {layer.name for layer in model.layers if layer.weights} - set(file)
            if missing:
                raise ValueError(f"nothing for the layer {min(missing)}")
        model.load_weights(source, by_name=by_name)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{source}: cannot be loaded ({str(error).splitlines()[0]}); "
            f"delete {run.stage(stage) / 'stage.json'} and run again"
        ) from error
