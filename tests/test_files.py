"""Files appear whole or not at all, and JSON is strict."""

import errno
import hashlib
import json
import os
import stat

import pytest

from audio_edge import files
from audio_edge.errors import UserError


def test_replacing_puts_the_new_file_in_place_only_at_the_end(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with files.replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_replacing_keeps_the_old_file_when_the_block_raises(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), files.replacing(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_replacing_leaves_nothing_when_there_was_nothing(tmp_path):
    with pytest.raises(RuntimeError), files.replacing(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert os.listdir(tmp_path / "new") == []


def test_replacing_gives_a_hidden_name_with_the_suffix_of_the_target(tmp_path):
    # soundfile and Keras choose the format by suffix; a hidden name is passed over by the index
    with files.replacing(tmp_path / "a.wav") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".wav"
        assert temporary.name.startswith(".")


def test_written_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")  # the oracle: what open() gives under this umask
    files.write_bytes(tmp_path / "ours", b"")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes["ours"] == modes["plain"]


def test_target_under_a_file_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/a.txt: cannot be written .*choose another place"):
        files.write_bytes(tmp_path / "file" / "a.txt", b"")


def test_folder_in_place_of_the_target_is_a_user_error_that_leaves_nothing(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(UserError, match=r"a.txt: cannot be written .*choose another place"):
        files.write_bytes(tmp_path / "a.txt", b"")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_full_disk_is_a_user_error_that_keeps_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with (
        pytest.raises(UserError, match=r"a.txt: cannot be written \(No space left.*free space"),
        files.replacing(target) as temporary,
    ):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [1, float("-inf")]}])
def test_write_json_refuses_what_is_not_json_and_keeps_the_old_file(tmp_path, value):
    target = tmp_path / "a.json"
    files.write_json(target, {"loss": 1.5})
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(target, value)
    assert files.read_json(target) == {"loss": 1.5}
    assert os.listdir(tmp_path) == ["a.json"]


def test_json_round_trips_and_is_utf8(tmp_path):
    value = {"wörter": ["ja", None, True, 1, 0.1, -1e-300], "leer": {}}
    files.write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_bytes().decode("utf-8")
    assert files.read_json(tmp_path / "a.json") == json.loads(text) == value
    assert "wörter" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 100000, "not valid JSON"),
        (b"[]", "damaged, it holds no dict"),
    ],
)
def test_unreadable_json_names_the_file(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=f"a.json: {message}.*; delete it and run"):
        files.read_json(tmp_path / "a.json", dict)


def test_fingerprint_sees_values_and_order_of_lists_but_not_of_keys():
    first = files.fingerprint({"a": [1, 2], "b": 0.5})
    assert files.fingerprint({"b": 0.5, "a": [1, 2]}) == first
    assert files.fingerprint({"a": [2, 1], "b": 0.5}) != first
    assert files.fingerprint({"a": [1, 2], "b": 0.25}) != first
    assert first == hashlib.sha256(b'{"a":[1,2],"b":0.5}').hexdigest()


def test_json_keeps_a_name_that_is_not_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    files.write_json(tmp_path / "a.json", [name])
    assert files.read_json(tmp_path / "a.json") == [name]


def test_output_that_is_read_or_written_too_is_refused(tmp_path):
    model, link = tmp_path / "model.tflite", tmp_path / "link.tflite"
    model.write_bytes(b"x")
    link.symlink_to(model)
    for outputs in ([model], [link], [tmp_path / "a", tmp_path / "a"]):
        with pytest.raises(UserError, match="name another"):
            files.require_free(outputs, inputs=[model, None], force=True)
    with pytest.raises(UserError, match="--force"):
        files.require_free([model], force=False)
    files.require_free([tmp_path / "new", None], inputs=[model], force=False)
    files.require_free([model], force=True)
