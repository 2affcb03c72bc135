"""The Kotlin twin of the detector: what its tests are held against is what Python hears today."""

import itertools
import json
import re
from pathlib import Path

import pytest

from audio_edge import devices_table, files
from audio_edge.benchmark import benchmark
from tests import golden_listening

DEMO = Path(__file__).parents[1] / "android_demo"
SOURCES = sorted(path for part in ("core", "app") for path in DEMO.glob(f"{part}/src/main/**/*.kt"))
CORE = [path for path in SOURCES if path.is_relative_to(DEMO / "core")]
PHONE = golden_listening.FILE.with_name("phone.json")
CASES = json.loads(golden_listening.FILE.read_text())["cases"]


def code(path: Path) -> str:
    """Kotlin without its comments and strings."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r'"(\\.|[^"\\\n])*"|//[^\n]*', "", text)


def told(case: dict) -> str:
    """What a case is called."""
    return f"{case['model']} {case['recording']}{' calibrated' * ('detector' in case)}"


@pytest.mark.parametrize("case", CASES, ids=told)
def test_golden_detections_are_those_of_today(case):
    """Times count samples and are exact; runtimes differ in scores by less than the tolerance."""
    found = golden_listening.heard(case)
    tolerance = 0.02 if "int8" in case["model"] else 1e-4
    for want, have in zip(case["heard"], found, strict=True):
        assert (want["label"], want["time_s"]) == (have["label"], have["time_s"])
        assert want["score"] == pytest.approx(have["score"], abs=tolerance)


def test_golden_detections_cover_every_file():
    pairs = [(case["model"], case["recording"]) for case in CASES]
    models = {path.name for path in golden_listening.FOLDER.glob("*.tflite")}
    recordings = {path.name for path in golden_listening.FOLDER.glob("*.wav")}
    assert len(models) == 4
    assert len(recordings) == 3
    assert sorted(pairs) == sorted(2 * list(itertools.product(models, recordings)))
    assert sum("detector" in case for case in CASES) == len(CASES) / 2


def test_core_needs_neither_android_nor_a_runtime():
    known = r"java\.|kotlin\.|kotlinx\.coroutines\.|kotlinx\.serialization\.json\."
    assert len(CORE) > 10
    for path in CORE:
        imported = re.findall(r"^import (.+)", code(path), flags=re.MULTILINE)
        assert all(re.match(known, name) for name in imported), path.name
        assert not re.search(r"\b(androidx?|org\.tensorflow|com\.google)\.", code(path)), path.name


def test_kotlin_computes_nothing_from_audio_but_its_scale_and_level():
    """No file takes a logarithm, a root or a sine but the level meter; samples are scaled once."""
    scale = [path.name for path in SOURCES if re.search(r"32768|32767|0x[78]\w{3}\b", code(path))]
    assert scale == ["Pcm.kt"]
    readers = {path.name for path in SOURCES if re.search(r"\basFloat\(", code(path))}
    assert readers == {"Pcm.kt", "LevelMeter.kt"}
    names = r"\b(?:a?sin|a?cos|a?tan|exp|ln|log|log2|log10|pow|sqrt|hypot)\("
    found = {path.name: set(re.findall(names, code(path))) for path in SOURCES}
    assert {name: calls for name, calls in found.items() if calls} == {"LevelMeter.kt": {"log10("}}


def test_results_of_a_phone_stand_in_one_table_with_ours(tmp_path):
    """phone.json is what the Kotlin benchmark gives: the same files are the same rows."""
    phone = files.read_json(PHONE, dict)
    models = [golden_listening.FOLDER / row["file"] for row in phone["rows"]]
    ours = benchmark(models, runs=100, runtimes=["ai_edge_litert"])
    assert {key for row in phone["rows"] for key in row} == set(ours["rows"][0])
    assert [row["rtf"] / row["latency"]["tensorflow_lite"]["p50_ms"] for row in phone["rows"]] == (
        pytest.approx([0.001, 0.001, 0.001 / 0.04])  # the last hears packets of 0.04 s
    )
    assert set(phone) == set(ours)
    files.write_json(tmp_path / "ours.json", ours)
    table = devices_table.markdown(devices_table.read([PHONE, tmp_path / "ours.json"]))
    rows = [line for line in table.splitlines() if line.startswith("| demo")]
    assert len(rows) == 3
    for row in rows:
        *_, size, phone_ms, our_ms, _ = (cell.strip() for cell in row.split("|"))
        assert int(size) > 100000
        assert phone_ms == "0.124"
        assert float(our_ms) > 0
    assert "- Phone (phone): Android 16; kernel 6.1.99; tensorflow_lite 2.16.1." in table
