"""What margin accounts would need under a rule that scans prices: alone, and netted over all of them.

    required = worst loss over the scan + (contingency + expected slippage) x gross notional

Prices move together, each by its own range, over an even grid; the loss is that of equity, before any liquidation.
A what-if: no protocol that we read uses it, and no venue nets accounts held elsewhere. Stable assets do not move.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.accounts import Account, Kind
from engine.assessment import Assessment
from engine.prices import AssetPrice
from engine.simulation.forecast import Forecaster
from engine.simulation.rules import Rule
from engine.solvency import trigger_prices

_FLOOR_CHANCES = (0.05, 0.01, 0.001)


@dataclass(frozen=True, slots=True)
class Reach:
    """The range of one asset under a rule: fractions of its price; `floored` when the floor decided.

    `doubled_down` is what the fall would be at twice the present volatility: how the rule tightens in a crash.
    """

    down: float
    up: float
    floor: float | None = None
    floored: bool = False
    doubled_down: float | None = None
    method: str = ""
    calibrated: bool = False


@dataclass(frozen=True, slots=True)
class Scanned:
    """The worst point of a scan: the loss (0 when nothing loses), and by which share of the range prices moved."""

    loss: float
    share: float
    volatility: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """The maintenance that a rule implies for one leg beside the protocol's: a threshold (loan) or a rate."""

    asset: str
    protocol: float | None
    implied: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Required:
    """What one account would need; `required` is `None` with a reason in `because`. Values in quote currency.

    `protocol` is the equity at which the protocol or venue liquidates, at present prices.
    """

    name: str
    equity: float | None
    required: float | None
    scanned: Scanned | None = None
    contingency: float | None = None
    slippage: float | None = None
    protocol: float | None = None
    thresholds: tuple[Threshold, ...] = ()
    because: str = ""

    @property
    def covered(self) -> float | None:
        """Return equity over what is required, `None` when either is unknown or nothing is required."""
        return self.equity / self.required if self.equity is not None and self.required else None


@dataclass(frozen=True, slots=True)
class Netted:
    """Requirements over all accounts that have one: their sum, netted, and netted by asset without cross-asset offset.

    `breaks` says what the offset rests on; `left_out` names accounts without a requirement.
    """

    separate: float
    netted: float
    by_asset: float
    breaks: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def saved(self) -> float:
        """Return what netting all accounts saves."""
        return self.separate - self.netted


def scan(
    value: Callable[[float, float], float], steps: int, volatilities: Sequence[float] = (1.0, 1.5, 0.75)
) -> Scanned:
    """Return the worst loss of `value(share of the range, volatility factor)` against its value at (0, 1).

    Shares run evenly from -1 to 1 with `steps` on each side of 0.
    """
    now = value(0.0, 1.0)
    worst = Scanned(0.0, 0.0, 1.0)
    for step in range(-steps, steps + 1):
        for volatility in volatilities:
            loss = now - value(step / steps, volatility)
            if loss > worst.loss:
                worst = Scanned(loss, step / steps, volatility)
    return worst


def ranges(
    rule: Rule,
    assets: Sequence[str],
    forecaster: Forecaster,
    prices: Mapping[str, AssetPrice],
    as_of_ns: int,
    hours: float,
    chance: float,
) -> dict[str, Reach | str]:
    """Return the range of every asset under `rule`, or why it has none."""
    found: dict[str, Reach | str] = {}
    for asset in assets:
        if rule.otherwise is not None:
            share = rule.shares.get(asset, rule.otherwise)
            found[asset] = Reach(share, share, method=f"fixed by {rule.name}")
            continue
        said = forecaster.price_range(asset, prices, as_of_ns, hours, chance)
        if isinstance(said, str):
            found[asset] = said
            continue
        # The floor is of the assets that the map was fitted to; a share or a stable pair may well move less.
        has_floor = asset in forecaster.fitted
        low, high = (_floor(forecaster, side, hours, chance) if has_floor else None for side in ("down", "up"))
        down, up = max(said.down, low or 0.0), max(said.up, high or 0.0)
        found[asset] = Reach(
            -math.expm1(-down),
            math.expm1(up),
            None if low is None else -math.expm1(-low),
            bool(low and low > said.down) or bool(high and high > said.up),
            -math.expm1(-max(said.doubled_down, low or 0.0)),
            said.method,
            said.calibrated,
        )
    return found


