"""Train the float stage of a config: python -m training.train CONFIG.

An interrupted one goes on where it was. With --distribute mirrored it trains on all GPUs of this
machine. With --distribute multiworker it trains on several machines: the same command runs on each
of them, with its own TF_CONFIG in the environment; worker 0 writes the run, and the other stages
are made there afterwards, by training.run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from audio_edge.config import load_config
from audio_edge.errors import UserError, command, first_line
from audio_edge.run import Run
from training.session import Session, open_run, parser, report, start_logging


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = parser("training.train", __doc__)
    made.add_argument(
        "--distribute", choices=("mirrored", "multiworker"),
        help="train on all GPUs of this machine, or on the machines that TF_CONFIG names",
    )  # fmt: skip
    args = made.parse_args(argv)
    if not args.distribute:
        return _train(args)
    config = load_config(args.config, args.set)  # a mistake is said before waiting for others
    import tensorflow as tf

    from audio_edge import distribution

    strategy = distribution.start(args.distribute)
    with strategy.scope():
        print(f"{strategy.num_replicas_in_sync} replicas", flush=True)
        try:
            if distribution.is_chief():
                code = _train(args)
            else:
                start_logging()
                Session(Run(Path(config.run.dir), config), force=args.force).make("float")
                code = 0
            distribution.told(lambda: True)  # they leave together
        except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
            raise UserError(
                f"TF_CONFIG: another machine has ended ({first_line(error)}); "
                "start all of them again, and they go on from the last checkpoint"
            ) from error
    return code


def _train(args: argparse.Namespace) -> int:
    with open_run(args) as session:
        report(session.run, "float", session.make("float"))
        print(session.run.stage("float"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
