"""What one `cascade` call runs on, put together from what was asked: book, prices, what absorbs, the account, terms."""

import asyncio
import math
from dataclasses import field, replace
from typing import TYPE_CHECKING

from engine.record import record
from engine.shocks import parse_fraction
from marginline.cascade_wish import CHAIN, PRIOR, Wish, oracle_rule
from marginline.commands.cascade_inputs import (
    by_asset,
    depth_of,
    loans_of,
    market_of,
    mine,
    price_in,
    shocks_of,
    text_of,
)
from marginline.commands.ground import Ground, Held, held, now_ns
from providers.errors import ConfigError

if TYPE_CHECKING:
    from engine.simulation.cascade_book import LoanBook
    from engine.simulation.cascade_dynamic import Setting
    from engine.simulation.cascade_impact import Levels, Pool
    from engine.simulation.cascade_rounds import Terms

NO_VOLATILITY = "volatility unknown: write --volatility 0.62, or name a --portfolio that has it"


@record
class Scene:
    """All that a run needs. `impact` is `None` for several collaterals, `setting` without a volatility.

    `row` is the account's loan in the book, `reserves` the pools' units, one an asset (empty for an order book).
    """

    book: "LoanBook"
    prices: tuple[float, ...]
    shocks: tuple[tuple[float, ...], ...]
    impact: "Pool | Levels | None"
    reserves: tuple[float, ...]
    cross: tuple[tuple[float, ...], ...]
    terms: "Terms"
    setting: "Setting | None"
    hours: float
    as_of_ns: int
    row: int | None = None
    name: str = ""
    caveats: tuple[str, ...] = ()
    degraded: tuple[str, ...] = field(default_factory=tuple)


def scene_of(ground: Ground, wish: Wish) -> Scene:
    """Return the scene; raises `AppError` for what is asked wrongly, cannot be read or does not answer."""
    is_drawn = wish.book == PRIOR or wish.book.startswith(CHAIN)
    levels = asyncio.run(levels_of(ground, wish))
    found = held(ground) if ground.portfolio is not None or (wish.account is not None and wish.book == PRIOR) else None
    price = price_for(wish, levels, found) if is_drawn else None
    book = asyncio.run(market_of(wish, ground, price)) if wish.book.startswith(CHAIN) else loans_of(wish, price)
    if found is None and wish.account is not None and wish.account not in book.names:
        found = held(ground)
    return scene_on(wish, levels, book, found)


def scene_on(wish: Wish, levels: "Levels | None", book: "LoanBook", found: Held | None) -> Scene:
    """Return the scene of what was read; raises `ConfigError` for what is asked wrongly."""
    from engine.simulation.cascade_answer import CAVEATS, ONE_COLLATERAL, USUAL
    from engine.simulation.cascade_rounds import Terms
    from engine.simulation.horizons import parse_horizon

    try:
        hours = parse_horizon(wish.horizon)
    except ValueError as error:
        raise ConfigError(f"--horizon: {error}") from error
    if not 0 < wish.close_factor <= 1:
        raise ConfigError(f"--close-factor: {wish.close_factor:g} is not above 0 and at most 1")
    assets = book.assets
    prices = _prices(wish, assets, levels, found)
    caveats = [*CAVEATS, *((ONE_COLLATERAL,) if len(assets) == 1 else ())]
    degraded = list(found.degraded) if found is not None else []
    row: int | None = None
    if wish.account is not None and wish.account in book.names:
        row = book.at(wish.account)
    elif wish.account is not None and found is not None:
        if len(assets) > 1:
            raise ConfigError("--account: an account of your own needs a book of one collateral")
        own = mine(found, wish.account, assets[0])
        row, book = len(book), book.with_loan([own.units], own.debt, own.threshold, own.bonus)
        degraded += own.notes
        caveats.append(f"{own.name} is added to the book as one loan more")
    if wish.book == PRIOR:
        caveats.append(f"the book is {book.source}")
    caveats += book.assumed
    impact, reserves = _absorbs(wish, assets, prices, levels)
    if levels is not None:
        caveats.append("below its last level the order book goes on as a constant-product pool: an extrapolation")
    return Scene(
        book,
        prices,
        tuple(
            tuple(moves[asset] for asset in assets)
            for moves in shocks_of(wish.shocks, assets) or [dict.fromkeys(assets, each) for each in USUAL]
        ),
        impact,
        reserves,
        _cross(wish, assets),
        Terms(wish.fee, wish.gas, wish.close_factor),
        _setting(wish, found, assets),
        hours,
        now_ns() if found is None else found.portfolio.as_of_ns,
        row,
        wish.account or "",
        tuple(caveats),
        tuple(degraded),
    )


