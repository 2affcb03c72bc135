"""A `.tflite` file as C: the bytes as an aligned constant array, and what its callers need to know.

`NAME.h` declares and `NAME.c` defines; both are plain C99 and C++, with no other header than the
standard's. The array holds the whole file, card included.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audio_edge import files, tflite_file
from audio_edge.card import Card, read_model, split
from audio_edge.config import DetectorConfig
from audio_edge.errors import UserError
from audio_edge.tflite_file import Graph, Tensor

ALIGNMENT = 16  # bytes: what the interpreters ask of a flatbuffer
_COLUMNS = 12


def paths(model: str | os.PathLike[str]) -> tuple[Path, Path]:
    """The header and the source that belong to a file: beside it, of its name."""
    return Path(model).with_suffix(".h"), Path(model).with_suffix(".c")


def write(model: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write a file as C, beside it; returns header and source.

    All names begin with that of the file: `model_int8_data`, `model_int8_len`,
    `MODEL_INT8_SAMPLE_RATE` and so on. A file of streams also says how long its packets are and,
    in `model_int8_streaming_states`, which outputs go back into which inputs.

    Raises:
        UserError: The file cannot be read, is damaged, or carries no card.
    """
    content = read_model(model)
    flatbuffer, card = split(content, source=model)
    if card is None:
        raise UserError(f"{model}: carries no model card, so its labels are not known to C either")
    [graph, *_] = tflite_file.parse(flatbuffer, source=model)
    ends = _ends(graph, card, model)
    header, source = paths(model)
    name = identifier(header.stem)
    files.write_bytes(header, _header(name, card, ends).encode())
    files.write_bytes(source, _source(name, header.name, card, ends, content).encode())
    return header, source


