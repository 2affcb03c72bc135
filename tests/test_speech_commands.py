"""Speech Commands: the published split, the one that spares the test speakers, the real data."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_edge.config import DataConfig, from_dict, load_config
from audio_edge.datasets import speech_commands
from audio_edge.datasets.speech_commands import split_of, which_set
from audio_edge.errors import UserError

ROOT = Path(
    os.environ.get("AUDIO_EDGE_DATA")
    or Path(__file__).parents[2] / "shared" / "data" / "speech_commands_subset"
)
KWS7 = Path(__file__).parents[1] / "training" / "configs" / "kws7_best.toml"
KWS7_TEST = {"down": 51, "go": 51, "left": 51, "right": 103, "up": 51, "unknown": 238}
needs_data = pytest.mark.skipif(
    not (ROOT / "_background_noise_").is_dir() or not (ROOT / "right").is_dir(),
    reason=f"no Speech Commands under {ROOT}; set AUDIO_EDGE_DATA",
)
SPEAKERS = [f"{number:08x}" for number in range(0, 2**32, 2**32 // 3000)]


def published(name: str) -> str:
    """The rule of the data set's README: SHA-1 as a share of 2^27 - 1, cut at 10 % and 20 %."""
    stem = re.sub(r"_nohash_.*$", "", name)
    rest = int.from_bytes(hashlib.sha1(stem.encode()).digest()[-4:], "big") & 0x7FFFFFF
    share = rest / 0x7FFFFFF
    return "validation" if share < 0.1 else "testing" if share < 0.2 else "training"


@pytest.mark.parametrize(
    ("speaker", "official"),
    [
        # the heads of validation_list.txt and testing_list.txt of the release, and two of neither
        ("026290a7", "validation"), ("060cd039", "validation"), ("099d52ad", "validation"),
        ("0c40e715", "testing"), ("0ea0e2f4", "testing"), ("105a0eea", "testing"),
        ("1528225c", "testing"),
        ("0132a06d", "training"), ("00176480", "training"),
    ],
)  # fmt: skip
def test_which_set_equals_the_published_lists(speaker, official):
    assert which_set(speaker) == published(f"{speaker}_nohash_0.wav") == official


def test_which_set_equals_the_published_rule_for_many_speakers():
    assert [which_set(name) for name in SPEAKERS] == [published(name) for name in SPEAKERS]


def test_official_split_serves_as_it_is_when_testing_speakers_judge():
    data = DataConfig(test_set="testing")
    ours = {"validation": "val", "testing": "test", "training": "train"}
    assert all(split_of(name, data) == ours[published(name)] for name in SPEAKERS)


def test_validation_speakers_judge_and_testing_speakers_take_no_part():
    data = DataConfig(test_set="validation", val_share=0.2)
    found = {name: split_of(name, data) for name in SPEAKERS}
    for name, split in found.items():
        official = published(name)
        assert (split == "test") == (official == "validation")
        assert (split is None) == (official == "testing")
    chosen = Counter(found.values())
    learning = chosen["train"] + chosen["val"]
    # binomial with p = 0.2 over some 2400 speakers: four standard deviations are 0.033
    assert chosen["val"] / learning == pytest.approx(0.2, abs=0.033)


def test_a_larger_selection_share_only_adds_speakers():
    few, many = (
        {name for name in SPEAKERS if split_of(name, data) == "val"}
        for data in (DataConfig(test_set="validation", val_share=s) for s in (0.1, 0.3))
    )
    assert few < many


def tree(root: Path, *names: str) -> DataConfig:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return DataConfig(
        kind="speech_commands", root=str(root), words=("yes",), silence=True, unknown=True,
        test_set="validation",
    )  # fmt: skip


def test_index_splits_by_the_speaker_in_the_name_and_leaves_testing_out(tmp_path):
    data = tree(
        tmp_path,
        "yes/026290a7_nohash_0.wav",
        "yes/026290a7_nohash_1.wav",
        "no/0132a06d_nohash_0.flac",
        "yes/0c40e715_nohash_0.wav",
        "_background_noise_/hum.wav",
    )
    index = speech_commands.index(data)
    assert index.labels == ("yes", "silence", "unknown")
    assert [(clip.path.name, clip.label, clip.group) for clip in index.clips] == [
        ("026290a7_nohash_0.wav", "yes", "026290a7"),
        ("026290a7_nohash_1.wav", "yes", "026290a7"),
        ("0132a06d_nohash_0.flac", "unknown", "0132a06d"),
    ]
    assert [clip.split for clip in index.clips] == ["test", "test", "train"]
    assert [path.name for path in index.noise] == ["hum.wav"]


def test_silence_without_noise_recordings_is_one_sentence(tmp_path):
    data = tree(tmp_path, "yes/026290a7_nohash_0.wav", "no/0132a06d_nohash_0.wav")
    with pytest.raises(UserError, match="data.silence needs recordings in _background_noise_"):
        speech_commands.index(data)


@pytest.fixture(scope="module")
def kws7(tmp_path_factory):
    values = load_config(KWS7, [f"data.root='{ROOT}'"]).to_dict()
    values["data"]["cache"] = str(tmp_path_factory.mktemp("cache"))
    config = from_dict(values)
    return config, speech_commands.index(config.data)


@needs_data
def test_kws7_test_clips_are_those_of_the_protocol(kws7):
    config, index = kws7
    assert index.labels == ("down", "go", "left", "right", "up", "silence", "unknown")
    assert Counter(clip.label for clip in index.split("test")) == KWS7_TEST
    assert {published(clip.path.name) for clip in index.split("test")} == {"validation"}


@needs_data
def test_kws7_selection_and_training_share_no_speaker_with_each_other_or_the_test(kws7):
    _, index = kws7
    groups = {name: {c.group for c in index.split(name)} for name in ("train", "val", "test")}
    assert min(map(len, groups.values())) > 20
    assert not groups["train"] & groups["val"]
    assert not (groups["train"] | groups["val"]) & groups["test"]
    learning = [c.path.name for c in index.clips if c.split != "test"]
    assert {published(name) for name in learning} == {"training"}


@needs_data
def test_kws7_test_split_is_605_clips_with_60_of_silence(kws7):
    from audio_edge.datasets import pipeline

    config, index = kws7
    test = pipeline.load(config, index, "test")
    counts = Counter(index.labels[number] for number in test.labels)
    assert counts == {**KWS7_TEST, "silence": 60}
    assert test.waveforms.shape == (605, 16000)
    # the oracle: the protocol in other words, from the files themselves
    cuts = []
    for path in sorted((ROOT / "_background_noise_").glob("*.*")):
        if path.suffix not in (".wav", ".flac"):
            continue
        noise, _ = soundfile.read(path)
        last = noise[int(0.8 * len(noise)) :] / np.abs(noise).max()
        for place, gain in enumerate([0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 1.0]):
            start = int((len(last) - 16000) * place / 9)
            cuts.append(gain * last[start : start + 16000])
    silent = test.waveforms[test.labels == index.labels.index("silence")]
    np.testing.assert_allclose(silent, 32768 * np.stack(cuts), atol=1.0)  # int16 of float32
