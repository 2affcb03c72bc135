"""Every way to shrink one float stage: each holds what it claims, in the file."""

import dataclasses
import json
from functools import cache

import numpy as np
import pytest

from audio_edge import Interpreter, claims, compress, config, export, files
from audio_edge.compression import chart, judge, make, rows, table
from audio_edge.errors import UserError
from audio_edge.interpreter import available_runtimes
from audio_edge.run import Run
from audio_edge.summary import model_summary
from benchmarks import compression
from tests import tones
from training import prune, quantize

pytestmark = pytest.mark.xdist_group("compression")

NAMES = ["float16", "dynamic", "int8_post", "two_of_four", "pruned_clustered", "narrow_50"]
SETS = {
    "model.width": 16, "model.depth": 2, "model.padding": "causal", "train.epochs": 2,
    "train.batch_size": 8, "channels.epochs": 1, "prune.epochs": 1, "prune.sparsity": 0.7,
    "cluster.epochs": 1, "cluster.number": 8, "quantize.epochs": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with recordings and a finished comparison."""
    folder = tmp_path_factory.mktemp("compression")
    tones.make(folder / "data", takes=1)
    tones.config(folder)
    assert compression.main([*arguments(folder), "--rows", *NAMES, "--runs", "100"]) == 0
    return folder


def arguments(folder, **keys):
    sets = {**SETS, "data.root": folder / "data", "data.cache": folder / "cache", **keys}
    sets.setdefault("run.dir", folder / "out")
    flags = [flag for key, value in sets.items() for flag in ("--set", f"{key}={value}")]
    return [str(folder / "tones.toml"), *flags]


def row_of(place, name):
    overrides = arguments(place)[2::2]
    found = rows.rows(config.load_config(place / "tones.toml", overrides))
    [row] = [row for row in found if row.name == name]
    return row, Run.open(row.config.run.dir)


def results(place):
    found = [files.read_json(path, dict) for path in place.glob("out/compression/*/row.json")]
    return {row["name"]: row for row in found}


@cache
def kernels(place, name):
    """Those of the classifier in the file of a row."""
    row, run = row_of(place, name)
    rows_ = model_summary(run.model(row.kind))["kernels"]
    return [kernel for kernel in rows_ if kernel["part"] == "classifier"]


@cache
def wanted(place, name):
    """What a row claims of its kernels."""
    _, run = row_of(place, name)
    classifier = compress.load(run, run.stages[-1])
    return claims.of(classifier, run.config, run.stages[-1], run.stages)


def test_all_rows_are_judged_against_the_float_original(place):
    found = files.read_json(place / "out/compression/compression.json", dict)["rows"]
    first = found[0]
    assert [row["name"] for row in found] == ["float32", *NAMES]
    for row in found:
        assert row["drop"]["accuracy_a"] == first["accuracy"]
        assert row["drop"]["accuracy_b"] == row["accuracy"]
        assert row["p50_ms"].keys() == row["speed_up"].keys() >= {"ai_edge_litert"}
    assert first["speed_up"]["ai_edge_litert"] == 1
    picture = place / "out/compression/compression.png"
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    text = (place / "out/compression/compression.md").read_text()
    assert text.count("\n| ") == len(found) + 2


def test_second_run_makes_nothing(place, capsys):
    before = {path: path.stat().st_mtime_ns for path in place.rglob("weights.h5")}
    assert compression.main([*arguments(place), "--rows", "pruned_clustered"]) == 0
    assert capsys.readouterr().out.count("up to date") == 2
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_float_stage_is_trained_once_and_shared(place):
    weights = {path.read_bytes() for path in place.glob("out/compression/*/float/weights.h5")}
    assert len(weights) == 1


def test_types_in_the_file_are_those_claimed(place):
    dtypes = {name: {row["dtype"] for row in kernels(place, name)} for name in NAMES}
    assert dtypes["float16"] == {"FLOAT16"}
    assert dtypes["int8_post"] == dtypes["narrow_50"] == {"INT8"}
    assert dtypes["dynamic"] <= {"INT8", "FLOAT32"}


@pytest.mark.parametrize("name", ["float32", *NAMES])
@pytest.mark.parametrize("runtime", available_runtimes())
def test_front_end_stays_float_and_every_runtime_runs_the_file(place, name, runtime, rng):
    row, run = row_of(place, name)
    summary = model_summary(run.model(row.kind))
    front = {t["dtype"] for t in summary["tensors"] if t["part"] == "front_end"}
    assert front <= {"FLOAT32", "INT32"}
    original_row, original = row_of(place, "float32")
    clips = rng.normal(0, 0.1, (4, 8000)).astype(np.float32)
    heard = Interpreter(run.model(row.kind), runtime=runtime)(clips)
    np.testing.assert_allclose(heard.sum(axis=1), 1, atol=1e-5)
    if name in ("float16", "dynamic", "int8_post"):  # the same weights, stored with fewer bits
        expected = Interpreter(original.model(original_row.kind))(clips)
        atol = {"float16": 2e-3}.get(name, 0.15)
        np.testing.assert_allclose(heard, expected, atol=atol)


def test_two_of_four_neighbours_are_zero_along_the_inputs(place):
    found = kernels(place, "two_of_four")
    pruned = [claim for claim in wanted(place, "two_of_four") if claim.of_four == 2]
    assert len(pruned) >= 3
    for claim in pruned:
        same = [row for row in found if claims.plain(row["shape"]) == claim.shape]
        assert all(row["of_four"] <= 2 and row["sparsity"] >= 0.49 for row in same)


def test_clusters_and_zeros_outlast_quantisation(place):
    found, claimed = kernels(place, "pruned_clustered"), wanted(place, "pruned_clustered")
    clustered = {claim.shape for claim in claimed if claim.distinct}
    for row in found:
        if claims.plain(row["shape"]) in clustered:
            assert row["distinct"] <= 8
            assert row["sparsity"] >= 0.69
    assert any(row["distinct"] > 8 for row in found)  # the last layer is left alone


def test_channels_are_half_of_what_they_were(place):
    wide, narrow = results(place)["float32"]["found"], results(place)["narrow_50"]["found"]
    last = 5  # the logits keep their number
    assert narrow["channels"] - last == (wide["channels"] - last) / 2
    assert narrow["kernels"] == wide["kernels"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sparsity": 0.9}, "lost its sparsity of 0.90"),
        ({"of_four": 2}, "lost its 2:4 zeros"),
        ({"distinct": 4}, "distinct weights, wanted 4"),
        ({"shape": (99, 3)}, r"of shape \(99, 3\) is not in the file: its channels were lost"),
    ],
)
def test_file_that_does_not_hold_a_claim_is_refused(place, changed, message):
    row, run = row_of(place, "int8_post")
    broken = [
        dataclasses.replace(claim, **changed) if claim.name == "band_pointwise" else claim
        for claim in wanted(place, "int8_post")
    ]
    with pytest.raises(UserError, match=message):
        claims.check(model_summary(run.model(row.kind)), broken, "int8")


def test_file_of_another_type_is_refused(place):
    row, run = row_of(place, "float16")
    with pytest.raises(UserError, match="is FLOAT16, wanted INT8"):
        claims.check(model_summary(run.model(row.kind)), wanted(place, "float16"), "int8")


def test_row_that_fails_its_claims_stops_with_its_name(place, monkeypatch, capsys):
    def refuse(*args):
        raise UserError("kernel 'stem' lost its 2:4 zeros")

    monkeypatch.setattr(claims, "check", refuse)
    (row_of(place, "two_of_four")[1].dir / "row.json").unlink()
    assert compression.main([*arguments(place), "--rows", "two_of_four"]) == 2
    message = capsys.readouterr().err
    assert "row 'two_of_four'" in message
    assert "not written, kernel 'stem' lost its 2:4 zeros" in message


@pytest.mark.parametrize("stage", ["clustered"])
@pytest.mark.parametrize("kind", ["int8", "dynamic"])
def test_clusters_are_not_quantised_after_training(place, stage, kind):
    _, run = row_of(place, "pruned_clustered")
    with pytest.raises(UserError, match=f"stage 'clustered' cannot become a {kind} file"):
        export.convert(run, kind, stage=stage)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"prune.pattern": "2:4"}, "leaves exactly half"),
        ({"prune.pattern": "2:4", "prune.sparsity": 0.5}, "does not outlast clustering"),
        ({"cluster.number": 500}, "must be 0 or 2 to 128"),
        ({"channels.remove": 1.0}, r"remove must be in \[0, 1\)"),
        ({"channels.rank": "luck"}, "rank must be one of taylor, scale, l1"),
    ],
)
def test_combinations_without_sense_are_refused(tmp_path, keys, message):
    tones.config(tmp_path)
    sets = [f"{key}={value}" for key, value in {**SETS, **keys}.items()]
    with pytest.raises(UserError, match=message):
        config.load_config(tmp_path / "tones.toml", sets)


def test_unknown_row_is_one_sentence(place, capsys):
    assert compression.main([*arguments(place), "--rows", "tiny"]) == 2
    assert "no row is called 'tiny'; known: float32, float16" in capsys.readouterr().err


def test_stages_left_out_are_not_made():
    off = {"sparsity": 0.0}
    settings = config.from_dict({"prune": off, "quantize": {"epochs": 0}})
    assert Run("x", settings).stages == ("float",)
    settings = config.from_dict({"channels": {"remove": 0.5}, "cluster": {"number": 16}})
    assert Run("x", settings).stages == ("float", "narrow", "pruned", "clustered", "qat")
    assert Run("x", config.from_dict({"prune": off})).before("qat") == "float"


@pytest.mark.parametrize(
    ("command", "keys", "wanted"),
    [
        (
            prune,
            {"prune.sparsity": 0.0, "cluster.number": 0},
            "set channels.remove or prune.sparsity",
        ),
        (quantize, {"quantize.epochs": 0}, "set quantize.epochs"),
    ],
)
def test_command_with_nothing_to_do_says_what_to_set(
    place, tmp_path, capsys, command, keys, wanted
):
    assert command.main(arguments(place, **keys, **{"run.dir": tmp_path / "run"})) == 2
    assert wanted in capsys.readouterr().err


def test_peers_stand_in_the_table_with_what_they_are(place, tmp_path):
    row, run = row_of(place, "float32")
    made = files.read_json(run.dir / "row.json", dict)
    peer = tmp_path / "peer.tflite"
    peer.write_bytes(run.model(row.kind).read_bytes())
    found = table.collect([made], [peer], name="x", runs=100)
    assert found["peers"][0]["input"] == [1, 8000]
    assert not found["peers"][0]["model_only"]
    assert "| peer | 1 x 8000 | from samples |" in table.markdown(found)
    json.dumps(found)
    chart.chart(tmp_path / "x.png", found)
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_folder_without_models_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="holds no .tflite file"):
        judge.peers(tmp_path)


def test_stage_that_another_row_has_is_copied(place, tmp_path):
    row, run = row_of(place, "pruned_clustered")
    other = Run(tmp_path / "copy", run.config)
    data = run.require("qat")
    assert make.finished(run, "qat", data["fingerprint"])
    make.copy(run.stage("pruned"), other.stage("pruned"))
    assert other.require("pruned") == run.require("pruned")
    assert (other.stage("pruned") / "weights.h5").exists()
