"""Training by one process and by two Horovod ranks, one thread each, over the same two shards: are the losses the same, and how much sooner are they there?

    python -m tests.perf.scaling --out docs/results --set warehouse.path=DIR --set training.survey=plasticc_ztf

Reads a warehouse that could train (`infra/model.sh` leaves one in build/model/warehouse) and writes OUT/scaling.json. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from deeprubin_spark import runs, settings, spark
from deeprubin_spark.tables import Warehouse
from deeprubin_spark.training.checkpoints import Checkpoints
from deeprubin_spark.training.code_version import commit
from deeprubin_spark.training.distributed import train_on_spark
from deeprubin_spark.training.export import export, read_fold
from deeprubin_spark.training.loop import Alone, Plan, Trained, train
from deeprubin_spark.training.publish import planned
from deeprubin_spark.training.reader import Shards
from tests.perf.bench import machine

EPOCHS = 5
PROCESSES = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    made = argparse.ArgumentParser(prog="python -m tests.perf.scaling", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    made.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the result goes")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting")
    arguments = made.parse_args(argv)
    told = measured([f"spark.master=local[{PROCESSES}]", f"training.processes={PROCESSES}", *arguments.set])
    print(json.dumps(told, indent=1))
    (arguments.out / "scaling.json").write_text(json.dumps(told, indent=1) + "\n")
    return 0


def measured(overrides: Sequence[str]) -> dict[str, Any]:
    """Light curves a second by processes, from the median epoch but the first, in which libraries load and data come into memory."""
    resolved = settings.load("local", overrides)
    with spark.session(resolved.spark, "scaling") as session, tempfile.TemporaryDirectory() as place:
        run = runs.Run("scaling", "", (), resolved, session, Warehouse(session, resolved.warehouse))
        made = export(run)
        plan = replace(planned(made, read_fold(made, "train"), resolved.training), epochs=EPOCHS)
        together = train_on_spark(plan, made.shards(PROCESSES), Path(place), resolved.training)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        alone = process.submit(_alone, plan, made.shards(PROCESSES)).result()
    seconds = {1: statistics.median(alone.seconds[1:]), PROCESSES: statistics.median(together.seconds[1:])}
    return {
        "scaling": resolved.training.network,
        "objects": made.n_objects,
        "epochs": EPOCHS,
        "batch_size": plan.batch_size,
        "rows": [
            {"processes": n, "seconds_an_epoch": round(s, 2), "light_curves_a_second": round(plan.n_rows / s)} for n, s in seconds.items()
        ],
        "times": round(seconds[1] / seconds[PROCESSES], 3),
        "largest_relative_difference_of_losses": max(abs(a - b) / a for a, b in zip(alone.losses, together.losses, strict=True)),
        "machine": machine(),
        "command": "python -m tests.perf.scaling",
        "commit": commit(),
        "data_sha256": made.sha256,
    }


def _alone(plan: Plan, shards: Shards) -> Trained:
    """Both shards in this process."""
    return train(plan, Alone(), lambda epoch, shard: shards.epoch(epoch, shard, plan.batch_size, plan.seed), Checkpoints(None))


if __name__ == "__main__":
    sys.exit(main())
