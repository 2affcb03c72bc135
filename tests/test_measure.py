from __future__ import annotations

import resource
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from audio_edge import measure, probe
from audio_edge.errors import UserError
from tests import models_for_tests as made

SPEECH = np.sin(np.arange(4000) / 5).astype(np.float32)


@pytest.fixture
def saved(tmp_path):
    def save(content: bytes, name: str = "model.tflite"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return save


def test_sizes_equal_those_of_the_file_and_of_a_zip(saved, tmp_path):
    path = saved(made.dense_model(64, 64))  # ones, which deflate well
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.write(path)
        entry = archive.infolist()[0]
    zipped = archive.infolist()[0].compress_size
    assert measure.sizes(path) == {"size_bytes": path.stat().st_size, "zip_bytes": zipped}
    assert zipped < entry.file_size / 4


@pytest.mark.parametrize("quantized", [False, True])
def test_summary_counts_the_classifier_alone(saved, quantized):
    summary = measure.model_summary(saved(made.keyword_model(quantized)))
    assert summary["params"] == made.PARAMS == 55
    assert summary["not_builtin"] == []
    front = [row for row in summary["tensors"] if row["part"] == "front_end"]
    assert max(row["bytes"] for row in front) == 129 * 8 * 4  # the mel matrix, float in both
    ops = {op["op"]: op for op in summary["ops"]}
    assert ops["CONV_2D"]["dtype"] == ("INT8" if quantized else "FLOAT32")
    assert ops["RFFT2D"]["count"] == 1
    total = sum(part["ops"] for part in summary["parts"].values())
    assert total == sum(op["count"] for op in summary["ops"])


@pytest.mark.parametrize("quantized", [False, True])
def test_sparsity_of_a_half_zero_kernel_is_a_half(saved, quantized):
    summary = measure.model_summary(saved(made.keyword_model(quantized)))
    kernels = {row["op"]: row for row in summary["kernels"] if row["part"] == "classifier"}
    assert kernels["CONV_2D"]["sparsity"] == 0.5
    assert kernels["FULLY_CONNECTED"]["sparsity"] == 0.25  # 3 of 12
    assert summary["sparsity"] == 21 / 48


def test_front_end_ends_at_the_logarithm_or_the_quantize_behind_it(saved):
    from audio_edge.tflite_file import front_end, read

    for quantized, first in ((False, "RESHAPE"), (True, "QUANTIZE")):
        graph = read(saved(made.keyword_model(quantized)))[0]
        inside = front_end(graph)
        outside = [op.name for at, op in enumerate(graph.ops) if at not in inside]
        assert {"RFFT2D", "LOG"} <= {graph.ops[at].name for at in inside}
        assert outside[0] == first
        assert "LOG" not in outside


def test_front_end_ends_where_the_features_have_the_shape_of_the_card(saved):
    from audio_edge.tflite_file import front_end, read

    graph = read(saved(made.keyword_model(False)))[0]
    shapes = {graph.tensors[op.outputs[0]].shape for op in graph.ops if op.name == "RESHAPE"}
    _, frames, bands, _ = next(shape for shape in shapes if len(shape) == 4 and shape[-1] == 1)
    inside = front_end(graph, [frames, bands])
    assert graph.ops[max(inside)].name == "RESHAPE"  # behind the logarithm
    assert len(inside) == len(front_end(graph)) + 1
    assert front_end(graph, [1, 2]) == front_end(graph)


def test_file_without_logarithm_is_all_classifier(saved):
    summary = measure.model_summary(saved(made.dense_model(8, 4)))
    assert summary["parts"] == {
        "front_end": {"ops": 0, "bytes": 0},
        "classifier": {"ops": 1, "bytes": 8 * 4 * 4},
    }
    assert summary["params"] == 32


def test_custom_op_is_named(saved):
    path = saved(made.with_custom_op(made.keyword_model(), "FlexSoftmax"))
    assert measure.model_summary(path)["not_builtin"] == ["FlexSoftmax"]


@pytest.mark.parametrize("start", [100, 4000])
def test_damaged_flatbuffer_is_a_user_error(saved, start):
    model = made.keyword_model()
    damaged = model[:start] + b"\xff" * (len(model) - start)
    with pytest.raises(UserError, match="model.tflite: .*damaged"):
        measure.model_summary(saved(damaged))


def test_missing_file_is_a_user_error(tmp_path):
    for function in (measure.sizes, measure.model_summary, measure.peak_memory):
        with pytest.raises(UserError, match="nowhere.tflite"):
            function(tmp_path / "nowhere.tflite")


def test_latency_is_interleaved_and_given_as_percentiles(saved, monkeypatch):
    a, b = saved(made.dense_model(8, 4), "a.tflite"), saved(made.dense_model(4, 8), "b.tflite")
    calls: list[int] = []
    clock = [0.0]

    def run(session, number):
        calls.append(id(session))
        clock[0] += number / 1000

    monkeypatch.setattr(measure.Session, "run", run)
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    rows = measure.latency([a, b], SPEECH, runtimes=["ai_edge_litert"], runs=101)
    first, second = dict.fromkeys(calls)
    assert calls[:2] == [first, second]  # whether they run at all
    warm, rounds = calls[2 : -2 * 101], calls[-2 * 101 :]
    assert warm == [first] * measure._WARM_UP + [second] * measure._WARM_UP
    assert rounds == [first, second] * 101
    assert [row["path"] for row in rows] == [str(a), str(b)]
    for row in rows:  # of 0, 1, ... 100 ms
        assert row["p50_ms"] == pytest.approx(50) and row["p90_ms"] == pytest.approx(90)
        assert row["runs"] == 101 and row["rtf"] is None


def test_interleaved_times_each_function_in_each_round(monkeypatch):
    clock = [0.0]

    def waits(seconds):
        def wait(number):
            clock[0] += seconds * number

        return wait

    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    seconds = measure.interleaved([waits(1.0), waits(2.0)], 100)
    np.testing.assert_array_equal(seconds, np.outer(np.arange(100), [1.0, 2.0]))
    assert measure.interleaved([], 100).shape == (100, 0)
    with pytest.raises(UserError, match="at least 100"):
        measure.interleaved([], 99)


def test_interleaved_does_not_time_what_settles_a_function(monkeypatch):
    clock, calls = [0.0], []

    def wait(number):
        calls.append(number)
        clock[0] += 1.0

    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    np.testing.assert_array_equal(measure.interleaved([wait], 100, settle=2), 1.0)
    assert calls[measure._WARM_UP :][:6] == [2, 1, 0, 3, 2, 1]


def test_cuts_begin_at_several_places_of_the_same_sound():
    found = measure.cuts(np.arange(80))
    assert [int(cut[0]) for cut in found] == list(range(0, 80, 10))
    assert all(sorted(cut) == list(range(80)) for cut in found)


def test_rtf_is_the_median_over_the_clip(saved):
    path = saved(made.carded(made.keyword_model(), labels=("a", "b", "c")))
    rows = measure.latency([path], SPEECH, runs=100)
    assert {row["runtime"] for row in rows} <= {"ai_edge_litert", "tflite_runtime"}
    for row in rows:
        assert 0 < row["p50_ms"] <= row["p90_ms"]
        assert row["rtf"] == pytest.approx(row["p50_ms"] / 100)  # the clip has 100 ms


def test_latency_says_why_a_runtime_refuses(saved):
    path = saved(made.with_custom_op(made.keyword_model(), "Unheard"))
    row = measure.latency([path], SPEECH, runtimes=["ai_edge_litert"], runs=100)[0]
    assert "Unheard" in row["error"] and "p50_ms" not in row


def test_latency_refuses_few_runs_and_unknown_runtimes(saved):
    path = saved(made.dense_model(8, 4))
    with pytest.raises(UserError, match="at least 100 .* runs=99"):
        measure.latency([path], SPEECH, runs=99)
    with pytest.raises(UserError, match="runtime must be one of"):
        measure.latency([path], SPEECH, runtimes=["onnx"])


@pytest.mark.parametrize(
    ("dtype", "quantization", "expected"),
    [
        (np.float32, (0.0, 0), [-1, -0.5, 0.5, 1, -1, -0.5]),
        (np.int8, (0.0078125, 0), [-128, -64, 64, 127, -128, -64]),  # 1.0 is 128: clipped
        (np.int8, (0.6, 10), [8, 9, 11, 12, 8, 9]),  # rounded, not cut off
        (np.int32, (0.0, 0), [0, 0, 0, 0, 0, 0]),
    ],
)
def test_inputs_are_filled_by_rounding_and_clipping(dtype, quantization, expected):
    detail = {"dtype": dtype, "shape": np.array([2, 3]), "quantization": quantization}
    filled = measure._filled(detail, np.array([-1, -0.5, 0.5, 1]))
    assert filled.dtype == dtype and filled.shape == (2, 3)
    np.testing.assert_array_equal(filled.ravel(), expected)


def test_peak_memory_holds_the_weights_but_not_the_parent(saved):
    megabytes = 24
    path = saved(made.dense_model(1024, megabytes * 256))
    memory = measure.peak_memory(path)
    assert memory["peak_mib"] - memory["baseline_mib"] > megabytes
    parent_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert memory["baseline_mib"] < 150 < parent_mib  # this process has loaded TensorFlow


def test_peak_memory_of_a_file_that_does_not_run_is_a_user_error(saved):
    path = saved(made.with_custom_op(made.keyword_model(), "Unheard"))
    with pytest.raises(UserError, match="does not run in ai_edge_litert .*Unheard"):
        measure.peak_memory(path, runtime="ai_edge_litert")


def test_dense_layer_is_delegated_and_a_fourier_transform_is_not(saved):
    dense = measure.delegate_coverage(saved(made.dense_model(8, 4)), runtime="ai_edge_litert")
    assert dense == {"delegated": 1, "ops": 1, "share": 1.0}
    keyword = measure.delegate_coverage(saved(made.keyword_model()), runtime="ai_edge_litert")
    assert 5 <= keyword["delegated"] <= keyword["ops"] - 3  # RFFT2D, REAL and IMAG stay
    assert keyword["share"] == keyword["delegated"] / keyword["ops"]


def test_delegated_ops_are_those_between_a_delegate_s_outputs_and_inputs():
    ops = [
        {"inputs": [0, 1], "outputs": [2]},  # inside
        {"inputs": [2], "outputs": [3]},  # native: between the delegates
        {"inputs": [3, 4], "outputs": [5]},  # inside
        {"inputs": [9, 5], "outputs": []},  # assignment of what exists only inside
        {"inputs": [5], "outputs": [6]},  # inside
        {"inputs": [9, 6], "outputs": []},  # assignment of an output of the delegate
    ]
    delegates = [{"inputs": [0, 1], "outputs": [2]}, {"inputs": [3, 4, 9], "outputs": [6]}]
    assert probe._delegated(ops, delegates) == {0, 2, 3, 4}
    assert probe._delegated(ops, []) == set()


def test_device_names_the_runtimes_with_their_versions():
    facts = measure.device()
    assert facts["runtimes"]["ai_edge_litert"].count(".") == 2
    assert facts["cpu"] and facts["cores"] >= 1
