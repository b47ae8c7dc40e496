"""A Bybit unified account as accounts of the engine. Pure.

In cross and portfolio margin all coins back all positions: one account, in USDT (or in what most of it settles in).
In isolated mode every position is an account of its own, `name:SYMBOL` (`name:SYMBOL-LONG` in hedge mode), and `name`
is the free wallet.

Source: docs/v5 account/wallet-balance and account/account-info (read 2026-11).
"""

from collections.abc import Mapping
from dataclasses import field, replace
from decimal import Decimal

from engine.accounts import Account, Collateral, Debt, Kind, MarginMode, Tier, VenueReport
from engine.prices import OraclePrice
from engine.record import record
from providers.bybit_account.markets import Contract, Price, Weights, weight_of
from providers.bybit_account.positions import alarms, is_inverse, margin_of, mark_of, position, told_in_quote
from providers.bybit_account.signing import VENUE
from providers.bybit_account.wire import AccountMode, Coin, Held, Wallet

TOLERANCE = Decimal("0.02")
_RATE_WORTH_READING = Decimal("0.01")
_ZERO, _ONE = Decimal(0), Decimal(1)
_SIDES = {0: "", 1: "-LONG", 2: "-SHORT"}
BY_SCAN = "maintenance of the venue's scan is taken as constant"


@record
class Picture:
    """All that is known of one unified account at one moment. `prices` may be newer than the marks in `held`."""

    mode: AccountMode
    wallet: Wallet
    held: tuple[Held, ...] = ()
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    tiers: Mapping[str, tuple[Tier, ...]] = field(default_factory=dict)
    fees: Mapping[str, Decimal] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    weights: Mapping[str, Weights] = field(default_factory=dict)
    borrow_rates: Mapping[str, Decimal] = field(default_factory=dict)
    read_at_ns: int = 0
    degraded: tuple[str, ...] = ()


def accounts(name: str, picture: Picture) -> tuple[Account, ...]:
    """Return the accounts of one unified account: the whole of it first, then isolated positions."""
    if picture.mode is AccountMode.ISOLATED:
        alone = [_isolated(name, picture, held) for held in picture.held]
        return (_free(name, picture), *alone)
    return (_whole(name, picture),)


def account_name(name: str, held: Held) -> str:
    """Return the name of an isolated position's account."""
    return f"{name}:{held.symbol}{_SIDES.get(held.side_index, '')}"


def quote_of(picture: Picture) -> str:
    """Return the currency that a cross account is told in: what most of its linear positions settle in.

    Without any: USDT where the wallet has it, else USD.
    """
    values: dict[str, Decimal] = {}
    for held in picture.held:
        contract = picture.contracts.get(held.symbol)
        if contract is not None and not contract.is_inverse:
            value = abs(held.size) * (held.mark_price or _ZERO)
            values[contract.settle] = values.get(contract.settle, _ZERO) + value
    if values:
        return max(values, key=lambda settle: values[settle])
    return "USDT" if any(coin.coin == "USDT" for coin in picture.wallet.coins) else "USD"


def _whole(name: str, picture: Picture) -> Account:
    """Build the cross or portfolio-margin account."""
    quote = quote_of(picture)
    rate = _usd_price(picture, quote)
    wallet, degraded = picture.wallet, list(picture.degraded)
    balance, collateral, debt, oracles, unweighed = _coins(picture, quote, rate)
    degraded += [f"what is borrowed of {coin.coin} not told" for coin in wallet.coins if not coin.is_debt_told]
    degraded += [f"collateral weight of {coin} unread: health as the venue tells it" for coin in unweighed]
    is_scan = picture.mode is AccountMode.PORTFOLIO
    positions = []
    for held in picture.held:
        made = position(held, picture, degraded)
        if is_scan:
            made = replace(made, tiers=(Tier(_ZERO, _ZERO),), fee_rate=None, venue_liquidation_price=None)
        positions.append(replace(made, tiers=()) if unweighed else made)
    extra = _extra(picture, rate, is_scan=is_scan)
    if extra is None:
        degraded.append("maintenance margin not reported")
    return Account(
        name,
        Kind.PERP,
        VENUE,
        mode=MarginMode.PORTFOLIO if is_scan else MarginMode.CROSS,
        quote=quote,
        collateral=collateral,
        debt=debt,
        balance=balance,
        positions=tuple(positions),
        oracles=oracles,
        reported=_report(picture, rate),
        degraded=tuple(dict.fromkeys([*degraded, *alarms(picture.held)])),
        venue=VENUE,
        note=_NOTES[picture.mode],
        extra_requirement=extra or _ZERO,
        order_margin=_orders(picture, rate),
        initial_requirement=None if wallet.initial_margin is None else wallet.initial_margin / rate,
        trigger="mark",
        estimated=BY_SCAN if is_scan and picture.held else "",
    )