def identifier(text: str) -> str:
    """A C name: letters, digits and underscores, no digit in front."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").lower()
    return plain if plain and not plain[0].isdigit() else f"model_{plain}".rstrip("_")


@dataclass(frozen=True)
class _Ends:
    """Where audio goes in and probabilities come out, and which input takes which output back.

    The numbers are positions among the graph's inputs and outputs, which is how runtimes for C
    ask for them; `states` are pairs of them.
    """

    given: Tensor
    made: Tensor
    packet: int = 0
    probs: int = 0
    states: tuple[tuple[int, int], ...] = ()


def _ends(graph: Graph, card: Card, model: str | os.PathLike[str]) -> _Ends:
    inputs = [graph.tensors[number] for number in graph.inputs]
    outputs = [graph.tensors[number] for number in graph.outputs]
    if not card.streaming:
        return _Ends(inputs[0], outputs[0])
    into = {tensor.name: number for number, tensor in enumerate(inputs)}
    out = {tensor.name: number for number, tensor in enumerate(outputs)}
    try:
        packet, probs = into["packet"], out["probs"]
        states = tuple((into[before], out[after]) for before, after in card.state_ends)
    except KeyError as error:
        raise UserError(
            f"{model}: the card names {error}, which the model has not; export it again"
        ) from error
    return _Ends(inputs[packet], outputs[probs], packet, probs, states)


def _header(name: str, card: Card, ends: _Ends) -> str:
    big = name.upper()
    taken = "of the clip that is heard" if ends.states else "of one input"
    constants = [
        ("SAMPLE_RATE", str(card.sample_rate), "Hz"),
        ("CLIP_SAMPLES", str(card.clip_samples), f"samples {taken}"),
        ("LABELS", str(len(card.labels)), "outputs, in the order of the labels"),
        ("MULTI_LABEL", str(int(card.multi_label)), "1: several labels may be heard at once"),
        *_quantisation("INPUT", ends.given),
        *_quantisation("OUTPUT", ends.made),
        *_stream(card, ends),
        *_detector(card),
    ]
    told = [
        "/* Which input takes which output back after each packet. A stream begins with zeros in",
        "   every state and as many packets of zeros as SILENCE_PACKETS. */",
        f"extern const int {name}_states[{big}_STATES][2];",
    ]
    width = max(len(key) for key, _, _ in constants)
    defined = [
        f"#define {big}_{key.ljust(width)} {value}  /* {note} */" for key, value, note in constants
    ]
    lines = [
        f"/* {_comment(card.name)}, {card.stage}: {_comment(', '.join(card.labels))} */",
        f"#ifndef {big}_H", f"#define {big}_H", "", "#include <stddef.h>", "",
        "#ifdef __cplusplus", 'extern "C" {', "#endif", "", *defined, "",
        f"/* The .tflite file, aligned to {ALIGNMENT} bytes. */",
        f"extern const unsigned char {name}_data[];", f"extern const size_t {name}_len;",
        f"extern const char* const {name}_labels[{big}_LABELS];  /* UTF-8 */",
        *(told if ends.states else []), "",
        "#ifdef __cplusplus", "}", "#endif", "", f"#endif  /* {big}_H */", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _source(name: str, header: str, card: Card, ends: _Ends, content: bytes) -> str:
    rows = [
        "  " + " ".join(f"0x{byte:02x}," for byte in content[start : start + _COLUMNS])
        for start in range(0, len(content), _COLUMNS)
    ]
    align = f"{name.upper()}_ALIGNED"
    lines = [
        f'#include "{header}"', "",
        "#if defined(__GNUC__)", f"#define {align} __attribute__((aligned({ALIGNMENT})))",
        "#elif defined(_MSC_VER)", f"#define {align} __declspec(align({ALIGNMENT}))",
        "#else", '#error "say how this compiler aligns an array"', "#endif", "",
        f"const {align} unsigned char {name}_data[] = {{", *rows, "};", "",
        f"const size_t {name}_len = {len(content)};", "",
        f"const char* const {name}_labels[{name.upper()}_LABELS] = {{",
        *(f"  {_literal(label)}," for label in card.labels), "};", "",
    ]  # fmt: skip
    if ends.states:
        pairs = (f"  {{{before}, {after}}}," for before, after in ends.states)
        lines += [f"const int {name}_states[{name.upper()}_STATES][2] = {{", *pairs, "};", ""]
    return "\n".join(lines)


def _quantisation(end: str, tensor: Tensor) -> Sequence[tuple[str, str, str]]:
    """Type, scale and zero point: real = (stored - zero point) * scale; 1 and 0 for float."""
    scale = tensor.scales[0] if tensor.scales else 1.0
    return [
        (f"{end}_{tensor.dtype}", "1", f"the type of the {end.lower()}"),
        (f"{end}_SCALE", _float(scale), "real = (stored - zero point) * scale"),
        (f"{end}_ZERO_POINT", str(tensor.zero_point if tensor.scales else 0), "of a stored value"),
    ]


def _stream(card: Card, ends: _Ends) -> list[tuple[str, str, str]]:
    """What a file that takes packets asks of its caller; nothing for a file of clips."""
    if not ends.states:
        return []
    return [
        ("PACKET_SAMPLES", str(card.streaming["packet_samples"]), "samples of one input"),
        ("STREAMS", str(card.streams), "rows of packets and answers"),
        ("SILENCE_PACKETS", str(card.streaming["silence_packets"]), "of zeros, to begin with"),
        ("STATES", str(len(ends.states)), "tensors handed on from packet to packet"),
        ("PACKET_INPUT", str(ends.packet), "which input takes the packet"),
        ("PROBS_OUTPUT", str(ends.probs), "which output has the probabilities"),
    ]


def _detector(card: Card) -> list[tuple[str, str, str]]:
    """What the card says of them, in samples and shares."""
    notes = {
        "hop_s": ("HOP_SAMPLES", "from one clip to the next"),
        "window_s": ("WINDOW_SAMPLES", "over which probabilities are averaged"),
        "refractory_s": ("REFRACTORY_SAMPLES", "from one detection to the next"),
    }
    rows = [
        (key, str(round(card.detector[name] * card.sample_rate)), note)
        for name, (key, note) in notes.items()
        if name in card.detector
    ]
    if "threshold" in card.detector:
        rows.append(
            ("THRESHOLD", _float(card.detector["threshold"]), "of the averaged probability")
        )
    return rows + _of_labels(card)


def _of_labels(card: Card) -> list[tuple[str, str, str]]:
    """Settings that are not the same for all labels: initialisers of arrays, label by label."""
    apart = card.detector.get("labels", {})
    usual = {**dataclasses.asdict(DetectorConfig()), **card.detector}
    rows = []
    for name in ("window_s", "refractory_s", "threshold"):
        if any(name in settings for settings in apart.values()):
            values = [apart.get(label, {}).get(name, usual[name]) for label in card.labels]
            seconds = name.endswith("_s")
            texts = [
                str(round(value * card.sample_rate)) if seconds else _float(value)
                for value in values
            ]
            key = name.removesuffix("_s").upper() + "_SAMPLES" * seconds
            rows.append((f"{key}_OF_LABELS", f"{{{', '.join(texts)}}}", "label by label"))
    return rows


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"no constant of C: {value}")
    text = repr(float(value))
    return text + ("f" if "." in text or "e" in text else ".0f")


def _literal(text: str) -> str:
    """A string of C; what is not plain ASCII in octal, which ends after three digits."""
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return '"' + "".join(plain) + '"'


def _comment(text: str) -> str:
    return text.replace("*/", "* /").replace("/*", "/ *")
