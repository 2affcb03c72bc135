"""The review queue: consent, one of each, limits, deletion, decisions and what fills it."""

import json
import multiprocessing
import re
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_edge import audio
from audio_edge.detector import Detection
from audio_edge.errors import UserError
from audio_edge.hits import Hits
from audio_edge.review import bundle, choice, sources
from audio_edge.review.items import digest_of
from audio_edge.review.queue import Queue, create
from audio_edge.review.store import FILE
from audio_edge.review.terms import Terms
from tests.conftest import tone
from training import review

RATE, DAY = 16000, 86400.0
LABELS = ("silence", "low", "high")


@pytest.fixture
def queue(tmp_path):
    return create(tmp_path / "queue", Terms(LABELS, consent="the testers, to everything"))


def clip(seed, seconds=0.1):
    return np.random.default_rng(seed).integers(-9, 9, round(seconds * RATE)).astype(np.int16)


def put(queue, seed=0, *, source="kitchen", why="reported", now=0.0, **facts):
    return queue.add(clip(seed), RATE, source=source, model="m", why=why, now=now, **facts)


def test_nothing_is_taken_in_without_a_consent_on_record(tmp_path):
    queue = create(tmp_path / "queue", Terms(LABELS))
    with pytest.raises(UserError, match="no consent is on record, so nothing is kept"):
        put(queue)
    assert queue.next() == [] and not (tmp_path / "queue" / "audio").exists()
    queue.agree(Terms(LABELS, consent="anna, to training"))
    assert put(queue)


def test_a_clip_keeps_its_sound_and_what_is_known_of_it(queue):
    digest = put(queue, 3, scores={"low": 0.25, "high": 0.5}, model_sha256="f00", given="low")
    [item] = Queue(queue.folder).next()
    assert (item.sha256, item.source, item.why, item.given) == (
        digest,
        "kitchen",
        "reported",
        "low",
    )
    assert (item.scores, item.model_sha256, item.kind) == ({"low": 0.25, "high": 0.5}, "f00", None)
    samples, rate = soundfile.read(item.path, dtype="int16")
    assert rate == RATE and (samples == clip(3)).all()


def test_the_same_sound_is_kept_once_whatever_its_form(queue):
    assert put(queue, 1)
    as_float = clip(1).astype(np.float32) / 32768
    again = queue.add(as_float, RATE, source="hall", model="n", why="low margin", now=1.0)
    assert again is None and len(queue.next(9)) == 1
    assert digest_of(as_float, RATE) == digest_of(clip(1), RATE) != digest_of(clip(1), 8000)


def test_what_was_deleted_stays_deleted(queue):
    digest = put(queue, 1)
    put(queue, 2, source="hall")
    path = queue.find(digest).path
    assert queue.delete(source="kitchen") == 1 and not path.exists()
    assert put(queue, 1) is None
    assert [item.source for item in queue.next(9)] == ["hall"]
    with pytest.raises(UserError, match="has no clip"):
        queue.find(digest)
    assert b"kitchen" not in queue.path.read_bytes()


def test_clips_go_when_they_are_too_old(queue):
    queue.agree(Terms(LABELS, consent="x", keep_days=30))
    put(queue, 1, now=0.0)
    put(queue, 2, now=20 * DAY)
    assert queue.expire(29 * DAY) == 0
    assert queue.expire(31 * DAY) == 1
    assert [item.added for item in queue.next(9)] == [20 * DAY]
    assert len(list((queue.folder / "audio").iterdir())) == 1


def test_the_oldest_clips_go_when_there_are_too_many(queue):
    queue.agree(Terms(LABELS, consent="x", keep_mb=3 * 3200 / 1e6))  # 3200 bytes each
    for seed in range(5):
        put(queue, seed, now=float(seed))
    queue.expire(5.0)
    assert [item.added for item in queue.next(9)] == [2.0, 3.0, 4.0]


