"""The search space: which keys of the config vary, and over which values.

A TOML file of a space looks like a config, with a list of values or a table of `min`, `max` and
`step` or `log` in the place of each value:

    [train]
    learning_rate = {min = 1e-3, max = 1e-2, log = true}
    [model]
    name = ["ds_cnn", "bc_resnet"]
    ds_cnn.width = {min = 32, max = 96, step = 16}     # for that model alone
    bc_resnet.width = [8, 12, 16]
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audio_edge.config import Config, from_dict, read_toml
from audio_edge.errors import UserError
from audio_edge.models import MODELS

SECTIONS = ("frontend", "augment", "model", "train", "prune", "quantize")
DRAWN = ("data.silence_share", "data.unknown_share", "data.balance")  # how epochs are drawn
NAME = "model.name"
_RANGE = {"min", "max", "step", "log"}
_MOST = 1000  # steps

DEFAULT: dict[str, Any] = {
    "model": {
        "dropout": {"min": 0.0, "max": 0.4, "step": 0.1},
        "ds_cnn": {"width": {"min": 16, "max": 112, "step": 16}, "depth": {"min": 2, "max": 6}},
        "bc_resnet": {"width": {"min": 8, "max": 24, "step": 4}, "depth": {"min": 1, "max": 2}},
        "tc_resnet": {"width": {"min": 12, "max": 32, "step": 4}, "depth": {"min": 1, "max": 3}},
        "mobile_cnn": {"width": {"min": 8, "max": 24, "step": 4}, "depth": {"min": 1, "max": 2}},
        "mobile_tcn": {"width": {"min": 24, "max": 64, "step": 8}, "depth": {"min": 1, "max": 4}},
        "crnn": {"width": {"min": 32, "max": 96, "step": 16}, "depth": {"min": 1, "max": 2}},
        "kwt": {"width": {"min": 32, "max": 96, "step": 16}, "depth": {"min": 2, "max": 8}},
        "yamnet": {"depth": {"min": 3, "max": 7}},
        "conv_pool": {"width": {"min": 32, "max": 256, "step": 32}, "depth": {"min": 1, "max": 3}},
    },
    "train": {
        "learning_rate": {"min": 1e-3, "max": 1e-2, "log": True},
        "weight_decay": {"min": 1e-5, "max": 2e-2, "log": True},
        "label_smoothing": [0.0, 0.05, 0.1],
    },
    "augment": {
        "noise_share": {"min": 0.2, "max": 0.8, "step": 0.2},
        "snr_db": [[0.0, 30.0], [5.0, 40.0], [15.0, 40.0]],
        "speed": {"min": 0.0, "max": 0.2, "step": 0.05},
        "mix_share": [0.0, 0.3, 0.6],
        "time_masks": {"min": 0, "max": 2},
        "freq_masks": {"min": 0, "max": 2},
    },
}
COMPARED = ("ds_cnn", "tc_resnet")  # beside the model of the config


@dataclass(frozen=True)
class Parameter:
    """One key and what it may be: one of `choices`, or any number from `low` to `high`.

    Attributes:
        key: Of the config, as "train.learning_rate".
        choices: Values to choose from; empty for a number.
        low: Least value; an int where only whole numbers serve.
        high: Greatest value.
        log: Whether ratios count instead of differences.
        model: The name of the model that it is for; "" for all.
    """

    key: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    model: str = ""

    @property
    def name(self) -> str:
        """Tells it from the others: "model.ds_cnn.width"."""
        section, _, key = self.key.partition(".")
        return f"{section}.{self.model}.{key}" if self.model else self.key

    def ends(self) -> tuple[Any, ...]:
        """The values that a rule of the config could refuse."""
        return self.choices or (self.low, self.high)


def default(config: Config) -> tuple[Parameter, ...]:
    """The space for who gives none: models, how they are trained and how clips are changed."""
    names = list(dict.fromkeys([config.model.name, *COMPARED]))
    sizes = {key: value for key, value in DEFAULT["model"].items() if key not in MODELS}
    sizes |= {name: DEFAULT["model"][name] for name in names if name in DEFAULT["model"]}
    return parse({**DEFAULT, "model": {"name": names, **sizes}}, config)


def load(path: str | os.PathLike[str], config: Config) -> tuple[Parameter, ...]:
    """Read a space from a TOML file.

    Args:
        path: The file.
        config: Where the search begins; each value of the space must fit it.

    Raises:
        UserError: The file is malformed, a key is unknown or not to be tuned, or a value breaks a
            rule of the config.
    """
    try:
        return parse(read_toml(path), config)
    except UserError as error:
        named = str(error).startswith(f"{path}: ")
        raise UserError(str(error) if named else f"{path}: {error}") from error


def parse(values: Mapping[str, Any], config: Config) -> tuple[Parameter, ...]:
    """The space that nested mappings describe; `model.name` comes first."""
    space = [
        _parameter(key, model, given, config)
        for section, keys in values.items()
        for key, model, given in _keys(section, keys)
    ]
    if not space:
        raise UserError("no key to vary; give at least one, as in train.learning_rate = [1e-3]")
    names = next((item.choices for item in space if item.key == NAME), (config.model.name,))
    for item in space:
        if item.model and item.model not in names:
            raise UserError(
                f"{item.name} is for a model that is not in the search; add it to {NAME}"
            )
        twice = [other for other in space if other.key == item.key and not other.model]
        if item.model and twice:
            raise UserError(f"{item.name} and {item.key}: give either; the second is for all")
        for value in item.ends():
            apply(config, {**({NAME: item.model} if item.model else {}), item.key: value})
    return tuple(sorted(space, key=lambda item: item.key != NAME))


def apply(config: Config, values: Mapping[str, Any]) -> Config:
    """The config with some keys set to other values.

    Raises:
        UserError: A key is unknown, or a value breaks a rule.
    """
    changed = config.to_dict()
    for name, value in values.items():
        section, _, key = name.partition(".")
        changed.setdefault(section, {})[key] = value
    return from_dict(changed)


def _keys(section: str, keys: Any) -> Iterator[tuple[str, str, Any]]:
    """(key, model, what is given) of a section; a table called as a model is for it alone."""
    if not isinstance(keys, Mapping):
        raise UserError(f"[{section}] must be a section of keys. Received: {section}={keys!r}")
    for key, given in keys.items():
        if section == "model" and key in MODELS:
            yield from ((inner, key, value) for inner, _, value in _keys("model", given))
        else:
            yield f"{section}.{key}", "", given


def _parameter(key: str, model: str, given: Any, config: Config) -> Parameter:
    section, _, name = key.partition(".")
    current = config.to_dict().get(section, {}).get(name)
    if current is None:
        apply(config, {key: given})  # says which key is nearest
    if section not in SECTIONS and key not in DRAWN:
        raise UserError(
            f"{key} cannot be tuned, since candidates must be judged on the same task; "
            f"vary keys of {', '.join(SECTIONS)}, or {', '.join(DRAWN)}"
        )
    if isinstance(given, list):
        if not given or any(given.count(value) > 1 for value in given):
            raise UserError(f"{key} must list different values. Received: {given!r}")
        if key == NAME:
            _check_names(given)
        return Parameter(key, tuple(given), model=model)
    number = type(current) in (int, float)
    if not (number and isinstance(given, Mapping) and {"min", "max"} <= set(given) <= _RANGE):
        takes = "a list of values" + " or {min, max} with step or log" * number
        raise UserError(f"{key} takes {takes}. Received: {given!r}")
    return _range(key, model, given, type(current))


def _range(key: str, model: str, given: Mapping[str, Any], kind: type) -> Parameter:
    low, high, step, log = given["min"], given["max"], given.get("step"), given.get("log")
    whole = all(type(value) is int for value in (low, high, *(() if step is None else (step,))))
    numbers = [value for value in (low, high, step) if value is not None]
    if any(type(value) not in (int, float) for value in numbers) or (kind is int and not whole):
        wanted = "whole numbers" if kind is int else "numbers"
        raise UserError(f"{key}: min, max and step must be {wanted}. Received: {dict(given)!r}")
    if log not in (None, False, True) or (log and (step is not None or low <= 0)):
        raise UserError(f"{key}: log = true needs min > 0 and no step. Received: {dict(given)!r}")
    if not low < high or (step is not None and not (high - low) / _MOST <= step <= high - low):
        rule = f"takes min < max, and at most {_MOST} steps between"
        raise UserError(f"{key} {rule}. Received: {dict(given)!r}")
    if step is None:
        return Parameter(key, (), kind(low), kind(high), bool(log), model)
    count = math.floor((high - low) / step + 1e-9) + 1  # 0.3 is not quite three times 0.1
    return Parameter(key, tuple(kind(round(low + n * step, 12)) for n in range(count)), model=model)


def _check_names(names: Sequence[Any]) -> None:
    for name in names:
        if name not in MODELS:
            raise UserError(f"[model] unknown name '{name}'; known: {', '.join(MODELS)}")
