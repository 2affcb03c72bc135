"""Configuration: TOML in, the frozen dataclasses of `settings` inside, resolved JSON or TOML out.

`--set section.key=value` beats the file, the file beats the environment (`AUDIO_EDGE_DATA` for
`data.root`). Unknown keys are errors that name the nearest key.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import sys
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audio_edge.data_settings import FOLDS, SILENCE, UNKNOWN, DataConfig
from audio_edge.errors import UserError
from audio_edge.settings import (
    AugmentConfig,
    ChannelsConfig,
    ClusterConfig,
    Config,
    DetectorConfig,
    DistillConfig,
    EncoderConfig,
    FrontendConfig,
    ModelConfig,
    PruneConfig,
    QuantizeConfig,
    RunConfig,
    TrainConfig,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "FOLDS", "SILENCE", "UNKNOWN", "AugmentConfig", "ChannelsConfig", "ClusterConfig", "Config",
    "DataConfig", "DetectorConfig", "DistillConfig", "EncoderConfig", "FrontendConfig",
    "ModelConfig", "PruneConfig", "QuantizeConfig", "RunConfig", "TrainConfig", "from_dict",
    "load_config", "read_toml", "to_toml",
]  # fmt: skip

_SECTIONS = typing.get_type_hints(Config)  # name -> dataclass


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Read a TOML file and apply `section.key=value` overrides.

    Raises:
        UserError: The file is missing or malformed, a key is unknown, or a value breaks a rule.
    """
    values = read_toml(path)
    for override in overrides:
        _apply(values, override)
    _find_teachers(values, Path(path).parent)
    if os.environ.get("AUDIO_EDGE_DATA") and isinstance(values.get("data", {}), dict):
        values.setdefault("data", {}).setdefault("root", os.environ["AUDIO_EDGE_DATA"])
    return from_dict(values)


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        UserError: The file is missing or malformed.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        message = f"{path}: cannot be read ({reason}); give the path of a TOML config"
        raise UserError(message) from error
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise UserError(f"{path}: not valid TOML ({error}); correct it") from error


def to_toml(config: Config) -> str:
    """Every key with its value, as a file that `load_config` reads back to the same config."""
    lines = []
    for section, keys in config.to_dict().items():
        lines += [f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in keys.items()), ""]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    """JSON but for the one control character that TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _find_teachers(values: dict[str, Any], folder: Path) -> None:
    """Teachers given as configs may be named as they lie beside this one."""
    section = values.get("distill")
    teachers = section.get("teachers") if isinstance(section, dict) else None
    if isinstance(section, dict) and isinstance(teachers, list):
        section["teachers"] = [
            str(folder / name)
            if str(name).endswith(".toml") and not Path(name).exists() and (folder / name).exists()
            else name
            for name in teachers
        ]


def from_dict(values: Mapping[str, Any]) -> Config:
    """Build a `Config` from nested mappings, as TOML or JSON gives them."""
    sections = {}
    for section, given in values.items():
        if section not in _SECTIONS:
            raise UserError(f"unknown section [{section}]{_nearest(section, _SECTIONS)}")
        if not isinstance(given, Mapping):
            raise UserError(f"[{section}] must be a section of keys. Received: {section}={given!r}")
        sections[section] = _build(section, given)
    return Config(**sections)


def _build(section: str, given: Mapping[str, Any]) -> Any:
    cls = _SECTIONS[section]
    hints = typing.get_type_hints(cls)
    for key in given:
        if key not in hints:
            raise UserError(f"[{section}] unknown key '{key}'{_nearest(key, hints)}")
    values = {key: _coerce(f"{section}.{key}", value, hints[key]) for key, value in given.items()}
    return cls(**values)


def _coerce(name: str, value: Any, hint: Any) -> Any:
    """Check one value against its type; an int serves as a float, a list as a tuple."""
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(_coerce(name, item, typing.get_args(hint)[0]) for item in value)
    if hint is float and type(value) in (int, float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise UserError(f"{name} must be a finite number. Received: {_shown(value)}")
        return number
    if type(value) is int is hint and abs(value) >= 2**63:
        raise UserError(f"{name} must be below 2^63. Received: {_shown(value)}")
    if type(value) is str is hint and "\0" in value:
        raise UserError(f"{name} must not hold a NUL character. Received: {value!r}")
    if type(value) is hint:
        return value
    wanted = getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else "a list"
    raise UserError(f"{name} must be {wanted}. Received: {_shown(value)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def _apply(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        raise UserError(f"--set takes section.key=value. Received: {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string: --set data.root=recordings
    except (ValueError, RecursionError) as error:
        raise UserError(f"--set {name.strip()}: not a TOML value ({error}); correct it") from error
    if not isinstance(values.setdefault(section, {}), dict):
        raise UserError(f"[{section}] must be a section of keys. Received: {values[section]!r}")
    values[section][key] = value


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"
