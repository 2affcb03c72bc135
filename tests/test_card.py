"""The card: what is written is read, and whatever was changed in between is noticed."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from audio_edge.card import Card, attach, read_card, split
from audio_edge.errors import UserError
from audio_edge.files import fingerprint, sha256
from audio_edge.tflite_metadata import repacked, with_metadata


def test_attach_then_split_gives_back_model_and_card(tone_model, tone_card):
    content = attach(tone_model, tone_card)
    assert split(content, source="x") == (tone_model, tone_card)


def test_attach_is_deterministic(tone_model, tone_card):
    again = Card.from_dict(json.loads(json.dumps(tone_card.to_dict())))
    assert attach(tone_model, tone_card) == attach(tone_model, again)
    assert with_metadata(tone_model, tone_card) == with_metadata(tone_model, again)


def test_zipfile_reads_the_appended_files(carded, tone_card):
    with zipfile.ZipFile(io.BytesIO(carded)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["labels.txt", "model_card.json"]
        assert archive.read("labels.txt").decode().split("\n") == ["silence", "low", "high", ""]
        document = json.loads(archive.read("model_card.json"))
        start = archive.infolist()[0].header_offset
    assert Card.from_dict(document) == tone_card
    assert carded[start : start + 4] == b"PK\x03\x04"
    hashes = document["hashes"]
    assert hashes["buffers"] == sha256(carded[:start])
    assert hashes.pop("card") == fingerprint(document)


def test_card_says_whether_several_labels_may_be_heard_at_once(tone_model, tone_card):
    assert "multi_label" not in tone_card.to_dict()  # older readers know no such key
    several = dataclasses.replace(tone_card, multi_label=True)
    assert split(attach(tone_model, several), source="x")[1] == several


def test_card_says_how_many_streams_a_file_takes_where_there_are_several(tone_model, tone_card):
    told = {"packet_samples": 480, "silence_packets": 3, "states": ["logmel"], "exact": True}
    one = dataclasses.replace(tone_card, streaming=told)
    several = dataclasses.replace(tone_card, streaming={**told, "streams": 16})
    assert (one.streams, several.streams) == (1, 16)
    assert split(attach(tone_model, several), source="x")[1] == several
    for wrong in (0, 1, True, 2.0, "16"):
        with pytest.raises(UserError, match="streaming must tell"):
            dataclasses.replace(tone_card, streaming={**told, "streams": wrong})


def test_read_card_from_a_file(carded_path, tone_card):
    assert read_card(carded_path) == tone_card


def test_read_card_of_a_model_without_one_is_an_error(tone_model, tmp_path):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(tone_model)
    with pytest.raises(UserError, match=r"foreign\.tflite: carries no model card"):
        read_card(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.tflite: cannot be read \(No such file"):
        read_card(tmp_path / "none.tflite")


def test_model_without_card_passes_whole(tone_model):
    assert split(tone_model, source="x") == (tone_model, None)


def test_model_with_a_foreign_zip_passes_whole(tone_model):
    file = io.BytesIO(tone_model)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("names.txt", "a\nb\nc\n")
    assert split(file.getvalue(), source="x") == (file.getvalue(), None)


def test_random_bit_flips_are_all_noticed(carded, rng):
    """200 flips anywhere and 100 in the zip tail: flatbuffer, metadata, labels, card, directory."""
    start = carded.index(b"PK\x03\x04")
    places = [*rng.integers(0, len(carded), 200), *rng.integers(start, len(carded), 100)]
    for place in places:
        damaged = bytearray(carded)
        damaged[place] ^= 1 << rng.integers(8)
        with pytest.raises(UserError, match="^x: "):
            split(bytes(damaged), source="x")


def test_every_byte_of_the_zip_tail_counts(carded):
    start = carded.index(b"PK\x03\x04")
    for place in range(start, len(carded)):
        damaged = bytearray(carded)
        damaged[place] ^= 1
        with pytest.raises(UserError, match="^x: "):
            split(bytes(damaged), source="x")


def test_truncated_files_are_noticed(carded, rng):
    """Also when the whole card is gone: the metadata in the flatbuffer still names it."""
    start = carded.index(b"PK\x03\x04")
    for length in [start, start + 1, len(carded) - 1, *rng.integers(start, len(carded), 20)]:
        with pytest.raises(UserError, match="^x: the file is damaged"):
            split(carded[:length], source="x")


def test_bytes_added_at_the_end_are_noticed(carded):
    with pytest.raises(UserError, match="damaged"):
        split(carded + b"\0", source="x")


def test_card_of_another_model_is_noticed(carded, tone_model, tone_card):
    tail = attach(tone_model, tone_card)[len(tone_model) :]
    other = bytearray(tone_model)
    other[-1] ^= 1
    with pytest.raises(UserError, match="the model differs from its hash"):
        split(bytes(other) + tail, source="x")


def test_edited_card_is_noticed(tone_model, tone_card):
    content = attach(tone_model, tone_card)
    edited = content.replace(b'"tones"', b'"bones"')
    assert edited != content
    with pytest.raises(UserError, match="damaged"):
        split(edited, source="x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello, world", "not a TFLite model"),
        (b"TFL3", "not a TFLite"),
    ],
)
def test_what_is_no_model_is_refused(content, message):
    with pytest.raises(UserError, match=f"^x: .*{message}|^x: {message}"):
        split(content, source="x")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"labels": []}, "labels"),
        ({"labels": ["a", "a"]}, "labels"),
        ({"labels": ["a\nb"]}, "labels"),
        ({"labels": [""]}, "labels"),
        ({"labels": [1]}, "labels"),
        ({"labels": "ab"}, "labels"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": 16000.0}, "sample_rate"),
        ({"clip_samples": True}, "clip_samples"),
        ({"frontend": []}, "frontend"),
        ({"detector": {"threshold": "high"}}, "detector.threshold"),
        ({"detector": {"hops": 1}}, "detector"),
        ({"name": ""}, "name"),
        ({"stage": "best"}, "stage"),
        ({"params": -1}, "params"),
        ({"provenance": None}, "provenance"),
        ({"licences": [3]}, "licences"),
        ({"format": 2}, "format"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_value_is_an_error_that_names_the_key(tone_card, change, key):
    with pytest.raises(UserError, match=key):
        Card.from_dict({**tone_card.to_dict(), **change})


@pytest.mark.parametrize("key", ["labels", "sample_rate", "clip_samples", "format"])
def test_lacking_key_is_named(tone_card, key):
    values = tone_card.to_dict()
    del values[key]
    with pytest.raises(UserError, match=key):
        Card.from_dict(values)


def _model(content: bytes) -> schema.Model:
    return schema.Model.GetRootAs(content, 0)


def _metadata(content: bytes) -> dict[str, bytes]:
    model = _model(content)
    entries = [model.Metadata(index) for index in range(model.MetadataLength())]
    return {
        entry.Name().decode(): model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
        for entry in entries
    }


def test_metadata_holds_rate_and_files(tone_model, tone_card):
    """Read by the raw flatbuffer rules: identifier, and the strings that the reader looks for."""
    content = _metadata(with_metadata(tone_model, tone_card))["TFLITE_METADATA"]
    assert content[4:8] == b"M001"
    for text in (b"tones", b"labels.txt", b"model_card.json", b"CC0-1.0", b"1.3.0"):
        assert text in content
    assert np.uint32(16000).tobytes() in content


def test_metadata_leaves_everything_else_as_it_was(tone_model, tone_card):
    written = with_metadata(tone_model, tone_card)
    before, after = _metadata(tone_model), _metadata(written)
    del after["TFLITE_METADATA"]
    assert after == before
    first, second = _model(tone_model), _model(written)
    assert second.BuffersLength() == first.BuffersLength() + 1
    for index in range(first.BuffersLength()):
        assert np.array_equal(
            first.Buffers(index).DataAsNumpy(), second.Buffers(index).DataAsNumpy()
        )


def test_metadata_keeps_tensors_aligned_to_16_bytes(tone_model, tone_card):
    model = _model(with_metadata(tone_model, tone_card))
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    starts = [item._tab.Vector(item._tab.Offset(4)) for item in buffers if item.DataLength()]
    assert len(starts) >= 3
    assert all(start % 16 == 0 for start in starts)


def test_metadata_comes_with_each_vector_written_once_and_one_name_a_tensor():
    """Zero points take 8 bytes a channel, and they are all zero."""
    content = (Path(__file__).parent / "android" / "model_int8.tflite").read_bytes()
    tree = schema.ModelT.InitFromPackedBuf(bytearray(split(content, source="x")[0]), 0)
    [before] = tree.subgraphs
    kernel = max(before.tensors, key=_channels)
    kernel.name = "first/Conv2D;second/BiasAdd"
    written = repacked(tree, len(content))

    graph, places = _model(written).Subgraphs(0), set()
    for tensor in map(graph.Tensors, range(graph.TensorsLength())):
        facts = tensor.Quantization()
        if facts and facts.ZeroPointLength() == _channels(kernel):
            places.add(facts._tab.Vector(facts._tab.Offset(10)))
    assert len(places) == 1

    [after] = schema.ModelT.InitFromPackedBuf(bytearray(written), 0).subgraphs
    names = [tensor.name.decode() for tensor in after.tensors]
    assert "first/Conv2D" in names
    assert not any(";" in name for name in names)
    for one, two in zip(before.tensors, after.tensors, strict=True):
        assert (one.type, one.buffer, list(one.shape)) == (two.type, two.buffer, list(two.shape))
        for key in ("scale", "zeroPoint"):
            values = [getattr(tensor.quantization, key, None) for tensor in (one, two)]
            assert np.array_equal(*(() if value is None else value for value in values))


def _channels(tensor):
    scale = tensor.quantization and tensor.quantization.scale
    return 0 if scale is None else len(scale)


def test_metadata_is_replaced_not_added(tone_model, tone_card):
    once = with_metadata(tone_model, tone_card)
    assert with_metadata(once, tone_card) == once
