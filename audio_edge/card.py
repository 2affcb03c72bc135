"""The model card: what a `.tflite` file hears, carried inside the file and checked on opening.

The card is a zip appended to the flatbuffer, so the runtimes ignore it and `zipfile.ZipFile(path)`
opens it: `labels.txt`, one label a line, and `model_card.json`, the card with the hashes of the
model and of itself. The zip is canonical, a function of model and card alone: on opening it is made
again and must equal the file's to the byte, so that no flipped bit goes unnoticed.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audio_edge.errors import UserError
from audio_edge.files import fingerprint, sha256, stored_zip, write_bytes, write_json

CARD_FILE, LABELS_FILE = "model_card.json", "labels.txt"
STAGES = ("float", "narrow", "pruned", "clustered", "qat", "int8", "float16", "dynamic")
DETECTOR_KEYS = ("hop_s", "window_s", "threshold", "refractory_s")
MAX_CARD_BYTES = 1 << 24

_FORMAT = 1  # of the card; a reader refuses what is newer


@dataclass(frozen=True)
class Card:
    """What one needs to know to use a model.

    Attributes:
        labels: One name a class, in the order of the model's output.
        sample_rate: Hz of the waveform the model takes.
        clip_samples: Samples of one input.
        frontend: The `[frontend]` settings in the graph, the form `dft` of its transform, and the
            `output_shape` of the features: [frames, bands].
        detector: hop_s, window_s, threshold, refractory_s; any may be absent. "labels" has those of
            single labels that differ, but for hop_s, as `training.calibrate` finds them.
        name: The run's name.
        stage: One of STAGES: a trained stage, or how its weights are stored.
        params: Trained parameters of the classifier.
        provenance: Where it comes from, any JSON: config, versions, hashes of the data.
        licences: Licences of the data the model learnt from.
        multi_label: The output is a sigmoid a class, and several may be heard at once; else it is a
            softmax. Written only where true.
        streaming: Of a file that takes a stream packet by packet: packet_samples; states, the names
            of what it hands on; silence_packets, after which they hold silence and nothing before;
            exact, whether each answer is that of the clip's model; streams, if it takes several at
            once. Written only where there is any.
    """

    labels: tuple[str, ...]
    sample_rate: int
    clip_samples: int
    frontend: dict[str, Any] = field(default_factory=dict)
    detector: dict[str, Any] = field(default_factory=dict)
    name: str = "model"
    stage: str = "float"
    params: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)
    licences: tuple[str, ...] = ()
    multi_label: bool = False
    streaming: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain = all(
            isinstance(label, str) and label.strip() and label.isprintable()
            for label in self.labels
        )
        rules = [
            ("labels", self.labels and plain, "must be printable names, at least one"),
            ("labels", plain and len(set(self.labels)) == len(self.labels), "must not repeat"),
            ("sample_rate", _is_count(self.sample_rate, least=1), "must be > 0 Hz"),
            ("clip_samples", _is_count(self.clip_samples, least=1), "must be > 0 samples"),
            ("frontend", isinstance(self.frontend, dict), "must be a JSON object"),
            ("detector", isinstance(self.detector, dict), "must be a JSON object"),
            ("name", isinstance(self.name, str) and self.name, "must be text"),
            ("stage", self.stage in STAGES, f"must be one of {', '.join(STAGES)}"),
            ("params", _is_count(self.params), "must be a count >= 0"),
            ("provenance", isinstance(self.provenance, dict), "must be a JSON object"),
            ("multi_label", isinstance(self.multi_label, bool), "must be true or false"),
            ("streaming", _is_streaming(self.streaming), "must tell packets and states"),
            ("licences", all(isinstance(item, str) for item in self.licences), "must be text"),
        ]
        for key, ok, rule in rules:
            _require(bool(ok), key, rule, getattr(self, key))
        apart = self.detector.get("labels", {})
        _require(isinstance(apart, dict), "detector.labels", "must be a JSON object", apart)
        plain_keys = {key: value for key, value in self.detector.items() if key != "labels"}
        _check_detector(plain_keys, "detector", DETECTOR_KEYS)
        for label, settings in apart.items():
            place = f"detector.labels.{label}"
            _require(label in self.labels, place, "must be a label", label)
            _require(isinstance(settings, dict), place, "must be a JSON object", settings)
            _check_detector(settings, place, DETECTOR_KEYS[1:])

    @property
    def streams(self) -> int:
        """How many streams a streaming file takes at once."""
        return int(self.streaming.get("streams", 1))

    @property
    def state_ends(self) -> list[tuple[str, str]]:
        """Of each state of a stream: the input that takes it, and the output that has the next."""
        return [(f"state_{name}", f"next_{name}") for name in self.streaming.get("states", ())]

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts and lists, ready for JSON."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        values.update(labels=list(self.labels), licences=list(self.licences))
        for key in ("multi_label", "streaming"):
            if not values[key]:
                del values[key]
        return {"format": _FORMAT, **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Card:
        """Build a card from a parsed `model_card.json`; its "hashes" are left aside.

        Raises:
            UserError: A key is missing, unknown or out of range; the message names it.
        """
        if not isinstance(values, Mapping):
            raise UserError(f"the card must be a JSON object. Received: {values!r}")
        given = {key: value for key, value in values.items() if key != "hashes"}
        version = given.pop("format", None)
        if version != _FORMAT or isinstance(version, bool):
            raise UserError(
                f"card format must be {_FORMAT}; a newer audio_edge may read it. "
                f"Received: format={version!r}"
            )
        known = {item.name for item in dataclasses.fields(cls)}
        for key in given:
            if key not in known:
                raise UserError(f"the card has an unknown key '{key}'")
        for key in ("labels", "sample_rate", "clip_samples"):
            if key not in given:
                raise UserError(f"the card lacks '{key}'")
        for key in ("labels", "licences"):
            if key in given:
                _require(isinstance(given[key], list | tuple), key, "must be a list", given[key])
                given[key] = tuple(given[key])
        return cls(**given)


def attach(model: bytes, card: Card) -> bytes:
    """Append `card` to a TFLite flatbuffer that has none yet.

    Equal model and card give equal bytes.

    Raises:
        UserError: `model` is not a TFLite flatbuffer.
    """
    check_magic(model, source="model")
    return model + _tail(sha256(model), card, offset=len(model))


def rewrite(path: str | os.PathLike[str], card: Card) -> None:
    """Put another card into a file, and into the JSON beside it if that is the card as it was.

    Raises:
        UserError: The file is damaged, carries no card, or cannot be written.
    """
    path = os.path.realpath(path)  # of a link, the file that it means
    model, old = split(read_model(path), source=path)
    if old is None:
        raise UserError(f"{path}: carries no model card; it was not exported by audio_edge")
    beside = Path(path).with_suffix(".json")
    write_bytes(path, attach(model, card))
    try:
        told = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if told == json.loads(json.dumps(old.to_dict())):
        write_json(beside, card.to_dict())


def split(content: bytes, *, source: str | os.PathLike[str]) -> tuple[bytes, Card | None]:
    """Take a `.tflite` file apart and verify it.

    Args:
        content: The whole file.
        source: Its name, for messages.

    Returns:
        (flatbuffer without the card, card). Models of other projects come back whole, with None.

    Raises:
        UserError: The file is empty, not TFLite, or was changed after its card was written. A file
            whose metadata names our card but which holds none was cut off, and is refused too.
    """
    check_magic(content, source=source)
    if CARD_FILE.encode() not in content:
        return content, None
    damaged = f"{source}: the file is damaged"
    try:
        start, document = _read_tail(content)
    except _DAMAGE as error:
        raise UserError(
            f"{damaged} (its card cannot be read: {error}); copy or export it again"
        ) from error
    try:
        card = Card.from_dict(document)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    model, hashes = content[:start], document.get("hashes")
    digest = sha256(model)  # once: of a large file it is most of the time
    if not isinstance(hashes, dict) or hashes.get("buffers") != digest:
        raise UserError(f"{damaged} (the model differs from its hash); copy or export it again")
    try:
        intact = content[start:] == _tail(digest, card, offset=start)
    except ValueError:  # JSON that we would not write: NaN, half a surrogate pair
        intact = False
    if not intact:
        raise UserError(f"{damaged} (the card differs from its hash); copy or export it again")
    return model, card


def read_card(path: str | os.PathLike[str]) -> Card:
    """Read the card of a `.tflite` file.

    Raises:
        UserError: The file cannot be read, is damaged, or carries no card.
    """
    _, card = split(read_model(path), source=path)
    if card is None:
        raise UserError(f"{path}: carries no model card; it was not exported by audio_edge")
    return card


def read_model(path: str | os.PathLike[str]) -> bytes:
    """Read a file whole; one that cannot be read is a `UserError`."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give the path of a .tflite file"
        ) from error


