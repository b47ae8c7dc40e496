"""Kraken Futures' wire: pure functions from replies and frames to what the venue says of one key and its markets.

Wire: docs.kraken.com, "Futures REST", `accounts` and `openpositions`; support.kraken.com 360022635832 (read 2026-11).
Symbols come in either case, names mix camelCase and snake_case. Everything but a symbol and a size is optional.
"""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal

import msgspec

from engine.record import record
from providers.errors import Malformed
from providers.http import decode
from providers.kraken_futures.signing import VENUE

ZERO = Decimal(0)
_COINS = {"XBT": "BTC", "XDG": "DOGE"}
FLEX, CASH = "flex", "cash"
_MULTI, _SINGLE = "multiCollateralMarginAccount", "marginAccount"


@record
class Held:
    """One open position. `size` is signed, in contracts: base currency for PF_, dollars for PI_ and FI_.

    `leverage` is the limit that makes it isolated, `None` for a cross one and where a feed does not tell.
    """

    contract: str
    size: Decimal
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    liquidation_price: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None
    leverage: Decimal | None = None

    @property
    def is_inverse(self) -> bool:
        """Return whether it pays in its coin."""
        return not self.contract.startswith(("PF_", "FF_"))

    @property
    def pair(self) -> str:
        """Return what it is a contract on ("XBTUSD")."""
        return self.contract.split("_")[1] if "_" in self.contract else self.contract

    @property
    def coin(self) -> str:
        """Return its base currency as everybody else spells it."""
        return coin_of(self.pair.removesuffix("USD"))


@record
class Coin:
    """One currency of the multi-collateral wallet: `value` is all of it in dollars, `counted` as margin."""

    quantity: Decimal
    value: Decimal | None
    counted: Decimal | None


@record
class Purse:
    """The figures of one margin wallet, in its unit. `equity` includes `profit`, and is what covers maintenance.

    `gross` is the same before haircuts.
    """

    equity: Decimal | None = None
    profit: Decimal | None = None
    initial: Decimal | None = None
    initial_with_orders: Decimal | None = None
    maintenance: Decimal | None = None
    gross: Decimal | None = None


@record
class Single:
    """A single-collateral account ("FI_XBTUSD"), in its coin; triggers are prices at which a threshold is reached."""

    name: str
    coin: str
    purse: Purse
    liquidation_threshold: Decimal | None = None
    maintenance_trigger: Decimal | None = None
    liquidation_trigger: Decimal | None = None


@record
class Wallets:
    """All wallets of a key. `cash` is what no position uses; `cross` and `isolated` are told by the feed alone."""

    flex: Purse | None = None
    coins: Mapping[str, Coin] = field(default_factory=dict)
    singles: tuple[Single, ...] = ()
    cash: Mapping[str, Decimal] = field(default_factory=dict)
    cross: Purse | None = None
    isolated: Mapping[str, Purse] = field(default_factory=dict)


class _OpenPosition(msgspec.Struct, frozen=True):
    symbol: str
    size: Decimal
    side: str = ""
    price: Decimal | None = None
    maxFixedLeverage: Decimal | None = None


class _OpenPositions(msgspec.Struct, frozen=True):
    openPositions: list[_OpenPosition]


class Currency(msgspec.Struct, frozen=True):
    """One currency of the multi-collateral wallet on the wire; the feed spells the last figure another way."""

    quantity: Decimal
    value: Decimal | None = None
    collateral: Decimal | None = None
    collateral_value: Decimal | None = None


class _Requirements(msgspec.Struct, frozen=True):
    im: Decimal | None = None
    mm: Decimal | None = None
    lt: Decimal | None = None


class _Auxiliary(msgspec.Struct, frozen=True):
    pv: Decimal | None = None
    pnl: Decimal | None = None
    funding: Decimal | None = None


class _Account(msgspec.Struct, frozen=True):
    type: str = ""
    currency: str = ""
    balances: dict[str, Decimal] = {}
    auxiliary: _Auxiliary = _Auxiliary()
    marginRequirements: _Requirements = _Requirements()
    triggerEstimates: _Requirements = _Requirements()
    currencies: dict[str, Currency] = {}
    initialMargin: Decimal | None = None
    initialMarginWithOrders: Decimal | None = None
    maintenanceMargin: Decimal | None = None
    marginEquity: Decimal | None = None
    portfolioValue: Decimal | None = None
    pnl: Decimal | None = None
    unrealizedFunding: Decimal | None = None


class _Accounts(msgspec.Struct, frozen=True):
    accounts: dict[str, _Account]


