"""Row 14: cascades. 1,000,000 borrowers x 100,000 shocks at rest, paths over time, and what a Dask cluster gains.

`python -m benchmarks.cascade` prints these alone. Workers are processes of their own on loopback, one thread each.
"""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer

import numpy as np

from engine.simulation.cascade_book import prior
from engine.simulation.cascade_dynamic import Map, Outcomes, Setting, bucketed, here, simulated
from engine.simulation.cascade_impact import Pool
from engine.simulation.cascade_static import at_rest, in_order

Row = tuple[str, str, str, str]
_PRICE, _SEED = 3000.0, 7
_BORROWERS, _SHOCKS = 1_000_000, 100_000
_LOANS, _PATHS = 100_000, 1_000
_MANY = 5_000
"""Paths that a cluster is given: enough work for its overhead to be small beside it."""
_LONGEST_S = 300.0


def rows() -> list[Row]:
    """Return the rows of cascades."""
    return [*_static(), *_paths()]


def _static() -> list[Row]:
    book = prior(_BORROWERS, 1e9, _PRICE, seed=_SEED)
    shocked = _PRICE * np.random.default_rng(_SEED).uniform(0.6, 1, _SHOCKS)
    started, worked = time.perf_counter(), time.process_time()
    queue = in_order(book)
    sorted_ = time.perf_counter() - started
    at_rest(queue, Pool(1e6, _PRICE), shocked)
    taken, worked = time.perf_counter() - started, time.process_time() - worked
    return [
        (
            "14",
            "cascade 1M borrowers x 100k shocks, static, one core",
            f"{taken:.2f} s ({sorted_:.2f} s of it sorting; {worked:.2f} s of processor time)",
            "<= 2 s",
        )
    ]


def _paths() -> list[Row]:
    buckets = bucketed(prior(_LOANS, 2e9, _PRICE, seed=_SEED))
    pool, setting = Pool(1e6, _PRICE), Setting(1.2, throughput=1e7)

    def seconds(run: Map, paths: int) -> tuple[float, Outcomes]:
        started = time.perf_counter()
        found = simulated(buckets, pool, setting, paths=paths, seed=_SEED, run=run)
        return time.perf_counter() - started, found

    once, _ = seconds(here, _PATHS)
    alone, expected = seconds(here, _MANY)
    found: list[Row] = [
        ("14", f"  100k loans x 1k paths x 144 steps, {len(buckets)} buckets, this process", f"{once:.2f} s", ""),
        ("14", f"  {_MANY:,} paths, this process", f"{alone:.2f} s", ""),
    ]
    from marginline.cluster import cluster

    for workers in (1, 2):
        with _workers(workers) as address, cluster(address, connect_s=20, wait_s=_LONGEST_S) as run:
            seconds(run, 128)  # imports and connections are made once in a worker's life
            taken, outcomes = seconds(run, _MANY)
        same = "identical" if np.array_equal(expected, outcomes) else "DIFFERENT"
        gain, over = alone / taken, taken - alone / workers
        found.append(
            (
                "14",
                f"  the same on {workers} Dask worker(s)",
                f"{gain:.2f}x ({taken:.2f} s, {over:+.2f} s over, {same})",
                "",
            )
        )
    return found


@contextlib.contextmanager
def _workers(count: int) -> Iterator[str]:
    """Give the address of a scheduler with `count` workers, all ended afterwards."""
    with TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        words = ("--host", "127.0.0.1", "--no-dashboard")
        scheduler = stack.enter_context(_process("dask_scheduler", *words, "--port", "0", "--no-jupyter"))
        address = _said(scheduler, r"Scheduler at:\s+(tcp://\S+)")
        words = (*words, "--nthreads", "1", "--no-nanny", "--local-directory", str(Path(folder)))
        hands = [stack.enter_context(_process("dask_worker", address, *words)) for _ in range(count)]
        for hand in hands:
            _said(hand, r"(Registered to)")
        yield address


@contextlib.contextmanager
def _process(program: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", f"distributed.cli.{program}", *words]
    limits = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=limits) as running:
        latest = Timer(_LONGEST_S, running.kill)
        latest.start()
        try:
            yield running
        finally:
            latest.cancel()
            running.kill()


def _said(running: subprocess.Popen[str], pattern: str) -> str:
    assert running.stderr is not None
    for line in running.stderr:
        found = re.search(pattern, line)
        if found is not None:
            return found[1]
    raise RuntimeError(f"a Dask process ended without saying {pattern!r}")


if __name__ == "__main__":
    from benchmarks.__main__ import machine, table

    print(machine(), flush=True)
    print(table(rows()))
