"""A Dask cluster for what takes long: the same chunks, in other processes, with the same figures (extra `[cluster]`).

Workers must have this version of marginline installed. A worker that dies has its chunks run again elsewhere.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from marginline import __version__
from marginline.output import say
from providers.errors import ConfigError, Unreachable

if TYPE_CHECKING:
    from engine.simulation.cascade_dynamic import Buckets, Map, Outcomes, Setting
    from engine.simulation.cascade_impact import Impact

VENUE = "dask"
_ADDRESS = re.compile(r"^(?:(?:tcp|tls)://)?[^/\s:]+:\d{1,5}$|^(?:(?:tcp|tls)://)?\[[0-9a-fA-F:.]+\]:\d{1,5}$")
CONNECT_S = 5.0
TASKS_A_WORKER = 8
"""Into how many tasks each worker's share is cut: few for little overhead, several so that a death costs little."""
DEATHS = 3


@contextmanager
def cluster(address: str, *, connect_s: float = CONNECT_S, wait_s: float = 3600.0) -> "Iterator[Map]":
    """Give what runs chunks on the cluster of the scheduler at `address`, for at most `wait_s` each time.

    Raises `ConfigError` without the extra or for workers that lack this version, `Unreachable` for a scheduler that
    does not answer within `connect_s`, has no workers, or takes too long.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError("--scheduler needs the extra [cluster]: pip install 'marginline[cluster]'") from error
    if _ADDRESS.match(address) is None:
        raise ConfigError(f"--scheduler {address[:80]!r}: is no address; write tcp://HOST:PORT")
    try:
        client: Any = Client(address, timeout=connect_s, set_as_default=False)  # type: ignore[no-untyped-call]  # it has no annotations
    except (OSError, TimeoutError) as error:
        raise Unreachable(VENUE, f"no scheduler answers at {address[:80]} within {connect_s:g} s") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=connect_s)
        except TimeoutError as error:
            raise Unreachable(VENUE, f"the scheduler at {address[:80]} has no worker") from error
        _same_version(client)

        def run(
            buckets: "Buckets", impact: "Impact", setting: "Setting", seed: int, parts: Sequence[tuple[int, int]]
        ) -> "Iterable[Outcomes]":
            return _run(client, wait_s, (buckets, impact, setting, seed), parts)

        yield run


def installed_version() -> str:
    """Return the version of marginline in the process that runs this."""
    return __version__


def _same_version(client: Any) -> None:
    try:
        found = set(client.run(installed_version).values())
    except (ImportError, AttributeError, OSError) as error:  # what a worker without it raises comes back here
        raise ConfigError(f"the workers cannot run marginline {__version__}: {error}") from error
    if found != {__version__}:
        raise ConfigError(f"workers run marginline {', '.join(sorted(found))}, this is {__version__}: install the same")


def _run(
    client: Any, wait_s: float, shared: "tuple[Buckets, Impact, Setting, int]", parts: Sequence[tuple[int, int]]
) -> "list[Outcomes]":
    from distributed import as_completed

    workers = len(client.scheduler_info(n_workers=-1)["workers"])
    size = max(1, -(-len(parts) // (TASKS_A_WORKER * workers)))
    groups = [tuple(parts[at : at + size]) for at in range(0, len(parts), size)]
    # Held as a task's result, not scattered: what a dying worker held is then made again.
    held = client.submit(hold, shared, pure=False)
    futures = client.map(run_group, groups, [held] * len(groups), pure=False, retries=DEATHS)
    say(f"dask: {len(parts)} chunks in {len(groups)} tasks on {workers} workers")
    completed: Any = as_completed(futures, loop=client.loop, timeout=wait_s)  # type: ignore[no-untyped-call]  # it has no annotations
    try:
        for done, _ in enumerate(completed, 1):
            say(f"dask: {done} of {len(groups)} done")
        return [outcome for group in client.gather(futures) for outcome in group]
    except TimeoutError as error:
        client.cancel(futures)
        raise Unreachable(VENUE, f"not done within {wait_s:g} s; fewer paths, or more workers") from error
    except OSError as error:
        raise Unreachable(VENUE, f"the cluster was lost: {error}") from error


def hold(shared: "tuple[Buckets, Impact, Setting, int]") -> "tuple[Buckets, Impact, Setting, int]":
    """Return what it is given: the book on a worker, for all its chunks."""
    return shared


def run_group(parts: Sequence[tuple[int, int]], shared: "tuple[Buckets, Impact, Setting, int]") -> "list[Outcomes]":
    """Return the outcomes of some chunks, on a worker."""
    from engine.simulation.cascade_dynamic import run_chunk

    buckets, impact, setting, seed = shared
    return [run_chunk(buckets, impact, setting, seed, index, paths) for index, paths in parts]
