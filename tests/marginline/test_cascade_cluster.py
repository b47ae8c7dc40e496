"""`cascade --scheduler`: a real Dask scheduler and two workers on loopback, one of which dies in mid-run."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from tests.marginline.command import MARGINLINE, marginline

pytest.importorskip("distributed", reason="the extra [cluster] is not installed")

RUN = ("cascade", "prior", "--borrowers", "3000", "--debt", "2e9", "--price", "3000", "--pool", "200000")
LONG = (*RUN, "--volatility", "1.2", "--paths", "384", "--throughput", "1e7", "--json")
WAIT_S = 90


@contextlib.contextmanager
def process(*words: str, out: Path = Path(os.devnull)) -> Iterator[subprocess.Popen[str]]:
    """Run a program, stdout to a file and stderr to be read, and end it after `WAIT_S` at the latest."""
    with out.open("w") as file, subprocess.Popen(words, stdout=file, stderr=subprocess.PIPE, text=True) as started:
        latest = Timer(WAIT_S, started.kill)
        latest.start()
        try:
            yield started
        finally:
            latest.cancel()
            started.kill()


def said(running: subprocess.Popen[str], pattern: str) -> str:
    """Return the first group of the first line that matches; the process's end, at `WAIT_S`, bounds the wait."""
    assert running.stderr is not None
    lines = []
    for line in running.stderr:
        lines.append(line)
        found = re.search(pattern, line)
        if found is not None:
            return found[1]
    raise AssertionError(f"never said {pattern!r}: {''.join(lines)}")


@contextlib.contextmanager
def cluster_of(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """Start a scheduler and workers, one thread each; give its address and the workers' processes."""
    with contextlib.ExitStack() as stack:
        words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter")
        scheduler = stack.enter_context(process(sys.executable, "-m", "distributed.cli.dask_scheduler", *words))
        address = said(scheduler, r"Scheduler at:\s+(tcp://\S+)")
        words = (
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
            "--local-directory",
            str(folder),
            "--host",
            "127.0.0.1",
        )
        hands = [
            stack.enter_context(process(sys.executable, "-m", "distributed.cli.dask_worker", address, *words))
            for _ in range(workers)
        ]
        for hand in hands:
            said(hand, r"(Registered to)")
        yield address, hands


def test_a_cluster_gives_the_same_figures_and_outlives_a_worker_that_is_killed_in_mid_run(tmp_path: Path) -> None:
    alone = marginline(*LONG)
    assert alone.code == 0, alone.err
    with cluster_of(tmp_path, 2) as (address, workers):
        answer = tmp_path / "answer.json"
        with process(str(MARGINLINE), *LONG, "--scheduler", address, out=answer) as running:
            assert said(running, r"dask: (\d+) of \d+ done") == "1"
            workers[0].kill()
            _, err = running.communicate(timeout=WAIT_S)
            assert running.returncode == 0, err
        assert workers[1].poll() is None
    assert json.loads(answer.read_text())["dynamic"] == alone.json["dynamic"]
    assert alone.json["dynamic"]["paths"] == 384


def test_a_scheduler_that_is_not_there_is_exit_4(tmp_path: Path) -> None:
    done = marginline(*LONG, "--scheduler", "tcp://127.0.0.1:1", home=tmp_path)
    assert (done.code, done.out) == (4, "")
    assert "no scheduler answers at tcp://127.0.0.1:1" in done.err


def test_a_scheduler_without_workers_is_exit_4(tmp_path: Path) -> None:
    with cluster_of(tmp_path, 0) as (address, _):
        done = marginline(*LONG, "--scheduler", address, home=tmp_path)
    assert done.code == 4
    assert "has no worker" in done.err


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError('not here')")
    done = marginline(*LONG, "--scheduler", "tcp://127.0.0.1:1", env={"PYTHONPATH": str(tmp_path)}, home=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "pip install 'marginline[cluster]'" in done.err


def test_an_address_that_is_none_is_exit_2(tmp_path: Path) -> None:
    done = marginline(*LONG, "--scheduler", "smoke://signals", home=tmp_path)
    assert done.code == 2, done.err
    assert "tcp://HOST:PORT" in done.err
