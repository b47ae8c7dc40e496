"""What a cascade starts from, as the command line says it: book, prices, what absorbs sales, and the account."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from engine.accounts import Account, Kind
from engine.prices import AssetPrice
from engine.record import record
from engine.shocks import FOLLOWS, parse_fraction
from engine.solvency import trigger_prices
from marginline.cascade_wish import CHAIN, CHAIN_PROVIDERS, PRIOR, Wish
from marginline.commands.ground import Ground, Held, config_or_default
from providers.errors import ConfigError, Unreachable

if TYPE_CHECKING:
    from engine.simulation.cascade_book import LoanBook
    from engine.simulation.cascade_impact import Levels
    from providers.evm.aave_borrowers import MarketBook

MAX_BYTES = 256 * 1024 * 1024
_USUAL_BONUS = Decimal("0.05")


@record
class Mine:
    """The user's account as a loan of one collateral; `notes` say what was taken for granted."""

    name: str
    units: float
    debt: float
    threshold: float
    bonus: float
    notes: tuple[str, ...] = ()


def text_of(path: str) -> str:
    """Return the text of a file; raises `ConfigError`."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ConfigError(f"{path}: is larger than {MAX_BYTES // 1024 // 1024} MiB")
        return raw.decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error


def by_asset(words: Sequence[str], assets: Sequence[str], flag: str) -> dict[str, float]:
    """Return positive figures by asset of words like "ETH=3000", or "3000" for all; raises `ConfigError`."""
    found: dict[str, float] = {}
    for word in words:
        name, equals, text = word.rpartition("=")
        try:
            value = Decimal(text.replace("_", ""))
        except ArithmeticError:
            value = Decimal("NaN")
        if not (value.is_finite() and 0 < value < Decimal("1e18")):
            raise ConfigError(f"{flag} {word[:40]!r}: write a positive number, or ASSET=NUMBER")
        if equals and name not in assets:
            raise ConfigError(f"{flag} {word[:40]!r}: the book's collaterals are {', '.join(assets)}")
        found |= {name: float(value)} if equals else dict.fromkeys(assets, float(value))
    return found


def shocks_of(words: Sequence[str], assets: Sequence[str]) -> list[dict[str, float]]:
    """Return falls by asset: "-15%" moves all, "ETH=-15%,BTC=-10%" those named; raises `ConfigError`."""
    found = []
    for word in words:
        moves = dict.fromkeys(assets, 0.0)
        for part in word.split(","):
            name, equals, text = part.strip().rpartition("=")
            if equals and name not in assets:
                raise ConfigError(f"--shock {word[:40]!r}: the book's collaterals are {', '.join(assets)}")
            try:
                fraction = float(parse_fraction(text, word))
            except ValueError as error:
                raise ConfigError(f"--shock: {error}") from error
            if not -0.99 <= fraction <= 0:
                raise ConfigError(f"--shock {word[:40]!r}: write a fall of at most 99 %, as in -15%")
            moves |= {name: fraction} if equals else dict.fromkeys(assets, fraction)
        found.append(moves)
    return found


def price_in(found: Held | None, asset: str) -> AssetPrice | None:
    """Return what a document knows of an asset's price."""
    return None if found is None else found.portfolio.prices.get(asset)


async def depth_of(word: str, ground: Ground) -> "Levels":
    """Return the order book of "ACCOUNT:CONTRACT", read from the account's venue; raises `AppError`."""
    from engine.simulation.cascade_book import BookError
    from engine.simulation.cascade_impact import levels_of_depth
    from marginline.compose import account_options
    from marginline.registry import account_module

    name, colon, contract = word.partition(":")
    config = config_or_default(ground.config)
    chosen = next((each for each in config.accounts if each.name == name), None)
    if chosen is None or not colon or not contract:
        raise ConfigError(f"--depth-of {word[:40]!r}: write ACCOUNT:CONTRACT, of an account in the config")
    module = account_module(chosen.provider)
    if not hasattr(module, "depth_source"):
        raise ConfigError(f"--depth-of: {chosen.provider} has no order book")

    source = module.depth_source(account_options(chosen))
    try:
        async with asyncio.timeout(ground.timeout_s):
            return levels_of_depth(await source.depth(contract))
    except BookError as error:
        raise ConfigError(f"--depth-of: {error}") from error
    except TimeoutError as error:
        raise Unreachable(chosen.provider, f"no order book within {ground.timeout_s:g} s") from error
    finally:
        if hasattr(source, "aclose"):
            await source.aclose()


def mine(found: Held, wanted: str, asset: str) -> Mine:
    """Return a loan account as one of `asset` alone; raises `ConfigError` for what no fall of it liquidates.

    Tokens that follow the asset count at what they are worth in it. Other collateral and its threshold stay where they
    are and are taken off the debt; a debt in another asset that moves is noted.
    """
    account = next((one for one in found.portfolio.accounts if one.name == wanted), None)
    if account is None:
        names = ", ".join(one.name for one in found.portfolio.accounts) or "none"
        raise ConfigError(f"--account: no account or loan of the book is called {wanted[:40]!r}; accounts: {names}")
    if account.kind is not Kind.LOAN:
        raise ConfigError(f"--account: {wanted} is no loan; a cascade is of a lending market")
    prices, _ = trigger_prices(account, found.portfolio.prices)
    stables = frozenset(name for name, price in found.portfolio.prices.items() if price.stable)
    return _as_one(account, prices, asset, stables)


