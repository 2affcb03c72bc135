"""Front ends side by side: what is reported, that it hangs together, and how errors are refused."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest

from audio_edge import audio
from audio_edge.config import FrontendConfig
from audio_edge.errors import UserError
from audio_edge.frontend import LAYERS
from audio_edge.frontend_benchmark import accuracy, cases, chart, rivals, run
from audio_edge.frontend_benchmark.tables import markdown
from audio_edge.reference import features as reference
from audio_edge.scoring import speech_like
from benchmarks.frontend import main
from tests.features_for_tests import signal

pytestmark = pytest.mark.xdist_group("librosa")  # librosa compiles for half a minute, once a worker

FORMS = ["rfft", "dense", "factored", "compact"]
# |delta ln|: sums of float32 in another order, 1e-7 of a frame's strongest bin. In the bands within
# 60 dB of it that is 1e-7 * 1e3 twice over; what lies deeper (speech) has the floor of 1e-6.
LIMITS = {"noise": 1e-5, "speech": 5e-3, "speech_near": 1e-3, "tones_near": 1e-3}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    audio.write(path, speech_like(40000, sample_rate=16000), 16000)
    return path


@pytest.fixture(scope="module")
def ran(spoken, tmp_path_factory):
    """The command in its shortest form, once, without pymicro-features: (results, folder)."""
    folder = tmp_path_factory.mktemp("out")
    argv = ["--quick", "--runs", "100", "--speech", str(spoken)]
    argv += ["--chart", str(folder / "chart.png"), "--markdown", str(folder / "table.md")]
    argv += ["--json", str(folder / "results.json")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pymicro_features", None)
        assert main(argv) == 0
    return json.loads((folder / "results.json").read_text()), folder


def test_quick_run_has_each_form_in_each_runtime(ran):
    results, _ = ran
    runtimes = list(results["runtimes"])
    found = [(row["form"], row["runtime"]) for row in results["rows"]]
    assert found == [(form, runtime) for form in FORMS for runtime in runtimes]
    assert {row["feature"] for row in results["rows"]} == {"logmel"}
    assert results["growth"] == [] and results["runs"] == 100 and results["threads"] == 1
    assert results["signals"]["speech"] == "3 s of speech.wav" == results["signals"]["timed"]
    assert results["settings"]["n_fft"] == 512 and results["device"]["cores"] >= 1


def test_ratios_are_those_of_the_times(ran):
    results, _ = ran
    graphs = {row["runtime"]: row["p50_us"] for row in results["rows"] if row["form"] == "rfft"}
    (librosa,) = results["libraries"]
    for row in results["rows"]:
        assert 0 < row["p50_us"] <= row["p90_us"] and row["spread"] >= 0
        assert row["to_tf_signal"] == pytest.approx(row["p50_us"] / graphs[row["runtime"]])
        assert row["to_librosa"] == pytest.approx(row["p50_us"] / librosa["p50_us"])
        assert row["to_micro"] is None
        assert row["share"] == row["delegated"] / row["ops"]


def test_constants_of_the_short_transforms_stay_small(ran):
    size = {row["form"]: row["constant_bytes"] for row in ran[0]["rows"]}
    assert size["compact"] <= 16384 < size["factored"] <= 131072 < size["dense"]
    assert all(row["constant_bytes"] < row["file_bytes"] for row in ran[0]["rows"])


def test_every_form_agrees_with_float64(ran):
    results, _ = ran
    for row in [*results["rows"], *results["libraries"]]:
        assert set(row["error"]) == set(LIMITS)
        for name, limit in LIMITS.items():
            assert 0 < row["error"][name] <= limit, (row.get("form"), name)


def test_missing_library_is_one_line_and_blank(ran):
    results, folder = ran
    assert list(results["missing"]) == ["pymicro-features"]
    assert [row["library"] for row in results["libraries"]] == ["librosa"]
    text = (folder / "table.md").read_text()
    lines = text.splitlines()
    assert sum("pymicro-features is not installed; pip install" in line for line in lines) == 1
    header = next(line for line in lines if line.startswith("| feature"))
    column = header.split(" | ").index("/ micro")
    rows = [line for line in lines if line.startswith("| logmel")]
    assert len(rows) == len(results["rows"])
    assert all(line.split(" | ")[column].strip() == "" for line in rows)
    assert text == markdown(results)


def test_chart_is_drawn_and_nothing_else_is_left(ran):
    _, folder = ran
    assert (folder / "chart.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in folder.iterdir()} == {"chart.png", "table.md", "results.json"}


def test_cases_are_every_feature_in_the_forms_that_concern_it():
    found = [case.facts() for case in cases.cases()]
    forms = {name: [row["form"] for row in found if row["feature"] == name] for name in LAYERS}
    for name, layer in LAYERS.items():
        other = [None] if layer.reads == "frames" else ["rfft", "factored"]
        assert forms[name] == (FORMS if name == "logmel" else other)
    assert [row["form"] for row in found if row["feature"] == "logmel+zcr+contrast"] == forms[
        "mfcc"
    ]


def test_growth_changes_one_thing_at_a_time():
    default = FrontendConfig()
    for case in cases.growth():
        facts, wanted = case.facts(), dict(case.facts())
        assert facts[case.axis] == case.value
        if case.axis != "sample_rate":
            wanted |= {key: getattr(default, key) for key in ("frame_length", "n_fft")}
            wanted |= {key: getattr(default, key) for key in {"hop_length", "n_mels"} - {case.axis}}
        assert facts == wanted
    case = cases.growth()[0]
    assert case.clip_s == 0.5 and len(case.convert()) > 40000  # the mel matrix at least


def test_table_of_growth_has_a_line_for_each_setting():
    rows = [
        {**case.facts(), "runtime": "r", "constant_bytes": 7, "p50_us": 100.0, "to_tf_signal": 0.5}
        for case in cases.growth()
    ]
    results = {
        "device": dict.fromkeys(("cpu", "machine", "cores", "os", "python"), "-"),
        "versions": {"librosa": None, "numpy": "1"},
        "settings": {"clip_s": 1.0, "sample_rate": 16000, **vars(FrontendConfig())},
        "signals": dict.fromkeys(("timed", "noise", "tones", "speech")),
        "runs": 200, "near_db": 60.0, "runtimes": {}, "scales": {}, "rows": [], "libraries": [],
        "missing": {}, "growth": rows,
    }  # fmt: skip
    lines = markdown(results).splitlines()
    assert "numpy 1." in lines[0] and "librosa" not in lines[0]
    assert sum(line.startswith("| clip_s") for line in lines) == 4
    last = lines[-1].split(" | ")
    assert last[0] == "| sample_rate 44100, frame_length 1102, n_fft 2048"
    assert last[1:6] == ["100", "100", "100", "0.50", "0.50"]


def test_row_that_failed_is_said_and_does_not_stop_the_table_or_the_chart(ran, tmp_path):
    results = json.loads(json.dumps(ran[0]))
    row = results["rows"][0]
    results["rows"][0] = {
        key: row[key] for key in ("feature", "form", "runtime", "file_bytes", "constant_bytes")
    } | {"failed": "no such op"}
    assert "| no such op |" in markdown(results)
    chart.chart(tmp_path / "chart.png", results)


# The references, the rivals and the errors.


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "waveform"])
def test_librosa_computes_the_same_over_the_same_frames(name):
    """Within float32; noise has no valley near the floor of the contrast."""
    config = FrontendConfig(features=(name,))
    rival = rivals.of_librosa(config, sample_rate=16000)
    found = rival.compute(rival.prepare(signal("noise"))).T
    wanted = reference.features(signal("noise"), config, sample_rate=16000)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_librosa_has_no_frames_worth_timing_and_stacks_the_others():
    alone = FrontendConfig(features=("waveform",))
    assert rivals.of_librosa(alone, sample_rate=16000) is None
    config = FrontendConfig(features=cases.STACK)
    rival = rivals.of_librosa(config, sample_rate=16000)
    assert rival.over([signal("noise")])(5).shape == (40 + 1 + 7, 98)
    assert rival.timed.startswith("abs(stft) ** 2, log(mel @ power), ")


def test_missing_librosa_is_a_user_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(UserError, match="librosa is not installed; pip install"):
        rivals.of_librosa(FrontendConfig(), sample_rate=16000)


def test_micro_gives_a_frame_each_10_ms_once_30_are_heard():
    pytest.importorskip("pymicro_features", reason="pymicro-features is not installed")
    rival = rivals.micro()
    run = rival.over([signal("noise"), signal("silence")])
    first = run(0)
    assert np.shape(first) == (98, 40)
    assert run(1) != first and run(2) == first  # it starts anew each time


def judged(feature, clip, wrong, band):
    """The errors of a front end that gives the reference but for `wrong` in one band."""
    config = FrontendConfig(features=(feature,))
    judge = accuracy.Judge(config, {"noise": signal("noise")[None], "tones": clip[None]})

    def compute(wave):
        values = reference.features(wave, config, sample_rate=16000)
        values[3, band] += wrong
        return values

    return judge(compute)


def test_error_is_in_units_of_the_scale():
    assert judged("contrast", signal("noise"), 0.5, 4)["noise"] == pytest.approx(0.05)  # dB / 10
    assert judged("centroid", signal("noise"), 80.0, 0)["noise"] == pytest.approx(0.01)  # of 8 kHz
    assert judged("mfcc", signal("noise"), 40**0.5, 0)["noise"] == pytest.approx(1)


def test_near_leaves_out_bands_60_db_below_the_strongest():
    tone = signal("tone")  # 1234.5 Hz, in bands 15 to 17 of 40
    assert judged("logmel", tone, 2.0, 16)["tones_near"] == pytest.approx(2)
    assert judged("logmel", tone, 2.0, 39)["tones_near"] == 0
    assert judged("contrast", tone, 2.0, 0)["tones_near"] is None  # no valley is near
    errors = judged("zcr", tone, 0.5, 0)
    assert errors == {"noise": 0.5, "speech": None, "speech_near": None, "tones_near": None}


def test_speech_is_cut_into_seconds_and_forty_at_most(tmp_path):
    audio.write(tmp_path / "long.wav", np.full(16000 * 81 + 5, 0.1), 16000)
    clips, told = accuracy.speech(tmp_path / "long.wav")
    assert clips.shape == (28, 16000) and told == "28 s of long.wav"  # every third of 82


def test_speech_of_a_folder_is_spread_over_its_subfolders(tmp_path):
    for label, count in (("a", 39), ("b", 3), ("_noise_", 1)):
        (tmp_path / label).mkdir()
        for number in range(count):
            level = {"a": 0.1, "b": 0.2, "_noise_": 0.4}[label]
            audio.write(tmp_path / label / f"{number:02}.wav", np.full(800, level), 16000)
    clips, told = accuracy.speech(None, tmp_path)
    assert clips.shape == (40, 16000) and told == f"40 recordings of {tmp_path.name}"
    levels = clips[:, 0].round(1)
    assert (
        list(levels[:6]) == pytest.approx([0.1, 0.2] * 3) and (levels == np.float32(0.2)).sum() == 3
    )


def test_no_speech_leaves_it_blank(monkeypatch, tmp_path):
    def speak(*arguments):
        raise UserError("no voices")

    monkeypatch.setattr(accuracy.Speaker, "speak", speak)
    assert accuracy.speech(None, tmp_path / "nowhere") == (None, None)


# The command's refusals.


@pytest.mark.parametrize(
    ("argv", "rule"),
    [
        (["--runs", "99"], "at least 100 timed runs"),
        (["--speech", "nowhere.wav"], "nowhere.wav: .*no such file"),
        (["--chart", "chart.xyz"], "end the name in .png"),
        (["--chart", "chart"], "end the name in .png"),
        (["--json", "there.json"], "exists; give --force"),
        (["--json", "a", "--markdown", "./a"], "would overwrite FILE or each other"),
        (["--json", "a", "--speech", "a"], "would overwrite FILE or each other"),
        (["--json", "."], "cannot be written"),
        (["--json", "there.json/x.json"], "cannot be written"),
    ],
)
def test_command_refuses_before_it_measures(argv, rule, tmp_path, monkeypatch, capsys):
    (tmp_path / "there.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "cases", lambda **_: pytest.fail("measured"))
    assert main(argv) == 2
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1 and said.out == ""
    assert re.search(rule, said.err)
    assert [path.name for path in tmp_path.iterdir()] == ["there.json"]
    assert (tmp_path / "there.json").read_text() == "{}"
