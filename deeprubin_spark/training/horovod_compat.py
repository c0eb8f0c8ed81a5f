"""Horovod on Spark, and what it needs on a current stack. The only file that touches it.

Horovod 0.28.1 runs unchanged on Spark 4.1 and torch 2.12 once built against that torch (infra/build_horovod.sh); what is left is to refuse
other versions, to keep its traffic where it belongs, and to turn its failures into ours. Only the training job and its ranks import this
module.

A rank is a process of its own under a Spark task: it needs the same Python environment and this package installed there, for neither a zip
given to `--py-files` nor a notebook's modules reach it. Spark Connect cannot run it, hence on Databricks a dedicated cluster.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypeVar

import psutil
from pyspark import SparkContext

from deeprubin_spark.errors import ConfigError, RanksMissingError, RetryableError
from deeprubin_spark.training.petastorm_compat import check_versions

Result = TypeVar("Result")

# Versions that tests/spark/test_self_test.py was run with; a shorter version stands for all that begin with it.
TESTED = {"horovod": "0.28.1", "torch": "2.12", "pyspark": "4.1"}
# One thread per rank: the cores belong to Spark's tasks, and sums over threads come in no fixed order, which would change the losses.
# Every cycle [ms] Horovod's ranks ask each other what there is to sum: each millisecond, as is usual, that takes a fifth of the core.
_RANK_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HOROVOD_CYCLE_TIME": "5"}


def run_on_spark(function: Callable[..., Result], arguments: Sequence[Any], *, processes: int, start_timeout_s: int) -> list[Result]:
    """Run `function(*arguments)` in `processes` ranks at once, each under a Spark task of the active session; returns the results by rank.

    function: of an importable module; it calls `collective()` first.   arguments, results: anything that pickles, small.
    start_timeout_s: [s] how long to wait for that many free task slots.
    Raises ConfigError (versions, no classic session), RanksMissingError (too few slots) or RetryableError (a rank died).
    """
    check_versions(TESTED, importlib.metadata.version)
    context = SparkContext._active_spark_context
    if context is None:
        raise ConfigError(
            "Horovod needs a classic Spark session in this process, found none, or Spark Connect; use local[*], a cluster, or on "
            "Databricks a dedicated one."
        )
    import horovod.spark
    from horovod.runner.common.util.timeout import TimeoutException

    try:
        results: list[Result] = horovod.spark.run(
            function,
            args=tuple(arguments),
            num_proc=processes,
            start_timeout=start_timeout_s,
            env=dict(_RANK_ENVIRONMENT),
            executable=os.environ.get("PYSPARK_PYTHON", sys.executable),
            nics=_interfaces(context.getConf().get("spark.driver.host") or ""),
            use_gloo=True,
            stdout=sys.stderr,
            stderr=sys.stderr,
            verbose=0,
        )
    except TimeoutException as error:
        raise RanksMissingError(
            f"Horovod: {processes} ranks did not start within {start_timeout_s} s. Each needs a free task slot of "
            f"{context.defaultParallelism} on {context.master}; free some, lower training.processes, or raise "
            f"training.start_timeout_s. {error}"
        ) from error
    except RuntimeError as error:
        raise RetryableError(
            f"Horovod: a rank failed ({error}); its own message is above. The same command resumes from the last checkpoint."
        ) from error
    return results


def collective() -> ModuleType:
    """Horovod's torch interface with this process joined to the ring: `allreduce`, `rank()`, `size()`, ... Call it in a rank."""
    check_versions(TESTED, importlib.metadata.version)
    ring = importlib.import_module("horovod.torch")
    ring.init()
    return ring


def _interfaces(driver_host: str) -> set[str] | None:
    """The loopback interface where the driver is bound to it; else None, so that Horovod finds the interfaces all hosts share."""
    if not driver_host.startswith("127.") and driver_host != "localhost":
        return None
    return {name for name, addresses in psutil.net_if_addrs().items() if any(address.address == "127.0.0.1" for address in addresses)}
