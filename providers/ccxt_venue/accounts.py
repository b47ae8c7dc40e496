"""ccxt's unified structures to accounts: pure, and on the safe side of whatever they leave open.

Structures: docs.ccxt.com, "Position structure", "Balance structure" and "Leverage tiers structure" (read 2026-11). Any
member may be missing; numbers come as text, or as floats that are read by their shortest text. The manual does not say
whether a balance holds unrealised profit or the margin of isolated positions: the reading that fits the liquidation
prices of the venue counts, and where none does, or none is told, the one that leaves less.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from engine.accounts import Account, Collateral, Kind, MarginMode, Position, Tier, VenueReport
from engine.assess import assess
from engine.prices import OraclePrice
from engine.record import record
from providers.errors import Malformed
from providers.margin_tiers import continuous_tiers

ZERO, ONE = Decimal(0), Decimal(1)
_FITS = Decimal("0.01")
WORSE = "ccxt does not tell whether the balance holds open profit and isolated margin: what leaves less is taken"
FLAT = "the present maintenance rate is taken for any size: no tiers are told"
# Their tiers are counted in contracts, which ccxt passes on as if they were values (ccxt 4.5.90).
_TIERS_IN_CONTRACTS = frozenset({"okx", "okxus", "myokx"})


@record
class Held:
    """One position: `quantity` is signed; `margin` is an isolated one's own, profit in it; `None` is not told."""

    symbol: str
    asset: str
    quote: str
    settle: str
    is_inverse: bool
    is_isolated: bool
    quantity: Decimal
    entry: Decimal
    mark: Decimal | None
    profit: Decimal | None
    margin: Decimal | None
    liquidation_price: Decimal | None
    tiers: tuple[Tier, ...]
    problems: tuple[str, ...] = ()
    estimated: str = ""


def number(value: object, what: str) -> Decimal | None:
    """Return a unified number, `None` where there is none; raises `Malformed` for what is no finite number."""
    if value is None or value == "":
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise Malformed("ccxt", f"{what} is not a number") from None
    if not found.is_finite():
        raise Malformed("ccxt", f"{what} is not a finite number")
    return found


def positions_of(
    rows: Iterable[Mapping[str, Any]],
    markets: Mapping[str, Mapping[str, Any]],
    tiers: Mapping[str, Sequence[Mapping[str, Any]]],
    name: str,
) -> tuple[Held, ...]:
    """Return the open positions of exchange `name`; raises `Malformed` for one that cannot be understood."""
    return tuple(held for row in rows if (held := _held(row, markets, tiers, name)) is not None)


def _held(
    row: Mapping[str, Any],
    markets: Mapping[str, Mapping[str, Any]],
    tiers: Mapping[str, Sequence[Mapping[str, Any]]],
    name: str,
) -> Held | None:
    symbol = str(row.get("symbol") or "")
    contracts = number(row.get("contracts"), f"{symbol}: contracts")
    if contracts == 0:
        return None
    market = markets.get(symbol)
    if market is None or contracts is None:
        raise Malformed("ccxt", f"a position in {symbol[:32] or 'nothing'} without {'size' if market else 'a market'}")
    if row.get("side") not in ("long", "short"):
        raise Malformed("ccxt", f"{symbol[:32]}: neither long nor short")
    size = abs(contracts) * (number(row.get("contractSize") or market.get("contractSize"), "contract size") or ONE)
    sign = ONE if row["side"] == "long" else -ONE
    is_inverse = bool(market.get("inverse"))
    mark = _positive(row.get("markPrice"), symbol)
    notional = number(row.get("notional"), f"{symbol}: notional")
    if mark is None and notional and not is_inverse:
        mark = abs(notional) / size
    profit = number(row.get("unrealizedPnl"), f"{symbol}: profit")
    entry = _positive(row.get("entryPrice"), symbol)
    if entry is None and profit is not None and mark is not None and not is_inverse:
        entry = mark - sign * profit / size
    if entry is None or entry <= 0:
        raise Malformed("ccxt", f"{symbol[:32]}: entry price not told")
    problems = [] if mark is not None else [f"mark price of {symbol} not told"]
    mode = row.get("marginMode")
    if mode not in ("cross", "isolated"):
        problems.append(f"{symbol}: whether its margin is cross or isolated is not told; counted as cross")
    steps, estimated = _tiers(row, () if name in _TIERS_IN_CONTRACTS or is_inverse else tiers.get(symbol, ()), notional)
    if not steps:
        problems.append(f"maintenance margin of {symbol} not told")
    quantity = sign * (size / entry if is_inverse else size)
    if profit is None and mark is not None:
        profit = quantity * (mark - entry) / (mark if is_inverse else ONE)
    return Held(
        symbol,
        str(market.get("base") or symbol),
        str(market.get("quote") or "USD"),
        str(market.get("settle") or market.get("quote") or "USD"),
        is_inverse,
        mode == "isolated",
        quantity,
        entry,
        mark,
        profit,
        number(row.get("collateral"), f"{symbol}: collateral") if mode == "isolated" else None,
        _positive(row.get("liquidationPrice"), symbol),
        steps,
        tuple(problems),
        estimated,
    )


def _positive(value: object, symbol: str) -> Decimal | None:
    """Return a price; 0 and below are ccxt's ways to say that there is none."""
    found = number(value, f"{symbol}: price")
    return found if found is not None and found > 0 else None


