"""What TensorFlow traces is taken as it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

_Function = TypeVar("_Function", bound=Callable[..., Any])


def as_written(function: _Function) -> _Function:
    """Keep autograph from rewriting a function and all that it calls, layers included.

    It would turn every `if` and `for` into one that may ask a tensor, which none of ours does, in
    some seconds of each process and a tenth of the building and tracing of a network. The graph is
    the same. A `tf.function` that is called decides for itself.
    """
    plain: _Function = tf.autograph.experimental.do_not_convert(function)
    return plain