def _floor(forecaster: Forecaster, side: str, hours: float, chance: float) -> float | None:
    """Return the floor of the range as a log distance: the 5th percentile of its history, at the nearest chance."""
    floors = forecaster.model.about.get("range_floor")
    if not isinstance(floors, Mapping) or str(int(hours)) not in floors[side] or hours != int(hours):
        return None
    near = min(_FLOOR_CHANCES, key=lambda each: abs(math.log(each / chance)))
    return float(floors[side][str(int(hours))][str(near)])


def exposures(account: Account, prices: Mapping[str, AssetPrice]) -> tuple[dict[str, float], Mapping[str, float]] | str:
    """Return the value at stake by volatile asset (negative: short) and the prices used, or why nobody knows."""
    known, lacking = trigger_prices(account, prices)
    units: dict[str, float] = {}
    for leg in account.collateral:
        units[leg.asset] = units.get(leg.asset, 0.0) + float(leg.amount)
    for debt in account.debt:
        units[debt.asset] = units.get(debt.asset, 0.0) - float(debt.amount)
    for position in account.positions:
        units[position.asset] = units.get(position.asset, 0.0) + float(position.quantity)
    held: dict[str, float] = {}
    for asset, amount in units.items():
        if amount and not (asset in prices and prices[asset].stable):
            if asset not in known:
                return lacking.get(asset, f"no price of {asset}")
            held[asset] = amount * float(known[asset])
    return held, {asset: float(price) for asset, price in known.items()}


def required_of(
    account: Account,
    assessment: Assessment,
    prices: Mapping[str, AssetPrice],
    reach: Mapping[str, Reach | str],
    rule: Rule,
) -> Required:
    """Return what `account` would need under `rule`; `assessment` is its present one."""
    equity = None if assessment.equity is None else float(assessment.equity)
    held = exposures(account, prices)
    if isinstance(held, str):
        return Required(account.name, equity, None, because=held)
    values, known = held
    why = next((said for asset in values if isinstance(said := reach[asset], str)), "")
    if why:
        return Required(account.name, equity, None, because=why)
    wide = {asset: said for asset, said in reach.items() if isinstance(said, Reach)}
    scanned = _scan_values(values, wide, rule)
    gross = sum(abs(value) for value in values.values())
    contingency, slippage = rule.contingency * gross, rule.slippage * gross
    return Required(
        account.name,
        equity,
        scanned.loss + contingency + slippage,
        scanned,
        contingency,
        slippage,
        _protocol(account, assessment),
        _thresholds(account, known, wide, rule),
    )


def netted(
    accounts: Sequence[tuple[Account, Assessment]],
    alone: Sequence[Required],
    prices: Mapping[str, AssetPrice],
    reach: Mapping[str, Reach | str],
    rule: Rule,
) -> Netted:
    """Return what all accounts together would need if one place held them, what that saves and what it rests on."""
    total: dict[str, float] = {}
    by_account: dict[str, dict[str, float]] = {}
    wide = {asset: said for asset, said in reach.items() if isinstance(said, Reach)}
    separate = 0.0
    for (account, _), one in zip(accounts, alone, strict=True):
        held = exposures(account, prices)
        if one.required is None or isinstance(held, str):
            continue
        separate += one.required
        by_account[account.name] = held[0]
        for asset, value in held[0].items():
            total[asset] = total.get(asset, 0.0) + value
    added = (rule.contingency + rule.slippage) * sum(abs(value) for value in total.values())
    together = _scan_values(total, wide, rule).loss + added
    apart = sum(_scan_values({asset: value}, wide, rule).loss for asset, value in total.items()) + added
    left_out = tuple(one.name for one in alone if one.required is None)
    return Netted(separate, together, apart, _breaks(accounts, by_account, apart - together), left_out)


