"""Narrow, prune and cluster the float stage of a run: python -m training.prune CONFIG.

The config says which: [channels], [prune] and [cluster]. An interrupted one goes on where it was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from audio_edge.errors import command
from training.session import stage_command


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return stage_command("training.prune", __doc__, ("narrow", "pruned", "clustered"), argv)


if __name__ == "__main__":
    sys.exit(main())
