"""The plain install on emulated Raspberry Pis: python -m tests.emulated [arm64] [armhf].

Makes the root file system of each, installs the package without TensorFlow, lets it listen and
benchmark, and holds what it hears against this machine. Needs root, mmdebstrap
and qemu-user-static. What an emulated machine takes says nothing of a real one: no time is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from audio_edge.errors import UserError, command

ROOT = Path(__file__).parents[1]
MIRROR = "deb http://deb.debian.org/debian bookworm main"
PYTHON = "/usr/bin/python3.11"
PACKAGES = (
    "python3.11-minimal", "python3.11", "libpython3.11-stdlib", "libstdc++6", "libgcc-s1",
    "libgomp1", "zlib1g", "libexpat1", "libffi8", "bash", "coreutils",
)  # fmt: skip
SAME, STEP = 1e-5, 0.15  # of probabilities: float rounding; in int8 a step may fall the other way


@dataclass(frozen=True)
class System:
    """A Raspberry Pi's system: 64-bit from wheels alone, 32-bit with NumPy from Debian."""

    qemu: str
    cpu: str
    runtime: str
    debian: tuple[str, ...]
    pip: tuple[str, ...]
    environment: dict[str, str]


_ARM64 = [f"manylinux{tag}_aarch64" for tag in ("2014", "_2_17", "_2_27", "_2_28", "_2_34")]
_PIP = ("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "abi3",
        "--abi", "none", "--only-binary=:all:")  # fmt: skip
_LIBRARIES = "/usr/lib/arm-linux-gnueabihf"
SYSTEMS = {
    "arm64": System(
        "qemu-aarch64-static", "cortex-a72", "ai_edge_litert", (),
        (*_PIP, *(item for tag in _ARM64 for item in ("--platform", tag))),
        {"PYTHONPATH": "/w/site"},
    ),
    "armhf": System(
        "qemu-arm-static", "cortex-a7", "tflite_runtime",
        ("python3-numpy", "python3-cffi-backend", "libsndfile1"),
        (*_PIP, "--platform", "manylinux_2_34_armv7l", "--platform", "any", "--no-deps",
         "tflite-runtime==2.14.0", "soundfile", "typing_extensions", "lazy_loader", "packaging"),
        {"PYTHONPATH": "/w/site:/usr/lib/python3/dist-packages",
         "LD_LIBRARY_PATH": f"{_LIBRARIES}/blas:{_LIBRARIES}/lapack"},
    ),
}  # fmt: skip

# A child process would be a program of another machine: this one hands it to the emulator.
_WRAPPER = """#!/usr/bin/{qemu} {python}
import os, sys
os.execv("/usr/bin/{qemu}", ["qemu", "{python}", *sys.argv[1:]])
"""
_ASK = """
import importlib.util, json, sys
import numpy as np
from audio_edge import audio
from audio_edge.streaming_interpreter import StreamingInterpreter, open_model
assert importlib.util.find_spec("tensorflow") is None, "TensorFlow is installed"
sound, answers = audio.to_int16(audio.read(sys.argv[2], sample_rate=16000)[0]), {}
for path in sys.argv[3:]:
    model = open_model(path, runtime=sys.argv[1])
    if isinstance(model, StreamingInterpreter):
        heard = model.push(sound[: 4 * model.sample_rate])
    else:
        heard = model(np.resize(sound, (8, model.clip_samples)))
    answers[path] = np.float64(heard).tolist()
print(json.dumps(answers))
"""


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, run, print a line for each system."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulated")
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help="arm64, armhf; default: both")
    parser.add_argument("--model", action="append", help="files; default: untrained ones")
    parser.add_argument("--recording", help="16 kHz WAV; default: made-up sound")
    parser.add_argument("--roots", default=".cache/emulated", help="where the systems are kept")
    args = parser.parse_args(argv)
    wanted = args.systems or list(SYSTEMS)
    unknown = [name for name in wanted if name not in SYSTEMS]
    tools = ["mmdebstrap", "chroot", *(SYSTEMS[name].qemu for name in wanted if name in SYSTEMS)]
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    if unknown or lacking or os.getuid():
        raise UserError(
            f"{', '.join(unknown)}: not of {', '.join(SYSTEMS)}" if unknown
            else "needs root, and apt-get install mmdebstrap qemu-user-static"
        )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        wheel = _wheel(Path(folder))
        given = bool(args.model)
        models = [Path(path) for path in args.model] if given else _models(Path(folder))
        sound = Path(args.recording) if args.recording else _sound(Path(folder))
        for name in wanted:
            root = _root(name, Path(args.roots).absolute(), wheel)
            print(_judged(name, root, models, sound, trained=given), flush=True)
    return 0