def test_decisions_are_undone_one_by_one_by_whoever_opens_the_queue(queue):
    first, second, third = (put(queue, seed) for seed in range(3))
    queue.decide(first, "label", "low")
    queue.decide(second, "drop")
    assert [item.label for item in queue.reviewed()] == ["low"]
    again = Queue(queue.folder)
    assert [again.undo(), again.undo(), again.undo()] == [second, first, None]
    assert [item.sha256 for item in again.next(9)] == [first, second, third]


def test_what_was_skipped_comes_last(queue):
    first, second, third = (put(queue, seed) for seed in range(3))
    queue.decide(first, "skip")
    queue.decide(second, "skip")
    assert [item.sha256 for item in queue.next(9)] == [third, first, second]
    assert queue.progress() == {"open": 3, "skip": 2, "label": 0, "drop": 0, "labels": {}}
    queue.decide(first, "label", "high")
    progress = queue.progress()
    assert (progress["open"], progress["labels"]) == (2, {"high": 1})


def test_a_decision_must_be_one_of_those_known(queue):
    digest = put(queue)
    for kind, label in (("label", "tall"), ("label", ""), ("drop", "low"), ("guess", "")):
        with pytest.raises(UserError, match="no label|a decision is"):
            queue.decide(digest, kind, label)
    with pytest.raises(UserError, match="has no clip"):
        queue.decide("0" * 64, "drop")


def _fill(folder, seeds):
    for seed in seeds:
        put(Queue(folder), seed)


def test_processes_fill_a_queue_at_once(queue):
    context = multiprocessing.get_context("spawn")
    spans = (range(0, 12), range(8, 20))  # some of them from both
    workers = [context.Process(target=_fill, args=(queue.folder, span)) for span in spans]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(queue.next(99)) == len(list((queue.folder / "audio").iterdir())) == 20


def test_a_refusing_disk_leaves_no_row_without_its_sound(queue, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audio, "write", refuse)
    with pytest.raises(UserError, match="No space left"):
        put(queue)
    assert queue.next() == []


def test_damaged_and_missing_queues_are_told_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no review queue; make one"):
        Queue(tmp_path)
    (tmp_path / FILE).write_bytes(b"no database at all, and longer than a header" * 9)
    with pytest.raises(UserError, match="not a database"):
        Queue(tmp_path)
    (tmp_path / FILE).unlink()
    sqlite3.connect(tmp_path / FILE).execute("PRAGMA user_version = 7").connection.close()
    with pytest.raises(UserError, match="of format 7"):
        Queue(tmp_path)


def test_reasons_are_disagreement_low_margin_and_a_sample_that_is_always_the_same():
    sure, unsure = {"a": 0.9, "b": 0.1}, {"a": 0.55, "b": 0.45}
    never, always = "f" * 64, "0" * 64
    assert choice.reason(sure, {"a": 0.2, "b": 0.8}, key=never) == "disagreement"
    assert choice.reason(unsure, sure, key=never) == "low margin"
    assert choice.reason(sure, sure, key=never) is None
    assert choice.reason(sure, key=always) == "control sample"
    assert choice.reason(sure, key=always, control=0) is None
    keys = [digest_of(clip(seed), RATE) for seed in range(400)]
    share = np.mean([choice.reason(sure, key=key, control=0.25) is not None for key in keys])
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 400)  # 4 deviations of the binomial


def hit(folder, name, scores, seed, **facts):
    folder.mkdir(exist_ok=True)
    audio.write(folder / f"{name}.wav", clip(seed), RATE)
    (folder / f"{name}.json").write_text(json.dumps({"scores": scores, "model": "m", **facts}))


def test_saved_hits_come_in_by_reason_and_only_once(queue, tmp_path):
    hits = tmp_path / "hits"
    hit(hits, "a", {"low": 0.5, "high": 0.4}, 1)
    hit(hits, "b", {"low": 0.9, "high": 0.1}, 2)
    hit(hits, "c", {"low": 0.9, "high": 0.1}, 3, reported=True, source="anna")
    found = sources.from_hits(queue, hits, now=0.0, control=0.0)
    assert found == {"low margin": 1, "chosen by none": 1, "reported": 1}
    assert [(item.why, item.source) for item in queue.next(9)] == [
        ("low margin", "hits"), ("reported", "anna")
    ]  # fmt: skip
    assert sources.from_hits(queue, hits, now=0.0, control=0.0)["there already"] == 2
    (hits / "b.json").write_text('{"scores": {"low": "much"}}')
    with pytest.raises(UserError, match=r"b\.json: holds no scores"):
        sources.from_hits(queue, hits, now=0.0)