def parse_positions(raw: bytes) -> tuple[Held, ...]:
    """Return an `openpositions` reply; rows of size 0 are left out. Raises `Malformed`."""
    found = []
    for row in decode(VENUE, "openpositions", raw, _OpenPositions).openPositions:
        name = clean(row.symbol)
        size = finite(row.size, f"size of {name}") or ZERO
        sign = {"long": 1, "short": -1}.get(row.side)
        if sign is None:
            raise Malformed(VENUE, f"side of {name}: neither long nor short")
        if size:
            leverage = positive(row.maxFixedLeverage, f"leverage of {name}")
            found.append(Held(name, sign * abs(size), positive(row.price, f"price of {name}"), leverage=leverage))
    return tuple(found)


def parse_accounts(raw: bytes) -> Wallets:
    """Return an `accounts` reply; raises `Malformed`."""
    rows = decode(VENUE, "accounts", raw, _Accounts).accounts
    flex, coins, cash, singles = None, dict[str, Coin](), dict[str, Decimal](), []
    for name, row in rows.items():
        if row.type == _MULTI or name == FLEX:
            coins = coins_of(row.currencies)
            flex = purse_of(
                row.marginEquity,
                row.pnl,
                row.unrealizedFunding,
                row.initialMargin,
                row.initialMarginWithOrders,
                row.maintenanceMargin,
                row.portfolioValue,
            )
        elif row.type == _SINGLE:
            singles.append(_single(name, row))
        elif name == CASH or row.type == "cashAccount":
            cash = {
                coin_of(coin): finite(amount, f"cash in {clean(coin)}") or ZERO for coin, amount in row.balances.items()
            }
    return Wallets(flex, coins, tuple(singles), cash)


def finite(value: Decimal | None, what: str) -> Decimal | None:
    """Return a number as it is; raises `Malformed` for NaN, an infinity or a size that no market has."""
    if value is not None and (not value.is_finite() or abs(value.adjusted()) > 40):
        raise Malformed(VENUE, f"{what}: not a finite number of sane size")
    return value


def positive(value: Decimal | None, what: str) -> Decimal | None:
    """Return a price; 0 says that there is none. Raises `Malformed` below 0."""
    return margin(value, what) or None


def margin(value: Decimal | None, what: str) -> Decimal | None:
    """Return a number of at least 0; raises `Malformed` below."""
    value = finite(value, what)
    if value is not None and value < 0:
        raise Malformed(VENUE, f"{what}: negative")
    return value


def clean(text: str) -> str:
    """Return a symbol as bounded printable ASCII in upper case."""
    return "".join(c for c in text if c.isascii() and c.isprintable() and c != " ")[:40].upper() or "?"


def coin_of(text: str) -> str:
    """Return a currency as everybody else spells it: the venue says XBT and XDG."""
    coin = clean(text)
    return _COINS.get(coin, coin)


def wire_coin(coin: str) -> str:
    """Return a currency as the venue takes it ("xbt")."""
    return next((theirs for theirs, ours in _COINS.items() if ours == coin), coin).lower()


def purse_of(
    equity: Decimal | None,
    profit: Decimal | None,
    funding: Decimal | None,
    initial: Decimal | None,
    with_orders: Decimal | None,
    maintenance: Decimal | None,
    gross: Decimal | None = None,
) -> Purse:
    """Return a wallet's figures. Funding that was not paid yet counts as equity, and moves with no price."""
    finite(funding, "unrealised funding")
    return Purse(
        finite(equity, "margin equity"),
        finite(profit, "profit and loss"),
        margin(initial, "initial margin"),
        margin(with_orders, "initial margin with orders"),
        margin(maintenance, "maintenance margin"),
        finite(gross, "portfolio value"),
    )


def coins_of(rows: Mapping[str, Currency]) -> dict[str, Coin]:
    """Return the currencies of the multi-collateral wallet; raises `Malformed`."""
    found = {}
    for name, row in rows.items():
        coin = coin_of(name)
        counted = row.collateral if row.collateral is not None else row.collateral_value
        found[coin] = Coin(
            finite(row.quantity, f"quantity of {coin}") or ZERO,
            finite(row.value, f"value of {coin}"),
            finite(counted, f"collateral value of {coin}"),
        )
    return found


def _single(name: str, row: _Account) -> Single:
    asked, triggers = row.marginRequirements, row.triggerEstimates
    label = clean(name)
    return Single(
        label,
        coin_of(row.currency),
        purse_of(row.auxiliary.pv, row.auxiliary.pnl, row.auxiliary.funding, asked.im, None, asked.mm),
        positive(asked.lt, f"liquidation threshold of {label}"),
        positive(triggers.mm, f"maintenance trigger of {label}"),
        positive(triggers.lt, f"liquidation trigger of {label}"),
    )
