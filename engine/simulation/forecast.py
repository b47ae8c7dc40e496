"""How likely each account is liquidated within a time: the calibrated map beside the closed form, with what is unsure.

Starts from the market's price where venues agree on one, else from the trigger price. Debts and funding grow until the
horizon's end. The time that an action needs to land is added to the horizon. An oracle may print up to its deviation
threshold late: the interval covers that band. A depeg of stable assets is not forecast.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.accounts import Account, Kind
from engine.prices import AssetPrice, Consensus
from engine.simulation.candles import HOUR_S, Candles
from engine.simulation.features import LEAST_HOURS, NEEDS_HOURS
from engine.simulation.first_passage import driftless
from engine.simulation.following import at_market, followed, leg_followed, moves_like
from engine.simulation.knowledge import Known, learnt, realised, rescaled, stated
from engine.simulation.model import HORIZONS, SIDES, Z95, Model, Outlook, frozen
from engine.simulation.ratio import YEAR_H, Ratio, factor_candles, ratio_of
from engine.solvency import gap, oracle_of, solvency_of, trigger_prices

FITTED_ASSETS = frozenset({"BTC", "ETH", "WETH"})
OLDEST_H = 48
"""Candles that end longer before the moment asked for than this are not used."""
_UNCALIBRATED = 2.0
"""By how much the interval widens, in log odds, where the map was not fitted to what moves."""
_PAIR_SHARE = 2 / 3
"""What the map counts where volatile assets stand on both sides: alone it overstates their large moves."""
_LEAST_CHANCE = 1e-5
_NEAREST = 1e-4
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Chance:
    """The chance of one horizon, `hours` long without the time to act; `None` with a reason in `because`.

    `low` and `high` are a 95 % interval, `baseline` the closed form at 30-day volatility, `episodes` how many
    independent moves at least so large the map was fitted to. `calibrated` says that the map was fitted to this asset
    and horizon and scored on data that it had not seen.
    """

    hours: float
    probability: float | None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    method: str = ""
    calibrated: bool = False
    episodes: int | None = None
    because: str = ""


@dataclass(frozen=True, slots=True)
class AccountForecast:
    """The chances of one account by horizon, and what they rest on.

    `moves` names what must move and which way, `distance` the fraction by which: of one asset's price, or of the
    account's factor of several; `sigma` is the annual volatility of that. `notes` say what was assumed or left out.
    """

    name: str
    horizons: tuple[Chance, ...]
    moves: str = ""
    distance: float | None = None
    sigma: float | None = None
    candles_end_s: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceRange:
    """How far a price falls and rises, as log distances; `doubled_*` are what they would be at twice the volatility."""

    down: float
    up: float
    doubled_down: float
    doubled_up: float
    method: str
    calibrated: bool
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class Forecaster:
    """Forecasts many accounts from the same candles; what it learns of one asset serves all its accounts.

    `candles` by asset may run past the moment that is asked for: what is later is never looked at.
    """

    candles: Mapping[str, Candles]
    model: Model = field(default_factory=frozen)
    fitted: frozenset[str] = FITTED_ASSETS
    _known: dict[tuple[str, int], "Known | None"] = field(default_factory=dict)

    def of(
        self,
        account: Account,
        prices: Mapping[str, AssetPrice],
        as_of_ns: int,
        *,
        market: Mapping[str, Consensus] | None = None,
        horizons: Sequence[float] = HORIZONS,
        time_to_act_h: float = 0.0,
    ) -> AccountForecast:
        """Return the forecast of one account at `as_of_ns`; never raises for what the account lacks, but says why.

        `market` holds what the venues agree on. Raises `ValueError` for a horizon or time to act that is none.
        """
        if not all(math.isfinite(h) and h > 0 for h in horizons) or not 0 <= time_to_act_h < math.inf:
            raise ValueError("horizons are positive hours, the time to act is not negative")
        start = self._start(account, prices)
        if isinstance(start, str):
            return AccountForecast(account.name, tuple(Chance(h, None, because=start) for h in horizons))
        trigger, stable = start
        ratio = _ratio(account, trigger, stable, 0.0)
        now = ratio.distance(trigger)
        settled = _settled(account, ratio, now, horizons)
        if settled is not None:
            return settled
        begin = trigger
        notes: list[str] = [f"{each} unknown: its drift is left out" for each in ratio.drift_unknown]
        if account.kind is Kind.LOAN and market:
            seen = at_market(account, trigger, prices, market, ratio)
            if seen:
                begin = {**trigger, **seen}
                notes.append(f"from the market's price of {', '.join(sorted(seen))}")
        held = sorted(account.assets & stable)
        if held:
            notes.append(f"{', '.join(held)} counted as stable")
        shares = ratio.shares(trigger)
        like = followed(account, prices, shares)
        bases = {like.get(asset, asset) for asset in shares}
        if len(bases) == 1 and len(shares) > 1 and len({share > 0 for share in shares.values()}) > 1:
            why = f"only the rate between {' and '.join(sorted(shares))} moves it; a depeg is not forecast"
            return AccountForecast(account.name, tuple(Chance(h, None, because=why) for h in horizons))
        known = self._knowledge(shares, like, prices, as_of_ns)
        if isinstance(known, str):
            return AccountForecast(account.name, tuple(Chance(h, None, because=known) for h in horizons))
        side = _side(shares)
        outlook = Outlook(self.model, known.features, side)
        band = _band(account, prices, shares)
        if band:
            notes.append(f"the oracle may print {band * 10_000:.0f} bps late")
        chances = []
        for hours in horizons:
            until = hours + time_to_act_h
            grown = _ratio(account, trigger, stable, until)
            distances = [each.distance(begin) for each in (ratio, grown)]
            distance = max(min((each for each in distances if each is not None), default=math.inf), _NEAREST)
            chances.append(_chance(outlook, known, hours, until, distance, band))
        far = ratio.distance(begin)
        return AccountForecast(
            account.name,
            tuple(chances),
            moves=_moves(ratio, shares),
            distance=_fraction(ratio, far if far is not None else math.inf),
            sigma=known.sigma * math.sqrt(YEAR_H),
            candles_end_s=known.ends_s,
            notes=(*notes, *known.notes),
        )

    def price_range(
        self, asset: str, prices: Mapping[str, AssetPrice], as_of_ns: int, hours: float, chance: float
    ) -> "PriceRange | str":
        """Return how far `asset` falls and rises within `hours` with probability `chance`, or why nobody knows."""
        entry = prices.get(asset)
        like = leg_followed(None if entry is None else entry.oracle)
        known = self._asset(asset, like, as_of_ns) or stated({asset: 1.0}, prices)
        if isinstance(known, str):
            return known
        reach: dict[tuple[str, float], float] = {}
        for side in SIDES:
            for factor in (1.0, 2.0):
                outlook = Outlook(self.model, rescaled(known.features, factor), side)
                reach[side, factor] = float(outlook.distance_at(hours, chance)[0])
        return PriceRange(
            reach["down", 1.0],
            reach["up", 1.0],
            reach["down", 2.0],
            reach["up", 2.0],
            known.method,
            known.is_calibrated and hours in HORIZONS,
            known.notes,
        )

    def _start(
        self, account: Account, prices: Mapping[str, AssetPrice]
    ) -> tuple[dict[str, float], frozenset[str]] | str:
        """Return the trigger prices and the stable assets of an account, or why it cannot be forecast."""
        why = gap(account)
        if why and _reported(account) is None:
            return why
        known, lacking = trigger_prices(account, prices)
        needed = sorted(account.assets) if why else [each.asset for each in solvency_of(account).exposures]
        why = next((lacking[asset] for asset in needed if asset in lacking), "")
        if why:
            return why
        stable = frozenset(asset for asset in account.assets if asset in prices and prices[asset].stable)
        return {asset: float(price) for asset, price in known.items()}, stable

    def _knowledge(
        self, shares: Mapping[str, float], like: Mapping[str, str], prices: Mapping[str, AssetPrice], as_of_ns: int
    ) -> Known | str:
        """Return what is known of the asset or factor that liquidates, or why nothing is."""
        if len(shares) == 1:
            (asset,) = shares
            known = self._asset(asset, like.get(asset), as_of_ns)
            return known if known is not None else stated(shares, prices)
        found = {each: self._usable(each, as_of_ns) or self._usable(like.get(each), as_of_ns) for each in shares}
        usable = {asset: each for asset, each in found.items() if each is not None}
        candles = None if len(usable) < len(shares) else factor_candles(usable, shares)
        if candles is None or len(candles) < LEAST_HOURS:
            return stated(shares, prices, {asset: realised(each) for asset, each in usable.items()})
        known = learnt(candles, "calibrated map on the account's risk-weighted factor", is_fitted=False)
        if len({share > 0 for share in shares.values()}) > 1:
            method = "two parts calibrated map, one part closed form, on the account's risk-weighted factor"
            known = replace(known, method=method, map_share=_PAIR_SHARE)
        notes = [moves_like(asset, other) for asset, other in sorted(like.items()) if asset not in self.candles]
        return replace(known, notes=(*known.notes, *notes))

    def _usable(self, asset: str | None, as_of_ns: int) -> Candles | None:
        """Return the last candles of `asset` that had closed at `as_of_ns`, `None` when too few or too old."""
        whole = None if asset is None else self.candles.get(asset)
        if whole is None:
            return None
        moment_s = as_of_ns / _SECOND_NS
        closed = whole.before(moment_s - HOUR_S + 1)
        if len(closed) < LEAST_HOURS or closed.ends_s < moment_s - OLDEST_H * HOUR_S:
            return None
        return closed.part(max(0, len(closed) - NEEDS_HOURS - 48), len(closed))

    def _asset(self, asset: str, like: str | None, as_of_ns: int) -> Known | None:
        """Return what the candles of `asset` tell, or those of the asset that its oracle follows."""
        if asset not in self.candles and like is not None:
            known = self._asset(like, None, as_of_ns)
            if known is None:
                return None
            method = f"pooled map on {like}, not calibrated for this asset"
            return replace(known, method=method, is_calibrated=False, notes=(*known.notes, moves_like(asset, like)))
        key = (asset, as_of_ns // (HOUR_S * _SECOND_NS))
        if key not in self._known:
            usable = self._usable(asset, as_of_ns)
            is_fitted = asset in self.fitted
            method = "calibrated map" if is_fitted else "pooled map, not calibrated for this asset"
            self._known[key] = None if usable is None else learnt(usable, method, is_fitted=is_fitted)
        return self._known[key]


def forecast_of(
    account: Account,
    prices: Mapping[str, AssetPrice],
    candles: Mapping[str, Candles],
    as_of_ns: int,
    *,
    market: Mapping[str, Consensus] | None = None,
    horizons: Sequence[float] = HORIZONS,
    time_to_act_h: float = 0.0,
) -> AccountForecast:
    """Return the forecast of one account; a caller with several keeps one `Forecaster` for all of them."""
    return Forecaster(candles).of(
        account, prices, as_of_ns, market=market, horizons=horizons, time_to_act_h=time_to_act_h
    )


def _ratio(account: Account, prices: Mapping[str, float], stable: frozenset[str], hours: float) -> Ratio:
    """Return the account's ratio in `hours`, by the venue's own liquidation price where our formula lacks an input."""
    return (_reported(account) if gap(account) else None) or ratio_of(account, prices, stable, hours)


def _reported(account: Account) -> Ratio | None:
    """Return the ratio of the one position whose liquidation price the venue reports, `None` when there is no such."""
    held = [position for position in account.positions if position.quantity]
    if len(held) != 1 or held[0].venue_liquidation_price is None:
        return None
    sign = 1.0 if held[0].quantity > 0 else -1.0
    return Ratio({held[0].asset: sign}, -sign * float(held[0].venue_liquidation_price), ("carry",))


def _settled(account: Account, ratio: Ratio, now: float | None, horizons: Sequence[float]) -> AccountForecast | None:
    """Return the forecast of an account for which there is nothing to estimate."""
    if now is not None and now < 0:
        chances = tuple(Chance(h, 1.0, 1.0, 1.0, 1.0, "liquidatable already", True) for h in horizons)
        return AccountForecast(account.name, chances, distance=0.0)
    why = ""
    if not any(debt.amount for debt in account.debt) and account.kind is Kind.LOAN:
        why = "no debt: nothing to liquidate"
    elif account.kind is not Kind.LOAN and not any(position.quantity for position in account.positions):
        why = "no position: nothing to liquidate"
    elif not ratio.units:
        why = "only stable assets move it; a depeg is not forecast"
    elif now is None:
        why = "no price move of what it holds liquidates it"
    return AccountForecast(account.name, tuple(Chance(h, None, because=why) for h in horizons)) if why else None


def _side(shares: Mapping[str, float]) -> str:
    """Return which map applies: "up" when one short asset alone moves it, else "down": the factor is turned to fall."""
    return "up" if len(shares) == 1 and next(iter(shares.values())) < 0 else "down"


def _band(account: Account, prices: Mapping[str, AssetPrice], shares: Mapping[str, float]) -> float:
    """Return by how much, in log distance, the oracles of a loan may lag the market; 0 when their rule is unknown."""
    if account.kind is not Kind.LOAN:
        return 0.0
    total = 0.0
    for asset, share in shares.items():
        oracle = oracle_of(account, asset, prices)
        if oracle is not None and oracle.deviation_bps is not None:
            total += abs(share) * float(oracle.deviation_bps) / 10_000
    return total


def _chance(outlook: Outlook, known: Known, hours: float, until: float, distance: float, band: float) -> Chance:
    if math.isinf(distance):
        return Chance(hours, None, because="no price move of what it holds liquidates it")
    logit = _log_odds(outlook, known, until, distance)
    wide = Z95 * float(outlook.errors(until, distance)[0])
    fitted = hours in HORIZONS
    is_within = outlook.is_within(until, distance)
    is_calibrated = known.is_calibrated and fitted and is_within
    if not is_calibrated:
        wide *= _UNCALIBRATED
    upper, lower = logit + wide, _log_odds(outlook, known, until, distance + band) - wide
    edge = outlook.edge(until)
    if distance > edge:  # what is further is no likelier: the bound at the last fitted distance holds here too
        error = float(outlook.errors(until, edge)[0]) * Z95 * (1.0 if known.is_calibrated else _UNCALIBRATED)
        upper = max(logit, min(upper, _log_odds(outlook, known, until, edge) + error))
    between = HORIZONS[0] < hours < HORIZONS[-1]
    method = known.method if fitted else f"{known.method}, horizon {'interpolated' if between else 'extrapolated'}"
    if not is_within:
        method += ", beyond the fitted distances"
    return Chance(
        hours,
        _probability(logit),
        _probability(lower),
        _probability(upper),
        driftless(distance, known.sigma, until),
        method,
        is_calibrated,
        outlook.episodes(until, distance),
    )


def _log_odds(outlook: Outlook, known: Known, hours: float, distance: float) -> float:
    said = float(outlook.log_odds(hours, distance)[0])
    if known.map_share == 1:
        return said
    plain = min(max(driftless(distance, known.sigma, hours), _LEAST_CHANCE), 1 - _LEAST_CHANCE)
    return known.map_share * said + (1 - known.map_share) * math.log(plain / (1 - plain))


def _moves(ratio: Ratio, shares: Mapping[str, float]) -> str:
    if len(shares) == 1:
        ((asset, share),) = shares.items()
        return f"{asset} {'down' if share > 0 else 'up'}"
    parts = sorted(shares.items(), key=lambda each: -abs(each[1]))
    return ", ".join(f"{asset} {'down' if share > 0 else 'up'} ({abs(share):.0%})" for asset, share in parts)


def _fraction(ratio: Ratio, distance: float) -> float | None:
    """Return a log distance as a fraction: of the price of a single asset, of a factor, which is turned to fall."""
    if math.isinf(distance):
        return None
    rises = len(ratio.units) == 1 and next(iter(ratio.units.values())) < 0
    return math.expm1(distance) if rises else -math.expm1(-distance)


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
