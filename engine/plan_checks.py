"""Whether an option would work now and, if not, why: every reason that is known before anything is signed."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from engine.accounts import Account, Kind
from engine.plan_case import WIDE, Case, Lever
from engine.plan_levers import usd_rate
from engine.record import record
from engine.rendering import plain, timestamp
from engine.rescue import Means, Standing, Tariff
from engine.solvency import ZERO

MAX_STANDING_AGE_S = 60
NO_WALLET = "no wallet read"
READ_ONLY = "read-only: no signer is configured"
NOT_SENT = {
    Means.DELEVERAGE: "its swap is not executed yet; do it in two steps at the protocol",
    Means.REDUCE: "a reduction is not sent from here yet; place it at the venue, reduce-only",
    Means.DEPOSIT: "a deposit is not sent from here; transfer it to the broker",
}
_AT_VENUE = "money is not moved to this venue from here; pay it in by hand"
_DOWN = Context(prec=40, rounding=ROUND_FLOOR)
_UP = Context(prec=40, rounding=ROUND_CEILING)
_SECOND_NS = 1_000_000_000


@record
class Caps:
    """What may still be moved, in USD: by one action, today, and today for this account. `None` is no such cap."""

    per_action_usd: Decimal | None = None
    day_left_usd: Decimal | None = None
    account_left_usd: Decimal | None = None

    @property
    def least_usd(self) -> Decimal | None:
        """Return what one action may move now, `None` without any cap."""
        known = [cap for cap in (self.per_action_usd, self.day_left_usd, self.account_left_usd) if cap is not None]
        return max(min(known), ZERO) if known else None


def spendable(lever: Lever, standing: Standing) -> Decimal | None:
    """Return what the funds can give in whole tokens, gas kept back from the chain's own coin; `None` without limit."""
    if lever.means in (Means.DELEVERAGE, Means.REDUCE):
        return None
    if lever.funds is None:
        return None if lever.means is Means.DEPOSIT else ZERO
    if not lever.funds.is_native:
        return lever.funds.amount
    kept = standing.tariffs.get(lever.means, Tariff()).gas_asset_needed or ZERO
    return max(lever.funds.amount - kept, ZERO)


def affordable_units(case: Case, lever: Lever, standing: Standing | None, caps: Caps | None) -> int | None:
    """Return the most units that funds, room and caps allow, `None` without any limit."""
    found: list[Decimal] = []
    if standing is not None:
        has = spendable(lever, standing)
        found += [] if has is None else [has]
    if lever.means is Means.SUPPLY and lever.facility.room is not None:
        found.append(lever.facility.room)
    most_usd, rate = None if caps is None else caps.least_usd, usd_rate(case.account, case.prices)
    if most_usd is not None and not is_by_hand(lever):
        found.append(WIDE.divide(most_usd, lever.price * rate) if rate else ZERO)
    return lever.units(max(min(found), ZERO)) if found else None


def is_by_hand(lever: Lever) -> bool:
    """Return whether nothing is sent for this lever, only told: no cap and no gas count for it."""
    return lever.means in NOT_SENT and lever.means not in lever.facility.means


def common_blockers(standing: Standing | None, now_ns: int, *, is_stale: bool) -> tuple[str, ...]:
    """Return the reasons that stop every option alike."""
    found = ["the account's reading is stale"] if is_stale else []
    if standing is None:
        return (*found, NO_WALLET)
    found += standing.problems
    if not standing.signer:
        found.append(READ_ONLY)
    age_s = (now_ns - standing.read_at_ns) // _SECOND_NS
    if age_s > MAX_STANDING_AGE_S:
        found.append(f"wallet read {age_s} s ago; it must be read again")
    return tuple(found)


def limits(case: Case, lever: Lever, amount: Decimal, standing: Standing | None) -> Iterable[str]:
    """Yield why the amount cannot be had: empty source, or no room under the supply cap."""
    asset = lever.asset
    if standing is not None:
        has = spendable(lever, standing)
        if has is not None and has < amount:
            source = lever.funds.source if lever.funds is not None else "no wallet"
            yield f"source empty: {source} has {short(has, up=False)} {asset}, needs {short(amount, up=True)}"
    room = lever.facility.room
    if lever.means is Means.SUPPLY and room is not None and room < amount:
        yield f"supply cap: room for {short(room, up=False)} {asset}, needs {short(amount, up=True)}"


def facility_blockers(case: Case, lever: Lever) -> Iterable[str]:
    """Yield why the protocol or venue would not take it, or why taking it would not help."""
    facility = lever.facility
    if is_by_hand(lever):
        at_venue = lever.means is Means.DEPOSIT and case.account.kind is Kind.PERP
        yield (_AT_VENUE if at_venue else NOT_SENT[lever.means]) + _before(case.account, lever)
    if facility.refused:
        yield f"{facility.asset}: {facility.refused}"
    if lever.means is not Means.SUPPLY:
        return
    if not facility.counts and not facility.needs_enabling:
        yield f"supplied {facility.asset} would not count as collateral"
    elif facility.needs_enabling and lever.funds is not None and not lever.funds.is_owner:
        yield f"supplied {facility.asset} counts only after the account's owner enables it as collateral"


