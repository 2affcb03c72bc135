"""AudioSet: its tables, its classes, and the whole job with several tones at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_edge import Interpreter, read_card
from audio_edge.config import from_dict
from audio_edge.datasets import audioset, pipeline, prepare, shards
from audio_edge.errors import UserError
from audio_edge.summary import model_summary
from tests import tones
from training import evaluate, report, run

MIDS = {"low": "/m/0low", "mid": "/t/dd1", "high": "/m/0high"}
TITLES = {"low": "Low tone", "mid": "Mid, or so", "high": "High tone"}
HEAD = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=3, num_segs=3
# YTID, start_seconds, end_seconds, positive_labels
"""


def made(root: Path, *, train=90, judge=40) -> Path:
    """Clips of one tone or two, or of none of the classes; the last of each table has no file."""
    (root / "audio").mkdir(parents=True)
    sets = [("low",), ("mid",), ("high",), ("low", "mid"), ("low", "high"), ("mid", "high"), ()]
    for table, count, first in (
        (audioset.EVAL, judge, 0),
        ("balanced_train_segments.csv", train, 500),
    ):
        lines = [HEAD]
        for number in range(count + 1):
            video, start = f"-v{first + number:03}_x", number % 4 * 10
            labels = sets[number % len(sets)]
            mids = ",".join([MIDS[label] for label in labels] or ["/m/0other"])
            lines.append(f'{video}, {start:.3f}, {start + 10:.3f}, "{mids}"\n')
            if number < count:
                waves = [
                    tones.say(label, 7 * (first + number) + n) for n, label in enumerate(labels)
                ]
                wave = sum(waves) / 2 if waves else tones.say("sweep", number) / 2
                soundfile.write(root / "audio" / f"{video}_{start}.wav", wave, tones.RATE)
        (root / table).write_text("".join(lines))
    rows = ['index,mid,display_name\n0,/m/0other,"Other"\n']
    rows += [f'{n},{MIDS[name]},"{TITLES[name]}"\n' for n, name in enumerate(MIDS, 1)]
    (root / audioset.CLASSES).write_text("".join(rows))
    ontology = [
        {"id": "/m/tones", "name": "Tones", "child_ids": ["/m/deep", MIDS["high"]]},
        {"id": "/m/deep", "name": "Deep", "child_ids": [MIDS["low"], MIDS["mid"]]},
        *({"id": mid, "name": TITLES[name], "child_ids": []} for name, mid in MIDS.items()),
    ]
    (root / audioset.ONTOLOGY).write_text(json.dumps(ontology))
    return root


def settings(root: Path, **data):
    keys = {"root": str(root), "kind": "audioset", "cache": f"{root}-cache", "clip_s": 0.5}
    return from_dict({"data": {**keys, **data}})


def indexed(root: Path, **data):
    return pipeline.index(settings(root, **data))


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    return made(tmp_path_factory.mktemp("audioset") / "tree", train=28, judge=14)


def test_labels_are_those_of_the_tables_and_eval_judges(small, caplog):
    with caplog.at_level("INFO", "audio_edge"):
        index = indexed(small)
    assert index.labels == ("Other", "Low tone", "Mid, or so", "High tone")
    assert len(index.clips) == 42
    assert any("2 segments have no recording" in text for text in caplog.messages)
    assert len(index.split("test")) == 14
    assert {clip.path.name[:3] for clip in index.split("test")} == {"-v0"}
    assert 0 < len(index.split("val")) < len(index.split("train"))
    both = next(clip for clip in index.clips if clip.group == "-v003_x")
    assert both.labels == ("Low tone", "Mid, or so")


def test_words_are_names_or_ids_and_other_clips_are_kept_only_if_unknown(small):
    index = indexed(small, words=["High tone", "/m/0low"])
    assert index.labels == ("High tone", "Low tone")
    assert all(clip.labels for clip in index.clips)
    more = indexed(small, words=["High tone", "/m/0low"], unknown=True)
    assert {clip.labels for clip in more.clips} == {clip.labels for clip in index.clips} | {()}
    split = pipeline.load(settings(small, words=["High tone", "Low tone"]), index, "test")
    assert split.labels.dtype == np.float32
    for name, row in zip(split.names, split.labels, strict=True):
        number = int(name.split("-v")[1][:3]) % 7
        assert row.tolist() == [number in (2, 4, 5), number in (0, 3, 4)]


def test_a_label_counts_for_its_ancestors_where_asked(small):
    index = indexed(small, words=["Tones", "Deep", "High tone"], ontology=True)
    of = {clip.group: clip.labels for clip in index.clips}
    assert of["-v000_x"] == ("Tones", "Deep")
    assert of["-v002_x"] == ("Tones", "High tone")
    assert of["-v004_x"] == ("Tones", "Deep", "High tone")
    assert "-v006_x" not in of
    with pytest.raises(UserError, match="no class 'Deep'.*ontology = true"):
        indexed(small, words=["Deep", "Low tone"])