def _breaks(
    accounts: Sequence[tuple[Account, Assessment]], held: Mapping[str, Mapping[str, float]], cross_asset: float
) -> tuple[str, ...]:
    """Return what the offset rests on, the largest first."""
    found: list[tuple[float, str]] = []
    nearest = {account.name: assessment for account, assessment in accounts}
    for asset in sorted({asset for values in held.values() for asset in values}):
        sides = {name: values[asset] for name, values in held.items() if values.get(asset)}
        longs = {name: value for name, value in sides.items() if value > 0}
        shorts = {name: value for name, value in sides.items() if value < 0}
        if not longs or not shorts:
            continue
        offset = min(sum(longs.values()), -sum(shorts.values()))
        first = _first_out(asset, sides, nearest)
        found.append((offset, f"{asset}: {', '.join(longs)} against {', '.join(shorts)} offset {offset:,.0f}{first}"))
    lines = [line for _, line in sorted(found, reverse=True)]
    if cross_asset > 0.5:
        lines.append(f"assets are assumed to move together; if they do not, {cross_asset:,.0f} more is needed")
    if lines:
        lines.append("no venue nets accounts held elsewhere, and a liquidation in one leaves the other bare")
    return tuple(lines)


def _first_out(asset: str, sides: Mapping[str, float], nearest: Mapping[str, Assessment]) -> str:
    distances = []
    for name in sides:
        point = nearest[name].liquidation.get(asset)
        if point is not None and point.distance is not None and point.direction is not None:
            distances.append((point.distance, name, point.direction.value))
    if not distances:
        return ""
    distance, name, direction = min(distances)
    return f"; it ends when {name} is liquidated, {asset} {direction} {float(distance):.1%}"


def _scan_values(values: Mapping[str, float], reach: Mapping[str, Reach], rule: Rule) -> Scanned:
    def value(share: float, volatility: float) -> float:
        return sum(
            held * share * (reach[asset].up if share > 0 else reach[asset].down) for asset, held in values.items()
        )

    return scan(value, rule.steps, rule.volatilities)


def _protocol(account: Account, assessment: Assessment) -> float | None:
    """Return the equity at which the protocol liquidates: haircuts of a loan's collateral, else the maintenance."""
    if account.kind is not Kind.LOAN:
        requirement = assessment.maintenance_requirement
        return None if requirement is None else float(requirement)
    if assessment.equity is None or assessment.buffer is None:
        return None
    return float(assessment.equity - assessment.buffer)


def _thresholds(
    account: Account, prices: Mapping[str, float], reach: Mapping[str, Reach], rule: Rule
) -> tuple[Threshold, ...]:
    """Return the implied maintenance of every volatile leg: (1 - x*) / (1 + bonus + slippage) of collateral."""
    found = []
    for leg in account.collateral:
        if leg.amount and leg.asset in reach:
            bonus = leg.liquidation_bonus
            implied = (1 - reach[leg.asset].down) / (1 + float(bonus or 0) + rule.slippage + rule.contingency)
            note = "liquidation bonus unknown, counted as 0" if bonus is None else ""
            found.append(Threshold(leg.asset, float(leg.liquidation_threshold), implied, note))
    for position in account.positions:
        if position.quantity and position.asset in reach:
            side = reach[position.asset].down if position.quantity > 0 else reach[position.asset].up
            notional = abs(float(position.quantity)) * prices[position.asset]
            rate = next(
                (float(tier.maintenance_rate) for tier in reversed(position.tiers) if notional >= tier.notional_floor),
                None,
            )
            found.append(Threshold(position.asset, rate, side + rule.slippage + rule.contingency))
    return tuple(found)
