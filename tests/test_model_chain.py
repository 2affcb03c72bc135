"""Every model through the whole chain on tones: train, prune, quantise, convert, run everywhere."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from audio_edge import (
    Interpreter,
    StreamingInterpreter,
    compress,
    config,
    export,
    files,
    measure,
    parity,
    streaming,
    targets,
    train,
)
from audio_edge.card import read_card, split
from audio_edge.datasets import pipeline
from audio_edge.errors import UserError
from audio_edge.interpreter import available_runtimes
from audio_edge.model_table import table
from audio_edge.models import MODELS
from audio_edge.run import Run
from audio_edge.streaming_interpreter import open_model
from audio_edge.summary import model_summary
from tests import tones

pytestmark = pytest.mark.xdist_group("chain")
EACH = pytest.mark.parametrize("name", MODELS)
RUNTIMES = available_runtimes()
SIZES = {  # (width, depth); even, so that half of every kernel can be pruned
    "ds_cnn": (8, 2),
    "bc_resnet": (4, 1),
    "tc_resnet": (8, 1),
    "mobile_cnn": (8, 1),
    "mobile_tcn": (12, 1),
    "crnn": (8, 1),
    "kwt": (8, 2),
    "yamnet": (4, 3),
    "conv_pool": (8, 3),
}
CLIPS = {  # the files of clips: what Keras has for them, how they are made, and how near they are
    "float": ("float", {"kind": "float"}, parity.SAME_ARITHMETIC),
    "int8": ("qat", {"kind": "int8"}, parity.FAKE_QUANT),
    "float16": ("pruned", {"kind": "float16"}, parity.Limits(0.01, 0.98)),
    "dynamic": ("pruned", {"kind": "dynamic"}, parity.FAKE_QUANT),
    "calibrated": ("pruned", {"kind": "int8", "stage": "pruned"}, parity.Limits(0.15, 0.9)),
}
STREAMS = {
    f"{kind}_streaming": (stage, {**how, "stream": True}, limits)
    for kind, (stage, how, limits) in CLIPS.items()
    if kind in ("float", "int8")
}
KINDS = CLIPS | STREAMS
EPOCHS = {"kwt": 12}  # after 3 its normalisation has not settled, and int8 on it is left to chance
WHOLE_CLIP = {"kwt": "block0_attend"}  # classifiers that cannot stream, and the layer that forbids
FILES = [
    (name, kind)
    for name in MODELS
    for kind in KINDS
    if not (kind in STREAMS and name in WHOLE_CLIP)
]
PACKETS, QUIET = 4, 3000  # the end of a clip of tones, in samples


def settings(folder, name):
    """The tones, a few epochs, one of each later stage; causal, for which no clip is too short."""
    width, depth = SIZES[name]
    path = tones.config(folder)
    sets = {
        "data.root": folder / "data", "data.cache": folder / "cache", "run.dir": folder / name,
        "model.name": name, "model.width": width, "model.depth": depth, "model.padding": "causal",
        "train.epochs": EPOCHS.get(name, 3), "train.warmup_epochs": 0, "train.batch_size": 4,
        "prune.epochs": 1, "quantize.epochs": 1,
    }  # fmt: skip
    return config.load_config(path, [f"{key}={value}" for key, value in sets.items()])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the recordings and what they decode to, the same for every model."""
    folder = tmp_path_factory.mktemp("chain")
    tones.make(folder / "data", takes=1)
    first = settings(folder, "ds_cnn")
    return folder, train.load_material(first, pipeline.index(first))


@pytest.fixture(scope="module")
def trained(place):
    """Name -> the run and the records of its stages, trained when first asked."""
    folder, material = place

    @cache
    def train_all(name):
        run = Run.create(settings(folder, name))
        records = [train.train(run, material), compress.prune(run, material)]
        records.append(compress.quantize_aware(run, material))
        return SimpleNamespace(run=run, records=records, clips=material.val.waveforms)

    return train_all