_NOTES = {
    AccountMode.ISOLATED: "isolated margin: the free wallet backs no position",
    AccountMode.CROSS: "unified account, cross margin",
    AccountMode.PORTFOLIO: "unified account, portfolio margin",
}


def _coins(
    picture: Picture, quote: str, rate: Decimal
) -> tuple[Decimal, tuple[Collateral, ...], tuple[Debt, ...], dict[str, OraclePrice], list[str]]:
    """Return balance, collateral, debt, coin prices, and the coins whose weight is unknown.

    A coin that does not count as collateral backs nothing and is left out; what is owed of it counts.
    """
    balance, unweighed = _ZERO, []
    collateral: list[Collateral] = []
    debt: list[Debt] = []
    oracles: dict[str, OraclePrice] = {}
    at_ns = picture.read_at_ns
    for coin in picture.wallet.coins:
        net = coin.wallet - coin.borrowed
        if net < 0:
            debt.append(Debt(coin.coin, -net, picture.borrow_rates.get(coin.coin)))
        elif coin.coin == quote:
            balance += net
            continue
        elif net == 0 or not coin.counts:
            continue
        else:
            tiers = picture.weights.get(coin.coin)
            if tiers is None:
                unweighed.append(coin.coin)
            collateral.append(Collateral(coin.coin, net, _ZERO if tiers is None else weight_of(tiers, net)))
        price = _coin_price(picture, coin)
        if coin.coin != quote and price is not None:
            oracles[coin.coin] = OraclePrice(price / rate, at_ns, at_ns, source=f"{VENUE} index")
    return balance, tuple(collateral), tuple(debt), oracles, unweighed if picture.held else []


def _coin_price(picture: Picture, coin: Coin) -> Decimal | None:
    """Return a coin's price in USD: by the wallet, else the index of a contract on it."""
    if coin.usd_price is not None:
        return coin.usd_price
    for symbol, contract in picture.contracts.items():
        if contract.base == coin.coin and symbol in picture.prices:
            return picture.prices[symbol].index_price
    return None


def _usd_price(picture: Picture, quote: str) -> Decimal:
    """Return USD per unit of `quote`; 1 where the wallet has none of it."""
    coin = next((each for each in picture.wallet.coins if each.coin == quote), None)
    return _ONE if coin is None or coin.usd_price is None else coin.usd_price


def _extra(picture: Picture, rate: Decimal, *, is_scan: bool) -> Decimal | None:
    """Return maintenance that no position explains (loans, options), all of it under a scan; `None` if not told."""
    total = picture.wallet.maintenance
    if total is None:
        return None if picture.held else _ZERO
    total /= rate
    if is_scan:
        return total
    known = [told_in_quote(h.maintenance, h.mark_price, is_inverse=h.category == "inverse") for h in picture.held]
    if any(each is None for each in known):
        return _ZERO
    rest = total - sum((each for each in known if each is not None), _ZERO)
    # The totals are of another moment than the rows: less than a hundredth of them explains nothing.
    return rest if rest > total / 100 else _ZERO


