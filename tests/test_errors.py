"""The guard of the commands: a sentence and exit code 2, whatever a user or the system refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audio_edge.errors import UserError, command

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (UserError("a.toml: no such key; remove it"), "a.toml: no such key; remove it"),
        (PermissionError(13, "Permission denied", "a.json"), "a.json: Permission denied; check"),
        (OSError(28, "No space left on device"), "the output: No space left on device; check"),
        (MemoryError("Unable to allocate 4 EiB"), "not enough memory (Unable to allocate 4 EiB)"),
    ],
)
def test_what_is_refused_is_one_sentence_and_exit_2(error, sentence, capsys):
    @command
    def main(argv=None):
        raise error

    assert main([]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {sentence}")
    assert said.count("\n") == 1


def printing(text, stdout):
    code = (
        "import sys\nfrom audio_edge.errors import command\n"
        f"@command\ndef main(argv=None):\n    print({text})\n    return 0\nsys.exit(main())\n"
    )
    given = {"cwd": ROOT, "stderr": subprocess.PIPE, "text": True, "check": False}
    return subprocess.run([sys.executable, "-c", code], stdout=stdout, **given)


def test_closed_pipe_ends_in_silence():
    command = [sys.executable, "-c", "import os; os.close(0)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as reader:
        reader.wait()
        done = printing("'a'", reader.stdin)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has this device")
def test_full_disk_behind_stdout_is_one_sentence():
    with open("/dev/full", "w") as full:
        done = printing("'a'", full)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has this device")
@pytest.mark.parametrize(("body", "code"), [("print('a', file=sys.stderr)", 0), ("open('')", 2)])
def test_full_disk_behind_stderr_changes_no_exit_code(body, code):
    """Also where Python buffers what goes there."""
    script = (
        "import contextlib, sys\nfrom audio_edge.errors import command\n"
        f"@command\ndef main(argv=None):\n"
        f"    with contextlib.suppress({'OSError' if not code else ''}):\n        {body}\n"
        "    return 0\nsys.exit(main())\n"
    )
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, stderr=full, env=env, check=False
        )
    assert done.returncode == code


def test_name_that_is_not_utf8_is_printed_escaped():
    done = printing(r"'caf\udce9.wav'", subprocess.PIPE)
    assert (done.returncode, done.stdout) == (0, "caf\\udce9.wav\n")
