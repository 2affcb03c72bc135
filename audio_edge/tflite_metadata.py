"""The standard TFLite metadata, so that other tools find sample rate and labels in our files.

The schema is `metadata_schema.fbs` of tflite-support (file identifier M001), of which only the few
tables below are written; every slot number is a field's position in its table there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audio_edge.card import CARD_FILE, LABELS_FILE, Card, check_magic
from audio_edge.errors import UserError

METADATA_NAME = "TFLITE_METADATA"
MIN_PARSER_VERSION = "1.3.0"  # the first that knows AudioProperties

_TENSOR_AXIS_LABELS = 2  # enum AssociatedFileType
_AUDIO_PROPERTIES = 4  # union ContentProperties


def with_metadata(model: bytes, card: Card) -> bytes:
    """Return `model` with the metadata of `card`; metadata that it has already is replaced.

    The buffers that hold tensors stay aligned to 16 bytes. Equal arguments give equal bytes. The
    associated files are only named here: `card.attach` appends them.

    Args:
        model: A TFLite flatbuffer without an appended zip.
        card: What to write.

    Raises:
        UserError: `model` is not a TFLite flatbuffer, or ai-edge-litert is not installed.
    """
    check_magic(model, source="model")
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise UserError(
            "writing metadata needs ai-edge-litert; pip install ai-edge-litert"
        ) from error
    import numpy as np

    tree = schema.ModelT.InitFromPackedBuf(bytearray(model), 0)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_pack(card), np.uint8)
    tree.metadata = list(tree.metadata or [])
    for entry in tree.metadata:
        if _text(entry.name) == METADATA_NAME:
            tree.buffers[entry.buffer] = buffer
            break
    else:
        entry = schema.MetadataT()
        entry.name, entry.buffer = METADATA_NAME, len(tree.buffers)
        tree.buffers.append(buffer)
        tree.metadata.append(entry)
    return repacked(tree, len(model))


def repacked(tree: Any, size: int) -> bytes:
    """The flatbuffer of a parsed model, of about `size` bytes, without what it would say twice.

    Equal vectors of numbers are written once: each channel of an int8 kernel has a zero point of 8
    bytes, and all of them are zero. Of the names of all layers that an op stands for the first one
    stays.
    """
    import flatbuffers

    class Builder(flatbuffers.Builder):
        """Python's generated code ignores the schema's `force_align: 16` of a buffer's bytes."""

        written: dict[tuple[str, bytes], int]

        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
            return int(super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment))

        def CreateNumpyVector(self, x: Any) -> int:
            key = (x.dtype.str, x.tobytes())
            if x.itemsize == 1 or key not in self.written:  # bytes are constants, each its own
                self.written[key] = int(super().CreateNumpyVector(x))
            return self.written[key]

    for graph in tree.subgraphs:
        for tensor in graph.tensors:
            tensor.name = _text(tensor.name or "").partition(";")[0]
    builder = Builder(size + 4096)
    builder.written = {}
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _pack(card: Card) -> bytes:
    """ModelMetadata of a card as a flatbuffer of its own."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    seconds = card.clip_samples / card.sample_rate

    # AudioProperties: 0 sample_rate, 1 channels. Content: 0 content_properties_type, 1 its value
    audio = _table(builder, 2, {0: ("uint32", card.sample_rate), 1: ("uint32", 1)})
    content = _table(builder, 3, {0: ("uint8", _AUDIO_PROPERTIES), 1: ("offset", audio)})
    told = f"{seconds:g} s of mono audio in [-1, 1] at {card.sample_rate} Hz."
    states = card.state_ends
    if states:
        packet_s = card.streaming["packet_samples"] / card.sample_rate
        told = f"The next {packet_s:g} s of {told[len(f'{seconds:g} s of ') :]}"
        told += f" A row for each of {card.streams} streams." if card.streams > 1 else ""
    waveform = _tensor(builder, "packet" if states else "waveform", told, 3, content)
    labels = _file(builder, LABELS_FILE, "The labels, one a line.", _TENSOR_AXIS_LABELS)
    files = _vector(builder, [labels])
    probs = _tensor(builder, "probs", "The probability of each label.", 6, files)

    # SubGraphMetadata: 2 input_tensor_metadata, 3 output_tensor_metadata
    inputs = _vector(builder, [waveform, *(_state(builder, before) for before, _ in states)])
    outputs = _vector(builder, [probs, *(_state(builder, after) for _, after in states)])
    subgraph = _table(builder, 10, {2: ("offset", inputs), 3: ("offset", outputs)})

    # ModelMetadata: 0 name, 1 description, 2 version, 3 subgraph_metadata, 5 license,
    # 6 associated_files, 7 min_parser_version
    text = {
        0: card.name,
        1: f"Audio classifier, raw audio in, {len(card.labels)} labels out ({card.stage}).",
        2: "v1",
        5: ", ".join(card.licences),
        7: MIN_PARSER_VERSION,
    }
    texts = {slot: builder.CreateString(value) for slot, value in text.items() if value}
    fields = {slot: ("offset", offset) for slot, offset in texts.items()}
    fields[3] = ("offset", _vector(builder, [subgraph]))
    fields[6] = ("offset", _vector(builder, [_file(builder, CARD_FILE, "The model card.", 0)]))
    builder.Finish(_table(builder, 8, fields), b"M001")
    return bytes(builder.Output())


def _tensor(builder: Any, name: str, description: str, slot: int, value: int) -> int:
    """TensorMetadata: 0 name, 1 description, 3 content, 6 associated_files."""
    texts = builder.CreateString(name), builder.CreateString(description)
    fields = {0: ("offset", texts[0]), 1: ("offset", texts[1]), slot: ("offset", value)}
    return _table(builder, 7, fields)


def _state(builder: Any, name: str) -> int:
    """TensorMetadata of what a stream hands on from step to step."""
    texts = builder.CreateString(name), builder.CreateString("State of the stream.")
    return _table(builder, 7, {0: ("offset", texts[0]), 1: ("offset", texts[1])})


def _file(builder: Any, name: str, description: str, kind: int) -> int:
    """AssociatedFile: 0 name, 1 description, 2 type."""
    texts = builder.CreateString(name), builder.CreateString(description)
    return _table(builder, 5, {0: ("offset", texts[0]), 1: ("offset", texts[1]), 2: ("int8", kind)})


def _table(builder: Any, n_slots: int, fields: dict[int, tuple[str, int]]) -> int:
    """Write a table from {slot: (kind, value)}, its offsets already written."""
    builder.StartObject(n_slots)
    for slot, (kind, value) in sorted(fields.items()):
        if kind == "offset":
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        elif kind == "uint32":
            builder.PrependUint32Slot(slot, value, 0)
        elif kind == "uint8":
            builder.PrependUint8Slot(slot, value, 0)
        else:
            builder.PrependInt8Slot(slot, value, 0)
    return int(builder.EndObject())


def _vector(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
