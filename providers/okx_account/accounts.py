"""An OKX trading account as accounts of the engine. Pure.

Futures mode liquidates by settlement currency: one account each, `name:CCY`. In multi-currency and portfolio margin
everything backs everything: one account, `name`. An isolated position is an account of its own, `name:CONTRACT`, with
`-LONG` or `-SHORT` where positions have two sides.

Formulas: okx.com/docs-v5 and the help centre's margin pages (read 2026-11). Ratio = backing / (maintenance + taker fee
of closing), liquidated at 1; an inverse long at value x contracts x (1 + rate + fee) / (margin + value x contracts /
entry). A maintenance rate goes by the size in contracts and holds for all of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from decimal import Decimal

from engine.accounts import Account, Collateral, Debt, Kind, MarginMode, VenueReport
from engine.prices import OraclePrice
from engine.record import record
from providers.okx_account.markets import Contract, Price, Rates
from providers.okx_account.positions import fee_of, in_quote, mark_of, position, usd_or_quote
from providers.okx_account.signing import VENUE
from providers.okx_account.wire import Balance, Coin, Config, Held, Level

TOLERANCE = Decimal("0.01")
_ZERO, _ONE = Decimal(0), Decimal(1)
BY_SCAN = "maintenance of the venue's scan is taken as constant"
_DOLLARS = ("USDT", "USDC", "USD")


@record
class Picture:
    """All that is known of one trading account at one moment. `prices` may be newer than the marks in `held`."""

    config: Config
    balance: Balance
    held: tuple[Held, ...] = ()
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    rates: Mapping[str, Rates] = field(default_factory=dict)
    fees: Mapping[str, Decimal] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    interest: Mapping[str, Decimal] = field(default_factory=dict)
    read_at_ns: int = 0
    degraded: tuple[str, ...] = ()


def accounts(name: str, picture: Picture) -> tuple[Account, ...]:
    """Return the accounts of one trading account: what backs several positions first, then isolated positions."""
    shared = [held for held in picture.held if not held.is_isolated]
    if picture.config.level in (Level.MULTI_CURRENCY, Level.PORTFOLIO):
        found = [_whole(name, picture, shared)]
    else:
        found = _by_currency(name, picture, shared)
    return (*found, *(_isolated(name, picture, held) for held in picture.held if held.is_isolated))


def account_name(name: str, held: Held) -> str:
    """Return the name of an isolated position's account."""
    return f"{name}:{held.contract}{'' if held.side == 'net' else f'-{held.side.upper()}'}"


def _by_currency(name: str, picture: Picture, shared: Sequence[Held]) -> list[Account]:
    """Build one account per settlement currency in use; `name` alone when none is."""
    coins = {coin.coin: coin for coin in picture.balance.coins}
    used = {held.currency for held in shared}
    used |= {coin.coin for coin in coins.values() if coin.backing < 0 or coin.maintenance or coin.orders}
    if not used:
        return [_idle(name, picture)]
    return [
        _currency(f"{name}:{currency}", picture, coins.get(currency, Coin(currency, _ZERO)), shared)
        for currency in sorted(used)
    ]


def _idle(name: str, picture: Picture) -> Account:
    """Build an account without cross positions: its dollars are shown, nothing is owed."""
    coin = next((each for dollar in _DOLLARS for each in picture.balance.coins if each.coin == dollar), None)
    return Account(
        name,
        Kind.PERP,
        VENUE,
        mode=MarginMode.CROSS,
        quote="USDT" if coin is None else coin.coin,
        balance=_ZERO if coin is None else max(coin.backing, _ZERO),
        reported=VenueReport(tolerance=TOLERANCE),
        degraded=picture.degraded,
        venue=VENUE,
        note=_NOTES[picture.config.level],
        trigger="mark",
    )


_NOTES = {
    Level.SPOT: "spot mode: no derivatives",
    Level.FUTURES: "futures mode: each currency backs its own contracts",
    Level.MULTI_CURRENCY: "multi-currency margin",
    Level.PORTFOLIO: "portfolio margin",
}


