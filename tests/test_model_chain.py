"""Every model through the whole chain on tones: train, prune, quantise, convert, run everywhere."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from audio_edge import Interpreter, compress, config, export, files, measure, parity, targets, train
from audio_edge.card import read_card, split
from audio_edge.datasets import pipeline
from audio_edge.interpreter import available_runtimes
from audio_edge.model_table import table
from audio_edge.models import MODELS
from audio_edge.run import Run
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
}


def settings(folder, name):
    """The tones, one epoch of each stage; causal, for which no clip is too short."""
    width, depth = SIZES[name]
    path = tones.config(folder)
    sets = {
        "data.root": folder / "data", "data.cache": folder / "cache", "run.dir": folder / name,
        "model.name": name, "model.width": width, "model.depth": depth, "model.padding": "causal",
        "train.epochs": 3, "train.warmup_epochs": 0, "prune.epochs": 1, "quantize.epochs": 1,
        "train.batch_size": 4,
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
def made(place):
    """Name -> the records of its stages, its file and what Keras says, made when first asked."""
    folder, material = place
    done = {}

    def make(name):
        if name not in done:
            run = Run.create(settings(folder, name))
            records = [train.train(run, material), compress.prune(run, material)]
            records.append(compress.quantize_aware(run, material))
            clips = material.val.waveforms
            done[name] = SimpleNamespace(
                run=run, records=records, int8=export.convert(run, "int8"), clips=clips,
                float=export.convert(run, "float"),
                expected=export.compose(run, "qat")(np.float32(clips) / 32768).numpy(),
            )  # fmt: skip
        return done[name]

    return make


@EACH
def test_pruning_reaches_its_sparsity_and_quantisation_keeps_it(name, made):
    _, pruned, qat = made(name).records
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
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_int8_file_is_the_fake_quantised_network(name, runtime, made):
    chain = made(name)
    heard = Interpreter(chain.int8, runtime=runtime)(chain.clips)
    limits = parity.FAKE_QUANT
    assert np.abs(heard - chain.expected).max() <= limits.max_delta
    agree = heard.argmax(axis=1) == chain.expected.argmax(axis=1)
    assert agree.mean() >= limits.min_agreement


@EACH
@pytest.mark.parametrize("kind", ["float", "int8"])
@pytest.mark.parametrize("target", targets.TARGETS)
def test_file_runs_alike_in_every_runtime_that_it_claims(name, kind, target, made):
    """Held against TensorFlow's own; a step of an int8 tensor may fall the other way."""
    chain = made(name)
    path = getattr(chain, kind)
    assert target in read_card(path).provenance["runtimes"]
    assert not targets.lacking(split(path.read_bytes(), source=path)[0], [target])
    if targets.place(target) is None:
        pytest.skip(f"{target} is not at hand; its ops are known from the table only")
    clips = np.float32(chain.clips) / 32768
    [heard] = targets.hear([path], target, clips)
    reference = Interpreter(path, runtime="tensorflow")(clips)
    limits = {"float": parity.SAME_ARITHMETIC, "int8": parity.FAKE_QUANT}[kind]
    np.testing.assert_allclose(heard, reference, atol=limits.max_delta)


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
