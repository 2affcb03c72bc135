"""The spoken data set: the same bytes every time, split by who speaks, whole or not at all."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from audio_edge import audio
from audio_edge.config import DataConfig
from audio_edge.datasets import rendering, speech, synthetic, voices, words
from audio_edge.datasets.rendering import Take
from audio_edge.datasets.speech import Speaker
from audio_edge.datasets.voices import Voice
from audio_edge.errors import UserError

for _module, _distribution in speech.ENGINES.values():
    pytest.importorskip(_module, reason=f"{_distribution} is not installed: audio_edge[synthetic]")

OTHERS = ("river", "table")


def _data(cache, **changes) -> DataConfig:
    data = DataConfig(
        kind="synthetic",
        words=("yes", "go left"),
        unknown=True,
        other_words=OTHERS,
        voices=6,
        takes=1,
        cache=str(cache),
    )
    return dataclasses.replace(data, **changes)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    data = _data(tmp_path_factory.mktemp("cache"))
    return data, synthetic.build(data, seed=7, workers=2)


def _contents(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


def test_the_same_seed_gives_the_same_bytes_whatever_the_process_count(built, tmp_path):
    _, folder = built
    again = synthetic.build(_data(tmp_path), seed=7, workers=1)
    assert again.name == folder.name
    assert _contents(again) == _contents(folder)


def test_another_seed_gives_other_clips_in_another_folder(built):
    data, folder = built
    with Speaker() as speaker:
        take = Take("yes", Voice("pico", "en-US"), 0)
        clips = [
            rendering.render(take, speaker, sample_rate=16000, clip_samples=16000, seed=seed)
            for seed in (7, 8)
        ]
    assert not np.array_equal(*clips)
    stored, _ = audio.read(folder / "yes" / "pico.en-US_nohash_0.wav")
    np.testing.assert_array_equal(stored, audio.to_int16(clips[0]) / np.float32(32768))


def test_every_word_has_every_voice_and_others_are_as_many_as_six_words(built):
    data, folder = built
    names = {who.name for who in voices.choose(6, 7)}
    for word in data.words:
        assert {path.stem.split("_nohash_")[0] for path in (folder / word).iterdir()} == names
    others = [path for word in OTHERS for path in (folder / word).iterdir()]
    assert len(others) == 6 * 6
    assert {path.stem.split("_nohash_")[0] for path in others} == names


def test_clips_hold_a_word_without_dc_clipping_or_digital_silence(built):
    data, folder = built
    for path in folder.rglob("*.wav"):
        waveform, rate = audio.read(path, sample_rate=None)
        assert (len(waveform), rate) == (16000, 16000)
        assert 0.09 < np.abs(waveform).max() < 0.75, path
        assert abs(waveform.mean()) < 2e-4, path
        assert waveform[:200].any() and waveform[-200:].any(), path  # a hiss, if no speech
        power = np.square(waveform, dtype=np.float64)
        centre_s = (power * np.arange(16000)).sum() / power.sum() / 16000
        assert 0.2 < centre_s < 0.8, path


def test_splits_share_no_speaker(built):
    data, _ = built
    index = synthetic.index(data, seed=7)
    speakers = {
        split: {voices.voice(clip.group).identity for clip in index.clips if clip.split == split}
        for split in ("train", "val", "test")
    }
    assert all(speakers.values())
    assert (
        not speakers["train"] & speakers["val"]
        | speakers["train"] & speakers["test"]
        | speakers["val"] & speakers["test"]
    )
    assert index.labels == ("yes", "go left", "unknown")
    assert {who.identity for who in synthetic.test_voices(data, 7)} == speakers["test"]


def test_what_is_complete_is_not_spoken_again(built, monkeypatch):
    data, folder = built
    monkeypatch.setattr(synthetic, "plan", None)
    assert synthetic.build(data, seed=7) == folder


def test_a_folder_that_lost_a_clip_is_spoken_again(built, tmp_path):
    data = _data(tmp_path, words=("yes",), unknown=False)
    folder = synthetic.build(data, seed=7)
    before = _contents(folder)
    next(folder.rglob("*.wav")).unlink()
    assert _contents(synthetic.build(data, seed=7)) == before


def test_an_interrupted_build_leaves_nothing(tmp_path):
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic.build(_data(tmp_path), seed=7, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="asks for a process by POSIX signal 0")
def test_what_a_killed_build_left_is_swept(tmp_path):
    data = _data(tmp_path, words=("yes",), unknown=False)
    target = synthetic.build(data, seed=7)
    (target / "synthetic.json").unlink()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f".{target.name}-{ended.pid}-abc"
    left.mkdir()
    assert synthetic.build(data, seed=7) == target
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_progress_counts_every_clip(tmp_path):
    counted: list[int] = []
    folder = synthetic.build(
        _data(tmp_path, words=("yes",), unknown=False), seed=1, progress=counted.append
    )
    assert sum(counted) == len(list(folder.rglob("*.wav"))) == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"words": ("yes", "Yes")}, "'Yes' is there already as 'yes'"),
        ({"words": ("yes", "a/b")}, "cannot speak 'a/b'"),
        ({"words": ("yes", "no "), "other_words": ()}, "begins or ends with a space"),
        ({"other_words": ("river", "yes")}, "'yes' is there already"),
        ({"other_words": ("river", "river")}, "twice"),
        ({"other_words": ("silence",)}, "class of its own"),
        (
            {"words": ("no", "one"), "other_words": ("river", "won")},
            "'won' sounds like the keyword 'one'",
        ),
    ],
)
def test_words_that_cannot_be_learnt_are_named(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        synthetic.build(_data(tmp_path, **changes), seed=0)
    assert list(tmp_path.iterdir()) == []


def test_built_in_other_words_leave_out_keywords_and_what_sounds_like_them():
    with Speaker() as speaker:
        others = words.others(DataConfig(kind="synthetic", words=("knew", "yes")), speaker)
    assert "new" not in others and "yes" not in others
    assert {"yet", "less", "no"} <= set(others)


def test_the_overheard_are_other_words_of_training_voices(built):
    data, _ = built
    index = synthetic.index(data, seed=7)
    speech = synthetic.overheard(index, sample_rate=8000)
    wanted = [clip for clip in index.clips if clip.label == "unknown" and clip.split == "train"]
    assert len(speech) == len(wanted) > 0
    assert all(len(waveform) == 8000 for waveform in speech)