def test_what_the_detector_saves_is_what_the_queue_takes_in(queue, tmp_path):
    saved = Hits(tmp_path / "hits", {"model": "m", "model_sha256": "f00"})
    scores = {"low": 0.5, "high": 0.4}
    assert saved.save(Detection("low", 0.5, 1.0), clip(1), RATE, scores, "20240601") is None
    assert sources.from_hits(queue, saved.folder, now=0.0) == {"low margin": 1}
    [item] = queue.next()
    assert (item.model, item.model_sha256, item.scores) == ("m", "f00", scores)


def zipped(path, contents):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def test_export_of_the_app_comes_in_as_the_app_writes_it(queue, tmp_path):
    """hits.zip is what the Kotlin tests write, and hold to be what they write."""
    golden = Path(__file__).parent / "golden" / "hits.zip"
    assert sources.from_hits(queue, golden, now=0.0, control=0.0) == {
        "reported": 1, "chosen by none": 1
    }  # fmt: skip
    [item] = queue.next(9)
    assert (item.source, item.model, item.sample_rate) == ("hits", "model", 1000)
    assert item.scores == {"silence": 0.0, "high": 1.0} and len(item.model_sha256) == 64
    assert item.samples == 2000 and (soundfile.read(item.path, dtype="int16")[0] == 20000).any()
    assert sources.from_hits(queue, golden, now=0.0, source="anna")["there already"] == 1


def test_zip_that_is_more_than_hits_is_refused(queue, tmp_path):
    bad = {
        "../a.wav": "holds '../a.wav'", "/tmp/a.wav": "no WAV or JSON", "a/b.wav": "no WAV or JSON",
        ".a.wav": "no WAV or JSON", "a.sh": "no WAV or JSON", "a\\b.wav": "no WAV or JSON",
    }  # fmt: skip
    for name, said in bad.items():
        with pytest.raises(UserError, match=re.escape(said)):
            sources.from_hits(queue, zipped(tmp_path / "bad.zip", {name: b""}), now=0.0)
    large = zipped(tmp_path / "large.zip", {"a.wav": bytes(5000), "b.wav": bytes(5000)})
    with pytest.raises(UserError, match="too many bytes"), bundle.unpacked(large, max_bytes=9999):
        pass
    content = bytearray(large.read_bytes())
    content[50] ^= 255
    large.write_bytes(content)
    with pytest.raises(UserError, match="cannot be unpacked"):
        sources.from_hits(queue, large, now=0.0)
    large.write_bytes(b"no zip")
    with pytest.raises(UserError, match="cannot be unpacked"):
        sources.from_hits(queue, large, now=0.0)
    assert queue.next() == [] and not list(tmp_path.parent.glob("a.wav"))


@pytest.mark.parametrize("damage", [b"\xff" * 9, b"\x00" * 9])
def test_zip_with_damaged_lzma_is_refused(queue, tmp_path, damage):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.wav", bytes(range(256)) * 40)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[39:48] = damage
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip: cannot be unpacked"):
        sources.from_hits(queue, tmp_path / "a.zip", now=0.0)


def test_zip_whose_names_are_no_text_is_refused(queue, tmp_path):
    path = zipped(tmp_path / "a.zip", {"éé.wav": b"", "éé.json": b""})
    path.write_bytes(path.read_bytes().replace("éé".encode(), b"\xff\xfe\xfd\xfc"))
    with pytest.raises(UserError, match=r"a\.zip: cannot be unpacked"):
        sources.from_hits(queue, path, now=0.0)