def _report(picture: Picture, rate: Decimal) -> VenueReport:
    """Return what the venue says, carried to the marks of now where prices were pushed since it said so.

    `totalMarginBalance` is before haircuts; coins that do not count might be in it, and then it is not compared. The
    rate is maintenance over margin balance less haircuts, with four decimals: a small one tells nothing.
    """
    wallet = picture.wallet
    gained, grown = _since(picture)
    maintenance = None if wallet.maintenance is None else wallet.maintenance / rate
    equity = None if wallet.margin_balance is None else wallet.margin_balance / rate + gained
    if any(not coin.counts and coin.equity for coin in wallet.coins):
        equity = None
    if picture.mode is AccountMode.PORTFOLIO:
        equity = None
    health = None
    said = wallet.maintenance_rate
    if said is not None and said >= _RATE_WORTH_READING and maintenance:
        health = (maintenance / said + gained) / (maintenance + grown)
    return VenueReport(
        health_factor=health,
        equity=equity,
        maintenance_requirement=None if maintenance is None else maintenance + grown,
        status=" ".join(sorted({held.status for held in picture.held} - {"Normal"})),
        tolerance=TOLERANCE,
    )


def _since(picture: Picture) -> tuple[Decimal, Decimal]:
    """Return profit and maintenance that came since the venue told its totals, by the marks pushed since then."""
    gained = grown = _ZERO
    for held in picture.held:
        mark, then = mark_of(held, picture), held.mark_price
        if mark is None or then is None or mark == then:
            continue
        if is_inverse(held, picture.contracts.get(held.symbol)):
            gained += held.size / (held.entry_price or then) * (mark - then)
            continue
        gained += held.size * (mark - then)
        if picture.mode is AccountMode.CROSS:
            grown += (held.maintenance or _ZERO) * (mark / then - 1)
    return gained, grown


def _orders(picture: Picture, rate: Decimal) -> Decimal | None:
    total = _ZERO
    for coin in picture.wallet.coins:
        if coin.order_margin:
            price = _coin_price(picture, coin)
            if price is None:
                return None
            total += coin.order_margin * price / rate
    return total


def _free(name: str, picture: Picture) -> Account:
    """Build the wallet of an isolated-mode account, less what positions hold: it backs nothing, and owes nothing."""
    quote = "USDT" if any(coin.coin == "USDT" for coin in picture.wallet.coins) else "USD"
    coin = next((each for each in picture.wallet.coins if each.coin == quote), None)
    free = _ZERO if coin is None else max(coin.wallet - coin.position_margin - coin.order_margin, _ZERO)
    return Account(
        name,
        Kind.PERP,
        VENUE,
        mode=MarginMode.CROSS,
        quote=quote,
        balance=free,
        reported=VenueReport(tolerance=TOLERANCE),
        degraded=picture.degraded,
        venue=VENUE,
        note=_NOTES[AccountMode.ISOLATED],
        order_margin=None if coin is None else coin.order_margin,
        trigger="mark",
    )


def _isolated(name: str, picture: Picture, held: Held) -> Account:
    """Build the account of one isolated position: a linear one has its margin in quote, an inverse one in the coin."""
    degraded = [*picture.degraded, *alarms((held,))]
    made = position(held, picture, degraded)
    contract = picture.contracts.get(held.symbol)
    margin, estimated = margin_of(held, made)
    if margin is None:
        degraded.append(f"margin of {held.symbol} not told: liquidation unknown")
        made = replace(made, tiers=())
    at_ns = picture.read_at_ns
    coins: tuple[Collateral, ...] = ()
    oracles: dict[str, OraclePrice] = {}
    balance, quote = margin or _ZERO, "USDT" if contract is None else contract.settle
    if made.inverse:
        coins, balance, quote = (Collateral(made.asset, balance, _ONE),), _ZERO, "USD"
        if made.mark_price is not None:
            oracles[made.asset] = OraclePrice(made.mark_price, at_ns, at_ns, source=f"{VENUE} mark")
    return Account(
        account_name(name, held),
        Kind.PERP,
        VENUE,
        mode=MarginMode.ISOLATED,
        quote=quote,
        collateral=coins,
        balance=balance,
        positions=(made,),
        oracles=oracles,
        reported=VenueReport(
            maintenance_requirement=told_in_quote(held.maintenance, held.mark_price, is_inverse=made.inverse),
            status="" if held.status == "Normal" else held.status,
            tolerance=TOLERANCE,
        ),
        degraded=tuple(dict.fromkeys(degraded)),
        venue=f"{VENUE} iso",
        trigger="mark",
        estimated=estimated,
    )
