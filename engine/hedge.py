"""Ways to bring an account through a move that would liquidate it, side by side at one protected price. Pure.

Options, an opposite perp, repaying and adding collateral are all sized to the same price, and each says what it takes
at once, what it costs a year, and what it cannot do. The interest that the account pays over the horizon is in its
debt. Formulas: `engine.threat`; theoretical premiums: `engine.black_scholes`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Context, Decimal
from statistics import NormalDist

from engine.accounts import Account, Kind, MarginMode
from engine.assessment import Assessment
from engine.hedge_case import SECOND_NS, Comparison, Part, Protection, years
from engine.hedge_parts import parts_of, volatility_known, weights_of
from engine.hedge_ways import ways
from engine.hedge_words import figure, percent
from engine.options import OptionQuote
from engine.plan_moves import grown
from engine.prices import AssetPrice
from engine.shocks import FOLLOWS
from engine.solvency import ONE, ZERO, trigger_prices
from engine.threat import NoHedge, Threat, is_stable, threat_of

CHANCE = Decimal("0.01")
_WIDE = Context(prec=50)
_FAR, _OLD_S = Decimal("0.02"), 600


def underlyings_of(
    account: Account, assessment: Assessment, prices: Mapping[str, AssetPrice], *, together: bool = False
) -> tuple[str, ...]:
    """Return whose options hedge an account: of its nearest asset, or `together` of all that are not stable.

    Empty where no asset alone liquidates it, or only one that is stable.
    """
    nearest = assessment.nearest
    if nearest is None or is_stable(nearest, prices) or is_stable(FOLLOWS.get(nearest, nearest), prices):
        return ()
    others = sorted(asset for asset in account.assets if asset != account.quote and not is_stable(asset, prices))
    return tuple(dict.fromkeys(FOLLOWS.get(each, each) for each in (nearest, *(others if together else ()))))


def hedges(
    account: Account,
    assessment: Assessment,
    prices: Mapping[str, AssetPrice],
    wish: Protection,
    now_ns: int,
    chain: Sequence[OptionQuote] | None = None,
) -> Comparison:
    """Return the ways to protect `account`; without a `chain` options are theoretical, at the known volatility.

    Raises `ValueError` where neither a move nor a volatility is known, or the move goes the wrong way.
    """
    later = grown(account, trigger_prices(account, prices)[0], wish.horizon_s)
    spots = {each.underlying.upper(): each.underlying_price for each in chain or ()}
    try:
        threat = threat_of(later, assessment, prices, spots, together=wish.together)
        volatility, said = volatility_known(threat, prices, wish, chain or (), now_ns)
        protected, assumed = _protected(threat, wish, volatility, said)
        parts = parts_of(later, threat, protected, prices, wish, now_ns, chain)
    except NoHedge as reason:
        return Comparison(account.name, wish.horizon_s, because=str(reason))
    base, base_name = _base(account, assessment, threat)
    made = Comparison(
        account.name,
        wish.horizon_s,
        threat=threat,
        protected_to=protected,
        missing=threat.missing(protected),
        volatility=volatility,
        base=base,
        base_name=base_name,
        assumed=(*assumed, *_assumed(account, assessment, threat, protected, prices), *_basket(parts)),
        doubts=tuple(doubt for part in parts for doubt in _doubts(part.threat, part.listed or (), now_ns)),
    )
    found = ways(made, later, wish, now_ns, parts)
    alone = "" if made.missing else _only_alone(account, assessment, threat, protected, prices)
    return replace(found, because=found.because + alone) if alone else found


def default_move(volatility: Decimal, horizon_s: int, *, falls: bool) -> Decimal:
    """Return the move that a lognormal price without drift touches within the horizon with a chance of `CHANCE`."""
    reach = Decimal(str(NormalDist().inv_cdf(1 - float(CHANCE) / 2))) * volatility * years(horizon_s).sqrt(_WIDE)
    return _WIDE.exp(-reach if falls else reach) - ONE


def _protected(
    threat: Threat, wish: Protection, volatility: Decimal | None, said: str
) -> tuple[Decimal, tuple[str, ...]]:
    """Return the price to which every way must hold, and what it rests on."""
    move = wish.move
    if move is not None:
        if move == 0 or (move < 0) is not threat.falls:
            way, sign = ("fall", "-") if threat.falls else ("rise", "+")
            raise ValueError(f"it is a {way} that liquidates this account; write a floor of {sign}40%")
        return threat.price * (ONE + move), ()
    if volatility is None:
        raise ValueError(f"no volatility of {threat.underlying} is known; write --floor -40%, or --volatility 0.62")
    move = default_move(volatility, wish.horizon_s, falls=threat.falls)
    at = f"{percent(volatility)} a year, {said}"
    return threat.price * (ONE + move), (
        f"protected to a move that the closed form touches with a chance of {percent(CHANCE)} ({at}); it is too "
        "low in the tails: see forecast",
    )


def _base(account: Account, assessment: Assessment, threat: Threat) -> tuple[Decimal | None, str]:
    """Return what costs are measured by: the debt, or the notional of positions that go with the move."""
    if account.kind is Kind.LOAN:
        return assessment.debt_value, "debt"
    held = [each for each in account.positions if each.asset in threat.moving]
    return sum((abs(each.quantity) * threat.known[each.asset] for each in held), ZERO) or None, "notional"


def _assumed(
    account: Account, assessment: Assessment, threat: Threat, protected: Decimal, prices: Mapping[str, AssetPrice]
) -> tuple[str, ...]:
    """Return what every way takes for granted: who moves along, who rests, and which lines are left open."""
    found = [
        f"{each} moves with {threat.underlying} in proportion" for each in threat.moving if each != threat.underlying
    ]
    weights = weights_of(account, threat, prices)
    resting = sorted(weights.keys() - set(threat.moving))
    if resting:
        total = sum(map(abs, weights.values()), ZERO)
        shares = ", ".join(f"{asset} {percent(abs(weight) / total)}" for asset, weight in sorted(weights.items()))
        found.append(
            f"{', '.join(resting)} stays where it is: a joint move needs a hedge of each, pro rata to what it weighs "
            f"({shares})" + _together(assessment)
        )
    mirror = threat.price * threat.price / protected
    if any(threat.margin(at) < 0 for at in threat.corners(mirror, threat.price)):
        found.append(f"a {'rise' if threat.falls else 'fall'} to {figure(mirror)} liquidates too, and is not hedged")
    rates = [leg.borrow_rate for leg in account.debt] + [each.funding_rate for each in account.positions]
    if account.kind is Kind.BROKER:
        rates.append(account.cash_rate)
    if any(rate is not None for rate in rates):
        found.append("interest and funding of the horizon at present rates are counted; what is earned is not")
    else:
        found.append("no rate is known: interest and funding of the horizon are not counted")
    if account.ledger is not None:
        found.append(
            "by the plain formula: a contract's own rounding, up to a basis point of a threshold, is not in it"
        )
    if account.kind is Kind.BROKER:
        found.append("a broker may sell at its discretion, whatever a hedge elsewhere is worth")
    if account.mode is MarginMode.PORTFOLIO or account.estimated:
        found.append(f"the account's own line is an estimate: {account.estimated or 'portfolio margin'}")
    return tuple(found)


def _only_alone(
    account: Account, assessment: Assessment, threat: Threat, protected: Decimal, prices: Mapping[str, AssetPrice]
) -> str:
    """Return the warning that a joint move liquidates before `protected`, which a move of one asset does not."""
    shock, move = assessment.uniform_shock, protected / threat.price - ONE
    resting = sorted(weights_of(account, threat, prices).keys() - set(threat.moving))
    if not (resting and shock and shock * move > 0 and abs(shock) < abs(move)):
        return ""
    return f", but only while {', '.join(resting)} stays where it is{_together(assessment)}: repay or add for that"


def _basket(parts: Sequence[Part]) -> tuple[str, ...]:
    if len(parts) < 2:
        return ()
    shares = ", ".join(f"{part.threat.underlying} {percent(part.share)}" for part in parts)
    right = parts[0].threat.right
    return (f"the {right}s (and the perps) are one hedge: all of them are needed, pro rata ({shares})",)


def _together(assessment: Assessment) -> str:
    """Return at which common move of all assets the account is liquidated, in words; "" where there is none."""
    shock = assessment.uniform_shock
    return "" if not shock else f"; all together liquidate it at {shock * 100:+.1f} %"


def _doubts(threat: Threat, listed: Sequence[OptionQuote], now_ns: int) -> tuple[str, ...]:
    found = []
    if listed:
        spot = min(listed, key=lambda each: (each.expires_ns, each.name)).underlying_price
        apart = abs(spot / threat.price - ONE)
        if apart > _FAR:
            found.append(
                f"{threat.underlying} is {figure(spot)} in the chain and {figure(threat.price)} where the account is "
                f"judged, {percent(apart)} apart: one of them is old"
            )
        age_s = (now_ns - max(each.observed_at_ns for each in listed)) // SECOND_NS
        if age_s > _OLD_S:
            found.append(f"the option quotes are {age_s // 60:,} minutes old")
    return tuple(found)