def gas_blockers(lever: Lever, amount: Decimal, standing: Standing) -> Iterable[str]:
    """Yield why the gas cannot be paid; nothing where none is."""
    has = standing.gas_balance
    if has is None or is_by_hand(lever):
        return
    needed = standing.tariffs.get(lever.means, Tariff()).gas_asset_needed
    if needed is None:
        yield "gas needed is unknown"
    elif has < needed:
        yield f"no gas: has {short(has, up=False)}, needs {short(needed, up=True)}"
    elif lever.funds is not None and lever.funds.is_native and has - amount < needed:
        yield f"no gas left: {short(needed, up=True)} of the chain's coin must stay for it"


def cap_blockers(lever: Lever, caps: Caps | None, value_usd: Decimal | None) -> Iterable[str]:
    """Yield the caps that the value is over; an unknown value is over every cap."""
    if caps is None or caps.least_usd is None or is_by_hand(lever):
        return
    if value_usd is None:
        yield "over cap: its value in USD is unknown"
        return
    for cap, name in (
        (caps.per_action_usd, "per action"),
        (caps.day_left_usd, "left today"),
        (caps.account_left_usd, "left for this account"),
    ):
        if cap is not None and value_usd > cap:
            worth = format(value_usd.quantize(Decimal("0.01"), context=_UP), "f")
            yield f"over cap: {worth} USD, {plain(max(cap, ZERO))} {name}"


def steps(lever: Lever, amount: Decimal, account: Account, *, is_full_close: bool, repaid: Decimal) -> tuple[str, ...]:
    """Return in order what would be signed, in words; amounts in full.

    Where money is asked for, and until when, is told after what is paid in.
    """
    asset, full, funds = lever.asset, plain(amount), lever.funds
    match lever.means:
        case Means.DELEVERAGE if lever.asset == lever.other:
            return (f"repay {full} {asset} out of the collateral itself",)
        case Means.DELEVERAGE:
            return (f"sell {full} {asset} of the collateral", f"repay {short(repaid, up=False)} {lever.other}")
        case Means.REDUCE:
            return (f"close {full} {asset} of {_position_name(lever, amount)}, reduce-only",)
        case Means.DEPOSIT:
            return (f"deposit {full} {asset}", *_deadlines(account))
        case Means.ADD_MARGIN:
            source = "" if funds is None or not funds.source else f" from {funds.source}"
            return (f"add {full} {asset} of margin{source}", *_deadlines(account))
        case _:
            pass
    said: list[str] = []
    if funds is not None and funds.is_native:
        said.append(f"wrap {full} {asset}")
    if funds is not None and funds.allowance is not None and funds.allowance < amount:
        permit = lever.means is Means.SUPPLY and lever.facility.has_permit and not funds.is_native
        said.append(f"{'permit' if permit else 'approve'} exactly {full} {asset}")
    if lever.means is Means.REPAY:
        said.append(f"repay {'all' if is_full_close else full} {asset} of {account.name}")
        return tuple(said)
    said.append(f"supply {full} {asset} for {account.name}")
    if lever.facility.needs_enabling:
        said.append(f"enable {asset} as collateral")
    return tuple(said)


def _position_name(lever: Lever, amount: Decimal) -> str:
    """Return what is closed, in the venue's own words where it has some, and of which side where it has both."""
    facility, held = lever.facility, lever.held
    contract = facility.contract or ("" if held is None else held.contract)
    name = " ".join(each for each in (contract, facility.side) if each)
    if not contract:
        name = f"the {name} position" if name else "the position"
    if held is not None and held.inverse and held.entry_price is not None:
        name += f" ({short(amount * held.entry_price, up=False)} of face value)"
    return name


def _before(account: Account, lever: Lever) -> str:
    """Return until when money must be in, as the end of a sentence; empty where nobody tells it."""
    call = account.margin_call
    if lever.means is not Means.DEPOSIT or call is None or call.due_ns is None:
        return ""
    return f" before {timestamp(call.due_ns)}"


def _deadlines(account: Account) -> Iterable[str]:
    """Yield what a call asks for and until when, and when the market is closed."""
    call, session = account.margin_call, account.session
    if call is not None:
        asked = f"{plain(call.amount)} {account.quote}"
        due = "names no deadline" if call.due_ns is None else f"is due at {timestamp(call.due_ns)}"
        yield f"the margin call for {asked} {due}"
    if session is not None and not session.is_open:
        opens = "" if session.opens_ns is None else f" until {timestamp(session.opens_ns)}"
        yield f"the market is closed{opens}: nothing can be sold before"
    elif session is not None and session.closes_ns is not None:
        yield f"the market closes at {timestamp(session.closes_ns)}"


def short(value: Decimal, *, up: bool) -> str:
    """Return `value` with about six significant digits, rounded up (what is needed) or down (what there is)."""
    if value == 0:
        return "0"
    places = max(min(5 - value.adjusted(), 18), 2)
    return plain(value.quantize(Decimal(1).scaleb(-places), context=_UP if up else _DOWN))
