"""The stages that shrink the classifier, each of them verified: narrow, pruned, clustered, qat.

The front end stays float: only the classifier is changed. Quantisation starts at the features, at
a fixed range, so that no clip changes the scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from audio_edge import (
    annotation,
    batches,
    channels,
    classifiers,
    frontends,
    pretrained,
    ranking,
    train,
)
from audio_edge.clusters import ClusteredScheme
from audio_edge.config import Config
from audio_edge.errors import UserError
from audio_edge.learner import Material
from audio_edge.run import Run
from audio_edge.tracing import as_written

Callbacks = Sequence[keras.callbacks.Callback]
_TOLERANCE = 0.01
_RANKING = 1024  # training clips that tell what a channel is worth


def narrow(run: Run, material: Material, *, callbacks: Callbacks = ()) -> dict[str, Any]:
    """Remove channels and branches of the float stage into `run.stage("narrow")`, or resume.

    Returns its record.

    Raises:
        UserError: The classifier cannot be narrowed, or has fewer branches than shall go.
    """
    settings = run.config.channels
    train.setup(run.config)
    wide = classifiers.load(run, run.before("narrow"), dropout=True)
    found = channels.trace(wide)
    ends = channels.branches(wide)
    if settings.branches > len(ends):
        raise UserError(
            f"[channels] branches = {settings.branches}, but {run.config.model.name} has "
            f"{len(ends)}; set fewer"
        )
    given = list(_some(run, material))
    worth = ranking.branches(wide, ends, given)
    dropped = sorted(worth, key=worth.__getitem__)[: settings.branches]
    scores = ranking.scores(wide, found, settings.rank, given)
    removed = channels.choose(found, scores, settings)
    if not removed and not dropped:
        raise UserError("[channels] no channel is left out; raise channels.remove")
    model = channels.narrowed(wide, found, removed, dropped)
    filters = {
        layer.name: layer.filters
        for layer in model.layers
        if type(layer) is keras.layers.Conv2D and layer.name != "logits"
    }
    facts = {"filters": filters, "dropped": dropped}
    whole = {name for name in _frozen(run, model) if _same_shape(wide, model, name)}
    pretrained.freeze(model, whole)
    return train.fit(
        run, "narrow", frontends.load(run), model, material, epochs=settings.epochs,
        learning_rate=settings.learning_rate, callbacks=callbacks,
        finish=lambda trained: (trained, facts),
    )  # fmt: skip


def _same_shape(wide: keras.Model, model: keras.Model, name: str) -> bool:
    shapes = [[w.shape for w in made.get_layer(name).get_weights()] for made in (wide, model)]
    return shapes[0] == shapes[1]


def _frozen(run: Run, model: keras.Model) -> set[str]:
    """The layers that a file gave, where `model.frozen` keeps them."""
    begun = run.require("float").get("initial_weights", {})
    return pretrained.first(model, begun["convolutions"]) if run.config.model.frozen else set()


def _some(run: Run, material: Material) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Features and targets of some training clips, in batches."""
    clips, targets = material.train.waveforms, material.train.targets
    rows = np.linspace(0, len(clips) - 1, min(len(clips), _RANKING)).astype(int)
    front, outputs = frontends.load(run), len(material.index.outputs.names)
    for start in range(0, len(rows), 64):
        part = rows[start : start + 64]
        target = targets[part]
        if target.ndim == 1:
            target = np.eye(outputs, dtype=np.float32)[target]
        yield front(clips[part].astype(np.float32) / 32768.0), tf.constant(target, tf.float32)


def prune(run: Run, material: Material, *, callbacks: Callbacks = ()) -> dict[str, Any]:
    """Prune by magnitude into `run.stage("pruned")`, or resume; returns its record.

    The sparsity rises polynomially (Zhu and Gupta 2017) over the first `prune.ramp` of the epochs,
    then stays.

    Raises:
        UserError: The reached sparsity is below the wanted one.
    """
    config = run.config
    train.setup(config)
    wanted = config.prune.sparsity
    steps = config.prune.epochs * batches.per_epoch(material, config)
    dense = load(run, run.before("pruned"), dropout=True)
    classifier = _wrapped(dense, _pruning(config, steps))

    def finish(model: keras.Model) -> tuple[keras.Model, dict[str, Any]]:
        stripped = tfmot.sparsity.keras.strip_pruning(model)
        ran = f"the schedule ran {steps} steps"
        return stripped, {"sparsity": _verified(kernel_sparsity(stripped, config), wanted, ran)}

    return train.fit(
        run, "pruned", frontends.load(run), classifier, material, epochs=config.prune.epochs,
        learning_rate=config.prune.learning_rate, finish=finish,
        callbacks=[*callbacks, tfmot.sparsity.keras.UpdatePruningStep()],
    )  # fmt: skip