def _currency(name: str, picture: Picture, coin: Coin, shared: Sequence[Held]) -> Account:
    """Build the cross account of one currency in futures mode."""
    held = [each for each in shared if each.currency == coin.coin]
    degraded = list(picture.degraded)
    degraded += _untold(picture, (coin,))
    positions = tuple(position(each, picture, degraded, is_scan=False) for each in held)
    is_coin = coin.coin not in _DOLLARS
    price = _coin_mark(picture, coin, held) if is_coin else _ONE
    if price is None:
        degraded.append(f"no price of {coin.coin}")
    rate = price or _ZERO
    collateral: tuple[Collateral, ...] = ()
    debt: tuple[Debt, ...] = ()
    balance = coin.backing
    if is_coin or balance < 0:
        if balance > 0:
            collateral = (Collateral(coin.coin, balance, _ONE),)
        elif balance < 0:
            debt = (Debt(coin.coin, -balance, picture.interest.get(coin.coin)),)
        balance = _ZERO
    oracles = {}
    if is_coin and price is not None:
        oracles[coin.coin] = OraclePrice(price, picture.read_at_ns, picture.read_at_ns, source=f"{VENUE} mark")
    gained, grown, fees = _since(held, picture)
    maintenance = None if coin.maintenance is None else coin.maintenance * rate
    return Account(
        name,
        Kind.PERP,
        VENUE,
        mode=MarginMode.CROSS,
        quote="USD" if is_coin else coin.coin,
        collateral=collateral,
        debt=debt,
        balance=balance,
        positions=positions,
        oracles=oracles,
        reported=_report(
            coin.ratio,
            None if price is None else (coin.equity - coin.isolated) * rate,
            None if price is None else maintenance,
            held,
            gained=gained,
            grown=grown,
            fees=fees,
        ),
        degraded=tuple(dict.fromkeys(degraded)),
        venue=VENUE,
        note=_NOTES[picture.config.level],
        extra_requirement=_extra(maintenance, held, picture),
        order_margin=coin.orders * rate,
        initial_requirement=None if coin.initial is None else coin.initial * rate,
        trigger="mark",
    )


def _untold(picture: Picture, coins: Sequence[Coin]) -> list[str]:
    """Return what the venue left out of the balance that an account with positions could look safer without."""
    if not picture.held:
        return []
    return [f"{' and '.join(coin.untold)} of {coin.coin} not told" for coin in coins if coin.untold]


def _whole(name: str, picture: Picture, shared: Sequence[Held]) -> Account:
    """Build the one account of multi-currency or portfolio margin."""
    balance, degraded = picture.balance, list(picture.degraded)
    is_scan = picture.config.level is Level.PORTFOLIO
    quote = _quote(picture, shared)
    quote_coin = next((coin for coin in balance.coins if coin.coin == quote), None)
    rate = _ONE if quote_coin is None or quote_coin.usd_price is None else quote_coin.usd_price
    cash, collateral, debt, oracles, unweighed = _coins(picture, quote, rate)
    degraded += _untold(picture, balance.coins if shared else ())
    positions = [position(each, picture, degraded, is_scan=is_scan) for each in shared]
    if unweighed and shared:
        degraded += [f"discount of {coin} not told: health as the venue tells it" for coin in unweighed]
        positions = [replace(each, tiers=()) for each in positions]
    gained, grown, fees = _since(shared, picture)
    maintenance = None if balance.maintenance is None else balance.maintenance / rate
    if maintenance is None and shared:
        degraded.append("maintenance margin not reported")
    equity = None if balance.equity is None else (balance.equity - (balance.isolated or _ZERO)) / rate
    owed = _scanned(balance, rate) if is_scan else _extra(maintenance, shared, picture)
    return Account(
        name,
        Kind.PERP,
        VENUE,
        mode=MarginMode.PORTFOLIO if is_scan else MarginMode.CROSS,
        quote=quote,
        collateral=collateral,
        debt=debt,
        balance=cash,
        positions=tuple(positions),
        oracles=oracles,
        reported=_report(
            balance.ratio,
            equity,
            maintenance,
            shared,
            gained=gained,
            grown=_ZERO if is_scan else grown,
            fees=_ZERO if is_scan else fees,
        ),
        degraded=tuple(dict.fromkeys(degraded)),
        venue=VENUE,
        note=_NOTES[picture.config.level],
        extra_requirement=owed,
        order_margin=None if balance.orders is None else balance.orders / rate,
        initial_requirement=None if balance.initial is None else balance.initial / rate,
        trigger="mark",
        estimated=BY_SCAN if is_scan and shared else "",
    )


def _quote(picture: Picture, shared: Sequence[Held]) -> str:
    """Return the currency that a shared account is told in: what most of its linear positions settle in."""
    values: dict[str, Decimal] = {}
    for held in shared:
        contract = picture.contracts.get(held.contract)
        if contract is not None and not contract.is_inverse:
            worth = abs(held.contracts) * contract.value * (held.mark_price or _ZERO)
            values[contract.settle] = values.get(contract.settle, _ZERO) + worth
    if values:
        return max(values, key=lambda settle: values[settle])
    return "USDT" if any(coin.coin == "USDT" for coin in picture.balance.coins) else "USD"


def _coins(
    picture: Picture, quote: str, rate: Decimal
) -> tuple[Decimal, tuple[Collateral, ...], tuple[Debt, ...], dict[str, OraclePrice], list[str]]:
    """Return balance, collateral, debt, coin prices, and the coins whose discount is not told."""
    balance, unweighed, at_ns = _ZERO, [], picture.read_at_ns
    collateral: list[Collateral] = []
    debt: list[Debt] = []
    oracles: dict[str, OraclePrice] = {}
    for coin in picture.balance.coins:
        amount, weight = coin.backing, coin.weight
        if amount < 0:
            debt.append(Debt(coin.coin, -amount, picture.interest.get(coin.coin)))
        elif amount == 0 or weight == 0:
            continue
        elif coin.coin == quote and weight in (None, _ONE):
            balance += amount
            continue
        else:
            if weight is None:
                unweighed.append(coin.coin)
            collateral.append(Collateral(coin.coin, amount, weight or _ZERO))
        if coin.coin != quote and coin.usd_price is not None:
            oracles[coin.coin] = OraclePrice(coin.usd_price / rate, at_ns, at_ns, source=f"{VENUE} index")
    return balance, tuple(collateral), tuple(debt), oracles, unweighed


