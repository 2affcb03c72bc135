"""training.detect and training.calibrate on tones, and cards with settings of single labels."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from audio_edge import audio, c_array, card, files, listen, truth
from audio_edge.detector import Detector
from audio_edge.errors import UserError
from audio_edge.events import Word
from tests.conftest import SAMPLE_RATE, tone
from training import hearing
from training.calibrate import main as calibrate
from training.detect import main as detect

LOW_S, HIGH_S, FALSE_S = (2.0, 6.0, 10.0), (4.0, 8.0), (13.0, 15.0)


def make(folder, name="a.wav"):
    """20 s: low and high tones of 0.1 s, and fainter ones of low where nobody said it."""
    wave = np.zeros(20 * SAMPLE_RATE, np.float32)
    words = []
    for label, times, amplitude in (
        ("low", LOW_S, 0.5), ("high", HIGH_S, 0.5), (None, FALSE_S, 0.33),
    ):  # fmt: skip
        for time_s in times:
            sound = tone(label or "low", 0.1, amplitude=amplitude)
            start = round(time_s * SAMPLE_RATE)
            wave[start : start + len(sound)] = sound
            words.append(Word(label or "hum", time_s, time_s + 0.1, 10.0))
    audio.write(folder / name, wave, SAMPLE_RATE)
    truth.write_table((folder / name).with_suffix(".csv"), words)
    truth.write_labels((folder / name).with_suffix(".txt"), words)
    return folder / name


@pytest.fixture
def recording(tmp_path):
    return make(tmp_path)


def test_detect_prints_and_writes_figures_curve_and_picture(
    carded_path, recording, tmp_path, capsys
):
    out = tmp_path / "out.json"
    assert detect([str(carded_path), str(recording), "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "| low | 3 | 0 | 0.0 % | 2 | 360.00 |" in printed
    assert "| all | 5 | 0 | 0.0 % | 2 |" in printed
    assert "heard 'low' where 'hum' was said: 2" in printed
    assert "at 10 to 15 dB: missed 0 of 5, 0.0 %" in printed
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["hours"] == pytest.approx(20 / 3600)
    assert found["total"]["false_accepts"] == 2
    assert 0 < found["total"]["delay_median_s"] + 0.1 < 0.2  # heard within the tone or just after
    misses = [point["total"]["missed"] for point in found["curve"]]
    assert (misses[0], misses[-1]) == (0, 5)
    assert out.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    assert detect([str(carded_path), str(recording), "--json", str(out)]) == 2
    assert "exists; give --force" in capsys.readouterr().err


def test_truth_is_taken_from_beside_the_recording_or_as_given(
    carded_path, recording, tmp_path, capsys
):
    assert detect([str(carded_path), str(recording)]) == 0
    usual = capsys.readouterr().out
    assert "dB" in usual
    given = ["--truth", str(recording.with_suffix(".txt"))]
    assert detect([str(carded_path), str(recording), *given]) == 0
    assert capsys.readouterr().out == "".join(
        line for line in usual.splitlines(keepends=True) if "dB" not in line
    )
    two = make(tmp_path, "b.wav")
    assert detect([str(carded_path), str(recording), str(two)]) == 0
    assert "| all | 10 | 0 | 0.0 % | 4 | 360.00 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (None, "no truth beside it"),
        ("label,start_s,end_s\nother,1,2\n", "holds none of the model's words: low, high"),
        ("label,start_s,end_s\nlow,1,2\nlow,30,31\n", "lies beyond the 20.00 s"),
        ("label,start_s\nlow,1\n", "line 2 must have label, start_s and end_s"),
        ("label,start_s,end_s\n", "holds no word"),
    ],
)
def test_truth_that_cannot_serve_is_one_sentence(lines, said, carded_path, recording, capsys):
    recording.with_suffix(".txt").unlink()
    recording.with_suffix(".csv").unlink()
    if lines is not None:
        recording.with_suffix(".csv").write_text(lines)
    assert detect([str(carded_path), str(recording)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.strip().splitlines()[-1].startswith("error: ")


def test_one_truth_for_two_recordings_is_refused(carded_path, recording, capsys):
    truth_path = str(recording.with_suffix(".csv"))
    assert detect([str(carded_path), str(recording), str(recording), "--truth", truth_path]) == 2
    assert "give one for each" in capsys.readouterr().err


def test_calibrated_file_needs_no_settings(carded_path, recording, capsys):
    """Before, the fainter tones are taken for low; afterwards they are not, and no word is lost."""
    wave, _ = audio.read(recording)
    assert len(Detector(carded_path).detect(wave)) == 7
    files.write_json(carded_path.with_suffix(".json"), card.read_card(carded_path).to_dict())
    assert calibrate([str(carded_path), str(recording)]) == 0
    printed = capsys.readouterr().out
    assert "| low |" in printed
    assert "with 95 % confidence at most" in printed
    found = Detector(carded_path).detect(wave)
    assert [item.label for item in found] == ["low", "high", "low", "high", "low"]
    written = card.read_card(carded_path)
    assert set(written.detector["labels"]) == {"low", "high"}
    assert set(written.detector["labels"]["low"]) == {"threshold", "window_s", "refractory_s"}
    assert written.detector["threshold"] == 0.7  # of other labels, as before
    assert written.provenance["calibration"]["false_accepts"] == 0
    beside = json.loads(carded_path.with_suffix(".json").read_text(encoding="utf-8"))
    assert beside == json.loads(json.dumps(written.to_dict()))


def test_json_that_is_no_card_of_the_file_is_left_alone(carded_path, tone_card):
    carded_path.with_suffix(".json").write_text('{"accuracy": 1}')
    card.rewrite(carded_path, dataclasses.replace(tone_card, name="other"))
    assert card.read_card(carded_path).name == "other"
    assert carded_path.with_suffix(".json").read_text() == '{"accuracy": 1}'


def test_file_without_a_card_cannot_be_calibrated(tone_model, recording, tmp_path, capsys):
    (tmp_path / "bare.tflite").write_bytes(tone_model)
    assert calibrate([str(tmp_path / "bare.tflite"), str(recording)]) == 2
    assert "carries no model card" in capsys.readouterr().err


def test_dry_run_leaves_the_file_as_it_is(carded_path, recording):
    before = carded_path.read_bytes()
    assert calibrate([str(carded_path), str(recording), "--dry-run"]) == 0
    assert carded_path.read_bytes() == before


def test_bound_out_of_range_is_refused(carded_path, recording, capsys):
    options = ["--max-false-accepts-per-hour", "-1"]
    assert calibrate([str(carded_path), str(recording), *options]) == 2
    assert "must be >= 0" in capsys.readouterr().err


@pytest.fixture
def apart(carded_path):
    """The tone model, with settings of its own for "high"."""
    old = card.read_card(carded_path)
    own = {"high": {"threshold": 0.9, "window_s": 0.1, "refractory_s": 0.3}}
    card.rewrite(carded_path, dataclasses.replace(old, detector={**old.detector, "labels": own}))
    return carded_path


def test_settings_of_labels_reach_the_smoother(apart):
    smoother = Detector(apart).smoother
    assert smoother.threshold == tuple(float(np.float32(x)) for x in (0.7, 0.7, 0.9))
    assert smoother.window == (2, 2, 4)
    assert smoother.refractory == (4, 4, 12)
    assert smoother.hold == (6, 6, 8)


def test_what_is_given_counts_for_every_label(apart):
    smoother = Detector(apart, threshold=0.5, refractory_s=0.05).smoother
    assert (set(smoother.threshold), set(smoother.refractory)) == ({0.5}, {2})
    assert smoother.window == (2, 2, 4)


def test_settings_of_labels_reach_c(apart):
    header, _ = c_array.write(apart)
    text = " ".join(header.read_text(encoding="utf-8").split())
    assert "_THRESHOLD_OF_LABELS {0.7f, 0.7f, 0.9f}" in text
    assert "_WINDOW_SAMPLES_OF_LABELS {800, 800, 1600}" in text


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"mid": {"threshold": 0.5}}, "detector.labels.mid must be a label"),
        ({"low": {"hop_s": 0.1}}, "detector.labels.low knows only window_s"),
        ({"low": {"threshold": "high"}}, "detector.labels.low.threshold must be a number"),
        ({"low": 3}, "detector.labels.low must be a JSON object"),
        ([], "detector.labels must be a JSON object"),
    ],
)
def test_card_refuses_settings_of_labels_that_make_no_sense(labels, said, tone_card):
    with pytest.raises(UserError, match=said):
        dataclasses.replace(tone_card, detector={"labels": labels})


def test_card_without_settings_of_labels_is_written_as_before(tone_card):
    assert "labels" not in tone_card.to_dict()["detector"]


def test_picture_of_a_recording_has_a_threshold_only_where_words_share_it(apart):
    assert listen._threshold(Detector(apart)) is None
    assert listen._threshold(Detector(apart, threshold=0.5)) == 0.5


@pytest.mark.parametrize(
    ("seconds", "told"), [(24.7, "24.7 seconds"), (600, "10.0 minutes"), (14400, "4.00 hours")]
)
def test_length_of_recordings_is_told_in_a_unit_that_shows_it(seconds, told):
    assert hearing.length(seconds / 3600) == told
