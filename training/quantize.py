"""Fine-tune the stage before with int8 fake quantisation: python -m training.quantize CONFIG.

An interrupted one goes on where it was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from audio_edge.errors import command
from training.session import stage_command


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return stage_command("training.quantize", __doc__, ("qat",), argv)


if __name__ == "__main__":
    sys.exit(main())
