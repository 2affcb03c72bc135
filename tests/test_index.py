"""The index: which label, which speaker, which split; splits never share a speaker."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_edge.config import DataConfig
from audio_edge.datasets import folder
from audio_edge.datasets.index import SPLITS, folders, labels_of, speaker, split_groups
from audio_edge.errors import UserError


def tree(root: Path, *names: str) -> Path:
    """Files that hold their own names: the index never opens a recording."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def spoken(words, speakers, takes=1):
    return [
        f"{word}/{who}_nohash_{take}.wav"
        for word in words
        for who in speakers
        for take in range(takes)
    ]


def indexed(root, *, seed=0, **keys):
    return folder.index(DataConfig(root=str(root), **keys), seed=seed)


def test_recordings_are_sorted_and_everything_else_is_passed_over(tmp_path):
    tree(
        tmp_path, "yes/b.wav", "yes/a.FLAC", "yes/deep/c.mp3", "yes/notes.txt", "yes/.hidden.wav",
        "yes/.trash/d.wav", ".git/x.wav", "papers/readme.md", "loose.wav", "no/a.ogg",
    )  # fmt: skip
    found = folders(tmp_path)
    assert list(found) == ["no", "yes"]
    names = [path.relative_to(tmp_path).as_posix() for path in found["yes"]]
    assert names == ["yes/a.FLAC", "yes/b.wav", "yes/deep/c.mp3"]


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("yes/anna_nohash_0.wav", "anna"),
        ("yes/deep/anna_nohash_12.wav", "anna"),
        ("yes/anna/1.wav", "anna"),
        ("yes/anna/monday/1.wav", "anna"),
        ("yes/1.wav", "1.wav"),
    ],
)
def test_speaker_is_read_from_the_name_else_the_subfolder_else_the_file(name, who):
    assert speaker(Path(name), Path("yes")) == who


NAMES = ["_background_noise_", "down", "go", "silence", "up", "unknown"]


@pytest.mark.parametrize(
    ("keys", "labels", "classes"),
    [
        ({}, ("down", "go", "up"), {"down": "down", "go": "go", "up": "up"}),
        ({"words": ("up", "down")}, ("up", "down"), {"up": "up", "down": "down"}),
        (
            {"words": ("up",), "silence": True, "unknown": True},
            ("up", "silence", "unknown"),
            {
                "up": "up", "silence": "silence",
                "down": "unknown", "go": "unknown", "unknown": "unknown",
            },
        ),
        (
            {"unknown": True},
            ("down", "go", "up", "unknown"),
            {"down": "down", "go": "go", "up": "up", "unknown": "unknown"},
        ),
    ],
)  # fmt: skip
def test_labels_are_words_in_the_order_given_then_silence_then_unknown(keys, labels, classes):
    assert labels_of(DataConfig(**keys), NAMES) == (labels, classes)


def test_clips_carry_label_speaker_and_split(tmp_path):
    tree(tmp_path, *spoken(["yes", "no", "maybe"], "abcdefgh"), "_background_noise_/hum.wav")
    index = indexed(tmp_path, words=("yes", "no"), unknown=True)
    assert index.labels == ("yes", "no", "unknown")
    assert len(index.clips) == 24
    for clip in index.clips:
        word, name = clip.path.relative_to(tmp_path).parts
        assert clip.label == (word if word in ("yes", "no") else "unknown")
        assert clip.group == name[0]
    assert [path.name for path in index.noise] == ["hum.wav"]
    assert sum(len(index.split(name)) for name in SPLITS) == 24


def test_words_that_are_not_asked_for_take_no_part(tmp_path):
    tree(tmp_path, *spoken(["yes", "no", "maybe"], "abcd"))
    assert {clip.label for clip in indexed(tmp_path, words=("yes", "no")).clips} == {"yes", "no"}


def test_splits_share_no_speaker_and_meet_their_shares(tmp_path):
    speakers = [f"s{number:03}" for number in range(200)]
    tree(tmp_path, *spoken(["yes", "no"], speakers))
    index = indexed(tmp_path, val_share=0.15, test_share=0.25)
    groups = {name: {clip.group for clip in index.split(name)} for name in SPLITS}
    assert sum(map(len, groups.values())) == len(set.union(*groups.values())) == 200
    counts = Counter(clip.split for clip in index.clips)
    # a split goes past its share by less than one speaker, here 2 of 400 clips
    assert counts["test"] == pytest.approx(100, abs=2)
    assert counts["val"] == pytest.approx(60, abs=2)


def test_split_depends_on_the_seed_alone(tmp_path):
    names = spoken(["yes", "no"], [f"s{number:02}" for number in range(40)])
    first = {c.group: c.split for c in indexed(tree(tmp_path / "a", *names)).clips}
    again = {c.group: c.split for c in indexed(tree(tmp_path / "b", *reversed(names))).clips}
    other = {c.group: c.split for c in indexed(tmp_path / "a", seed=1).clips}
    assert first == again
    assert first != other


