"""Commands over finished models: `python -m tflite.convert`, `compare`, `inspect`.

The distribution `tflite` on PyPI installs into a folder of this name; `check_not_shadowed` notices.
"""

from tflite.shadowing import check_not_shadowed

__all__ = ["check_not_shadowed"]