def _as_one(account: Account, prices: Mapping[str, Decimal], asset: str, stables: frozenset[str]) -> Mine:
    notes: list[str] = []
    value = cover = bonus = Decimal(0)
    owed = Decimal(0)
    for leg in account.collateral:
        price = _price(prices, leg.asset, account.name)
        if FOLLOWS.get(leg.asset, leg.asset) == FOLLOWS.get(asset, asset):
            worth = leg.amount * price
            value += worth
            cover += worth * leg.liquidation_threshold
            if leg.liquidation_bonus is None:
                notes.append(f"{account.name}: liquidation bonus of {leg.asset} unknown, {_USUAL_BONUS} taken")
            bonus += worth * (_USUAL_BONUS if leg.liquidation_bonus is None else leg.liquidation_bonus)
        elif leg.amount and leg.liquidation_threshold:
            owed -= leg.amount * price * leg.liquidation_threshold
            notes.append(f"{account.name}: {leg.asset} does not move and is taken off the debt")
    for debt in account.debt:
        if debt.amount and FOLLOWS.get(debt.asset, debt.asset) == FOLLOWS.get(asset, asset):
            raise ConfigError(f"--account: {account.name} owes {debt.asset}, which falls with its collateral")
        if debt.amount and debt.asset not in stables:
            notes.append(f"{account.name}: {debt.asset} that it owes is taken to stand still")
        owed += debt.amount * _price(prices, debt.asset, account.name)
    if not (value > 0 and cover > 0 and owed > 0):
        raise ConfigError(f"--account: no fall of {asset} liquidates {account.name}")
    units = value / _price(prices, asset, account.name)
    return Mine(
        account.name, float(units), float(owed), float(cover / value), float(bonus / value), tuple(dict.fromkeys(notes))
    )


def _price(prices: Mapping[str, Decimal], asset: str, name: str) -> Decimal:
    found = prices.get(asset)
    if found is None:
        raise ConfigError(f"--account: {name}: the price of {asset} is unknown")
    return found


async def market_of(wish: Wish, ground: Ground, price: float | None) -> "LoanBook":
    """Return the borrowers of the market of the book "chain:ACCOUNT", read from its chain; raises `AppError`.

    A contract's account data do not say which collateral an account has: all of it counts as one asset at `price`.
    """
    name = wish.book.removeprefix(CHAIN)
    config = config_or_default(ground.config)
    chosen = next((each for each in config.accounts if each.name == name), None)
    if chosen is None or chosen.provider not in CHAIN_PROVIDERS:
        raise ConfigError(f"{wish.book[:40]!r}: names no aave-v3 or spark account of the config, as in {CHAIN}main")
    if price is None:
        raise ConfigError("the book of a chain needs the price of its collateral: write --price 3000, or name a depth")
    from marginline.compose import account_options
    from providers.evm.aave_v3 import source

    options = account_options(chosen)
    made = source(options)
    try:
        async with asyncio.timeout(ground.timeout_s):
            found = await made.borrowers(wish.since)
    except TimeoutError as error:
        late = (
            f"not all borrowers read within {ground.timeout_s:g} s; allow more by --timeout, or start at --since BLOCK"
        )
        raise Unreachable(chosen.provider, late) from error
    return _read_from(found, name, (options.address or "").lower(), price, wish)


def _read_from(found: "MarketBook", name: str, own: str, price: float, wish: Wish) -> "LoanBook":
    """Return a market's borrowers as a book; the configured account's loan bears its name, others their address."""
    from engine.simulation.cascade_book import BONUS, BookError, book_of

    unit, bonus = Decimal(found.unit), BONUS if wish.bonus is None else wish.bonus
    rows = [one for one in found.borrowers if one.data.liquidation_threshold_bps]
    units = [float(one.data.total_collateral_base / unit / Decimal(price)) for one in rows]
    debts = [float(one.data.total_debt_base / unit) for one in rows]
    thresholds = [one.data.liquidation_threshold_bps / 10_000 for one in rows]
    try:
        book = book_of(units, debts, threshold=thresholds, bonus=bonus, assets=(wish.asset,))
    except BookError as error:
        raise ConfigError(f"{CHAIN}{name}: {error}") from error
    assumed = [
        "collateral of every kind counts as one asset that falls together, at the bonus "
        f"{bonus:g}: account data do not tell it apart"
    ]
    if len(rows) < len(found.borrowers):
        assumed.append(f"{len(found.borrowers) - len(rows):,} debtors without collateral left out")
    if found.since:
        assumed.append(f"loans from before block {found.since:,} that were not added to since are missing")
    blocks = f"block {found.last_block:,}"
    if found.first_block != found.last_block:
        blocks = f"blocks {found.first_block:,} to {found.last_block:,}"
    return replace(
        book,
        names=tuple(name if one.address == own else one.address for one in rows),
        source=f"the chain, market of {name}: {found.ever:,} who ever borrowed, {len(rows):,} who owe at {blocks}",
        assumed=tuple(assumed),
    )


def loans_of(wish: Wish, price: float | None) -> "LoanBook":
    """Return the book that is asked for, a file or one drawn at `price`; raises `ConfigError`."""
    from engine.simulation.cascade_book import BookError, parse_book, prior

    try:
        if wish.book != PRIOR:
            text = text_of(wish.book)
            return parse_book(text, threshold=wish.threshold, bonus=wish.bonus, source=wish.book, asset=wish.asset)
        if price is None:
            raise ConfigError("a prior needs a price: write --price 3000, or name a depth")
        return prior(wish.borrowers, wish.debt, price, seed=wish.seed, asset=wish.asset)
    except BookError as error:
        raise ConfigError(str(error)) from error
