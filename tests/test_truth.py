"""Words said against words heard."""

from __future__ import annotations

import pytest

from audio_edge.detector import Detection
from audio_edge.errors import UserError
from audio_edge.truth import Word, match, read_labels, read_truth, write_labels, write_table

WORDS = [Word("yes", 0.8, 1.2), Word("no", 2.8, 3.2), Word("yes", 4.8, 5.2)]


def heard(*items: tuple[str, float]) -> list[Detection]:
    return [Detection(label, 0.9, time_s) for label, time_s in items]


def test_all_words_heard_in_time_are_perfect():
    verdict = match(WORDS, heard(("yes", 0.9), ("no", 3.25), ("yes", 5.0)))
    assert verdict.perfect
    assert verdict.right == 3
    assert verdict.largest_error_s == pytest.approx(0.25)
    assert [pair.error_s for pair in verdict.pairs] == pytest.approx([-0.1, 0.25, 0.0])


def test_boundary_of_the_tolerance_counts_as_right():
    assert match(WORDS[:1], heard(("yes", 1.3))).perfect
    assert not match(WORDS[:1], heard(("yes", 1.31))).perfect


def test_wrong_label_late_and_missing_words_are_wrong_but_not_false():
    verdict = match(WORDS, heard(("no", 1.0), ("no", 3.45)))
    assert [pair.right for pair in verdict.pairs] == [False, False, False]
    assert [pair.heard.label if pair.heard else None for pair in verdict.pairs] == [
        "no",
        "no",
        None,
    ]
    assert verdict.largest_error_s == pytest.approx(0.45)
    assert verdict.false == ()
    assert not verdict.perfect


def test_detection_far_from_any_word_is_false():
    verdict = match(WORDS[:1], heard(("yes", 1.0), ("no", 2.0)))
    assert verdict.right == 1
    assert [item.label for item in verdict.false] == ["no"]
    assert not verdict.perfect


def test_second_detection_of_one_word_is_false():
    verdict = match(WORDS[:1], heard(("yes", 0.9), ("yes", 1.05)))
    assert verdict.pairs[0].heard.time_s == 1.05
    assert [item.time_s for item in verdict.false] == [0.9]


def test_right_label_is_preferred_to_a_nearer_wrong_one():
    verdict = match(WORDS[:1], heard(("no", 1.0), ("yes", 1.2)))
    assert verdict.right == 1
    assert [item.label for item in verdict.false] == ["no"]


def test_nothing_said_and_nothing_heard_is_perfect():
    assert match([], []).perfect
    assert not match([], heard(("yes", 1.0))).perfect


def test_label_track_is_read_in_order_of_time(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("2.5\t3.0\tno\n\\\t100.0\t200.0\n\n0.5\t1.0\tyes \n", encoding="utf-8-sig")
    assert read_labels(path) == [Word("yes", 0.5, 1.0), Word("no", 2.5, 3.0)]
    assert read_labels(path)[1].middle_s == 2.75


@pytest.mark.parametrize(
    "line",
    [
        "1.0\t2.0",
        "1.0 2.0 yes",
        "one\t2.0\tyes",
        "2.0\t1.0\tyes",
        "-1\t1\tyes",
        "0\tnan\tyes",
        "0\t1\t ",
    ],
)
def test_malformed_line_is_named(tmp_path, line):
    path = tmp_path / "labels.txt"
    path.write_text(f"0\t1\tyes\n{line}\n")
    with pytest.raises(UserError, match=r"labels\.txt: line 2 must be"):
        read_labels(path)


def test_missing_empty_and_binary_tracks_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_labels(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(UserError, match="holds no label"):
        read_labels(tmp_path / "empty.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(UserError, match="not UTF-8 text"):
        read_labels(tmp_path / "binary.txt")


def test_what_is_written_is_read(tmp_path):
    words = [Word("yes", 0.5, 1.0, 12.25), Word("no thanks", 2.5, 2.999938)]
    write_labels(tmp_path / "a.txt", words)
    write_table(tmp_path / "a.csv", words)
    assert read_truth(tmp_path / "a.csv") == words
    bare = [Word(word.label, word.start_s, word.end_s) for word in words]
    assert read_truth(tmp_path / "a.txt") == read_labels(tmp_path / "a.txt") == bare
    assert (tmp_path / "a.csv").read_text().startswith("label,start_s,end_s,snr_db\nyes,0.500000,")


def test_table_may_have_other_columns_and_any_order(tmp_path):
    (tmp_path / "a.csv").write_text("end_s,who,label,start_s\n3,anna,no,2\n1.5,ben,yes,1\n")
    assert read_truth(tmp_path / "a.csv") == [Word("yes", 1.0, 1.5), Word("no", 2.0, 3.0)]


@pytest.mark.parametrize("row", ["yes,2,1", "yes,x,1", ",1,2", "yes,1", "yes,-1,2", "yes,1,inf"])
def test_malformed_row_is_named(tmp_path, row):
    (tmp_path / "a.csv").write_text(f"label,start_s,end_s\nno,0,1\n{row}\n")
    with pytest.raises(UserError, match=r"a\.csv: line 3 must have label"):
        read_truth(tmp_path / "a.csv")


def test_missing_table_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_truth(tmp_path / "none.csv")
