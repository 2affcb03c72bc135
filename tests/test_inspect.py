from __future__ import annotations

import json

import pytest

import tflite
from audio_edge.errors import UserError
from tests import models_for_tests as made
from tflite import inspect, shadowing
from tflite.inspect import main


@pytest.fixture
def saved(tmp_path):
    def save(content: bytes):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        return str(path)

    return save


def test_report_shows_card_ops_parts_and_sparsity(saved, capsys):
    path = saved(
        made.carded(made.keyword_model(True), labels=("yes", "no", "unknown"), stage="int8")
    )
    assert main([path]) == 0
    out = capsys.readouterr().out
    lines = {tuple(line.split()) for line in out.splitlines()}
    assert ("labels", "yes,", "no,", "unknown") in lines
    assert ("input", "1600", "samples", "at", "16000", "Hz") in lines
    assert ("name", "tiny,", "int8") in lines
    assert any(line[:3] == ("1", "x", "RFFT2D") for line in lines)
    assert any(line[:3] == ("0.500", "classifier", "CONV_2D") for line in lines)
    assert any(line[:1] == ("front_end",) and "ops" in line for line in lines)
    assert "classifier: 55 params, sparsity 0.438" in out


def test_json_holds_the_same_facts(saved, capsys):
    assert main([saved(made.keyword_model()), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["params"] == 55 and facts["card"] is None
    runtime = facts["runtimes"]["ai_edge_litert"]
    assert runtime["runs"] and 0 < runtime["delegated"] < runtime["ops"] == 19


def test_tensors_lists_every_constant_not_the_largest_only(saved, capsys, monkeypatch):
    monkeypatch.setattr(inspect, "LARGEST", 2)
    path = saved(made.keyword_model())
    assert main([path, "--json"]) == 0
    tensors = json.loads(capsys.readouterr().out)["tensors"]
    assert [row["bytes"] for row in tensors[:2]] == [129 * 8 * 4, 3 * 3 * 4 * 4]  # mel, convolution
    assert main([path]) == 0
    shown = capsys.readouterr().out
    assert f"2 of {len(tensors)}" in shown and "[4, 3, 3, 1]  classifier" in shown
    assert main([path, "--tensors"]) == 0
    shown = capsys.readouterr().out
    assert f"{len(tensors)} of {len(tensors)}" in shown
    assert all(str(row["shape"]) in shown for row in tensors)


@pytest.mark.parametrize("name", ["Unheard", "FlexSoftmax"])
def test_op_that_is_not_builtin_gives_exit_code_1_and_its_name(saved, capsys, name):
    assert main([saved(made.with_custom_op(made.keyword_model(), name))]) == 1
    out, err = capsys.readouterr()
    assert err.splitlines()[-1].endswith(
        f"holds ops that are not builtin: {name}; export it with TFLITE_BUILTINS only"
    )
    assert "does not run" in out


@pytest.mark.parametrize("content", [None, b"", b"not a model at all"])
def test_missing_or_foreign_file_is_one_line_and_exit_code_2(saved, tmp_path, capsys, content):
    path = saved(content) if content is not None else str(tmp_path / "nowhere.tflite")
    assert main([path]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith(f"error: {path}: ") and err.count("\n") == 1


def test_flipped_bit_is_noticed(saved, capsys):
    content = bytearray(made.carded(made.keyword_model(), labels=("a", "b", "c")))
    content[len(content) // 3] ^= 4
    assert main([saved(bytes(content))]) == 2
    assert "damaged" in capsys.readouterr().err


def test_own_package_passes_the_shadow_check():
    tflite.check_not_shadowed()


def test_pypi_s_tflite_in_the_same_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(shadowing, "__file__", str(tmp_path / "shadowing.py"))
    monkeypatch.setattr(tflite, "__file__", str(tmp_path / "__init__.py"))
    shadowing.check_not_shadowed()
    (tmp_path / "Model.py").touch()
    with pytest.raises(UserError, match="pip uninstall tflite"):
        shadowing.check_not_shadowed()


def test_pypi_s_tflite_elsewhere_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(tflite, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(UserError, match="pip uninstall tflite"):
        shadowing.check_not_shadowed()
