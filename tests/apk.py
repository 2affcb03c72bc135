"""Whether an APK is what the demo promises: python -m tests.apk FILE, or of what it will hold.

Signature, manifest, machines, models, and that nothing is gone that its native library calls by
name. Needs Debian's apksigner, aapt and dexdump.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from audio_edge.card import read_card, split
from audio_edge.errors import UserError, command

MACHINES = {"arm64-v8a", "armeabi-v7a", "x86_64"}
MAX_BYTES = 8 << 20  # without the models
ALIGNED = 4  # bytes, for models that are mapped into memory


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Ask one question after another; the first that is answered with no ends it."""
    parser = argparse.ArgumentParser(prog="python -m tests.apk", description=main.__doc__)
    parser.add_argument("apk", metavar="FILE", type=Path, help="APK, or folder of models")
    path = parser.parse_args(argv).apk
    if path.is_dir():
        for model in sorted(path.glob("*.tflite")):
            read_card(model)
        return 0
    for question in (signature, manifest, models, size, native):
        print(f"{path}: {question(path)}")
    return 0


def signature(path: Path) -> str:
    """Signed by the schemes that Android 8 and later read."""
    told = _run("apksigner", "verify", "--verbose", "--min-sdk-version", "26", path)
    schemes = [name for name in ("v2", "v3") if re.search(rf"using {name} scheme.*: true", told)]
    _require(path, schemes == ["v2", "v3"], f"is signed by {schemes}")
    return "signed, schemes v2 and v3"


def manifest(path: Path) -> str:
    """Asks for the microphone and nothing else, from Android 8 on."""
    told = _run("aapt2", "dump", "badging", path)
    for line in ("sdkVersion:'26'", "targetSdkVersion:'36'", "application-label:'audio_edge'"):
        _require(path, line in told, f"lacks {line}")
    asked = re.findall(r"uses-permission[^:]*: name='([^']+)'", told)
    _require(path, asked == ["android.permission.RECORD_AUDIO"], f"asks for {asked}")
    given = set(re.findall(r"'([^']+)'", "".join(re.findall(r"native-code: (.*)", told))))
    _require(path, given == MACHINES, f"is for {given}")
    return f"{', '.join(asked)}; from API 26; {', '.join(sorted(given))}"


def models(path: Path) -> str:
    """With their cards, stored so that they can be mapped."""
    stages = []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".tflite"):
                continue
            _, card = split(archive.read(info), source=f"{path}: {info.filename}")
            stages.append(card.stage if card else "unknown")
            mapped = info.compress_type == zipfile.ZIP_STORED and _start(path, info) % ALIGNED == 0
            _require(path, mapped, f"{info.filename} is packed")
    _require(path, stages and "unknown" not in stages, f"has models of the stages {stages}")
    return f"{len(stages)} models, of the stages {', '.join(sorted(set(stages)))}"


def size(path: Path) -> str:
    """No larger than an app with one native library has to be."""
    with zipfile.ZipFile(path) as archive:
        ours = sum(i.compress_size for i in archive.infolist() if i.filename.endswith(".tflite"))
    rest = path.stat().st_size - ours
    _require(path, rest <= MAX_BYTES, f"takes {rest:,} bytes without the models")
    return f"{rest:,} bytes without the models"


def native(path: Path) -> str:
    """Every native function has its method, and every class that the library names is there."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        dumped = _run("dexdump", archive.extract("classes.dex", folder))
        libraries = [archive.read(name) for name in archive.namelist() if name.endswith(".so")]
    methods = {
        f"{kind.replace('/', '_')}_{name}"
        for kind, name, access in re.findall(
            r"\(in L([^;]+);\)\s+name +: '([^']+)'\s+type +: '[^']*'\s+access +: (.*)", dumped
        )
        if "NATIVE" in access
    }
    classes = set(re.findall(r"Class descriptor +: 'L([^;]+);'", dumped))
    called = {text.decode() for so in libraries for text in re.findall(rb"\x00Java_(\w+)", so)}
    ours = rb"\x00(org/tensorflow/[\w/$]+)\x00"
    named = {text.decode() for so in libraries for text in re.findall(ours, so)}
    _require(path, len(called) > 30, f"calls no more than {len(called)} functions")
    # its experimental half is not in the AAR at all
    missing = {name for name in called - methods if "Experimental" not in name}
    missing |= named - classes
    _require(path, not missing, f"lacks {', '.join(sorted(missing))}, which rules.pro must keep")
    return f"{len(called)} native functions, all of them with their methods"


def _start(path: Path, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a stored file begin; its header says how long its name and extra are."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
    return info.header_offset + 30 + name + extra


def _require(path: Path, fact: bool, otherwise: str) -> None:
    if not fact:
        raise UserError(f"{path}: {otherwise}; make android builds it anew")


def _run(tool: str, *words: str | Path) -> str:
    try:
        done = subprocess.run([tool, *map(str, words)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(f"{tool} is not installed; apt-get install {tool.rstrip('2')}") from None
    if done.returncode:
        raise UserError(f"{tool} {words[-1]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