def _judged(name: str, root: Path, models: Sequence[Path], sound: Path, *, trained: bool) -> str:
    """Hold an emulated system against this machine; a sentence of what was equal.

    Raises:
        UserError: Something was not.
    """
    system = SYSTEMS[name]
    (root / "w/in").mkdir(exist_ok=True)
    for path in (*models, sound):
        shutil.copy(path, root / "w/in" / path.name)
    there = [f"/w/in/{path.name}" for path in models]
    script = ["-c", _ASK, system.runtime, f"/w/in/{sound.name}"]
    far = json.loads(_emulate(name, root, [*script, *there]))
    near = json.loads(_here(["-c", _ASK.replace("assert ", "#"), system.runtime, sound, *models]))
    greatest, count = 0.0, 0
    for path, inside in zip(models, there, strict=True):
        a, b = np.array(far[inside]), np.array(near[str(path)])
        delta = float(np.abs(a - b).max())
        greatest = max(greatest, delta)
        limit = STEP if "int8" in path.name else SAME
        if delta > limit:
            raise UserError(f"{name}: {path.name} answers otherwise by {delta:.2g}")
        options = ["--runtime", system.runtime, "--json"]
        listen = ["-m", "audio_edge.listen"]
        heard = json.loads(_emulate(name, root, [*listen, inside, f"/w/in/{sound.name}", *options]))
        known = json.loads(_here([*listen, path, sound, *options]))
        heard, known = heard["detections"], known["detections"]
        # of an untrained int8 file every answer is borderline
        if not _alike(heard, known, limit) and (trained or "int8" not in path.name):
            apart = [_apart(heard, known), _apart(known, heard)]
            raise UserError(
                f"{name}: {path.name} detects otherwise, {len(heard)} and {len(known)}; only "
                f"there: {apart[0]}, only here: {apart[1]}"
            )
        count += len(heard)
    run = (
        "import runpy, sys; sys.executable = '/w/python'; "
        "runpy.run_module('benchmarks.run', run_name='__main__')"
    )
    out = ["--runs", "100", "--runtime", system.runtime, "--json", "/w/out.json", "--force"]
    _emulate(name, root, ["-c", run, *there[:2], *out])
    device = json.loads((root / "w/out.json").read_text())["device"]
    (root / "w/out.json").unlink()  # it holds times
    return (
        f"{name}: {device['machine']}, {system.runtime}, no TensorFlow: {len(models)} files, "
        f"{count} detections as here, probabilities within {greatest:.1g}; benchmarks.run runs"
    )


def _alike(some: list[dict[str, Any]], others: list[dict[str, Any]], limit: float) -> bool:
    """The same labels at the same times, with scores within a limit."""
    return len(some) == len(others) and all(
        (a["label"], a["time_s"]) == (b["label"], b["time_s"])
        and abs(a["score"] - b["score"]) <= limit
        for a, b in zip(some, others, strict=True)
    )


def _apart(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Detections whose label and time the others lack."""
    known = {(item["label"], item["time_s"]) for item in others}
    return [item for item in some if (item["label"], item["time_s"]) not in known]


def _emulate(name: str, root: Path, arguments: Sequence[str]) -> str:
    """Run Python inside a root file system; its output."""
    system = SYSTEMS[name]
    variables = {**system.environment, "QEMU_CPU": system.cpu}
    given = [item for key, value in variables.items() for item in ("-E", f"{key}={value}")]
    start = ["chroot", str(root), f"/usr/bin/{system.qemu}", *given, PYTHON]
    return _run([*start, *arguments], name)


def _here(arguments: Sequence[object]) -> str:
    return _run([sys.executable, *map(str, arguments)], "this machine")


def _run(line: Sequence[str], where: str) -> str:
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise UserError(f"{where}: {' '.join(line[-4:])[:200]} fails: {done.stderr[-800:]}")
    return done.stdout


def _root(name: str, roots: Path, wheel: Path) -> Path:
    """The root file system of a system, made unless it is there, with this package installed."""
    system, root = SYSTEMS[name], roots / name
    if not (root / "w/ready").exists():
        roots.mkdir(parents=True, exist_ok=True)
        names = ",".join((*PACKAGES, *system.debian))
        options = ["--mode=root", "--variant=extract", f"--architectures={name}"]
        line = ["mmdebstrap", *options, f"--include={names}", "bookworm", str(root), MIRROR]
        for last in (False, False, True):  # a mirror may be in the middle of an update
            shutil.rmtree(root, ignore_errors=True)
            try:
                _run(line, name)
                break
            except UserError:
                if last:
                    raise
        shutil.copy(str(shutil.which(system.qemu)), root / "usr/bin")
        if name == "armhf":  # no ldconfig has run, which finds libraries by their names
            (root / _LIBRARIES[1:] / "libsndfile.so").symlink_to("libsndfile.so.1")
        (root / "w").mkdir()
        (root / "w/python").write_text(_WRAPPER.format(qemu=system.qemu, python=PYTHON))
        (root / "w/python").chmod(0o755)
        (root / "w/ready").touch()
    shutil.rmtree(root / "w/site", ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(root / "w/site")]
    _run([*pip, *system.pip, str(wheel)], name)
    return root


def _wheel(folder: Path) -> Path:
    """The package as pip would get it, made from a copy, so that nothing is left in the tree."""
    source = folder / "source"
    skip = shutil.ignore_patterns(
        ".*", "runs", "build", "*.egg-info", "__pycache__", "android_demo"
    )
    shutil.copytree(ROOT, source, ignore=skip)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    _run([*pip, str(folder), str(source)], "wheel")
    [wheel] = folder.glob("audio_edge-*.whl")
    return wheel


def _models(folder: Path) -> list[Path]:
    """Untrained files: of clips in float, of streams in float and int8."""
    from audio_edge import export
    from tests import streams

    job = streams.run(
        folder / "run",
        data={"clip_s": 1.04}, frontend={"hop_length": 320, "n_mels": 16},
        model={"name": "ds_cnn", "width": 8, "depth": 2, "dropout": 0.0, "padding": "valid"},
        detector={"hop_s": 0.08, "window_s": 0.16, "threshold": 0.4, "refractory_s": 0.2},
    )  # fmt: skip
    streaming = [export.convert(job, kind, stream=True) for kind in ("float", "int8")]
    return [export.convert(job, "float"), *streaming]


def _sound(folder: Path) -> Path:
    from audio_edge import audio
    from tests import streams

    path = folder / "sound.wav"
    audio.write(path, streams.sound(12.0), 16000)
    return path


if __name__ == "__main__":
    sys.exit(main())
