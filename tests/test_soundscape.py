"""Soundscapes: where the words are, how loud, how many; same seed, same bytes."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from audio_edge.datasets import soundscape
from audio_edge.datasets.soundscape import Material, Scene, lay, span
from audio_edge.errors import UserError
from audio_edge.truth import read_labels, read_truth
from tests import tones
from training.soundscape import main

RATE = 16000


def clip(pitch: float, start: float = 0.3, end: float = 0.7, level: float = 0.3) -> np.ndarray:
    """int16 [1 s]: a tone between two times, over faint noise."""
    time = np.arange(RATE) / RATE
    tone = level * np.sin(2 * np.pi * pitch * time) * ((time >= start) & (time < end))
    faint = np.random.default_rng(int(pitch)).normal(scale=1e-4, size=RATE)
    return np.rint(32768 * (tone + faint)).astype(np.int16)


@pytest.fixture
def given() -> Material:
    rng = np.random.default_rng(1)
    keywords = {
        name: np.stack([clip(pitch + 10 * take) for take in range(3)])
        for name, pitch in (("low", 500.0), ("high", 3000.0))
    }
    others = tuple((f"other{n}", clip(1200.0 + 50 * n)) for n in range(4))
    noise = {"hiss": rng.normal(size=5 * RATE).astype(np.float32) / 5}
    return Material(keywords, others, noise, RATE)


def whole(scene: Scene, given: Material):
    parts = list(lay(scene, given))
    return np.concatenate([samples for samples, _ in parts]), [w for _, some in parts for w in some]


def test_length_and_number_of_words_are_those_asked_for(given):
    waveform, words = whole(Scene(2.5, 4.0, 10.0), given)
    assert len(waveform) == 150 * RATE
    said = [word.label for word in words]
    assert [said.count(name) for name in ("low", "high")] == [5, 5]
    assert len(said) == 35


def test_keywords_and_clips_take_turns(given):
    _, words = whole(Scene(4.0, 6.0, 3.0), given)
    said = [word.label for word in words]
    assert said.count("low") == said.count("high") == 12
    assert {said.count(f"other{n}") for n in range(4)} == {3}


def test_words_are_in_order_and_do_not_overlap(given):
    _, words = whole(Scene(2.0, 20.0, 20.0), given)
    assert len(words) == 80
    for before, after in zip(words, words[1:], strict=False):
        assert after.start_s - before.end_s > 0.5  # 0.3 s of either clip, less what frames blur


def test_same_seed_gives_the_same_samples(given):
    scene = Scene(1.0, seed=3)
    first, words = whole(scene, given)
    again, same_words = whole(scene, given)
    np.testing.assert_array_equal(first, again)
    assert words == same_words
    other, _ = whole(Scene(1.0, seed=4), given)
    assert (first != other).any()


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_ratio_to_noise_is_the_one_asked_for(snr_db, given):
    """Noise alone beside noise and words: within 0.4 dB, as noise varies from place to place."""
    scene = Scene(1.0, 6.0, 6.0, (snr_db, snr_db), (-45.0, -45.0))
    waveform, words = whole(scene, given)
    free = np.ones(len(waveform), bool)
    free[: RATE // 2] = False  # where the noise fades in
    for word in words:
        free[max(0, round((word.start_s - 0.5) * RATE)) : round((word.end_s + 0.5) * RATE)] = False
    noise = np.std(waveform[free].astype(np.float64))
    assert 20 * np.log10(noise / 32768) == pytest.approx(-45, abs=0.3)
    for word in words:
        power = np.mean(np.square(_between(waveform, word.start_s, word.end_s))) - noise**2
        assert 10 * np.log10(power / noise**2) == pytest.approx(snr_db, abs=0.4)
        assert word.snr_db == pytest.approx(snr_db, abs=0.01)


def _between(waveform: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    return waveform[round(start_s * RATE) : round(end_s * RATE)].astype(np.float64)


def test_a_word_too_loud_is_lowered_and_says_so(given):
    waveform, words = whole(Scene(1.0, 6.0, 0.0, (50.0, 50.0), (-40.0, -40.0)), given)
    assert np.abs(waveform.astype(int)).max() < 32767
    assert all(34.5 < word.snr_db < 35.5 for word in words)  # a sine of peak 0.8: -4.9 dBFS


def test_noise_has_no_step_between_sections_and_laps(given):
    """The hiss is 5 s long: in a minute it comes again and sections change, at one level."""
    waveform, _ = whole(Scene(1.0, 0.5, 0.0, noise_dbfs=(-40.0, -40.0)), given)
    levels = np.std(waveform.reshape(-1, RATE // 10).astype(np.float64), axis=1)[5:]  # faded in
    quiet = np.sort(levels)[:-10]  # all but where the word is
    assert quiet.min() > 0.8 * np.median(quiet)
    assert quiet.max() < 1.2 * np.median(quiet)


def test_span_of_a_word_is_found():
    first, last = span(clip(800.0, 0.32, 0.58), RATE)
    assert (first / RATE, last / RATE) == (
        pytest.approx(0.32, abs=0.03),
        pytest.approx(0.58, abs=0.03),
    )


def test_span_bridges_a_pause_and_leaves_out_hum_and_a_click():
    time = np.arange(RATE) / RATE
    wave = clip(800.0, 0.3, 0.45).astype(np.float64) + clip(900.0, 0.55, 0.65)
    wave += 6000 * np.sin(2 * np.pi * 50 * time)
    wave[int(0.9 * RATE) : int(0.9 * RATE) + 30] += 20000
    first, last = span(wave, RATE)
    assert (first / RATE, last / RATE) == (
        pytest.approx(0.3, abs=0.03),
        pytest.approx(0.65, abs=0.03),
    )


def test_too_many_words_are_refused(given):
    with pytest.raises(UserError, match="so many words do not fit"):
        whole(Scene(1.0, 30.0, 30.0), given)


def test_other_words_that_are_not_there_are_refused(given):
    bare = Material(given.keywords, (), given.noise, RATE)
    with pytest.raises(UserError, match="--others-per-minute 0"):
        whole(Scene(1.0), bare)
    assert whole(Scene(1.0, others_per_minute=0.0), bare)[1]


def test_silent_noise_is_refused(given):
    silent = Material(given.keywords, given.others, {"zero": np.zeros(RATE, np.float32)}, RATE)
    with pytest.raises(UserError, match="silent nearly everywhere"):
        whole(Scene(1.0), silent)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("soundscape")
    tones.make(folder / "data", speakers=6, takes=1)
    tones.config(folder)
    return folder


def command(data, *options: str) -> int:
    places = [f"data.root={data / 'data'}", f"data.cache={data / 'cache'}"]
    sets = [part for place in places for part in ("--set", place)]
    return main([str(data / "tones.toml"), *sets, "--minutes", "0.5", *options])


def test_command_writes_recording_and_truth(data, tmp_path, capsys):
    out = tmp_path / "a.flac"
    assert command(data, "--out", str(out), "--keywords-per-minute", "12") == 0
    assert "6 keywords and 5 other words" in capsys.readouterr().out
    assert soundfile.info(out).frames == 30 * RATE
    track, table = read_labels(out.with_suffix(".txt")), read_truth(out.with_suffix(".csv"))
    assert [(w.label, w.start_s, w.end_s) for w in track] == [
        (w.label, w.start_s, w.end_s) for w in table
    ]
    assert {word.label for word in track} == set(tones.WORDS)  # "sweep" is the unknown word
    assert all(0 <= word.snr_db <= 20 for word in table)
    assert command(data, "--out", str(out)) == 2
    assert "exists already" in capsys.readouterr().err


def test_same_seed_gives_the_same_bytes_and_splits_differ(data, tmp_path):
    for name, split in (("a", "val"), ("b", "val"), ("c", "test")):
        assert command(data, "--out", str(tmp_path / f"{name}.wav"), "--split", split) == 0
    read = {name: [(tmp_path / f"{name}{end}").read_bytes() for end in (".wav", ".txt", ".csv")]
            for name in "abc"}  # fmt: skip
    assert read["a"] == read["b"]
    assert all(one != other for one, other in zip(read["a"], read["c"], strict=True))


def test_material_is_of_its_split_alone(data):
    from audio_edge.config import load_config
    from audio_edge.datasets import pipeline

    config = load_config(
        data / "tones.toml", [f"data.root={data / 'data'}", f"data.cache={data / 'cache'}"]
    )
    index = pipeline.index(config)
    for split in ("val", "test"):
        found = soundscape.material(config, split)
        clips = [clip for clip in index.split(split) if clip.label != "unknown"]
        assert sum(map(len, found.keywords.values())) == len(clips)
        assert {word for word, _ in found.others} == {"sweep"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "a.mp3"], "must end in .wav or .flac"),
        (["--out", "a.wav", "--minutes", "0"], "--minutes must be"),
        (["--out", "a.wav", "--seed", "-1"], "--seed must be"),
        (["--out", "a.wav", "--noise-dbfs", "0,10"], "--noise-dbfs must be"),
        (["--out", "a.wav", "--keywords-per-minute", "-1"], "words a minute must be"),
        (["--out", "a.wav", "--keywords-per-minute", "0.5"], "gives no word in 0.5 minutes"),
        (["--out", "a.wav", "--others-per-minute", "0.9"], "gives no word in 0.5 minutes"),
    ],
)
def test_bad_options_are_one_sentence(options, said, data, capsys):
    assert command(data, *options) == 2
    assert said in capsys.readouterr().err