@pytest.mark.parametrize(
    "name", ["a-b_30_40", "a-b_30.000_40.000", "a-b_30", "a-b_30.000", "a-b_30000", "a-b", "Ya-b"]
)
def test_recordings_are_found_by_the_names_that_tools_give_them(name):
    assert name in list(audioset.Segment("a-b", 30.0, 40.0, ()).names())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (audioset.EVAL, None, "AudioSet needs eval_segments.csv"),
        (audioset.EVAL, HEAD + "a, 0, x\n", "line 4: must be a video, start, end"),
        (audioset.EVAL, HEAD + 'a, 20.0, 10.0, "/m/0low"\n', "line 4: must be a video, start, end"),
        (audioset.CLASSES, "index,mid\n", "no column 'display_name'"),
        (audioset.ONTOLOGY, "[1]", "not the ontology of AudioSet"),
        ("balanced_train_segments.csv", None, "AudioSet needs eval_segments.csv and balanced"),
    ],
)
def test_a_damaged_table_is_one_sentence(tmp_path, name, text, message):
    root = made(tmp_path / "tree", train=3, judge=3)
    (root / name).unlink() if text is None else (root / name).write_text(text)
    with pytest.raises(UserError, match=message):
        indexed(root, ontology=True)


def test_shards_serve_and_stream_audioset(small, tmp_path):
    prepare.prepare(prepare.tree(small), tmp_path / "shards", prepare.Settings())
    found = [indexed(small), indexed(tmp_path / "shards")]
    assert found[0].fingerprint() == found[1].fingerprint()
    splits = [pipeline.load(settings(each.root), each, "test") for each in found]
    np.testing.assert_array_equal(splits[0].waveforms, splits[1].waveforms)
    np.testing.assert_array_equal(splits[0].labels, splits[1].labels)
    stream = shards.stream(found[1], "test", clip_samples=8000, batch_size=5)
    batches = list(stream.as_numpy_iterator())
    labels = np.concatenate([labels for _, labels in batches])
    assert sorted(labels.tolist()) == sorted(splits[0].labels.tolist())


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """The finished job on tones, one or two at once or neither."""
    folder = tmp_path_factory.mktemp("job")
    made(folder / "data", train=140, judge=49)
    keys = 'words = ["Low tone", "Mid, or so", "High tone"]\nunknown = true\n'
    text = tones.CONFIG.partition("[data]")[0] + f"[data]\nkind = 'audioset'\nclip_s = 0.5\n{keys}"
    text += "[augment]" + tones.CONFIG.partition("[augment]")[2]
    (folder / "audioset.toml").write_text(text)
    places = {"data.root": "data", "run.dir": "out", "data.cache": "cache"}
    places = {key: folder / name for key, name in places.items()}
    places |= {"train.epochs": 24, "prune.epochs": 10, "quantize.epochs": 4}
    sets = [f"--set={key}={value}" for key, value in places.items()]
    assert run.main([str(folder / "audioset.toml"), "--runs", "100", *sets]) == 0
    return folder


def test_int8_file_hears_several_tones_at_once(job):
    judged = json.loads((job / "out/results/accuracy.json").read_text())
    for stage in ("float", "int8"):
        # chance is the share of clips that a class has, about 0.43
        assert judged[stage]["mean_average_precision"] > 0.9, stage
        assert judged[stage]["lwlrap"] > 0.9
    file = job / "out/tflite/model_int8.tflite"
    assert read_card(file).multi_label
    wave, _ = soundfile.read(job / "data/audio/-v003_x_30.wav", dtype="float32")
    low, mid, high = Interpreter(file)(wave)
    assert min(low, mid) > 0.5 > high  # a softmax could not


def test_sigmoid_of_the_int8_file_is_in_float(job):
    file = job / "out/tflite/model_int8.tflite"
    last = [row for row in model_summary(file)["ops"] if row["op"] in ("LOGISTIC", "SOFTMAX")]
    assert [(row["op"], row["dtype"]) for row in last] == [("LOGISTIC", "FLOAT32")]


def test_evaluate_tells_map_and_report_declines(job, capsys):
    file = str(job / "out/tflite/model_int8.tflite")
    assert evaluate.main([file, "--csv", str(job / "scores.csv")]) == 0
    said = capsys.readouterr().out
    assert "mean average precision" in said
    assert "lwlrap" in said
    assert "Low tone + Mid, or so" in (job / "scores.csv").read_text()
    assert report.main([file, "--out", str(job / "page.html")]) == 2
    assert "several labels" in capsys.readouterr().err
