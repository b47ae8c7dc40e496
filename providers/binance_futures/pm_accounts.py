"""A portfolio margin account as one account: liquidated when uniMMR, equity over maintenance, is at most 1.05.

Formulas: binance.com FAQ and developers.binance.com, "Portfolio Margin", uniMMR (read 2026-11). The venue's own equity
and maintenance are taken as they are; what no leg of ours explains is held constant, so that distances are estimates.
Coins count at index price x collateral rate, inverse contracts at their brackets of now. The liquidation prices in the
venue's rows are left out: what they assume of the rest of the book is not documented.
"""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal

from engine.accounts import Account, Collateral, Debt, Kind, MarginMode, Position, Tier, VenueReport
from engine.prices import OraclePrice
from engine.record import record
from engine.solvency import Curve
from providers.binance_futures.pm_wire import Coin, Inverse, Unified, inverse_tiers
from providers.binance_futures.wire import Funding, Held, annual

PROVIDER = "binance-pm"
MULTIPLE = Decimal("1.05")
QUOTE = "USDT"
ESTIMATED = "the venue margins the whole book: loans, collateral rates and what no position explains are held constant"
_USUAL = "NORMAL"
_LIQUIDATING = frozenset({"ACTIVE_LIQUIDATION", "FORCE_LIQUIDATION", "BANKRUPTED"})
_STABLES = frozenset({"USDT", "USDC", "FDUSD", "USD1", "BUSD", "BFUSD", "LDUSDT", "RWUSD"})
_ZERO, _ONE = Decimal(0), Decimal(1)


@record
class PmPicture:
    """All that is known of one portfolio margin account. `indexes` are USD prices, `rates` collateral rates, by coin.

    `marks` are pushed prices that are newer than those in `held`.
    """

    unified: Unified
    held: tuple[Held, ...]
    inverse: tuple[Inverse, ...]
    coins: Mapping[str, Coin]
    tiers: Mapping[str, tuple[Tier, ...]] = field(default_factory=dict)
    inverse_steps: Mapping[str, tuple[tuple[Decimal, Decimal], ...]] = field(default_factory=dict)
    funding: Mapping[str, Funding] = field(default_factory=dict)
    hours: Mapping[str, int] = field(default_factory=dict)
    indexes: Mapping[str, Decimal] | None = None
    rates: Mapping[str, Decimal] | None = None
    marks: Mapping[str, Decimal] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()


def account(name: str, picture: PmPicture, now_ns: int) -> Account:
    """Return the one account; its balance is what makes equity at the venue's marks equal the venue's own."""
    degraded, said = list(picture.degraded), picture.unified
    unit = (picture.indexes or {}).get(QUOTE, _ONE)
    is_known = said.equity is not None and said.maintenance is not None
    if not is_known:
        degraded.append("equity or maintenance not reported: liquidation unknown")
    if said.status in _LIQUIDATING:
        degraded.append(f"{said.status}: the venue has taken over, and what is transferred now does not stop it")
    then = _positions(picture, degraded, unit, is_known=is_known, marks={})
    now = _positions(picture, degraded, unit, is_known=is_known, marks=picture.marks)
    coins, debts, oracles = _coins(picture, degraded, unit, now_ns)
    equity, maintenance = (said.equity or _ZERO) / unit, (said.maintenance or _ZERO) / unit
    counted = sum((leg.amount * leg.liquidation_threshold * oracles[leg.asset].price for leg in coins), _ZERO)
    owed = sum((leg.amount * oracles[leg.asset].price for leg in debts), _ZERO)
    asked = _asked(then)
    gain, growth = _profit(now) - _profit(then), _asked(now) - asked
    return Account(
        name,
        Kind.PERP,
        PROVIDER,
        mode=MarginMode.PORTFOLIO,
        quote=QUOTE,
        balance=equity - _profit(then) - counted + owed,
        positions=now,
        collateral=coins,
        debt=debts,
        oracles=oracles,
        reported=_report(said, unit, gain, growth, has_coins=picture.indexes is not None),
        degraded=tuple(dict.fromkeys(degraded)),
        extra_requirement=max(maintenance - asked, _ZERO),
        liquidation_multiple=MULTIPLE,
        initial_requirement=None if said.initial is None else said.initial / unit,
        estimated=ESTIMATED,
        venue=PROVIDER,
        note="" if said.ratio is None else f"uniMMR {said.ratio:f}, liquidated at {MULTIPLE}",
    )


def _report(said: Unified, unit: Decimal, gain: Decimal, growth: Decimal, *, has_coins: bool) -> VenueReport:
    """Return what the venue says, moved along with marks that are newer than its word."""
    equity = None if said.equity is None else said.equity / unit + gain
    actual = equity if not has_coins or said.actual_equity is None else said.actual_equity / unit + gain
    maintenance = None if said.maintenance is None else said.maintenance / unit + growth
    health = None
    if said.ratio is not None and said.maintenance and not gain and not growth:
        health = said.ratio / MULTIPLE
    return VenueReport(health, actual, maintenance, status="" if said.status == _USUAL else said.status)