@pytest.fixture(scope="module")
def chains():
    """Name -> what `made` has made so far."""
    return {}


@pytest.fixture(scope="module")
def made(trained, chains):
    """Name -> all that and its files and what Keras says, made when first asked."""

    def make(name):
        if name not in chains:
            chains[name] = finished(name)
        return chains[name]

    def finished(name):
        found = trained(name)
        run, waveforms = found.run, np.float32(found.clips) / 32768
        with pytest.MonkeyPatch.context() as patch:  # each stage is read once for all its files
            read = compress.load
            patch.setattr(compress, "load", cache(lambda _, stage: read(run, stage)))
            paths = {
                kind: export.convert(run, **how, out=out(run, kind))
                for kind, (_, how, _) in KINDS.items()
                if (name, kind) in FILES
            }
            models = {stage: export.compose(run, stage) for stage, _, _ in CLIPS.values()}
        expected = {stage: model(waveforms).numpy() for stage, model in models.items()}
        return SimpleNamespace(
            **vars(found), waveforms=waveforms, paths=paths, int8=paths["int8"], models=models,
            expected=expected,
        )  # fmt: skip

    return make


def out(run, kind):
    """Where a file lies; None is the usual place of its kind."""
    return run.dir / f"{kind}.tflite" if kind == "calibrated" else None


@pytest.fixture(scope="module")
def answers(made, chains):
    """(name, kind, target) -> what the file of a model answers there.

    All files that there are by then are asked at once: a target may be a process of its own.
    """
    heard = {}

    def hear(name, kind, target):
        waveforms = made(name).waveforms  # the same for every model
        if (name, kind, target) not in heard:
            new = {
                (name, kind, target): path
                for name, chain in chains.items()
                for kind, path in chain.paths.items()
                if (name, kind, target) not in heard
            }
            said = targets.hear(list(new.values()), target, waveforms)
            heard.update(zip(new, said, strict=True))
        return heard[name, kind, target]

    return hear


@EACH
def test_pruning_reaches_its_sparsity_and_quantisation_keeps_it(name, trained):
    _, pruned, qat = trained(name).records
    assert pruned["sparsity"].keys() == qat["sparsity"].keys()
    assert len(pruned["sparsity"]) >= 2
    for record in (pruned, qat):
        assert min(record["sparsity"].values()) >= 0.49
        assert max(record["sparsity"].values()) <= 0.6


@EACH
def test_classifier_in_the_file_is_int8_and_builtin(name, made):
    summary = model_summary(made(name).int8)
    assert not summary["not_builtin"]
    kernels = [row for row in summary["kernels"] if row["part"] == "classifier"]
    assert {row["dtype"] for row in kernels} == {"INT8"}
    assert len(kernels) >= 4
    floats = [
        row
        for row in summary["tensors"]
        if row["part"] == "classifier" and row["dtype"] == "FLOAT32"
    ]
    assert not [row for row in floats if np.prod(row["shape"]) > 1], floats


