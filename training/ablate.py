"""What each augmentation is worth: python -m training.ablate CONFIG [--only shift,noise].

Trains the float stage of CONFIG as it is, then with one augmentation after another switched the
other way, then with all of them off, and judges each on the selection clips: clean, in noise, and
silent. The test clips are not opened. Runs lie in DIR/NAME/seedN; those that are finished are
skipped, an interrupted one goes on. DIR/ablation.json and DIR/ablation.md are written after every
run.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audio_edge import repeats
from audio_edge.config import load_config
from audio_edge.errors import command
from audio_edge.run import Run
from training.session import Session, locked, parser, start_logging


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = parser("training.ablate", __doc__)
    made.add_argument(
        "--only", metavar="NAME,NAME", help='augmentations to switch, and "none" for all off'
    )
    made.add_argument(
        "--seeds", metavar="0,1,2", help="all of it for each (default: run.seed of CONFIG)"
    )
    made.add_argument(
        "--snr", metavar="DB,DB", default="0,10", help="ratios of the clips in noise (default 0,10)"
    )
    made.add_argument(
        "--out", metavar="DIR", help="default: run.dir of CONFIG, with _ablated added"
    )
    args = made.parse_args(argv)
    start_logging()
    config = load_config(args.config, args.set)
    where = Path(args.out or f"{config.run.dir}_ablated")
    seeds = repeats.plan(config, seeds=args.seeds or str(config.run.seed)).numbers

    import tf_keras as keras

    from audio_edge import noisy
    from audio_edge.ablation import judging, results, switches

    ratios = noisy.ratios(args.snr)
    asked = switches.variants(config, args.only)
    judged: dict[str, dict[int, Any]] = defaultdict(dict)
    found: dict[str, Any] = {}
    with locked(where, "--out"):
        for seed in seeds:
            base = asked[0].config(config, where, seed)
            first = Session(Run(where, base), force=args.force)
            idle = switches.without_effect(config, first.index)
            chosen = [variant for variant in asked if variant.name not in idle]
            left_out = {each.name: idle[each.name] for each in asked if each.name in idle}
            sets = judging.clip_sets(base, first.material, ratios)
            for variant in chosen:
                own = variant.config(config, where, seed)
                material = first.material
                if own.augment.made_noise != base.augment.made_noise:
                    material = judging.with_noise(material, own)
                keras.backend.clear_session()  # the graphs of one run are of no use to the next
                run = Run.create(own, force=args.force)
                Session(run, force=args.force, material=material).make("float")
                judged[variant.name][seed] = judging.judge(run, sets)
                found = results.summary(
                    config.run.name, chosen, judged, seeds=seeds, left_out=left_out
                )
                results.write(where, found)
                [row] = [row for row in found["rows"] if row["name"] == variant.name]
                print(results.told(row, seed), flush=True)
    print()
    print(results.markdown(found))
    print(where / "ablation.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
