"""KerasTuner's algorithms, which say what to try next.

It knows no tf_keras model, so nothing of it but its oracles and the loop of its `Tuner` serve here:
`run_trial` hands the values over and takes one number back. Its state is not kept: the proposals
follow from the seed and the scores alone, so that a search told the same scores proposes the same.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from audio_edge.tuning.space import NAME, Parameter

ALGORITHMS = ("hyperband", "bayesian")
RUNGS = 9  # Hyperband gives 1/9, 1/3 and all of the epochs
_FACTOR = 3
_ENDLESS = 10**6

# Values by key, and the share of the epochs -> a score to be raised.
Try = Callable[[dict[str, Any], float], float]


class Enough(Exception):
    """Raised by a `Try` to end the search."""


def propose(space: Sequence[Parameter], algorithm: str, *, seed: int, attempt: Try) -> None:
    """Call `attempt` with one candidate after another, until it raises `Enough`.

    Returns earlier if the space holds no other candidate. Whatever else `attempt` raises goes
    through.

    Args:
        space: What varies.
        algorithm: "hyperband" (Li et al. 2018), whose candidates get 1/9 of the epochs, of which
            the better third get 1/3, and the better third of those all; or "bayesian", a Gaussian
            process over the scores so far, after as many random candidates as there are parameters.
        seed: Of all draws.
        attempt: Judges one candidate.
    """
    import keras_tuner

    class Tuner(keras_tuner.Tuner):
        def run_trial(self, trial: Any, *_: Any, **__: Any) -> float:
            found = trial.hyperparameters.values
            share = found.get("tuner/epochs", RUNGS) / RUNGS
            try:
                return -attempt(_values(space, found), share)  # a number alone is lowered
            except Exception as error:  # or KerasTuner would count it as a failure and go on
                raise keras_tuner.errors.FatalError(str(error)) from error

    common = {"hyperparameters": _declare(space), "seed": seed + 1}  # to it, 0 is no seed
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(currentThread|getName)\(\)", DeprecationWarning)
        warnings.filterwarnings("ignore", module="sklearn")  # kernels at the edge of their range
        if algorithm == "hyperband":
            oracle = keras_tuner.oracles.HyperbandOracle(
                max_epochs=RUNGS, factor=_FACTOR, hyperband_iterations=_ENDLESS, **common
            )
        else:
            oracle = keras_tuner.oracles.BayesianOptimizationOracle(
                max_trials=_ENDLESS, num_initial_points=max(4, len(space)),
                alpha=1e-2, **common,  # noise of an accuracy, of the variance between candidates
            )  # fmt: skip
        tuner = Tuner(oracle=oracle, directory=folder, project_name="state", overwrite=True)
        try:
            tuner.search(verbose=0)
        except keras_tuner.errors.FatalError as error:
            if not isinstance(error.__cause__, Enough):
                raise (error.__cause__ or error) from None


def _declare(space: Sequence[Parameter]) -> Any:
    """The space as KerasTuner takes it; choices by their position, since they may be lists."""
    import keras_tuner

    made = keras_tuner.HyperParameters()
    names: tuple[Any, ...] = next((item.choices for item in space if item.key == NAME), ())
    for item in space:
        if item.model and names:
            with made.conditional_scope(NAME, [names.index(item.model)]):
                _add(made, item)
        else:
            _add(made, item)
    return made


def _add(made: Any, item: Parameter) -> None:
    if item.choices:
        made.Choice(item.name, list(range(len(item.choices))))
        return
    add = made.Int if isinstance(item.low, int) else made.Float
    add(item.name, item.low, item.high, sampling="log" if item.log else "linear")


def _values(space: Sequence[Parameter], found: dict[str, Any]) -> dict[str, Any]:
    """Values of the config by key, of those parameters that hold for the model chosen."""
    names: tuple[Any, ...] = next((item.choices for item in space if item.key == NAME), ())
    chosen = names[found[NAME]] if names else ""
    values = {}
    for item in space:
        if item.model and names and item.model != chosen:
            continue
        value = found[item.name]
        if item.choices:
            values[item.key] = item.choices[value]
        elif isinstance(item.low, int):
            values[item.key] = int(value)
        else:
            values[item.key] = _rounded(float(value))
    return values


def _rounded(value: float) -> float:
    """Three digits: more would mean nothing, and nobody could read them."""
    return round(value, 2 - math.floor(math.log10(abs(value)))) if value else 0.0