def check_magic(content: bytes, *, source: str | os.PathLike[str]) -> None:
    """Raise a `UserError` unless `content` has the identifier of a TFLite flatbuffer."""
    if not content:
        raise UserError(f"{source}: the file is empty; copy or export it again")
    if content[4:8] != b"TFL3":
        raise UserError(
            f"{source}: not a TFLite model (bytes 4 to 8 are not TFL3); "
            "give the path of a .tflite file"
        )


_DAMAGE = (  # what zipfile and json raise on bytes that are no zip, no JSON
    zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError, RuntimeError,
    RecursionError, OverflowError, zlib.error, struct.error,
)  # fmt: skip


def _read_tail(content: bytes) -> tuple[int, dict[str, Any]]:
    """Find the appended zip: (where it begins, the parsed model_card.json)."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = min(info.header_offset for info in archive.infolist())
        info = archive.getinfo(CARD_FILE)
        if info.file_size > MAX_CARD_BYTES:
            raise ValueError(f"{CARD_FILE} would be {info.file_size} bytes")
        document = json.loads(archive.read(info).decode())
    if not isinstance(document, dict):
        raise ValueError(f"{CARD_FILE} is not a JSON object")
    return start, document


def _tail(digest: str, card: Card, *, offset: int) -> bytes:
    """The canonical zip of a card, `offset` bytes into a file whose model has this hash."""
    document = json.loads(json.dumps(card.to_dict(), allow_nan=False))
    document["hashes"] = {"buffers": digest}
    document["hashes"]["card"] = fingerprint(document)
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    labels = "".join(f"{label}\n" for label in card.labels)
    return stored_zip({LABELS_FILE: labels.encode(), CARD_FILE: text.encode()}, offset=offset)


def _check_detector(settings: Mapping[str, Any], place: str, known: Sequence[str]) -> None:
    """Raise unless every setting is one of those known, and a number >= 0."""
    for key, value in settings.items():
        _require(key in known, place, f"knows only {', '.join(known)}", key)
        ok = _is_number(value) and value >= 0
        _require(ok, f"{place}.{key}", "must be a number >= 0", value)


def _is_streaming(value: Any) -> bool:
    """Empty, or all that a stream needs to know."""
    if not isinstance(value, dict) or not value:
        return value == {}
    if set(value) - {"streams"} != {"packet_samples", "silence_packets", "states", "exact"}:
        return False
    if not _is_count(value.get("streams", 2), least=2):
        return False
    counts, states = (value["packet_samples"], value["silence_packets"]), value["states"]
    named = isinstance(states, list) and all(isinstance(name, str) and name for name in states)
    once = named and len(set(states)) == len(states)
    return once and isinstance(value["exact"], bool) and all(_is_count(n, least=1) for n in counts)


def _is_count(value: Any, *, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require(condition: bool, key: str, rule: str, received: Any) -> None:
    if not condition:
        raise UserError(f"the card's {key} {rule}. Received: {received!r}")