def _positions(
    picture: PmPicture, degraded: list[str], unit: Decimal, *, is_known: bool, marks: Mapping[str, Decimal]
) -> tuple[Position, ...]:
    found = [_linear(picture, each, degraded, unit, is_known=is_known, marks=marks) for each in picture.held]
    found += [_inverse(picture, each, degraded, unit, is_known=is_known) for each in picture.inverse]
    return tuple(sorted(found, key=lambda each: -abs(each.quantity) * (each.mark_price or _ZERO)))


def _linear(
    picture: PmPicture,
    held: Held,
    degraded: list[str],
    unit: Decimal,
    *,
    is_known: bool,
    marks: Mapping[str, Decimal],
) -> Position:
    mark, tiers = marks.get(held.symbol, held.mark_price), picture.tiers.get(held.symbol, ())
    worth = (picture.indexes or {}).get(held.margin_asset, unit) / unit
    _note_gaps(held.symbol, degraded, tiers=tiers, mark=mark, entry=held.entry_price)
    funding = picture.funding.get(held.symbol, Funding())
    yearly = annual(funding.rate, picture.hours.get(held.symbol))
    scaled = tuple(Tier(t.notional_floor * worth, t.maintenance_rate, t.deduction * worth) for t in tiers)
    return Position(
        held.asset,
        held.amount,
        scaled if is_known else (),
        None if held.entry_price is None else held.entry_price * worth,
        None if mark is None else mark * worth,
        funding_rate=yearly,
        contract=held.symbol,
        adl_rank=None if held.adl is None else held.adl + 1,
        predicted_funding_rate=yearly,
        next_funding_ns=funding.next_ns,
    )


def _inverse(picture: PmPicture, held: Inverse, degraded: list[str], unit: Decimal, *, is_known: bool) -> Position:
    steps, mark, entry = picture.inverse_steps.get(held.pair, ()), held.mark_price, held.entry_price
    tiers = inverse_tiers(steps, mark / unit) if steps and mark is not None else ()
    _note_gaps(held.symbol, degraded, tiers=tiers, mark=mark, entry=entry)
    return Position(
        held.asset,
        held.face / (entry or mark or _ONE),
        tiers if is_known else (),
        None if entry is None else entry / unit,
        None if mark is None else mark / unit,
        inverse=True,
        contract=held.symbol,
    )


def _note_gaps(
    symbol: str, degraded: list[str], *, tiers: tuple[Tier, ...], mark: Decimal | None, entry: Decimal | None
) -> None:
    if not tiers:
        degraded.append(f"leverage brackets of {symbol} unread")
    if mark is None:
        degraded.append(f"no mark price of {symbol}")
    if entry is None:
        degraded.append(f"no entry price of {symbol}")


def _coins(
    picture: PmPicture, degraded: list[str], unit: Decimal, now_ns: int
) -> tuple[tuple[Collateral, ...], tuple[Debt, ...], dict[str, OraclePrice]]:
    """Return the coins whose price moves the account; stable ones are in the balance."""
    moving = {asset: coin for asset, coin in picture.coins.items() if coin.total and asset not in _STABLES}
    if not moving:
        return (), (), {}
    if picture.indexes is None or picture.rates is None:
        degraded.append(f"prices or collateral rates unread: {', '.join(sorted(moving))} held constant")
        return (), (), {}
    held: list[Collateral] = []
    owed: list[Debt] = []
    oracles: dict[str, OraclePrice] = {}
    for asset, coin in moving.items():
        value = picture.indexes.get(asset)
        if value is None:
            degraded.append(f"no index price of {asset}: held constant")
            continue
        oracles[asset] = OraclePrice(value / unit, now_ns, now_ns, source="binance asset index")
        if coin.total < 0:
            owed.append(Debt(asset, -coin.total))
        else:
            held.append(Collateral(asset, coin.total, picture.rates.get(asset, _ZERO)))
    return tuple(held), tuple(owed), oracles


def _profit(positions: tuple[Position, ...]) -> Decimal:
    total = _ZERO
    for each in positions:
        if each.mark_price is not None and each.entry_price is not None:
            total += each.quantity * (each.mark_price - each.entry_price)
    return total


def _asked(positions: tuple[Position, ...]) -> Decimal:
    """Return the maintenance that our tiers ask of the positions."""
    total = _ZERO
    for each in positions:
        at = each.entry_price if each.inverse else each.mark_price
        if each.tiers and at is not None:
            total += Curve(abs(each.quantity), each.tiers).requirement(at)
    return total
