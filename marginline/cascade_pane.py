"""Cascades for the dashboard: what `marginline cascade ASSET --account NAME` answers, for an account of a snapshot."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from desk.snapshot import AccountState, Snapshot
from desk.view import portfolio
from engine.accounts import Kind
from engine.answers import Answer
from engine.record import record
from engine.shocks import FOLLOWS
from marginline.cascade_wish import CHAIN, PATHS_ON_SCREEN, PRIOR, Wish
from marginline.commands.cascade import answered
from marginline.commands.cascade_inputs import loans_of, market_of
from marginline.commands.cascade_scene import levels_of, price_for, scene_on
from marginline.commands.ground import Ground, Held
from providers.errors import AppError, ConfigError, ProviderError
from tui.cascade_like import CascadeFound

if TYPE_CHECKING:
    from engine.simulation.cascade_book import LoanBook
    from engine.simulation.cascade_dynamic import Buckets, Map, Outcomes, Setting
    from engine.simulation.cascade_impact import Impact, Levels

CHAIN_EVERY_S = 600.0
READ_WITHIN_S = 60.0


@record
class _Kept:
    """A book as it was read: `mark` tells whether its file is still the same, `at_ns` is its age's start."""

    book: "LoanBook"
    mark: int
    at_ns: int
    read_at_s: float


class Cascades:
    """Works out cascades of the configured `markets`, by collateral; keeps what it read of them.

    `clock` is monotonic, in seconds.
    """

    def __init__(
        self, markets: Mapping[str, Wish], config: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._markets, self._clock = markets, clock
        self._ground = Ground(None, None, None, None, config, READ_WITHIN_S)
        self._kept: dict[str, _Kept] = {}

    async def cascade_of(self, snapshot: Snapshot, account: str, *, with_paths: bool) -> CascadeFound:
        """Return what a cascade does to an account of `snapshot`, or why there is none; worked out beside the loop."""
        nothing = CascadeFound(account, snapshot.taken_at_ns)
        state = snapshot.accounts.get(account)
        if state is None:
            return replace(nothing, because=f"{account} is no longer there")
        held = Held(portfolio(snapshot))
        try:
            market = self._market_of(state, snapshot)
            wish = replace(market, account=account, rounds=False, paths=market.paths if with_paths else 0)
            levels = await levels_of(self._ground, wish)
            if price_for(wish, levels, held) is None:
                raise ConfigError(f"the price of {wish.asset} is unknown: no oracle price of it has been read")
            kept = await self._book(wish, levels, held, snapshot.taken_at_ns)
            if kept.book.assets != (wish.asset,):
                named = ", ".join(kept.book.assets)
                raise ConfigError(f"{wish.book}: its collateral is {named}, where [cascade.{wish.asset}] names it")
            answer = await _worked_out(wish, levels, kept.book, held)
        except AppError as error:
            return replace(nothing, because=str(error).removeprefix("--account: "))
        return replace(
            nothing,
            asset=wish.asset,
            answer=answer,
            book_at_ns=None if wish.book == PRIOR else kept.at_ns,
            is_drawn=wish.book == PRIOR,
            is_whole=with_paths,
        )

    def _market_of(self, state: AccountState, snapshot: Snapshot) -> Wish:
        """Return the market of the account's collateral, of several the one nearest to the line that has a market.

        Raises `ConfigError` with the reason for none.
        """
        account, nearest = state.account, state.assessment.nearest
        if account.kind is not Kind.LOAN:
            raise ConfigError(f"{account.name} is no loan: a cascade is of a lending market")
        moving = dict.fromkeys(
            FOLLOWS.get(leg.asset, leg.asset)
            for leg in account.collateral
            if leg.amount and leg.liquidation_threshold and not _is_stable(snapshot, leg.asset)
        )
        if not moving or not any(debt.amount for debt in account.debt):
            raise ConfigError(f"no fall of a price liquidates {account.name}")
        markets = {FOLLOWS.get(name, name): market for name, market in self._markets.items()}
        first = None if nearest is None else FOLLOWS.get(nearest, nearest)
        for asset in sorted(moving, key=lambda one: one != first):
            if asset in markets:
                return markets[asset]
        asset = first if first in moving else next(iter(moving))
        raise ConfigError(
            f"no market of {' or '.join(moving)} is configured: write [cascade.{asset}] into the config, "
            f'with book = "prior" (or a file of loans, or "{CHAIN}ACCOUNT") and pool = UNITS '
            '(or depth = "FILE", or depth_of = "ACCOUNT:CONTRACT")'
        )

    async def _book(self, wish: Wish, levels: "Levels | None", held: Held, now_ns: int) -> _Kept:
        """Return the loans: a file's while it stays the same, a chain's for ten minutes, a prior at today's price."""
        kept, now_s = self._kept.get(wish.asset), self._clock()
        if wish.book == PRIOR:
            drawn = await asyncio.to_thread(loans_of, wish, price_for(wish, levels, held))
            return _Kept(drawn, 0, now_ns, now_s)
        if wish.book.startswith(CHAIN):
            if kept is not None and now_s - kept.read_at_s < CHAIN_EVERY_S:
                return kept
            try:
                book = await market_of(wish, self._ground, price_for(wish, levels, held))
            except ProviderError:
                if kept is None:
                    raise
                return kept  # its age, which grows on screen, says that it is not of now
            made = _Kept(book, 0, now_ns, now_s)
        else:
            written_ns = await asyncio.to_thread(_written_ns, wish.book)
            if kept is not None and kept.mark == written_ns:
                return kept
            book = await asyncio.to_thread(loans_of, wish, None)
            made = _Kept(book, written_ns, written_ns, now_s)
        self._kept[wish.asset] = made
        return made


def demo_cascades(seed: int) -> Cascades:
    """Return those of the simulated market: a drawn book and a pool that are made up, like everything there."""
    market = Wish(PRIOR, pools=("600000",), borrowers=2_000, debt=4e8, seed=seed, throughput=2e6, paths=PATHS_ON_SCREEN)
    return Cascades({market.asset: market})


def _written_ns(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0  # reading it says what is wrong


def _is_stable(snapshot: Snapshot, asset: str) -> bool:
    known = snapshot.prices.get(asset)
    return known is not None and known.price.stable


async def _worked_out(wish: Wish, levels: "Levels | None", book: "LoanBook", held: Held) -> Answer:
    """Return the answer, worked out beside the loop; when nobody waits for it any more, it ends at the next chunk."""
    abandoned = threading.Event()
    try:
        return await asyncio.to_thread(_answer, wish, levels, book, held, abandoned)
    finally:
        abandoned.set()


def _answer(wish: Wish, levels: "Levels | None", book: "LoanBook", held: Held, abandoned: threading.Event) -> Answer:
    return answered(scene_on(wish, levels, book, held), wish, _unless(abandoned))


def _unless(abandoned: threading.Event) -> "Map":
    from engine.simulation.cascade_dynamic import run_chunk

    def run(
        buckets: "Buckets", impact: "Impact", setting: "Setting", seed: int, parts: Sequence[tuple[int, int]]
    ) -> "Iterable[Outcomes]":
        for index, paths in parts:
            if abandoned.is_set():
                raise ConfigError("nobody waits for it")
            yield run_chunk(buckets, impact, setting, seed, index, paths)

    return run
