"""Pruning and quantisation-aware training of the classifier with tfmot, each verified.

The front end stays float: only the classifier is wrapped. Quantisation starts at the features, at
a fixed range, so that no clip changes the scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from audio_edge import annotation, batches, classifiers, frontends, train
from audio_edge.config import Config
from audio_edge.errors import UserError
from audio_edge.learner import Material
from audio_edge.run import Run

_TOLERANCE = 0.01


def prune(
    run: Run, material: Material, *, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> dict[str, Any]:
    """Prune the float stage by magnitude into `run.stage("pruned")`, or resume; returns its record.

    The sparsity rises polynomially over the first half of the epochs (Zhu and Gupta 2017), then
    stays.

    Raises:
        UserError: The reached sparsity is below the wanted one.
    """
    config = run.config
    train.setup(config)
    classifier = load(run, "float", dropout=True)
    wanted = config.prune.sparsity
    steps = config.prune.epochs * batches.per_epoch(material, config)
    if wanted:
        classifier = _wrap_for_pruning(classifier, wanted, steps)
        callbacks = [*callbacks, tfmot.sparsity.keras.UpdatePruningStep()]

    def finish(model: keras.Model) -> tuple[keras.Model, dict[str, Any]]:
        stripped = tfmot.sparsity.keras.strip_pruning(model) if wanted else model
        ran = f"the schedule ran {steps} steps"
        return stripped, {"sparsity": _verified(kernel_sparsity(stripped), wanted, ran)}

    return train.fit(
        run, "pruned", frontends.load(run), classifier, material, epochs=config.prune.epochs,
        learning_rate=config.prune.learning_rate, callbacks=callbacks, finish=finish,
    )  # fmt: skip


def quantize_aware(
    run: Run, material: Material, *, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> dict[str, Any]:
    """Fine-tune the pruned stage with int8 fake quantisation into `run.stage("qat")`, or resume.

    Returns its record.

    Raises:
        UserError: Quantisation-aware training lost the sparsity.
    """
    config = run.config
    train.setup(config)
    model = quantized(config, load(run, "pruned"))

    def finish(model: keras.Model) -> tuple[keras.Model, dict[str, Any]]:
        found, wanted = kernel_sparsity(model), config.prune.sparsity
        return model, {"sparsity": _verified(found, wanted, "after fine-tuning")}

    return train.fit(
        run, "qat", frontends.load(run), model, material, epochs=config.quantize.epochs,
        learning_rate=config.quantize.learning_rate, callbacks=callbacks, finish=finish,
    )  # fmt: skip


def load(run: Run, stage: str, *, dropout: bool = False) -> keras.Model:
    """The trained classifier of any stage.

    Maps features [batch, frames, bands, 1] to logits [batch, outputs].
    """
    if stage != "qat":
        return classifiers.load(run, stage, dropout=dropout)
    n_outputs = len(run.require(stage)["output_labels"])
    model = quantized(run.config, classifiers.build(run.config, n_outputs, dropout=False))
    classifiers.read_weights(run, stage, model)
    return model


def kernel_sparsity(model: keras.Model) -> dict[str, float]:
    """Share of zeros in the kernel of each full convolution, as the network uses it: masked."""
    found = {}
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        if not is_prunable(inner):
            continue
        weights = {
            weight.name.rpartition("/")[2].partition(":")[0]: weight.numpy()
            for weight in layer.weights
        }
        kernel = weights["kernel"] * weights.get("sparsity_mask", 1.0)
        found[inner.name] = float((kernel == 0).mean())
    return found


def is_prunable(layer: keras.layers.Layer) -> bool:
    """Full and pointwise convolutions, but no depthwise ones and not the small last layer."""
    return type(layer) is keras.layers.Conv2D and layer.name != "logits"


def _wrap_for_pruning(classifier: keras.Model, sparsity: float, steps: int) -> keras.Model:
    frequency = max(1, min(100, steps // 40))  # tfmot's fixed 100 prunes nothing in a short run
    end = max(1, math.ceil(steps / 2 / frequency)) * frequency
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0, final_sparsity=sparsity, frequency=frequency,
        begin_step=0, end_step=min(end, max(frequency, steps - 1)),
    )  # fmt: skip

    def wrap(layer: keras.layers.Layer) -> keras.layers.Layer:
        if is_prunable(layer):
            return tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule)
        return layer

    return keras.models.clone_model(classifier, clone_function=wrap)


def _verified(found: dict[str, float], wanted: float, ran: str) -> dict[str, float]:
    short = {name: share for name, share in found.items() if share < wanted - _TOLERANCE}
    if short:
        name, share = min(short.items(), key=lambda item: item[1])
        raise UserError(
            f"{name}: pruned to sparsity {share:.2f}, wanted {wanted:.2f}: {ran}; "
            "raise prune.epochs"
        )
    return {name: round(share, 4) for name, share in found.items()}


def quantized(config: Config, classifier: keras.Model) -> keras.Model:
    """Wrap for quantisation-aware training; sparsity is preserved if the classifier was pruned."""
    annotated = annotation.annotate(classifier)
    if config.prune.sparsity:
        scheme = tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme()
        model = tfmot.quantization.keras.quantize_apply(annotated, scheme)
    else:
        model = tfmot.quantization.keras.quantize_apply(annotated)
    low, high = frontends.limits(config)
    for weight in model.layers[1].weights:
        if "min" in weight.name:
            weight.assign(tf.constant(low, tf.float32))
        elif "max" in weight.name:
            weight.assign(tf.constant(high, tf.float32))
    return model