async def levels_of(ground: Ground, wish: Wish) -> "Levels | None":
    """Return the order book that is sold into, `None` for a pool; raises `AppError`."""
    from engine.simulation.cascade_book import BookError
    from engine.simulation.cascade_impact import parse_depth

    if sum(map(bool, (wish.pools, wish.depth, wish.depth_of))) != 1:
        raise ConfigError(
            "say what absorbs sales, in one way: --pool UNITS (a pool's reserve of the collateral), --depth FILE, "
            "or --depth-of ACCOUNT:CONTRACT"
        )
    if wish.depth_of is not None:
        return await depth_of(wish.depth_of, ground)
    try:
        return None if wish.depth is None else parse_depth(text_of(wish.depth), wish.depth)
    except BookError as error:
        raise ConfigError(f"--depth: {error}") from error


def price_for(wish: Wish, levels: "Levels | None", found: Held | None) -> float | None:
    """Return today's price of a book that is drawn or in value: as written, of the document, or of the order book."""
    written = by_asset(wish.prices, (wish.asset,), "--price").get(wish.asset)
    return written or _oracle_price(found, wish.asset) or (None if levels is None else levels.start)


def _oracle_price(found: Held | None, asset: str) -> float | None:
    entry = price_in(found, asset)
    return None if entry is None or entry.oracle is None else float(entry.oracle.price)


def _prices(wish: Wish, assets: tuple[str, ...], levels: "Levels | None", found: Held | None) -> tuple[float, ...]:
    """Return today's prices: as written, of the document, or of the order book."""
    named = by_asset(wish.prices, assets, "--price")
    for asset in assets:
        price = _oracle_price(found, asset)
        if price is not None:
            named.setdefault(asset, price)
    if levels is not None and len(assets) == 1:
        named.setdefault(assets[0], levels.start)
    lacking = [asset for asset in assets if asset not in named]
    if lacking:
        raise ConfigError(f"the price of {lacking[0]} is unknown: write --price {lacking[0]}=3000")
    return tuple(named[asset] for asset in assets)


def _absorbs(
    wish: Wish, assets: tuple[str, ...], prices: tuple[float, ...], levels: "Levels | None"
) -> "tuple[Pool | Levels | None, tuple[float, ...]]":
    from engine.simulation.cascade_impact import Pool

    if levels is not None:
        if len(assets) > 1:
            raise ConfigError("an order book serves one collateral; write --pool ASSET=UNITS for each of several")
        return replace(levels, start=prices[0]), ()
    pools = by_asset(wish.pools, assets, "--pool")
    if any("=" not in word for word in wish.pools) and len(assets) > 1:
        raise ConfigError("--pool: units differ by asset; write --pool ASSET=UNITS for each of several collaterals")
    lacking = [asset for asset in assets if asset not in pools]
    if lacking:
        raise ConfigError(f"--pool: write --pool {lacking[0]}=UNITS too")
    reserves = tuple(pools[asset] for asset in assets)
    return (Pool(reserves[0], prices[0]) if len(assets) == 1 else None), reserves


def _cross(wish: Wish, assets: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
    """Return the matrix of words like "ETH:BTC=0.3": the share of ETH's own log fall that BTC takes over."""
    table = [[0.0] * len(assets) for _ in assets]
    for word in wish.cross:
        pair, _, text = word.partition("=")
        one, _, other = pair.partition(":")
        if one not in assets or other not in assets or one == other:
            raise ConfigError(f"--cross {word[:40]!r}: write ONE:OTHER=SHARE of {', '.join(assets)}, as in ETH:BTC=0.3")
        try:
            share = float(parse_fraction(text, word))
        except ValueError as error:
            raise ConfigError(f"--cross: {error}") from error
        if not 0 <= share <= 1:
            raise ConfigError(f"--cross {word[:40]!r}: a share is between 0 and 1")
        table[assets.index(one)][assets.index(other)] = share
    return tuple(map(tuple, table))


def _setting(wish: Wish, found: Held | None, assets: tuple[str, ...]) -> "Setting | None":
    from engine.simulation.cascade_book import BookError
    from engine.simulation.cascade_dynamic import OracleRule, Setting, checked

    entry = price_in(found, assets[0])
    volatility = wish.volatility
    if volatility is None and entry is not None and entry.volatility is not None:
        volatility = float(entry.volatility)
    if volatility is None:
        return None
    try:
        rule, deviation, delay = oracle_rule(wish.oracle)
    except ValueError as error:
        raise ConfigError(f"--oracle {error}") from error
    setting = Setting(
        volatility=volatility,
        steps=wish.steps,
        step_minutes=wish.step_minutes,
        throughput=math.inf if wish.throughput is None else wish.throughput,
        heal=wish.heal,
        rule=OracleRule(rule),
        deviation=deviation,
        delay=delay,
        close_factor=wish.close_factor,
        fee=wish.fee,
        gas=wish.gas,
    )
    try:
        return checked(setting)
    except BookError as error:
        raise ConfigError(f"--{error}") from error