def _tiers(
    row: Mapping[str, Any], told: Sequence[Mapping[str, Any]], notional: Decimal | None
) -> tuple[tuple[Tier, ...], str]:
    """Return the maintenance tiers and "" for them, or one flat rate and why it is an estimate, or none at all."""
    steps = []
    for each in told:
        floor, rate = number(each.get("minNotional"), "tier"), number(each.get("maintenanceMarginRate"), "tier")
        if floor is not None and rate is not None:
            steps.append((floor, rate))
    if steps and len(steps) == len(told):
        try:
            return continuous_tiers(steps), ""
        except ValueError:
            pass
    rate = number(row.get("maintenanceMarginPercentage"), "maintenance rate")
    asked = number(row.get("maintenanceMargin"), "maintenance margin")
    rates = [each for each in (rate, abs(asked / notional) if asked is not None and notional else None) if each]
    fair = [each for each in rates if 0 < each < 1]
    return ((Tier(ZERO, max(fair)),), FLAT) if fair else ((), "")


def accounts_of(
    name: str, provider: str, held: Sequence[Held], totals: Mapping[str, Decimal], now_ns: int
) -> tuple[Account, ...]:
    """Return one cross account per settle coin as `name:COIN`, and each isolated position as `name:SYMBOL`.

    `totals` is the balance of each coin as ccxt tells it.
    """
    coins = dict.fromkeys(each.settle for each in held)
    coins |= dict.fromkeys(coin for coin, total in totals.items() if total and coin.startswith("USD"))
    found = []
    for coin in coins or ("USDT",):
        mine = [each for each in held if each.settle == coin]
        cross = [each for each in mine if not each.is_isolated]
        apart = sum((each.margin or ZERO for each in mine if each.is_isolated), ZERO)
        profit = sum((each.profit or ZERO for each in cross), ZERO)
        total = totals.get(coin)
        lacking = () if total is not None or not cross else (f"balance of {coin} not told",)
        if cross or total:
            label, had, cross_mode = f"{name}:{coin}", total or ZERO, MarginMode.CROSS
            readings = {had - more for more in (ZERO, profit, apart, profit + apart)} if cross else set()
            made = [_account(label, provider, coin, cross, each, cross_mode, lacking, "", now_ns) for each in readings]
            fitting = made[0] if len(made) == 1 else _fitting(made, now_ns)
            if fitting is None:
                least = had - max(profit, ZERO) - max(apart, ZERO)
                worse = WORSE if profit > 0 or apart > 0 else ""
                fitting = _account(label, provider, coin, cross, least, cross_mode, lacking, worse, now_ns)
            found.append(fitting)
        for each in mine:
            if each.is_isolated:
                lacking = () if each.margin is not None else (f"margin of {each.symbol} not told",)
                own = (each.margin or ZERO) - (each.profit or ZERO)
                label = f"{name}:{each.symbol.partition(':')[0]}"
                found.append(_account(label, provider, coin, [each], own, MarginMode.ISOLATED, lacking, "", now_ns))
    return tuple(found)


def _fitting(readings: Sequence[Account], now_ns: int) -> Account | None:
    """Return the reading of a balance that gives the liquidation prices which the venue tells.

    `None` where it tells none, none of ours is within a hundredth of the mark, or two of them are.
    """
    fits = []
    for account in readings:
        points = assess(account, {}, now_ns).liquidation
        offs = []
        for held in account.positions:
            if held.venue_liquidation_price is not None and held.mark_price is not None:
                price = points[held.asset].price if held.asset in points else None
                offs.append(ONE if price is None else abs(price - held.venue_liquidation_price) / held.mark_price)
        if offs and max(offs) <= _FITS:
            fits.append(account)
    return fits[0] if len(fits) == 1 else None


def _account(
    name: str,
    provider: str,
    coin: str,
    held: Sequence[Held],
    balance: Decimal,
    mode: MarginMode,
    lacking: tuple[str, ...],
    worse: str,
    now_ns: int,
) -> Account:
    is_inverse = any(each.is_inverse for each in held)
    quote = held[0].quote if is_inverse else coin
    prices = {
        each.asset: OraclePrice(each.mark, now_ns, now_ns, source=provider)
        for each in held
        if is_inverse and each.mark is not None
    }
    problems = [*lacking, *(problem for each in held for problem in each.problems)]
    if is_inverse and coin not in prices:
        problems.append(f"price of {coin} not told")
    reasons = dict.fromkeys(filter(None, (worse, *(each.estimated for each in held))))
    return Account(
        name,
        Kind.PERP,
        provider,
        mode=mode,
        quote=quote,
        # An inverse contract is backed by its coin, whose value moves with the position.
        balance=balance if not is_inverse else min(balance, ZERO) * prices[coin].price if coin in prices else ZERO,
        collateral=(Collateral(coin, max(balance, ZERO), ONE),) if is_inverse and coin in prices else (),
        positions=tuple(_position(each) for each in held),
        oracles=prices,
        reported=VenueReport(tolerance=Decimal("0.05") if worse else Decimal("0.02")),
        degraded=tuple(problems),
        venue=provider if mode is MarginMode.CROSS else f"{provider} iso",
        note=worse,
        estimated="; ".join(reasons),
    )


def _position(held: Held) -> Position:
    return Position(
        held.asset,
        held.quantity,
        held.tiers,
        held.entry,
        held.mark,
        venue_liquidation_price=held.liquidation_price,
        inverse=held.is_inverse,
        contract=held.symbol,
    )