@EACH
@pytest.mark.parametrize("kind", CLIPS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_file_is_the_network_that_it_was_made_from(name, kind, runtime, made):
    """float16 rounds weights to 11 bits; what only calibration rounds may turn at an edge.

    The other limits are those of the proof.
    """
    chain = made(name)
    stage, _, limits = CLIPS[kind]
    heard = Interpreter(chain.paths[kind], runtime=runtime)(chain.clips)
    assert np.abs(heard - chain.expected[stage]).max() <= limits.max_delta
    agree = heard.argmax(axis=1) == chain.expected[stage].argmax(axis=1)
    assert parity.agrees(agree.mean(), len(agree), limits)


@pytest.mark.parametrize(("name", "kind"), FILES)
@pytest.mark.parametrize("target", targets.TARGETS)
def test_file_runs_alike_in_every_runtime_that_it_claims(
    name, kind, target, made, answers, other_pythons
):
    """Held against TensorFlow's own; a step of an int8 tensor may fall the other way."""
    chain = made(name)
    path = chain.paths[kind]
    assert target in read_card(path).provenance["runtimes"]
    assert not targets.lacking(split(path.read_bytes(), source=path)[0], [target])
    if targets.place(target) is None:
        pytest.skip(f"{target} is not at hand; its ops are known from the table only")
    reference = open_model(path, runtime="tensorflow")(chain.clips)
    limits = KINDS[kind][2]
    np.testing.assert_allclose(answers(name, kind, target), reference, atol=limits.max_delta)


@pytest.mark.parametrize(("name", "kind"), [file for file in FILES if file[1] in STREAMS])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_stream_goes_on_from_packet_to_packet_as_keras_does(name, kind, runtime, made):
    """Both begin with the states of silence, and each hands on its own.

    The states are compared too, since probabilities of a short training may all be 0 and 1: in
    float to a thousandth of the greatest value. In int8 steps that fall the other way add up from
    layer to layer; they are held to two of 255 in the mean.
    """
    chain = made(name)
    stage, _, limits = STREAMS[kind]
    stream = StreamingInterpreter(chain.paths[kind], runtime=runtime)
    batch = stream._batch
    silence = [real(*pair) for pair in zip(batch._before, batch._states, strict=True)]
    names = stream.card.streaming["states"]
    states = {name: tf.constant(state) for name, state in zip(names, silence, strict=True)}
    samples = chain.waveforms[0, -PACKETS * stream.packet_samples - QUIET : -QUIET]
    samples = np.resize(samples, PACKETS * stream.packet_samples)
    expected = []
    step = streaming.to_streaming(chain.models[stage]).step
    for packet in samples.reshape(PACKETS, 1, -1):
        probs, states = step(tf.constant(packet), states)
        expected.append(probs.numpy()[0])
    np.testing.assert_allclose(stream.push(samples), expected, atol=limits.max_delta)
    moved = []
    for name, item, before, after in zip(names, batch._after, silence, batch._states, strict=True):
        wanted = states[name].numpy()
        scale, _ = item["quantization"]
        error = np.abs(real(item, after) - wanted)
        span = np.abs(wanted).max()
        assert (error.mean() <= 2 * scale) if scale else (error.max() <= 1e-3 * max(1, span)), name
        moved.append(np.abs(wanted - before).max())
    assert min(moved[:2]) > 0.01  # samples and features at least are others than those of silence


def real(item, state):
    """The values of a state, which an int8 file keeps at a scale."""
    scale, zero = item["quantization"]
    return np.float32((np.float32(state) - zero) * scale if scale else state)


@pytest.mark.parametrize(("name", "layer"), WHOLE_CLIP.items())
def test_classifier_that_cannot_stream_is_refused_by_the_name_of_its_layer(name, layer, made):
    chain = made(name)
    for stage, _, _ in STREAMS.values():
        with pytest.raises(UserError, match=f"layer '{layer}'"):
            streaming.to_streaming(chain.models[stage])
    with pytest.raises(UserError, match=f"layer '{layer}'"):
        export.convert(chain.run, "float", stream=True)
    assert not chain.run.model("float", streaming=True).exists()


@EACH
@pytest.mark.skipif("ai_edge_litert" not in RUNTIMES, reason="needs ai-edge-litert")
def test_delegate_takes_the_whole_file(name, made):
    assert measure.delegate_coverage(made(name).int8, runtime="ai_edge_litert")["share"] == 1.0


def test_table_of_a_run_shows_the_accuracy_that_it_holds(made):
    chain = made("ds_cnn")
    files.write_json(chain.run.results / "accuracy.json", {"int8": {"accuracy": 0.625}})
    [row] = table(directories=[chain.run.dir], runs=100)["rows"]
    assert (row["model"], row["accuracy"]) == ("ds_cnn", 0.625)
    assert row["size_bytes"] == chain.int8.stat().st_size
    assert row["params"] == chain.records[0]["params"] - 1  # which counts the step of the dropout