def test_zip_with_a_name_too_long_is_refused_without_a_path_of_ours(queue, tmp_path):
    path = zipped(tmp_path / "a.zip", {f"{'a' * 300}.wav": b""})
    with pytest.raises(UserError) as caught:
        sources.from_hits(queue, path, now=0.0)
    assert str(caught.value).count("a.zip: cannot be unpacked") == 1
    assert "aaa" not in str(caught.value)


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({"a.json": b"{"}, "a.json: not valid JSON"),
        ({"a.json": b"{}"}, "a.json: holds no scores"),
        ({"a.json": b'{"scores": {}}', "a.wav": b"RIFF"}, "a.wav: not a readable recording"),
        ({"a.wav": b"RIFF"}, "holds no WAV with its JSON beside it"),
    ],
)
def test_fault_inside_a_zip_is_told_of_the_zip(queue, tmp_path, contents, said):
    path = zipped(tmp_path / "a.zip", contents)
    with pytest.raises(UserError) as caught:
        sources.from_hits(queue, path, now=0.0)
    told = str(caught.value)
    assert told.startswith(f"{path}: {said}") and told.endswith("; export it again")
    assert told.count("; ") == 1


def test_sound_without_its_json_is_counted_and_nothing_else_is_a_mistake(queue, tmp_path):
    hits = tmp_path / "hits"
    hit(hits, "a", {"low": 0.5, "high": 0.4}, 1)
    audio.write(hits / "b.wav", clip(2), RATE)
    found = sources.from_hits(queue, hits, now=0.0)
    assert found == {"low margin": 1, "WAV without its JSON": 1}
    (hits / "a.json").unlink()
    with pytest.raises(UserError, match="hits: holds no WAV with its JSON beside it"):
        sources.from_hits(queue, hits, now=0.0)


def test_commands_set_find_import_list_and_delete(carded_path, tmp_path, capsys):
    folder, place = tmp_path / "sounds", str(tmp_path / "queue")
    (folder / "anna").mkdir(parents=True)
    for label, amplitude in (("low", 0.5), ("low", 0.19), ("high", 0.5)):
        # an amplitude of 0.19 is about as loud as the model's own doubt: softmax(2, 60 a^2, 0)
        audio.write(
            folder / "anna" / f"{label}{amplitude}.wav", tone(label, 0.1, amplitude=amplitude), RATE
        )
    (folder / "anna" / "bad.wav").write_bytes(b"no sound")
    assert review.main([place, "find", str(carded_path), str(folder)]) == 2
    assert "no review queue" in capsys.readouterr().err
    assert review.main([place, "set", "--model", str(carded_path), "--consent", "the testers"]) == 0
    find = [place, "find", str(carded_path), str(folder), "--against", str(carded_path)]
    assert review.main([*find, "--control", "0"]) == 0
    printed = capsys.readouterr().out
    assert "1 low margin" in printed and "2 chosen by none" in printed
    assert "1 cannot be read" in printed
    [item] = Queue(place).next(9)
    assert (item.source, item.model, item.path.stem) == ("anna", "tones", item.sha256)
    hit(tmp_path / "hits", "a", {"low": 0.5, "high": 0.4}, 1)
    assert review.main([place, "import", str(tmp_path / "hits"), "--source", "hall"]) == 0
    assert review.main([place, "delete", "--source", "hall"]) == 0
    Queue(place).decide(item.sha256, "label", "low")
    assert review.main([place, "again", item.sha256]) == 0
    assert review.main([place, "set", "--days", "7"]) == 0
    assert review.main([place, "list"]) == 0
    printed = capsys.readouterr().out
    assert "deleted: 1" in printed and "to be decided: 1" in printed and "7 days" in printed


