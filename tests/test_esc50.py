"""ESC-50 and UrbanSound8K: official folds judge, recordings stay together, bad tables are named."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_edge import train
from audio_edge.config import from_dict, load_config
from audio_edge.datasets import decoder, pipeline
from audio_edge.datasets.index import SPLITS, select_groups
from audio_edge.errors import UserError
from tests import folded

ROOT = Path(
    os.environ.get("AUDIO_EDGE_ESC10") or Path(__file__).parents[2] / "shared" / "data" / "esc10"
)
ESC10 = Path(__file__).parents[1] / "training" / "configs" / "esc10.toml"
needs_data = pytest.mark.skipif(
    not (ROOT / "meta" / "esc50.csv").is_file(), reason=f"no ESC-10 under {ROOT}"
)
TABLES = {"esc50": "meta/esc50.csv", "urbansound8k": "metadata/UrbanSound8K.csv"}
COUNTS = {"esc50": 5, "urbansound8k": 10}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """A tree of either kind, with the cache beside it."""
    folder = tmp_path_factory.mktemp("trees")
    return {kind: getattr(folded, kind)(folder / kind) for kind in COUNTS}


def configured(root, kind="esc50", *, seed=0, **data):
    places = {"root": str(root), "cache": str(root.parent / "cache"), "kind": kind}
    return from_dict({"run": {"seed": seed}, "data": {**places, "clip_s": 0.5, **data}})


def indexed(root, kind="esc50", **keys):
    return pipeline.index(configured(root, kind, **keys))


def rows_of(root, kind):
    with (root / TABLES[kind]).open() as file:
        return list(csv.DictReader(file))


EVERY_FOLD = [(kind, fold) for kind, count in COUNTS.items() for fold in range(1, count + 1)]


@pytest.mark.parametrize(("kind", "fold"), EVERY_FOLD)
def test_the_official_fold_judges_and_recordings_stay_together(trees, kind, fold):
    index = indexed(trees[kind], kind, fold=fold, val_share=0.2, words=folded.CLASSES)
    keys = {"esc50": ("filename", "src_file"), "urbansound8k": ("slice_file_name", "fsID")}[kind]
    table = {row[keys[0]]: row for row in rows_of(trees[kind], kind)}
    for clip in index.clips:
        row = table[clip.path.name]
        assert clip.path.is_file()
        assert (clip.split == "test") == (int(row["fold"]) == fold)
        assert clip.group == row[keys[1]]
        assert clip.label == (row.get("category") or row.get("class"))
    groups = {name: {clip.group for clip in index.split(name)} for name in SPLITS}
    assert sum(map(len, groups.values())) == len(set.union(*groups.values()))
    # of the other folds' clips of each class, two a recording, a fifth is a whole number of them
    learning = (COUNTS[kind] - 1) * 4
    wanted = dict.fromkeys(folded.CLASSES, 2 * int(0.2 * learning / 2))
    assert Counter(clip.label for clip in index.split("val")) == wanted
    assert len(index.split("train")) == 3 * learning - len(index.split("val"))
    assert len(index.split("test")) == 12


def test_selection_depends_on_the_seed_alone(trees):
    first, again, other = (
        {clip.path for clip in indexed(trees["esc50"], seed=seed).split("val")}
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_labels_are_those_of_the_table_or_the_words_or_the_ten(trees):
    root = trees["esc50"]
    assert indexed(root).labels == ("high", "low", "mid", "sweep")
    assert indexed(root, esc10=True).labels == ("high", "low", "mid")
    assert indexed(root, words=("mid", "low")).labels == ("mid", "low")
    unknown = indexed(root, words=("mid", "low"), unknown=True)
    assert unknown.labels == ("mid", "low", "unknown")
    assert Counter(clip.label for clip in unknown.clips) == {"mid": 20, "low": 20, "unknown": 25}
    assert len(indexed(root, esc10=True).clips) == 60


@pytest.mark.parametrize("kind", COUNTS)
def test_training_opens_no_clip_of_any_test_fold(trees, kind, monkeypatch):
    opened: list[Path] = []
    decode = decoder.decode

    def spy(paths, *rest, **keys):
        opened.extend(paths)
        return decode(paths, *rest, **keys)

    monkeypatch.setattr(decoder, "decode", spy)
    for fold in range(1, COUNTS[kind] + 1):
        opened.clear()
        config = configured(trees[kind], kind, fold=fold)
        index = pipeline.index(config)
        assert not opened  # by the index itself
        material = train.load_material(config, index)
        assert set(opened) == {clip.path for clip in index.clips if clip.split != "test"}
        assert len(material.train.labels) + len(material.val.labels) == len(opened)


def test_index_needs_no_recording_at_all(tmp_path):
    root = folded.esc50(tmp_path / "esc")
    whole = indexed(root)
    for path in (root / "audio").iterdir():
        path.unlink()
    assert indexed(root).clips == whole.clips


def test_clips_of_other_lengths_are_padded_in_the_middle_or_give_their_loudest_part(tmp_path):
    root = folded.esc50(tmp_path / "esc")
    short, long = (root / "audio" / f"1-1000-{take}-0.wav" for take in "AB")
    soundfile.write(short, np.full(3200, 0.25), 16000)
    wave = np.zeros(32000)
    wave[20000:24000] = 0.25  # an event of a quarter of a second within two
    soundfile.write(long, wave, 16000)
    config = configured(root)
    test = pipeline.load(config, pipeline.index(config), "test")
    clips = dict(zip(test.names, test.waveforms, strict=True))
    middle = np.pad(np.full(3200, 8192), 2400)
    np.testing.assert_array_equal(clips[f"audio/{short.name}"], middle)
    assert (clips[f"audio/{long.name}"] == 8192).sum() == 4000  # the whole event


@pytest.mark.parametrize("kind", COUNTS)
def test_listed_file_that_is_not_there_is_a_bad_file_by_name(tmp_path, kind, caplog):
    root = getattr(folded, kind)(tmp_path / "data")
    config = configured(root, kind, max_bad_share=0.1)
    index = pipeline.index(config)
    lost = index.split("test")[1].path
    lost.unlink()
    assert len(pipeline.load(config, index, "test").labels) == len(index.split("test")) - 1
    remedy = "put it there or remove what names it"
    assert f"left out: {lost}: no such file; {remedy}" in caplog.messages
    config = configured(root, kind, max_bad_share=0.0)
    with pytest.raises(UserError, match=f"the first: {lost}: no such file"):
        pipeline.load(config, index, "test")


def test_recording_in_the_test_fold_and_another_takes_no_part_in_learning(tmp_path, caplog):
    root = folded.urbansound8k(tmp_path / "urban")
    rows = rows_of(root, "urbansound8k")
    taken = next(row for row in rows if row["fold"] == "4")
    taken["fsID"] = rows[0]["fsID"]  # which is of fold 1
    folded.table(root / TABLES["urbansound8k"], rows)
    index = indexed(root, "urbansound8k", fold=1)
    assert len(index.clips) == len(rows) - 1
    assert taken["slice_file_name"] not in {clip.path.name for clip in index.clips}
    said = "1 clips left out: cut from recordings that fold 1 judges by"
    assert said in caplog.messages
    assert len(indexed(root, "urbansound8k", fold=2).clips) == len(rows)


def changed(column, value, line=0):
    def change(rows):
        rows[line][column] = value
        return rows

    return change


def without(column):
    return lambda rows: [{k: v for k, v in row.items() if k != column} for row in rows]


@pytest.mark.parametrize(
    ("kind", "change", "keys", "message"),
    [
        ("esc50", without("fold"), {}, "esc50.csv: has no column 'fold'; its first line must name"),
        ("esc50", without("esc10"), {"esc10": True}, "has no column 'esc10'"),
        ("urbansound8k", without("fsID"), {}, "UrbanSound8K.csv: has no column 'fsID'"),
        ("esc50", changed("fold", "6"), {}, "line 2: fold must be 1 to 5; correct it.*'6'"),
        ("urbansound8k", changed("fold", "x", 3), {}, "line 5: fold must be 1 to 10.*'x'"),
        ("esc50", changed("filename", "../1-1-A-1.wav"), {}, "line 2: filename must be the plain"),
        ("esc50", changed("filename", "dog.wav"), {}, "filename must be <fold>-<source>-<take>"),
        ("esc50", changed("category", " "), {}, "line 2: category must be filled"),
        ("urbansound8k", changed("fsID", ""), {}, "line 2: fsID must be filled"),
        ("esc50", lambda rows: rows + rows[:1], {}, "lists 1-1000-A-0.wav twice"),
        (
            "urbansound8k",
            lambda rows: [row for row in rows if row["fold"] != "7"],
            {},
            "UrbanSound8K.csv: fold 7 holds no clip of high, low, mid",
        ),
        (
            "esc50",
            lambda rows: [r for r in rows if r["fold"] != "2" or r["category"] == "mid"],
            {"words": ("low", "high"), "fold": 1},
            "fold 2 holds no clip of low, high",
        ),
        ("esc50", lambda rows: rows, {"words": ("low", "dog")}, "no recordings of 'dog'; there"),
        ("esc50", lambda rows: rows, {"words": ("low",)}, "two labels at least"),
    ],
)
def test_bad_table_is_one_sentence(trees, tmp_path, kind, change, keys, message):
    folded.table(tmp_path / "data" / TABLES[kind], change(rows_of(trees[kind], kind)))
    with pytest.raises(UserError, match=message):
        indexed(tmp_path / "data", kind, **keys)


@pytest.mark.parametrize("kind", COUNTS)
def test_missing_or_damaged_table_is_named(tmp_path, kind):
    table = tmp_path / TABLES[kind]
    with pytest.raises(UserError, match=f"{table}: cannot be read.*set data.root to the folder"):
        indexed(tmp_path, kind)
    table.parent.mkdir()
    for content, message in (
        (b"", "has no column"),
        (b"\xff\xfe\x00", "not a CSV file in UTF-8"),
        (b"PK\x03\x04" * 50, "has no column"),
    ):
        table.write_bytes(content)
        with pytest.raises(UserError, match=f"{table}: {message}"):
            indexed(tmp_path, kind)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "esc50", "fold": 6}, "fold must be 1 to 5. Received: fold=6"),
        ({"kind": "esc50", "fold": 0}, "fold must be 1 to 5. Received: fold=0"),
        ({"kind": "urbansound8k", "fold": 11}, "fold must be 1 to 10. Received: fold=11"),
        ({"kind": "folder", "fold": 2}, "fold needs kind esc50 or urbansound8k. Received"),
        ({"kind": "urbansound8k", "esc10": True}, "esc10 = true needs kind = 'esc50'"),
    ],
)
def test_fold_out_of_range_is_one_sentence(data, message):
    with pytest.raises(UserError, match=message):
        from_dict({"data": data})


@settings(max_examples=60, deadline=None)
@given(
    clips=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), max_size=60),
    seed=st.integers(0, 99), share=st.floats(0.01, 0.8),
)  # fmt: skip
def test_selection_leaves_every_label_something_to_learn_from(clips, seed, share):
    pairs = [(label, f"{label}{number}") for label, number in clips]
    chosen = select_groups(pairs, seed=seed, val_share=share)
    for label in {label for label, _ in pairs}:
        sizes = Counter(group for own, group in pairs if own == label)
        taken = {group: size for group, size in sizes.items() if group in chosen}
        assert len(taken) < len(sizes)
        assert bool(taken) == (len(sizes) > 1)
        fits = sum(taken.values()) <= share * sum(sizes.values())
        assert fits or list(taken.values()) == [min(sizes.values())]


def test_recording_of_several_classes_is_selected_once():
    pairs = [("a", "x"), ("a", "x"), ("b", "x"), ("a", "y"), ("a", "z"), ("b", "v"), ("b", "w")]
    chosen = select_groups(pairs, seed=0, val_share=0.5)
    assert chosen < set("vwxyz")
    # of a: x counts with all its 3 clips, y and z with one each; of b: v and w with one each
    assert len(chosen & set("xyz")) == (1 if "x" in chosen else 2)
    assert len(chosen & set("vw")) == 1


@needs_data
def test_esc10_is_ten_classes_of_forty_in_five_folds_of_eighty():
    for fold in range(1, 6):
        config = load_config(ESC10, [f"data.root='{ROOT}'", f"data.fold={fold}"])
        index = pipeline.index(config)
        assert len(index.clips) == 400
        assert set(Counter(clip.label for clip in index.clips).values()) == {40}
        assert len(index.labels) == 10
        assert all(clip.path.is_file() for clip in index.clips)
        test = index.split("test")
        assert {clip.path.name[0] for clip in test} == {str(fold)}
        assert set(Counter(clip.label for clip in test).values()) == {8}
        groups = {name: {clip.group for clip in index.split(name)} for name in SPLITS}
        assert sum(map(len, groups.values())) == len(set.union(*groups.values()))
        chosen = Counter(clip.label for clip in index.split("val"))
        # a fifth of 32; helicopter and crying baby have large groups, yet some fit
        assert len(chosen) == 10
        assert max(chosen.values()) <= 6.4