def _coin_mark(picture: Picture, coin: Coin, held: Sequence[Held]) -> Decimal | None:
    """Return what a coin that backs inverse contracts is worth: by their mark, else the venue's price of the coin."""
    marks = [mark for each in held if (mark := mark_of(each, picture.prices)) is not None]
    return marks[0] if marks else coin.usd_price


def _scanned(balance: Balance, rate: Decimal) -> Decimal:
    """Return what the scan asks for: adjusted equity over the ratio where both are told, else the maintenance."""
    if balance.adjusted is not None and balance.ratio is not None and balance.adjusted > 0 and balance.ratio > 0:
        return balance.adjusted / balance.ratio / rate
    return _ZERO if balance.maintenance is None else balance.maintenance / rate


def _extra(maintenance: Decimal | None, held: Sequence[Held], picture: Picture) -> Decimal:
    """Return maintenance that no position explains (borrowed coins, options)."""
    if maintenance is None:
        return _ZERO
    known = [in_quote(each.maintenance, each, picture.contracts, each.mark_price) for each in held]
    if any(each is None for each in known):
        return _ZERO
    rest = maintenance - sum((each for each in known if each is not None), _ZERO)
    # The totals are of another moment than the rows: less than a hundredth of them explains nothing.
    return rest if rest > maintenance / 100 else _ZERO


def _since(held: Sequence[Held], picture: Picture) -> tuple[Decimal, Decimal, Decimal]:
    """Return profit and maintenance that came by marks pushed since the venue told its figures, and closing fees."""
    gained = grown = fees = _ZERO
    for each in held:
        mark, then = mark_of(each, picture.prices), each.mark_price
        contract = picture.contracts.get(each.contract)
        if contract is None or mark is None:
            continue
        worth = abs(each.contracts) * contract.value
        fees += worth * (_ONE if contract.is_inverse else mark) * fee_of(each, picture.fees)
        if then is None or mark == then:
            continue
        size = each.contracts * contract.value
        if contract.is_inverse:
            gained += size / (each.entry_price or then) * (mark - then)
        else:
            gained += size * (mark - then)
            grown += (each.maintenance or _ZERO) * (mark / then - 1)
    return gained, grown, fees


def _report(
    ratio: Decimal | None,
    equity: Decimal | None,
    maintenance: Decimal | None,
    held: Sequence[Held],
    *,
    gained: Decimal,
    grown: Decimal,
    fees: Decimal,
) -> VenueReport:
    """Return what the venue says, carried to the marks of now; its requirement with the fee that its ratio holds."""
    owed = None if maintenance is None else maintenance + fees
    health = ratio if held else None
    if health is not None and owed and (gained or grown):
        health = (health * owed + gained) / (owed + grown)
    return VenueReport(
        health_factor=health,
        equity=None if equity is None else equity + gained,
        maintenance_requirement=None if owed is None else owed + grown,
        tolerance=TOLERANCE,
    )


def _isolated(name: str, picture: Picture, held: Held) -> Account:
    """Build the account of one isolated position: a linear one has its margin in quote, an inverse one in the coin."""
    degraded = list(picture.degraded)
    made = position(held, picture, degraded, is_scan=False)
    if held.margin is None:
        degraded.append(f"margin of {held.contract} not told: liquidation unknown")
        made = replace(made, tiers=())
    margin = held.margin or _ZERO
    coins: tuple[Collateral, ...] = ()
    oracles: dict[str, OraclePrice] = {}
    if made.inverse:
        coins, margin = (Collateral(made.asset, margin, _ONE),), _ZERO
        if made.mark_price is not None:
            at_ns = picture.read_at_ns
            oracles[made.asset] = OraclePrice(made.mark_price, at_ns, at_ns, source=f"{VENUE} mark")
    gained, grown, fees = _since((held,), picture)
    maintenance = in_quote(held.maintenance, held, picture.contracts, held.mark_price)
    return Account(
        account_name(name, held),
        Kind.PERP,
        VENUE,
        mode=MarginMode.ISOLATED,
        quote=usd_or_quote(held, picture.contracts),
        collateral=coins,
        balance=margin,
        positions=(made,),
        oracles=oracles,
        reported=_report(held.ratio, None, maintenance, (held,), gained=gained, grown=grown, fees=fees),
        degraded=tuple(dict.fromkeys(degraded)),
        venue=f"{VENUE} iso",
        trigger="mark",
    )
