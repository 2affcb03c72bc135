"""The registry: versions that never change, a current one, the way back, and kills in between."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from audio_edge import files, registry
from audio_edge.card import Card, attach
from audio_edge.errors import UserError
from training import registry as commands

ROOT = Path(__file__).parents[1]


def model(path, name="a"):
    """A file that only the registry takes for a model: the right magic, and a card."""
    path.write_bytes(attach(b"\0\0\0\0TFL3" + name.encode(), Card(("yes", "no"), 16000, 16000)))
    return path


def add(root, path, **lineage):
    return registry.add(root, "kitchen", path, lineage=lineage, added="2024-06-01T12:00:00")


@pytest.fixture
def two(tmp_path):
    """A registry of two versions, none of them current."""
    root = tmp_path / "registry"
    for name in "ab":
        add(root, model(tmp_path / f"{name}.tflite", name), parent=None)
    return root


def test_versions_are_numbered_and_carry_their_lineage(tmp_path):
    root = tmp_path / "registry"
    first = add(root, model(tmp_path / "a.tflite"), parent=None, data="f00")
    second = add(root, model(tmp_path / "b.tflite", "b"), parent=1)
    assert (first.number, second.number) == (1, 2)
    assert registry.find(root, "kitchen", 1) == first
    assert first.lineage == {"parent": None, "data": "f00"}
    assert first.model.read_bytes() == (tmp_path / "a.tflite").read_bytes()
    assert registry.card(first).labels == ("yes", "no")
    assert registry.names(root) == ["kitchen"]


def test_current_is_a_path_that_follows_promotion_and_the_way_back(two, tmp_path):
    follow = two / "kitchen" / "current" / "model.tflite"
    assert registry.current(two, "kitchen") is None
    registry.promote(two, "kitchen", 1)
    assert follow.read_bytes() == (tmp_path / "a.tflite").read_bytes()
    registry.promote(two, "kitchen", 2)
    registry.promote(two, "kitchen", 2)  # once more changes nothing
    assert follow.read_bytes() == (tmp_path / "b.tflite").read_bytes()
    assert registry.rollback(two, "kitchen").number == registry.current(two, "kitchen") == 1
    with pytest.raises(UserError, match="nothing was current before"):
        registry.rollback(two, "kitchen")


def test_the_way_back_leads_further_each_time(two, tmp_path):
    add(two, model(tmp_path / "c.tflite", "c"))
    for number in (2, 1, 3):
        registry.promote(two, "kitchen", number)
    assert [registry.rollback(two, "kitchen").number for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("file", [registry.MODEL, registry.CARD, registry.RECORD])
def test_a_changed_file_is_noticed_and_never_promoted(two, file):
    registry.promote(two, "kitchen", 1)
    path = two / "kitchen" / "2" / file
    path.chmod(0o644)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"no", b"mo") if b"no" in content else content + b" ")
    if file == registry.RECORD:
        path.write_text(content.decode().replace("2024", "2025"))
    with pytest.raises(UserError, match=f"{file}: was changed"):
        registry.promote(two, "kitchen", 2)
    assert registry.current(two, "kitchen") == 1


@pytest.mark.parametrize("told", [{}, {"files": {}, "lineage": {}, "added": ""}, {"files": []}])
def test_a_record_of_something_else_is_a_changed_one(two, told, capsys):
    path = two / "kitchen" / "2" / registry.RECORD
    path.chmod(0o644)
    files.write_json(path, {**told, "sha256": files.fingerprint(told)})
    with pytest.raises(UserError, match=f"{registry.RECORD}: was changed"):
        registry.find(two, "kitchen", 2)
    assert commands.main([str(two), "list", "kitchen"]) == 0
    assert f"{registry.RECORD}: was changed" in capsys.readouterr().out


def test_a_half_written_version_is_never_seen_and_goes_with_the_next_writer(two, tmp_path):
    left = two / "kitchen" / ".draft-3"
    left.mkdir()
    (left / registry.MODEL).write_bytes(b"half")
    (two / "kitchen" / ".draft-current").symlink_to("3")
    assert registry.numbers(two, "kitchen") == [1, 2]
    assert add(two, model(tmp_path / "c.tflite", "c")).number == 3
    assert not list((two / "kitchen").glob(".draft*"))


def test_writers_at_once_get_numbers_of_their_own(tmp_path):
    root, path = tmp_path / "registry", model(tmp_path / "a.tflite")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(add(root, path).number)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 9))


WRITER = """
import sys
from audio_edge import registry
root, path = sys.argv[1:]
print("begun", flush=True)
while True:
    made = registry.add(root, "kitchen", path, lineage={}, added="")
    registry.promote(root, "kitchen", made.number)
    if made.number % 3 == 0:
        registry.rollback(root, "kitchen")
"""


def test_a_kill_at_any_moment_leaves_a_current_version_that_is_whole(two, tmp_path, rng):
    registry.promote(two, "kitchen", 1)
    for pause in rng.uniform(0, 0.05, 20):
        command = [sys.executable, "-c", WRITER, str(two), str(tmp_path / "a.tflite")]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(pause)
            os.kill(process.pid, signal.SIGKILL)
        assert registry.find(two, "kitchen").model.read_bytes()[4:8] == b"TFL3"
        for number in registry.numbers(two, "kitchen"):
            registry.find(two, "kitchen", number)
    assert len(registry.numbers(two, "kitchen")) > 2  # they were killed at work


def test_mistakes_are_told_in_one_sentence(two, tmp_path):
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(b"\0\0\0\0TFL3")
    wrong = [
        (lambda: add(two, bare), "carries no model card"),
        (lambda: registry.find(two, "kitchen", 7), "has no version 7; there are: 1, 2"),
        (lambda: registry.find(two, "kitchen"), "no version is current"),
        (lambda: registry.numbers(two, "../kitchen"), "is no name of a model"),
        (lambda: registry.names(tmp_path / "nowhere"), "no such registry"),
    ]
    for call, said in wrong:
        with pytest.raises(UserError, match=said):
            call()


def test_commands_add_promote_list_show_and_roll_back(carded_path, tmp_path, capsys):
    root = str(tmp_path / "registry")
    for _ in range(2):
        assert commands.main([root, "add", "tones", str(carded_path), "--promote"]) == 0
    assert capsys.readouterr().out.splitlines()[2] == "tones 2: current"
    assert commands.main([root, "rollback", "tones"]) == 0
    assert commands.main([root, "list", "tones"]) == 0
    assert [line[:5] for line in capsys.readouterr().out.splitlines()[-2:]] == ["*   1", "    2"]
    assert commands.main([root, "show", "tones", "2"]) == 0
    assert '"version": 2' in capsys.readouterr().out
    assert commands.main([root, "list", "other"]) == 2
    assert "no such model; there are: tones" in capsys.readouterr().err


def test_the_command_refuses_a_file_that_does_not_load(tmp_path, capsys):
    path = str(model(tmp_path / "a.tflite"))
    assert commands.main([str(tmp_path / "registry"), "add", "a", path]) == 2
    assert "cannot load it" in capsys.readouterr().err
    assert not (tmp_path / "registry").exists()