def test_split_of_a_seed_never_changes():
    # SHA-1 of "0:f" starts with 05, of "0:e" with 2b, a 46, b 90, c 9c, d e3; 1.8 of 6 is two
    split = split_groups("abcdef", seed=0, val_share=0.3, test_share=0.3)
    assert split == {"f": "test", "e": "test", "a": "val", "b": "val", "c": "train", "d": "train"}


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=3, max_size=25), seed=st.integers(0, 99),
    val=st.floats(0.01, 0.4), test=st.floats(0.01, 0.4),
)  # fmt: skip
def test_any_three_speakers_fill_every_split(sizes, seed, val, test):
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    split = split_groups(groups, seed=seed, val_share=val, test_share=test)
    assert set(split) == set(groups)
    assert set(split.values()) == set(SPLITS)
    taken = Counter(split[group] for group in groups)
    assert taken["test"] < test * len(groups) + max(sizes)  # past its share by one speaker at most


def test_fingerprint_sees_names_sizes_labels_and_splits(tmp_path):
    tree(tmp_path, *spoken(["yes", "no"], "abcdef"))
    first = indexed(tmp_path).fingerprint()
    assert indexed(tmp_path).fingerprint() == first
    assert indexed(tmp_path, seed=3).fingerprint() != first
    assert indexed(tmp_path, words=("yes", "no")).fingerprint() != first  # other order of outputs
    (tmp_path / "yes" / "a_nohash_0.wav").write_text("longer than before, by many letters")
    assert indexed(tmp_path).fingerprint() != first


def test_fingerprint_does_not_depend_on_where_the_data_lie(tmp_path):
    names = spoken(["yes", "no"], "abcdef")
    here, there = (indexed(tree(tmp_path / place, *names)) for place in ("here", "there"))
    assert here.fingerprint() == there.fingerprint()


@pytest.mark.parametrize(
    ("names", "keys", "message"),
    [
        (None, {}, "no such folder; set data.root"),
        ([], {}, "holds no subfolder with recordings"),
        (["yes/notes.txt", "loose.wav"], {}, "holds no subfolder with recordings"),
        (spoken(["yes", "no"], "abc"), {"words": ("yes", "nope")}, "no recordings of 'nope'"),
        (spoken(["yes"], "abc"), {}, "two labels at least are needed.*yes"),
        (spoken(["yes", "no"], "ab"), {}, r"2 speaker\(s\).*cannot be split"),
        (spoken(["yes", "no"], "abc"), {"unknown": True}, "nothing is left beside data.words"),
    ],
)
def test_bad_folder_is_one_sentence(tmp_path, names, keys, message):
    root = tmp_path / "root"
    if names is not None:
        root.mkdir()
        tree(root, *names)
    with pytest.raises(UserError, match=message):
        indexed(root, **keys)


def test_broken_links_and_names_that_are_not_utf_8_are_indexed_for_decoding_to_judge(tmp_path):
    tree(tmp_path, *spoken(("yes", "no"), ("a", "b", "c")))
    (tmp_path / "yes" / "lost_nohash_0.wav").symlink_to(tmp_path / "nowhere.wav")
    Path(str(tmp_path / "yes" / "odd\udcff_nohash_0.wav")).write_text("x")
    found = indexed(tmp_path)
    assert len(found.clips) == 8
    assert found.fingerprint()


def outputs(root, **keys):
    made = indexed(root, words=("yes",), unknown=True, silence=False, **keys).outputs
    return list(zip(made.names, made.labels, strict=True))


def test_unknown_words_are_outputs_of_their_own_that_count_for_unknown(tmp_path):
    tree(tmp_path, *spoken(("yes", "cat", "bed"), "abcdefgh"))
    assert outputs(tmp_path) == [("yes", 0), ("bed", 1), ("cat", 1)]
    assert outputs(tmp_path, unknown_apart=0) == [("yes", 0), ("unknown", 1)]


def test_rare_unknown_words_share_an_output(tmp_path):
    tree(tmp_path, *spoken(("yes", "bed", "dog"), "abcdefgh"))
    tree(tmp_path, *spoken(("cat",), "abcdefgh", takes=2))
    assert outputs(tmp_path, unknown_apart=1) == [("yes", 0), ("unknown", 1), ("cat", 1)]
    index = indexed(tmp_path, words=("yes",), unknown=True, unknown_apart=1)
    numbers = {clip.word: index.outputs.number(clip) for clip in index.clips}
    assert numbers == {"yes": 0, "bed": 1, "dog": 1, "cat": 2}


def test_without_unknown_the_outputs_are_the_labels(tmp_path):
    tree(tmp_path, *spoken(("yes", "no"), "abcdefgh"))
    made = indexed(tmp_path, words=("yes", "no")).outputs
    assert (made.names, made.labels) == (("yes", "no"), (0, 1))
