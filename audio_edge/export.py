"""From a trained stage to a `.tflite` file: raw PCM in, probabilities out, card inside.

The graph has builtin ops only and is converted at the fixed shape (1, clip_samples) with float32
input and output. A file that does not load in a runtime that it is meant for is never written.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge import claims, compress, files, frontends, streaming, targets
from audio_edge.card import Card, attach, split
from audio_edge.datasets import pipeline
from audio_edge.errors import UserError
from audio_edge.joined import join
from audio_edge.lowering import stream_to_flatbuffer, to_flatbuffer
from audio_edge.run import Run
from audio_edge.streaming_interpreter import open_model
from audio_edge.summary import model_summary
from audio_edge.tflite_metadata import with_metadata
from audio_edge.tracing import as_written

KINDS = ("float", "int8", "float16", "dynamic")
# Between runtimes, |p_a - p_b|: of every clip of noise in float; of the median one where values are
# rounded to int8, since where a value lies half-way between two steps kernels take either, and the
# layers behind it multiply that: one runtime's own two sets of kernels may differ by 0.1 on a clip.
_EVERY_CLIP = {"float": 1e-4, "float16": 1e-3}
_MEDIAN_CLIP = {"int8": 0.05, "dynamic": 0.05}
_LEVELS = np.geomspace(1e-3, 1.0, 16)  # amplitudes of those clips
_VERSIONS = ("audio_edge", "tensorflow", "tf_keras", "tensorflow-model-optimization", "numpy")


@as_written
def compose(
    run: Run, stage: str, *, dft: str = "rfft", classifier: keras.Model | None = None
) -> keras.Model:
    """Front end, classifier and softmax of a stage; sigmoids where a clip may have several labels.

    Maps waveform [batch, clip_samples] in [-1, 1] to probs [batch, classes].

    Args:
        run: The run.
        stage: "float", "pruned" or "qat".
        dft: The form of the front end's transform: "rfft", as in training, "factored", "compact" or
            "dense".
        classifier: Of the stage, if it is loaded already.
    """
    keras.mixed_precision.set_global_policy("float32")
    if classifier is None:
        classifier = compress.load(run, stage)
    waveform = keras.Input([run.config.data.clip_samples], name="waveform")
    logits = classifier(frontends.load(run, dft=dft)(waveform))
    probs = _head(run, stage, still_float=stage != "qat")(logits)
    return keras.Model(waveform, probs, name=run.config.run.name)


def _head(run: Run, stage: str, *, still_float: bool = True) -> keras.layers.Layer:
    """From logits to the probabilities of the labels."""
    squash = tf.nn.sigmoid if run.config.data.multi_label else tf.nn.softmax
    if not still_float:
        squash = _float_sigmoid if run.config.data.multi_label else _float_softmax
    owners = run.require(stage)["output_labels"]
    return keras.layers.Lambda(lambda x: _merge(squash(x), owners), name="probs")


def _float_softmax(logits: tf.Tensor) -> tf.Tensor:
    """Softmax that stays in float.

    Of int8 logits the converter makes an int8 SOFTMAX, whose steps of 1/256 blur thresholds. Taking
    the mean away changes no probability, and leaves the converter no int8 input.
    """
    return tf.nn.softmax(logits - tf.reduce_mean(logits, axis=1, keepdims=True))


def _float_sigmoid(logits: tf.Tensor) -> tf.Tensor:
    """Sigmoid that stays in float, for the same reason; the mean is taken away and added again."""
    mean = tf.reduce_mean(logits, axis=1, keepdims=True)
    return tf.nn.sigmoid((logits - mean) + mean)


def _merge(probs: tf.Tensor, owners: list[int]) -> tf.Tensor:
    """Add up the outputs of each label: [batch, outputs] -> [batch, labels]."""
    labels = max(owners) + 1
    if len(owners) == labels:
        return probs
    return tf.matmul(probs, tf.one_hot(owners, labels))


def convert(
    run: Run, kind: str, *, stage: str | None = None, out: Path | None = None,
    dft: str = "factored", runtime: str = targets.ANY, stream: bool = False,
    streams: int = 1, trained: bool = True,
) -> Path:  # fmt: skip
    """Convert a stage and write the file with its card, and the card as JSON beside it.

    Args:
        run: The run.
        kind: "float", by default from the float stage; "int8", from the last stage, after the
            training with the selection clips as the representative set unless that is "qat";
            "float16" or "dynamic" (range), from the last stage before "qat".
        stage: One of `run.stages` instead of the default.
        out: Where to write; None is `run.model(kind)`.
        dft: The form of the front end's transform: "factored" is the fastest, "compact" the
            smallest.
        runtime: The target that the file must load in, of `targets.TARGETS`, or "any" of them.
        stream: Write the file that takes packets and states: see `streaming.to_streaming`.
        streams: How many streams that file takes at once.
        trained: The targets must answer alike. Untrained layers in int8 multiply a rounding beyond
            any bound, so that there the answers must only be numbers.

    Returns:
        The file written.

    Raises:
        UserError: The stage is missing, an op is not builtin, a target does not load the file or
            disagrees, a layer cannot stream, or the file is not what its stage claims: sparsity,
            2:4 pattern, distinct weights, channels and types of the kernels.
    """
    stage = _stage(run, kind, stage, stream=stream)
    meant = targets.claimed(runtime)
    card = card_of(run, stage, dft, meant, kind)
    keras.mixed_precision.set_global_policy("float32")
    classifier = compress.load(run, stage)
    if stage == "qat" or kind == "float":
        model = compose(run, stage, dft=dft, classifier=classifier)
        made = streaming.to_streaming(model, streams=streams) if stream else None
        if made:
            card = dataclasses.replace(card, streaming=_told(made))

        def lowered(per_channel: bool) -> bytes:
            if made:
                return stream_to_flatbuffer(made, per_channel_dense=per_channel)
            return to_flatbuffer(model, per_channel_dense=per_channel)
    else:

        def lowered(per_channel: bool) -> bytes:
            return _after_training(run, stage, kind, dft, classifier, per_channel=per_channel)

    content = attach(with_metadata(targets.fitting(lowered, meant), card), card)
    target = out or run.model(kind, streaming=stream, streams=streams)
    wanted = claims.of(classifier, run.config, stage, run.stages)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / target.name
        draft.write_bytes(content)
        _check(draft, target, wanted, kind, meant, trained=trained)
    files.write_bytes(target, content)
    files.write_json(target.with_suffix(".json"), card.to_dict())
    return target


def _stage(run: Run, kind: str, stage: str | None, *, stream: bool) -> str:
    """The stage that becomes a file of this kind."""
    if kind not in KINDS:
        raise UserError(f"--to must be one of {', '.join(KINDS)}. Received: {kind!r}")
    plain = [name for name in run.stages if name != "qat"]
    stage = stage or {"float": "float", "int8": run.stages[-1]}.get(kind, plain[-1])
    if stage == "qat" and kind != "int8":
        raise UserError(f"stage 'qat' cannot become a {kind} file; give DIR/{plain[-1]}")
    if stage == "clustered" and kind in ("int8", "dynamic"):
        raise UserError(
            f"stage 'clustered' cannot become a {kind} file: a scale for each filter would split "
            "its clusters; set quantize.epochs, which keeps them, or convert to float16"
        )
    if stream and stage != "qat" and kind != "float":
        raise UserError(
            f"--streaming is for float files and for int8 files of the stage 'qat', not for {kind} "
            f"of '{stage}'; set quantize.epochs"
        )
    return stage


def _after_training(
    run: Run, stage: str, kind: str, dft: str, classifier: keras.Model, *, per_channel: bool
) -> bytes:
    """Front end and head in float, between them the classifier as the converter stores it."""
    waveform = keras.Input([run.config.data.clip_samples], name="waveform")
    front = keras.Model(waveform, frontends.load(run, dft=dft)(waveform))
    logits = keras.Input(classifier.output_shape[1:], name="logits")
    head = keras.Model(logits, _head(run, stage)(logits))
    options: dict[str, Any] = {"optimizations": [tf.lite.Optimize.DEFAULT]}
    if kind == "int8":
        options["representative_dataset"] = lambda: _representative(run)
    if kind == "float16":
        options["target_spec.supported_types"] = [tf.float16]
    body = to_flatbuffer(classifier, per_channel_dense=per_channel, **options)
    return join([to_flatbuffer(front), body, to_flatbuffer(head)])


def _representative(run: Run) -> Iterator[list[np.ndarray]]:
    """Features of selection clips, spread over all of them, one at a time."""
    config = run.config
    clips = pipeline.load(config, pipeline.index(config), "val").waveforms
    count = min(len(clips), config.quantize.representative)
    front = frontends.load(run)
    for row in np.linspace(0, len(clips) - 1, count).astype(int):
        yield [front(clips[row : row + 1].astype(np.float32) / 32768.0).numpy()]


def card_of(run: Run, stage: str, dft: str, meant: Sequence[str] = (), kind: str = "float") -> Card:
    """The card of what a stage becomes.

    Args:
        run: The run.
        stage: One of its stages.
        dft: The form of the front end's transform.
        meant: The runtimes that it is for, of `targets.TARGETS`.
        kind: One of `KINDS`.
    """
    record = run.require(stage)
    config = run.config
    shape = list(frontends.shape(config))
    versions = {name: importlib.metadata.version(name) for name in _VERSIONS if _installed(name)}
    settings = config.to_dict()
    # places of the training machine mean nothing elsewhere
    places = {
        "run": ["dir"], "data": ["root", "cache", "noise"], "model": ["weights"],
        "encoder": ["path"], "distill": ["teachers", "teacher_set"],
    }  # fmt: skip
    for section, keys in places.items():
        for key in keys:
            del settings[section][key]
    made = run.record("float") or {}
    begun, taught = made.get("initial_weights"), made.get("taught_by", [])
    licences = [config.data.licence, config.model.weights_licence]
    licences += [teacher["licence"] for teacher in taught if "licence" in teacher]
    return Card(
        labels=tuple(record["labels"]),
        sample_rate=config.data.sample_rate,
        clip_samples=config.data.clip_samples,
        frontend={**settings["frontend"], "dft": dft, "output_shape": shape},
        detector=settings["detector"],
        name=config.run.name,
        stage=stage if kind == "float" else kind,
        params=record["params"],
        provenance={
            "config": settings,
            "stage_fingerprint": record["fingerprint"],
            "versions": versions,
            **({"runtimes": list(meant)} if meant else {}),
            **({"initial_weights": begun} if begun else {}),
            **({"taught_by": taught} if taught else {}),
        },
        licences=tuple(dict.fromkeys(filter(None, licences))),
        multi_label=config.data.multi_label,
    )


def _told(made: streaming.Streaming) -> dict[str, Any]:
    """What the card says of a stream."""
    return {
        "packet_samples": made.packet_samples, "states": list(made.shapes),
        "silence_packets": -(-made.reach // made.packet_samples), "exact": made.exact,
        **({"streams": made.streams} if made.streams > 1 else {}),
    }  # fmt: skip


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _check(
    draft: Path, target: Path, wanted: Sequence[claims.Kernel], kind: str, meant: Sequence[str],
    *, trained: bool = True,
) -> None:  # fmt: skip
    """Refuse a file that is not what it claims, or that a target would refuse or run otherwise."""
    summary = model_summary(draft)
    if summary["not_builtin"]:
        raise UserError(
            f"{target}: not written, op {summary['not_builtin'][0]} is not builtin; "
            "use another layer"
        )
    targets.check_ops(split(draft.read_bytes(), source=target)[0], meant, target)
    try:
        claims.check(summary, wanted, kind)
    except UserError as error:
        raise UserError(f"{target}: not written, {error}") from error
    rng = np.random.default_rng(0)
    reference = open_model(draft, runtime="tensorflow")
    noise = _LEVELS[:, None] * rng.uniform(-1, 1, (len(_LEVELS), reference.clip_samples))
    noise = np.concatenate([np.zeros((1, reference.clip_samples)), noise]).astype(np.float32)
    heard = {"tensorflow": reference(noise)}
    for name in filter(targets.place, meant):
        try:
            [heard[name]] = targets.hear([draft], name, noise)
        except UserError as error:
            raise UserError(str(error).replace(str(draft), f"{target}: not written", 1)) from error
    for runtime, probs in heard.items():
        if not np.isfinite(probs).all():
            raise UserError(f"{target}: not written, {runtime} gives NaN")
        deltas = np.abs(probs - heard["tensorflow"]).max(axis=-1)
        delta = float(np.median(deltas) if kind in _MEDIAN_CLIP else deltas.max())
        if trained and delta > (_EVERY_CLIP | _MEDIAN_CLIP)[kind]:
            raise UserError(
                f"{target}: not written, {runtime} differs from tensorflow by {delta:.2g}"
            )