def cluster(run: Run, material: Material, *, callbacks: Callbacks = ()) -> dict[str, Any]:
    """Cluster the weights of each kernel into `run.stage("clustered")`, or resume.

    Returns its record.

    Raises:
        UserError: A kernel has more distinct weights than wanted, or lost its sparsity.
    """
    config = run.config
    train.setup(config)
    kernels = tfmot.clustering.keras
    plain = load(run, run.before("clustered"), dropout=True)
    classifier = _wrapped(plain, lambda layer: kernels.cluster_weights(
        layer, number_of_clusters=config.cluster.number,
        cluster_centroids_init=kernels.CentroidInitialization.KMEANS_PLUS_PLUS,
        preserve_sparsity=bool(config.prune.sparsity),
    ))  # fmt: skip

    def finish(model: keras.Model) -> tuple[keras.Model, dict[str, Any]]:
        stripped = kernels.strip_clustering(model)
        distinct = {
            layer.name: len(np.unique(layer.kernel.numpy()))
            for layer in stripped.layers
            if is_prunable(layer)
        }
        most = max(distinct, key=distinct.__getitem__)
        if distinct[most] > config.cluster.number:
            raise UserError(
                f"{most}: clustered to {distinct[most]} distinct weights, wanted "
                f"{config.cluster.number}; give another cluster.number"
            )
        return stripped, {"distinct": distinct, **_sparse(stripped, config)}

    return train.fit(
        run, "clustered", frontends.load(run), classifier, material, epochs=config.cluster.epochs,
        learning_rate=config.cluster.learning_rate, callbacks=callbacks, finish=finish,
    )  # fmt: skip


def quantize_aware(run: Run, material: Material, *, callbacks: Callbacks = ()) -> dict[str, Any]:
    """Fine-tune the stage before with int8 fake quantisation into `run.stage("qat")`, or resume.

    The ranges of the activations begin as those of some training clips. Returns the record.

    Raises:
        UserError: Quantisation-aware training lost the sparsity.
    """
    config = run.config
    train.setup(config)
    plain = load(run, run.before("qat"))
    model = quantized(config, plain)
    calibrate(model, plain, [features for features, _ in _some(run, material)])
    held = _hold(model, _frozen(run, plain))

    def finish(trained: keras.Model) -> tuple[keras.Model, dict[str, Any]]:
        for layer, weights in held:  # in the order that a file has them in
            layer.trainable = True
            layer._trainable_weights.extend(weights)
        return trained, _sparse(trained, config)

    return train.fit(
        run, "qat", frontends.load(run), model, material, epochs=config.quantize.epochs,
        learning_rate=config.quantize.learning_rate, callbacks=callbacks,
        finish=finish,
    )  # fmt: skip


def _hold(model: keras.Model, names: Collection[str]) -> list[tuple[Any, list[tf.Variable]]]:
    """Keep layers of a quantised model from learning.

    A wrapper of tfmot lets its kernel learn whether it is `trainable` or not, so that the kernels
    are taken from it.

    Returns:
        Each layer and what was taken.
    """
    pretrained.freeze(model, names)
    layers: list[Any] = [layer for layer in model.layers if not layer.trainable]
    held = [(layer, list(layer._trainable_weights)) for layer in layers]
    for layer, _ in held:
        layer._trainable_weights.clear()
    return held


MAKERS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "float": train.train, "narrow": narrow, "pruned": prune, "clustered": cluster,
    "qat": quantize_aware,
}  # fmt: skip


def load(run: Run, stage: str, *, dropout: bool = False) -> keras.Model:
    """The trained classifier of any stage.

    Maps features [batch, frames, bands, 1] to logits [batch, outputs].
    """
    if stage != "qat":
        return classifiers.load(run, stage, dropout=dropout)
    model = quantized(run.config, classifiers.shaped(run, stage, dropout=False))
    classifiers.read_weights(run, stage, model)
    return model


def kernel_sparsity(model: keras.Model, config: Config) -> dict[str, float]:
    """Share of zeros in the kernel of each convolution that is pruned."""
    found = {}
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        if is_pruned(inner, config):
            kernel = layer.get_weights()[0]
            if inner is not layer:  # a wrapper has weights of its own before it
                names = [weight.name.rpartition("/")[2] for weight in layer.weights]
                kernel = layer.get_weights()[names.index("kernel:0")]
            found[inner.name] = float((kernel == 0).mean())
    return found


def is_prunable(layer: keras.layers.Layer) -> bool:
    """Full and pointwise convolutions, but no depthwise ones and not the small last layer."""
    return type(layer) is keras.layers.Conv2D and layer.name != "logits"


