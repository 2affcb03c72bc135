"""Search for better settings: python -m training.tune CONFIG [--space FILE.toml].

Tries CONFIG itself, then what KerasTuner proposes. Each trial is trained, compressed and converted
in DIR/trials/NAME and judged by its int8 file on the selection clips; the test clips are not
opened. Candidates beyond the limit are refused before they are trained. A search that was
interrupted goes on where it was when it is given again; with more time or trials it goes on longer.
Writes DIR/trials.json, DIR/pareto.png and DIR/best.toml, which python -m training.run takes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audio_edge.config import load_config
from audio_edge.errors import UserError, command
from training.session import Session, epoch_bar, locked, parser, start_logging


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = parser("training.tune", __doc__)
    made.add_argument(
        "--space", metavar="FILE", help="TOML file of what varies (default: built in)"
    )
    made.add_argument(
        "--algorithm", default="hyperband",
        help="hyperband (the default): many candidates with few epochs, the better ones with more; "
        "bayesian: each with all epochs of CONFIG",
    )  # fmt: skip
    limits = made.add_mutually_exclusive_group()
    limits.add_argument(
        "--max-size-bytes", type=int, metavar="N", help="of the int8 file, front end included"
    )
    limits.add_argument(
        "--max-latency-ms", type=float, metavar="X", help="of one inference on this machine"
    )
    budgets = made.add_mutually_exclusive_group()
    budgets.add_argument(
        "--minutes", type=float, metavar="M", help="for all trials together (default: 30)"
    )
    budgets.add_argument("--trials", type=int, metavar="N", help="candidates to try")
    made.add_argument("--out", metavar="DIR", help="default: run.dir of CONFIG, with _tuned added")
    args = made.parse_args(argv)
    start_logging()
    config = load_config(args.config, args.set)
    where = Path(args.out or f"{config.run.dir}_tuned")

    from audio_edge.run import Run
    from audio_edge.tuning import results, space
    from audio_edge.tuning.limit import LATENCY, SIZE, Limit
    from audio_edge.tuning.search import Budget, Plan, search

    by_latency = args.max_latency_ms is not None
    limit = Limit(*(LATENCY, args.max_latency_ms) if by_latency else (SIZE, args.max_size_bytes))
    varied = space.load(args.space, config) if args.space else space.default(config)
    plan = Plan(config, varied, args.algorithm, limit, where)
    minutes = 30.0 if args.minutes is None and args.trials is None else args.minutes
    budget = Budget(time.monotonic, None if minutes is None else 60 * minutes, args.trials)

    def told(row: dict[str, Any]) -> None:
        print(results.told(row, limit.kind), flush=True)

    with locked(where, "--out"):
        session = Session(Run(where, config), force=args.force)
        plan.begin(session.data, force=args.force)
        material = session.material
        rows = search(plan, material, budget, told=told, callbacks=lambda stage: [epoch_bar(stage)])
        found = results.write(plan, rows)
    print()
    print(results.markdown(found))
    print(where / "pareto.png")
    if not found["best"]:
        raise UserError(f"{where}: no trial stayed within the limit and was trained; raise it")
    print(where / "best.toml")
    return 0


if __name__ == "__main__":
    sys.exit(main())
