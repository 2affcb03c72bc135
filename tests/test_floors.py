"""The floors: a module imports only from rows below its own, the runtime needs no TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up. A name covers a module or a whole package; rows of one floor are ordered too.
FLOORS = [
    # 0 ground: NumPy, stdlib, soundfile
    {"errors"},
    {"files", "section", "events"},
    {"compression_settings", "data_settings", "frontend_settings"},
    {"settings"},
    {"config", "audio", "mel", "curves", "calibration", "paired", "card"},
    {"metrics", "smoother", "registry", "media"},
    {"multilabel", "review"},
    {"reference", "repeats", "run"},
    # 1 runtime: + LiteRT
    {"condition", "interpreter", "joined", "tflite_file", "tflite_metadata"},
    {"elsewhere", "hit_quota", "meter", "microphone", "stream_batch"},
    {"streaming_interpreter", "encoders"},
    {"detector", "summary", "probe", "scoring", "targets"},
    {"op_versions", "c_array", "layers"},
    {"hits", "live", "measure", "truth", "replay"},
    {"detection"},
    {"operating"},
    {"benchmark", "canvas", "devices_table", "endurance", "stream_load"},
    {"plots", "feature_plots", "det_plot", "peers_benchmark"},
    # 2 learning: + TensorFlow, tf_keras
    {"tracing", "replicas", "distribution", "optimizer"},
    {"acoustics"},
    {"frontend", "augment", "models", "datasets"},
    {"channels", "frontends"},
    {"classifiers", "ranking"},
    {"pretrained"},
    {"teachers"},
    {"learner"},
    {"batches", "board", "keeper"},
    {"saver", "lessons"},
    {"train"},
    # 3 products: + tfmot, the converter
    {"annotation", "clusters"},
    {"compress", "streaming"},
    {"claims", "lowering"},
    {"export"},
    {"doors"},
    {"onnx_file", "saved_model"},
    {"untrained"},
    {"model_table"},
    {"frontend_benchmark"},
    {"evaluation", "noisy", "background", "stream_parity"},
    {"ablation", "compression", "parity", "report", "tuning"},
    {"retraining"},
    # 4 commands
    {"listen", "record", "serving", "training", "tflite", "benchmarks"},
]
LEARNING = next(number for number, row in enumerate(FLOORS) if "replicas" in row)
RUNTIME = {name for row in FLOORS[:LEARNING] for name in row}
HEAVY = {"tensorflow", "tf_keras", "keras", "librosa", "scipy"}
HEAVY |= {"tensorflow_model_optimization", "tensorflow_io"}


PACKAGES = ("audio_edge", "training", "tflite", "benchmarks")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def room(module: str) -> str | None:
    """The name in FLOORS that a dotted module falls under."""
    parts = module.split(".")
    if parts[0] == "audio_edge":
        return parts[1] if len(parts) > 1 else None
    return parts[0] if parts[0] in ("training", "tflite", "benchmarks") else None


def imports(path: Path) -> set[str]:
    """Dotted names of all imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def floor(name: str) -> int:
    rows = [number for number, row in enumerate(FLOORS) if name in row]
    assert rows, f"{name} stands on no floor; add it to FLOORS"
    return rows[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_imports_only_from_below(path):
    own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if own in (None, "__init__"):
        return  # audio_edge/__init__.py names everything, lazily
    for name in imports(path):
        other = room(name)
        if other and other != own:
            assert floor(other) < floor(own), f"{path.name} imports {name}, which is not below it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_runtime_modules_import_no_training_package_at_the_top(path):
    own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if own not in RUNTIME | {"listen", "record", "serving", "benchmarks"}:
        return
    top = ast.parse(path.read_text(encoding="utf-8")).body
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in top if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in names} & (HEAVY | {"matplotlib", "sounddevice"})


def test_service_stands_on_the_runtime_alone():
    for path in sorted((ROOT / "audio_edge" / "serving").glob("*.py")):
        rooms = {room(name) for name in imports(path)} - {None, "serving"}
        assert rooms <= RUNTIME, path


def test_every_room_exists():
    names = {room(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in SOURCES}
    assert {name for row in FLOORS for name in row} <= names


def test_runtime_runs_where_tensorflow_cannot_be_imported(carded_path):
    code = f"""
import sys
for name in {sorted(HEAVY)!r}:
    sys.modules[name] = None  # importing it fails
import numpy as np
import audio_edge, audio_edge.listen, audio_edge.record, audio_edge.measure, benchmarks.run
import audio_edge.registry, audio_edge.review.server, training.registry, training.review
detector = audio_edge.Detector({str(carded_path)!r})
detector.detect(np.zeros(16000, np.float32))
print('ok')
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.strip() == "ok", done.stderr


def test_nothing_below_the_commands_prints_or_reads_a_clock():
    allowed = {
        "errors",
        "measure",
        "listen",
        "record",
        "serving",
    }  # errors prints the one line of a command
    workers = {
        "decoder.py",
        "engines.py",
        "probe.py",
        "starts.py",
    }  # processes that answer on stdout
    for path in sorted((ROOT / "audio_edge").rglob("*.py")):
        own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        calls = {function.id for function in functions if isinstance(function, ast.Name)}
        if own not in allowed and path.name not in workers:
            assert "print" not in calls, path
            assert not {"time", "argparse"} & imports(path), path