def _pruning(
    config: Config, steps: int
) -> Callable[[keras.layers.Layer], keras.layers.Layer | None]:
    settings, keras_ = config.prune, tfmot.sparsity.keras
    frequency = max(1, min(100, steps // 40))  # tfmot's fixed 100 prunes nothing in a short run
    end = max(1, math.ceil(steps * settings.ramp / frequency)) * frequency
    if settings.pattern or not settings.ramp:
        schedule = keras_.ConstantSparsity(settings.sparsity, 0, frequency=frequency)
    else:
        schedule = keras_.PolynomialDecay(
            initial_sparsity=0.0, final_sparsity=settings.sparsity, frequency=frequency,
            begin_step=0, end_step=min(end, max(frequency, steps - 1)),
        )  # fmt: skip
    options = {"sparsity_m_by_n": (2, 4)} if settings.pattern else {}

    def wrap(layer: keras.layers.Layer) -> keras.layers.Layer | None:
        if not is_pruned(layer, config):
            return None
        return keras_.prune_low_magnitude(layer, pruning_schedule=schedule, **options)

    return wrap


@as_written
def _wrapped(
    classifier: keras.Model, wrap: Callable[[keras.layers.Layer], keras.layers.Layer | None]
) -> keras.Model:
    """The classifier, sharing its weights, its convolutions wrapped."""

    def wrapped(layer: keras.layers.Layer) -> keras.layers.Layer:
        return (wrap(layer) if is_prunable(layer) else None) or layer

    return keras.models.clone_model(classifier, clone_function=wrapped)


def _sparse(model: keras.Model, config: Config) -> dict[str, Any]:
    """What a stage after pruning adds to its record: the sparsity, found to be kept."""
    if not config.prune.sparsity:
        return {}
    found = kernel_sparsity(model, config)
    return {"sparsity": _verified(found, config.prune.sparsity, "after fine-tuning")}


def _verified(found: dict[str, float], wanted: float, ran: str) -> dict[str, float]:
    short = {name: share for name, share in found.items() if share < wanted - _TOLERANCE}
    if short:
        name, share = min(short.items(), key=lambda item: item[1])
        raise UserError(
            f"{name}: pruned to sparsity {share:.2f}, wanted {wanted:.2f}: {ran}; "
            "raise prune.epochs"
        )
    return {name: round(share, 4) for name, share in found.items()}


def is_pruned(layer: keras.layers.Layer, config: Config) -> bool:
    """Whether a pattern of four finds four inputs, too."""
    if not is_prunable(layer):
        return False
    return not config.prune.pattern or layer.kernel.shape[2] % 4 == 0


@as_written
def quantized(config: Config, classifier: keras.Model) -> keras.Model:
    """Wrap for quantisation-aware training; zeros and clusters that there are stay."""
    annotated = annotation.annotate(classifier)
    if config.cluster.number:
        scheme = ClusteredScheme()
    elif config.prune.sparsity:
        scheme = tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme()
    else:
        scheme = None
    options = {"scheme": scheme} if scheme else {}
    model = tfmot.quantization.keras.quantize_apply(annotated, **options)
    low, high = frontends.limits(config)
    for weight in model.layers[1].weights:
        if "min" in weight.name:
            weight.assign(tf.constant(low, tf.float32))
        elif "max" in weight.name:
            weight.assign(tf.constant(high, tf.float32))
    return model


def calibrate(model: keras.Model, plain: keras.Model, features: Sequence[tf.Tensor]) -> None:
    """Begin the ranges of a model's activations with those that they have on some clips.

    tfmot begins with -6 to 6 and moves by a thousandth a step: in a short training a range that is
    far off would stay so.

    Args:
        model: Of `quantized`; changed in place.
        plain: What it was made from.
        features: Batches of [batch, frames, bands, 1].
    """
    outputs = {layer.name: layer.output for layer in plain.layers[1:]}
    probe = keras.Model(plain.input, outputs)
    low = {name: 0.0 for name in outputs}  # a range of int8 holds zero
    high = dict(low)
    for batch in features:
        for name, values in probe(batch, training=False).items():
            low[name] = min(low[name], float(tf.reduce_min(values)))
            high[name] = max(high[name], float(tf.reduce_max(values)))
    for layer in model.layers:
        name = getattr(getattr(layer, "layer", None), "name", None)
        for weight in layer.weights if name in outputs else ():
            kind = weight.name.rpartition("/")[2].partition(":")[0]
            if "kernel" in kind:
                continue
            if kind.endswith("_min"):
                weight.assign(low[name])
            elif kind.endswith("_max"):
                weight.assign(max(high[name], 1e-3))
