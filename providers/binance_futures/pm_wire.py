"""Portfolio margin wire: pure functions from bytes to what Binance says of one unified account.

Wire: developers.binance.com, "Portfolio Margin" (read 2026-11): `/papi/v1/account`, `/papi/v1/balance`,
`/papi/v1/cm/positionRisk`, `/papi/v1/cm/leverageBracket`; "Wallet": `/sapi/v1/portfolio/asset-index-price` and
`/sapi/v1/portfolio/collateralRate`. USD-M rows are those of `wire`. Coin-margined contracts pay in their own coin:
`notionalValue` is in it, brackets are bounded by it.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from engine.accounts import Tier
from engine.record import record
from providers.binance_futures.numbers import ABSENT, VENUE, name, number, price, read, required
from providers.binance_futures.wire import BOTH, SHORT
from providers.errors import Malformed
from providers.margin_tiers import continuous_tiers

_ZERO = Decimal(0)


@record
class Unified:
    """The account as one, in USD. `equity` has the venue's collateral rates in it, `actual_equity` has not.

    `ratio` is equity over maintenance (uniMMR), `status` the venue's word.
    """

    equity: Decimal | None
    actual_equity: Decimal | None
    maintenance: Decimal | None
    initial: Decimal | None
    ratio: Decimal | None
    status: str


@record
class Coin:
    """What the account has of one coin, profits not yet realised left out; `total` is negative for a debt.

    `futures` is the part in the futures wallets, `borrowed` what the margin wallet owes of it, interest included.
    """

    total: Decimal
    futures: Decimal
    borrowed: Decimal


@record
class Inverse:
    """One open coin-margined position; `face` is its constant value in USD, signed (negative = short)."""

    symbol: str
    side: str
    face: Decimal
    entry_price: Decimal | None
    mark_price: Decimal | None

    @property
    def pair(self) -> str:
        """Return the pair that its brackets are of ("BTCUSD")."""
        return self.symbol.partition("_")[0]

    @property
    def asset(self) -> str:
        """Return the coin that it is on, and pays in."""
        return self.pair.removesuffix("USD")


class _Account(msgspec.Struct, frozen=True):
    accountStatus: str
    uniMMR: msgspec.Raw = ABSENT
    accountEquity: msgspec.Raw = ABSENT
    actualEquity: msgspec.Raw = ABSENT
    accountInitialMargin: msgspec.Raw = ABSENT
    accountMaintMargin: msgspec.Raw = ABSENT


class _Balance(msgspec.Struct, frozen=True):
    asset: str
    totalWalletBalance: msgspec.Raw
    umWalletBalance: msgspec.Raw = ABSENT
    cmWalletBalance: msgspec.Raw = ABSENT
    crossMarginBorrowed: msgspec.Raw = ABSENT
    crossMarginInterest: msgspec.Raw = ABSENT


class _InversePosition(msgspec.Struct, frozen=True):
    symbol: str
    positionAmt: msgspec.Raw
    positionSide: str = BOTH
    entryPrice: msgspec.Raw = ABSENT
    markPrice: msgspec.Raw = ABSENT
    notionalValue: msgspec.Raw = ABSENT


class _InverseBracket(msgspec.Struct, frozen=True):
    qtyFloor: msgspec.Raw
    maintMarginRatio: msgspec.Raw


class _InverseBrackets(msgspec.Struct, frozen=True):
    brackets: list[_InverseBracket]
    pair: str = ""
    symbol: str = ""


class _Index(msgspec.Struct, frozen=True):
    asset: str
    assetIndexPrice: msgspec.Raw


class _Rate(msgspec.Struct, frozen=True):
    asset: str
    collateralRate: msgspec.Raw


def parse_unified(raw: bytes) -> Unified:
    """Return a `/papi/v1/account` reply; raises `Malformed`."""
    wire = read("account", raw, _Account)
    return Unified(
        number(wire.accountEquity, "account equity"),
        number(wire.actualEquity, "actual equity"),
        number(wire.accountMaintMargin, "account maintenance"),
        number(wire.accountInitialMargin, "account initial margin"),
        number(wire.uniMMR, "uniMMR"),
        name(wire.accountStatus),
    )


def parse_coins(raw: bytes) -> Mapping[str, Coin]:
    """Return what the account has by coin, of a `/papi/v1/balance` reply; raises `Malformed`."""
    return {
        name(row.asset): Coin(
            required(row.totalWalletBalance, f"balance of {name(row.asset)}"),
            (number(row.umWalletBalance, "futures balance") or _ZERO)
            + (number(row.cmWalletBalance, "futures balance") or _ZERO),
            (number(row.crossMarginBorrowed, "borrowed") or _ZERO)
            + (number(row.crossMarginInterest, "interest") or _ZERO),
        )
        for row in read("balance", raw, list[_Balance])
    }


def parse_inverse(raw: bytes) -> tuple[Inverse, ...]:
    """Return the open positions of a `/papi/v1/cm/positionRisk` reply; raises `Malformed`."""
    found: list[Inverse] = []
    for row in read("cm positionRisk", raw, list[_InversePosition]):
        symbol = name(row.symbol)
        contracts = required(row.positionAmt, f"position in {symbol}")
        if contracts == 0:
            continue
        mark = price(row.markPrice, f"mark price of {symbol}")
        coins = number(row.notionalValue, f"notional of {symbol}")
        if mark is None or not coins:
            raise Malformed(VENUE, f"position in {symbol}: no notional or no mark price, so that its size is unknown")
        is_short = row.positionSide == SHORT or contracts < 0
        face = abs(coins) * mark
        entry = price(row.entryPrice, f"entry price of {symbol}")
        found.append(Inverse(symbol, row.positionSide, -face if is_short else face, entry, mark))
    return tuple(found)


def parse_inverse_brackets(raw: bytes) -> Mapping[str, tuple[tuple[Decimal, Decimal], ...]]:
    """Return by pair (floor in coins, maintenance rate) of a `cm/leverageBracket` reply; raises `Malformed`."""
    return {
        name(row.pair or row.symbol).partition("_")[0]: tuple(
            (required(each.qtyFloor, "bracket"), required(each.maintMarginRatio, "rate")) for each in row.brackets
        )
        for row in read("cm leverageBracket", raw, list[_InverseBrackets])
    }


def inverse_tiers(steps: tuple[tuple[Decimal, Decimal], ...], mark: Decimal) -> tuple[Tier, ...]:
    """Return tiers of the face value in USD, their floors in coins taken at the present mark; raises `Malformed`."""
    try:
        return continuous_tiers((floor * mark, rate) for floor, rate in steps)
    except ValueError as error:
        raise Malformed(VENUE, f"cm leverageBracket: {error}") from error


def parse_index_prices(raw: bytes) -> Mapping[str, Decimal]:
    """Return prices of coins in USD, by coin; raises `Malformed`."""
    found = {row.asset: price(row.assetIndexPrice, "index price") for row in read("index prices", raw, list[_Index])}
    return {name(asset): value for asset, value in found.items() if value is not None}


def parse_collateral_rates(raw: bytes) -> Mapping[str, Decimal]:
    """Return the fraction at which each coin counts, by coin; raises `Malformed`."""
    found: dict[str, Decimal] = {}
    for row in read("collateral rates", raw, list[_Rate]):
        rate = required(row.collateralRate, f"collateral rate of {name(row.asset)}")
        if not 0 <= rate <= 1:
            raise Malformed(VENUE, f"collateral rate of {name(row.asset)}: not a fraction")
        found[name(row.asset)] = rate
    return found