def test_doubt_finds_the_clips_whose_label_is_wrong(carded_path, tmp_path, capsys, rng):
    pytest.importorskip("cleanlab", reason="cleanlab is not installed: audio_edge[review]")
    for label in LABELS:
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(6):
            wrong = (label, number) == ("high", 4)  # and heard at least as surely as others
            sound = tone(label, 0.1, amplitude=0.6 if wrong else rng.uniform(0.3, 0.5))
            sound = sound + rng.normal(scale=1e-3, size=len(sound)).astype(np.float32)
            said = "low" if wrong else label
            audio.write(tmp_path / "data" / said / f"{label}_nohash_{number}.wav", sound, RATE)
    queue = create(tmp_path / "queue", Terms(LABELS, consent="the testers"))
    doubt = [str(queue.folder), "doubt", str(carded_path), str(tmp_path / "data")]
    assert review.main(doubt) == 0
    assert "1 doubtful label" in capsys.readouterr().out
    [item] = queue.next(9)
    assert (item.why, item.given, item.source) == ("doubtful label", "low", "high")
    assert max(item.scores, key=item.scores.get) == "high"
    assert review.main(doubt) == 0
    assert "1 there already" in capsys.readouterr().out


def test_names_that_are_no_text_are_kept_with_escapes(queue, tmp_path):
    hits = tmp_path / "hits\udcff"
    hit(hits, "a", {"low": 0.5, "high": 0.4}, 1, model="m\udcff")
    hit(hits, "b", {"\ud800": 0.5, "high": 0.4}, 2, source="\ud800")
    assert sources.from_hits(queue, hits, now=0.0) == {"low margin": 2}
    assert [(item.source, item.model) for item in queue.next(9)] == [
        ("hits\\udcff", "m\\udcff"), ("\\ud800", "m")
    ]  # fmt: skip
    with pytest.raises(UserError, match="has no clip"):
        queue.decide("\ud800", "drop")
    assert queue.delete(sha256="\udcff") == 0
    assert queue.delete(source="hits\udcff") == queue.delete(source="\ud800") == 1
    for terms in ({"labels": ("a", "\udcff")}, {"consent": "\udcff"}):
        with pytest.raises(UserError, match="must be UTF-8"):
            Terms(**terms)


def test_a_lost_queue_does_not_come_back_empty(queue):
    queue.path.unlink()
    for ask in (lambda: put(queue), queue.next, queue.progress):
        with pytest.raises(UserError, match="unable to open"):
            ask()
    assert not queue.path.exists()
    queue.path.touch()
    with pytest.raises(UserError, match="holds no review queue; move it away"):
        create(queue.folder, Terms(LABELS))


@pytest.mark.parametrize("told", ["{", "[]", '{"labels": 1}', '{"labels": [], "more": 1}'])
def test_damaged_terms_are_told_in_one_sentence(queue, told):
    with sqlite3.connect(queue.path) as db:
        db.execute("UPDATE terms SET json = ?", (told,))
    db.close()
    with pytest.raises(UserError, match="its terms are damaged"):
        _ = queue.terms


def test_report_is_noted_with_a_clip_that_waits_and_with_no_other(queue):
    waits, skipped, decided, gone = (put(queue, seed, why="low margin") for seed in range(4))
    queue.decide(skipped, "skip")
    queue.decide(decided, "label", "low")
    queue.delete(sha256=gone)
    noted = [put(queue, seed, source="hall", given="high") for seed in range(4)]
    assert noted == [waits, skipped, None, None]
    told = {item.sha256: (item.why, item.given, item.source) for item in queue.next(9)}
    assert told == {digest: ("reported", "high", "kitchen") for digest in (waits, skipped)}
    assert (queue.find(decided).why, queue.find(decided).given) == ("low margin", "")
    assert put(queue, 0, given="high") is None and put(queue, 0) is None  # it is known
    assert put(queue, 0, given="low") == waits and queue.find(waits).given == "low"
    assert put(queue, 0, why="low margin") is None and queue.find(waits).why == "reported"


@pytest.mark.parametrize("option", ["--margin", "--control"])
@pytest.mark.parametrize("value", ["nan", "-1", "5"])
def test_shares_out_of_range_are_refused(queue, tmp_path, capsys, option, value):
    hit(tmp_path / "hits", "a", {"low": 0.5, "high": 0.4}, 1)
    for action in (["import", str(tmp_path / "hits")], ["find", "nowhere.tflite", "nowhere"]):
        assert review.main([str(queue.folder), *action, option, value]) == 2
        assert "--margin and --control must be in [0, 1]" in capsys.readouterr().err
    assert queue.next() == []
