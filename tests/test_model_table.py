"""The table of architectures: what it counts, what it leaves blank, whom it refuses."""

from __future__ import annotations

import json

import pytest
import tf_keras as keras

from audio_edge import model_table
from audio_edge.errors import UserError
from audio_edge.models import MODELS
from benchmarks import models


def test_macs_are_counted_layer_by_layer():
    inputs = keras.Input((10, 8, 1))
    x = keras.layers.Conv2D(4, (3, 2), kernel_initializer="zeros")(inputs)  # [8, 7, 4] of 3 x 2 x 1
    x = keras.layers.DepthwiseConv2D((2, 2), depthwise_initializer="zeros")(x)  # [7, 6, 4] of 2 x 2
    x = keras.layers.Conv2D(5, 1, 2, kernel_initializer="zeros")(x)  # [4, 3, 5] of 4
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(3, kernel_initializer="zeros")(x)  # [3] of 60
    counted = model_table.macs(keras.Model(inputs, x))
    assert counted == 8 * 7 * 4 * 6 + 7 * 6 * 4 * 4 + 4 * 3 * 5 * 4 + 3 * 60


@pytest.mark.parametrize(
    ("name", "params", "paper"),
    [
        ("bc_resnet", 12 * 33, 9.2e3),  # arXiv 2106.04140, table 1
        ("tc_resnet", 12 * 49, 66e3),  # arXiv 1904.03814, table 1
        ("kwt", 12 * 65, 607e3),  # arXiv 2104.00769, table 1
    ],
)
def test_default_sizes_are_those_of_the_papers(name, params, paper):
    built = MODELS[name]((98, 40, 1), 12, padding="causal")
    assert built.get_layer("logits").count_params() == params
    # bc_resnet weighs the bands where the paper takes their mean
    weighing = [layer.count_params() for layer in built.layers if "_weigh" in layer.name]
    # within 10 %: statistics of the normalisation, and what else the docstrings say was changed
    assert built.count_params() - sum(weighing) == pytest.approx(paper, rel=0.1)


def test_every_model_has_sizes():
    assert list(model_table.SIZES) == list(MODELS)


def test_untrained_model_is_measured_and_its_accuracy_left_blank(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(model_table.SIZES, "ds_cnn", ((4, 1),))
    out = tmp_path / "t.json"
    assert models.main(["ds_cnn", "--repeats", "100", "--json", str(out)]) == 0
    [row] = json.loads(out.read_text())["rows"]
    assert (row["model"], row["width"], row["depth"], row["accuracy"]) == ("ds_cnn", 4, 1, None)
    assert 0 < row["int8_bytes"] < row["size_bytes"]
    assert all(times["p50_ms"] > 0 for times in row["latency"].values())
    assert all(0 <= share <= 1 for share in row["delegated"].values())
    printed = capsys.readouterr().out
    assert f"| ds_cnn | 4 | 1 | {row['params']} | {row['macs'] / 1e6:.2f} |" in printed
    assert models.main(["ds_cnn", "--json", str(out)]) == 2  # refuses to overwrite


def test_unknown_names_and_folders_without_a_run_are_refused(tmp_path):
    with pytest.raises(UserError, match="no model is called 'nope'; known: ds_cnn"):
        model_table.table(names=["nope"])
    with pytest.raises(UserError, match="not a run directory"):
        model_table.table(directories=[tmp_path])
    with pytest.raises(UserError, match="at least 100 timed runs"):
        model_table.table(runs=99)
