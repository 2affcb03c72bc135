"""Further words: training alone hears them, whoever judges is left out, and the run remembers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_edge.config import DataConfig, from_dict
from audio_edge.datasets import pipeline, prepare
from audio_edge.errors import UserError

RATE = 16000


def write(path: Path, hertz: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(RATE // 10) / RATE)
    soundfile.write(path, wave, RATE, subtype="PCM_16")


@pytest.fixture
def places(tmp_path):
    """A data set of three words by nine speakers, and a folder of further ones."""
    for number, who in enumerate("abcdefghi"):
        for word in ("yes", "no", "cat"):
            write(tmp_path / "data" / word / f"{who}_nohash_0.wav", 200 + 50 * number)
    for number, who in enumerate(("x", "y")):
        for word in ("yes", "cow", "silence", "_background_noise_"):
            write(tmp_path / "more" / word / f"{who}_nohash_0.wav", 1000 + 50 * number)
    return tmp_path / "data", tmp_path / "more"


def settings(root: Path, *more: Path, **data):
    given = {"words": ["yes", "no"], "unknown": True, "extra": [str(place) for place in more]}
    where = {"root": str(root), "cache": str(root.parent / "cache"), "clip_s": 0.1}
    return from_dict({"data": {**where, **given, **data}})


def shards(tree: Path, out: Path) -> None:
    prepare.prepare(prepare.tree(tree), out, prepare.Settings(workers=1))


def named(config, split):
    return pipeline.load(config, pipeline.index(config), split).names


def test_training_alone_hears_them_and_a_word_that_is_no_label_is_unknown(places):
    data, more = places
    plain, config = settings(data), settings(data, more)
    index = pipeline.index(config)
    heard = pipeline.load(config, index, "train")
    added = {f"{word}/{who}_nohash_0.wav" for word in ("yes", "cow") for who in "xy"}
    assert set(heard.names) - set(named(plain, "train")) == added
    place = heard.names.index("cow/y_nohash_0.wav")
    assert index.labels[heard.labels[place]] == "unknown"
    assert index.outputs.names[heard.targets[place]] == "cow"
    np.testing.assert_array_equal(
        heard.waveforms[place], soundfile.read(more / "cow/y_nohash_0.wav", dtype="int16")[0]
    )
    for split in ("val", "test"):
        assert named(config, split) == named(plain, split)


def test_where_unknown_is_no_label_only_labels_are_taken(places):
    config = settings(*places, unknown=False)
    added = set(named(config, "train")) - set(named(settings(places[0], unknown=False), "train"))
    assert added == {"yes/x_nohash_0.wav", "yes/y_nohash_0.wav"}


def test_who_judges_is_not_heard(places, caplog):
    data, more = places
    by_split = {clip.group: clip.split for clip in pipeline.index(settings(data)).clips}
    assert set(by_split.values()) == {"train", "val", "test"}
    for who in by_split:
        write(more / "yes" / f"{who}_nohash_7.wav", 3000)
    heard = {name for name in named(settings(data, more), "train") if "nohash_7" in name}
    wanted = {f"yes/{who}_nohash_7.wav" for who, split in by_split.items() if split == "train"}
    assert heard == wanted
    judges = len(by_split) - len(wanted)
    assert f"data.extra: {judges} recordings left out, whose speakers judge" in caplog.text


def test_recordings_beside_shards_are_read_from_their_files(places, tmp_path):
    data, more = places
    shards(data, tmp_path / "shards")
    plain, sharded = settings(data, more), settings(tmp_path / "shards", more)
    first, second = (pipeline.load(c, pipeline.index(c), "train") for c in (plain, sharded))
    assert first.names == second.names
    np.testing.assert_array_equal(first.waveforms, second.waveforms)


def test_a_run_knows_what_it_heard_wherever_that_lies(places, tmp_path):
    data, more = places
    before = pipeline.index(settings(data, more)).fingerprint()
    assert before != pipeline.index(settings(data)).fingerprint()
    moved = more.rename(tmp_path / "moved")
    assert pipeline.index(settings(data, moved)).fingerprint() == before
    write(moved / "yes" / "z_nohash_0.wav", 3000)
    assert pipeline.index(settings(data, moved)).fingerprint() != before


def test_folders_that_give_nothing_are_refused(places, tmp_path):
    data, more = places
    with pytest.raises(UserError, match=r"nowhere: no such folder; set data\.extra to a folder"):
        pipeline.index(settings(data, tmp_path / "nowhere"))
    write(tmp_path / "other" / "cow" / "x_nohash_0.wav", 1000)
    with pytest.raises(UserError, match=r"other: data\.extra: no recordings of yes, no; put one"):
        pipeline.index(settings(data, tmp_path / "other", unknown=False))
    shards(more, tmp_path / "shards")
    with pytest.raises(UserError, match=r"shards: data\.extra takes recordings, not shards"):
        pipeline.index(settings(data, tmp_path / "shards"))
    with pytest.raises(UserError, match="kind 'audioset' goes without extra"):
        DataConfig(kind="audioset", extra=("more",))
