"""Rescues on venues that take signed HTTP requests: everything that is the same for all of them.

A venue brings its `Moves`: what may be moved, how a request is signed, what a reply means, and how a request is found
again by reading. What is sent is one of the venue's listed actions, for this very account, as plain data until the
moment of its signature. The dry run is a fresh reading and the engine's arithmetic: venues have none of their own.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Protocol, cast

import msgspec

from engine.accounts import Account, MarginMode, Position
from engine.plan_effect import health_now, with_means
from engine.prices import OraclePrice
from engine.rescue import Means, Option, Standing
from providers.credentials import Credentials
from providers.errors import Malformed, ProviderError, RateLimited, Refused, Unreachable
from providers.http import Call, HttpTransport
from providers.ports import PositionSource
from providers.rescue_ports import Fate, Found, KeySigner, Signed, Signer, Simulation, Step

REDUCE_BOUND = Decimal("0.005")
"""How far from the mark a reduce-only order may be filled at worst, as a fraction; what is left over is cancelled."""
RELEASED = (
    "closing part of an isolated position may return its margin to the wallet and leave the liquidation where it is; "
    "add margin instead"
)
"""Why an isolated position is not reduced for health. help.bybit.com says that it is so ("Adjust Margin on position",
read 2026-11), the others leave it open: a plan must not promise health that the venue hands back as free margin."""
_VALID_S = 60.0
# Lists of orders and transfers reach back for days or weeks, each its own time: later, absence proves nothing.
_REMEMBERED_S = 86_400.0


class Moves(Protocol):
    """What one venue does about moving margin. Every payload below was made by `steps` and survived JSON."""

    @property
    def venue(self) -> str:
        """Return the venue's name."""

    @property
    def actions(self) -> frozenset[str]:
        """Return the names of all actions that may ever be sent."""

    async def standing(self, account: Account) -> Standing:
        """Return funds, facilities, tariffs and problems; `signer` is left to the caller. Raises `ProviderError`."""

    async def steps(self, account: Account, option: Option) -> Sequence[Step]:
        """Return the steps of `option` (`step_of` makes one); raises `ProviderError`."""

    def http(self, payload: Mapping[str, object]) -> HttpTransport:
        """Return the transport of the host that takes this action."""

    def call(self, payload: Mapping[str, object], credentials: Credentials) -> Call:
        """Return the signed request, with the venue's time of now."""

    def answered(self, facts: Mapping[str, str], raw: bytes) -> Found:
        """Return what the reply says; raises `Refused` when it was certainly not taken."""

    async def find(self, facts: Mapping[str, str]) -> Found:
        """Return what became of an action, by reading only; `facts` are those that `steps` gave it."""


def step_of(
    venue: str,
    account: Account,
    action: str,
    title: str,
    fields: Mapping[str, str],
    facts: Mapping[str, str],
    effect: tuple[Means, str, Decimal] | None = None,
    *,
    at_ms: int,
    takes: tuple[str, str, Decimal] | None = None,
    closes: tuple[str, str] = ("", ""),
) -> Step:
    """Return one step. `fields` are the request's own, in their order; `facts` find it again (no value has a space).

    `at_ms` is the venue's time of making; in a reference it has become that of the signature.
    `effect` is what it does to the account (means, asset, amount), `None` for a step that only feeds the next one.
    `takes` is what it takes from funds of the standing (source, asset, amount): a dry run refuses when they fall short.
    `closes` names the position that a reduction is of (contract, "long" or "short"), "" where the asset has but one.
    """
    payload: dict[str, object] = {
        "venue": venue,
        "account": account.name,
        "action": action,
        "fields": dict(fields),
        "facts": {**facts, "at": str(at_ms)},
    }
    if effect is not None:
        position = {"contract": closes[0], "side": closes[1]} if any(closes) else {}
        payload["effect"] = {"means": effect[0].value, "asset": effect[1], "amount": f"{effect[2]:f}", **position}
    if takes is not None:
        payload["takes"] = {"source": takes[0], "asset": takes[1], "amount": f"{takes[2]:f}"}
    return Step(title, payload)


def chosen(account: Account, option: Option) -> Position:
    """Return the position that a reduction closes part of; raises `Refused` unless it is one."""
    facility = option.facility
    contract, side = ("", "") if facility is None else (facility.contract, facility.side)
    found = [
        each
        for each in account.positions
        if each.quantity and each.asset == option.asset and contract in ("", each.contract)
        if side in ("", "long" if each.quantity > 0 else "short")
    ]
    if len(found) != 1:
        raise Refused(account.provider or "venue", f"{len(found)} positions in {option.asset}: reduce at the venue")
    return found[0]


def stepped(value: Decimal, step: Decimal, *, up: bool) -> Decimal:
    """Return `value` as a whole number of steps, down or up."""
    return (value / step).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * step


def decimals_of(step: Decimal) -> int:
    """Return how many decimals a step allows."""
    exponent = step.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def fields_of(payload: Mapping[str, object]) -> dict[str, str]:
    """Return the request's own fields, in their order."""
    return _texts(payload, "fields")


def facts_of(reference: str) -> dict[str, str]:
    """Return the named values of a reference, its first word as `action`."""
    words = reference.split()
    return {"action": words[1] if len(words) > 1 else ""} | dict(w.split("=", 1) for w in words[2:] if "=" in w)


class VenueRescue:
    """A `WalletSource` and a `CollateralWriter` for one configured account. Writes are sent once, whatever happens.

    `source` reads the account anew for dry runs. `wallet` is the account's API key as a signer; without it nothing can
    be sent. `clock` is UTC now in ns.
    """

    def __init__(
        self,
        name: str,
        moves: Moves,
        source: PositionSource,
        wallet: KeySigner | None,
        transports: Sequence[HttpTransport],
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._name, self._moves, self._source, self._wallet = name, moves, source, wallet
        self._transports, self._clock = tuple(transports), clock
        self._told: dict[str, Found] = {}

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._transports:
            await transport.aclose()
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()

    async def standing(self, account: Account) -> Standing:
        """Return what could rescue the account now, and with which key; raises `ProviderError`."""
        found = await self._moves.standing(account)
        facilities = found.facilities
        if account.mode is MarginMode.ISOLATED:
            facilities = tuple(
                replace(each, refused=each.refused or RELEASED) if Means.REDUCE in each.means else each
                for each in facilities
            )
        return replace(found, facilities=facilities, signer="" if self._wallet is None else self._wallet.address)

    async def prepare(self, account: Account, option: Option) -> Sequence[Step]:
        """Return the requests of `option`, unsigned; raises `ProviderError`."""
        made_ms = self._clock() // 1_000_000
        steps = await self._moves.steps(account, option)
        # By our clock: the venue's, by which the facts are, may be off by more than a step stays fresh.
        return [replace(step, payload={**step.payload, "made": str(made_ms)}) for step in steps]

    async def verify(self, account: Account, steps: Sequence[Step]) -> str:
        """Return "" when every step is one of the venue's listed actions, for this account and fresh."""
        if not steps:
            return "there is nothing to send"
        for step in steps:
            payload = step.payload
            if payload.get("venue") != self._moves.venue:
                return f"the step is for {payload.get('venue')}, the account is at {self._moves.venue}"
            if payload.get("account") != account.name:
                return f"the step is for {payload.get('account')}, not for {account.name}"
            if payload.get("action") not in self._moves.actions:
                return f"{payload.get('action')} is not an action that is sent from here"
            age_s = self._clock() / 1e9 - int(str(payload.get("made", "0"))) / 1e3
            if age_s > _VALID_S:
                return f"the step was made {age_s:.0f} s ago; make it again"
        return ""

    async def simulate(self, account: Account, steps: Sequence[Step]) -> Simulation:
        """Return the health after all steps, from a fresh reading: the engine's arithmetic on the venue's figures."""
        standing, reading = await asyncio.gather(self._moves.standing(account), self._source.read())
        if standing.problems:
            return Simulation(None, "; ".join(standing.problems))
        present = next((each for each in reading.accounts if each.name == account.name), None)
        if present is None:
            return Simulation(None, f"{account.name} is gone from the venue: liquidated or closed")
        poor = _short_of(standing, steps)
        if poor:
            return Simulation(None, poor)
        prices = {facility.asset: facility.price for facility in standing.facilities}
        weights = {each.asset: each.liquidation_threshold for each in standing.facilities}
        for step in steps:
            effect = step.payload.get("effect")
            if not isinstance(effect, Mapping):
                continue
            means, asset = Means(str(effect["means"])), str(effect["asset"])
            amount = Decimal(str(effect["amount"]))
            named = str(effect.get("contract", ""))
            marks = [
                each.mark_price
                for each in present.positions
                if each.asset == asset and named in ("", each.contract) and each.quantity
            ]
            price = prices.get(asset) or (Decimal(1) if asset == present.quote else None)
            if means is Means.REDUCE:
                price = marks[0] if marks else None
                held = sum((abs(each.quantity) for each in present.positions if each.asset == asset), Decimal(0))
                if amount > held:
                    return Simulation(None, f"the position in {asset} is {held}, smaller than the {amount} to close")
            if price is None:
                return Simulation(None, f"no price of {asset}")
            contract, side = str(effect.get("contract", "")), str(effect.get("side", ""))
            try:
                # A coin that the account has nothing of yet counts at the weight that the venue gives it.
                weight = weights.get(asset)
                present = with_means(present, means, asset, amount, price, weight=weight, contract=contract, side=side)
            except ValueError as error:
                return Simulation(None, str(error))
            if asset not in {*present.oracles, present.quote} and any(leg.asset == asset for leg in present.collateral):
                present = replace(present, oracles={**present.oracles, asset: OraclePrice(price)})
        return Simulation(health_now(present))

    def sign(self, step: Step, signer: Signer) -> Signed:
        """Return the signed request; raises `Unauthorised` when the key is locked."""
        key = cast(KeySigner, signer)
        call = self._moves.call(step.payload, key.credentials())
        sent = {
            "method": call.method,
            "path": call.path,
            "query": call.query,
            "headers": dict(call.headers),
            "content": None if call.content is None else call.content.decode(),
            "payload": dict(step.payload),
        }
        return Signed(self._reference(step.payload), msgspec.json.encode(sent).decode(), None, self._name)

    async def send(self, signed: Signed) -> None:
        """Hand it to the venue once; raises `Refused` when it was not taken, `Unreachable` when nobody knows."""
        sent = msgspec.json.decode(signed.raw)
        content = sent["content"]
        call = Call(
            sent["method"],
            sent["path"],
            sent["query"],
            sent["headers"],
            None if content is None else content.encode(),
        )
        http = self._moves.http(sent["payload"])
        try:
            raw = await http.call(lambda: call, is_read=False)
            found = self._moves.answered(facts_of(signed.reference), raw)
        except RateLimited as error:
            raise Refused(self._moves.venue, f"not taken, too many requests: {error.detail}") from error
        except Malformed as error:
            raise Unreachable(self._moves.venue, f"the request may have been taken: {error.detail}") from error
        self._told[signed.reference] = found

    async def find(self, signed_reference: str, nonce: int | None, owner: str) -> Found:
        """Return what became of a request: the venue's own answer when it was certain, else by reading."""
        told = self._told.get(signed_reference)
        if told is not None and told.fate in (Fate.CONFIRMED, Fate.REJECTED):
            return told
        facts = facts_of(signed_reference)
        try:
            found = await self._moves.find(facts)
            age_s = self._clock() / 1e9 - int(facts["at"]) / 1e3
        except (KeyError, ValueError, ArithmeticError) as error:
            if isinstance(error, ProviderError):
                raise
            raise Malformed(self._moves.venue, "the reference of the request cannot be read") from error
        if found.fate is Fate.REJECTED and age_s > _REMEMBERED_S:
            return Found(Fate.UNKNOWN, f"{found.evidence}; that is {age_s / 3600:.0f} h ago: look at the venue")
        return found

    def _reference(self, payload: Mapping[str, object]) -> str:
        """Return how a request is found again, dated by its signature.

        A step may wait for the one before it: counted from its making, a request that left a moment ago would already
        pass for one that never arrived.
        """
        facts = _texts(payload, "facts")
        if "made" in payload:
            waited_ms = self._clock() // 1_000_000 - int(str(payload["made"]))
            facts["at"] = str(int(facts["at"]) + max(waited_ms, 0))
        return " ".join(
            (str(payload["venue"]), str(payload["action"]), *(f"{key}={value}" for key, value in facts.items()))
        )


def _short_of(standing: Standing, steps: Sequence[Step]) -> str:
    """Return which funds do not hold any more what the steps take from them, or ""."""
    left = {(funds.source, funds.asset): funds.amount for funds in standing.funds}
    for step in steps:
        takes = step.payload.get("takes")
        if isinstance(takes, Mapping):
            place, amount = (str(takes["source"]), str(takes["asset"])), Decimal(str(takes["amount"]))
            has = left.get(place, Decimal(0))
            if has < amount:
                return f"the {place[0]} has {has:f} {place[1]} now, {amount:f} are needed"
            left[place] = has - amount
    return ""


def _texts(payload: Mapping[str, object], name: str) -> dict[str, str]:
    found = payload.get(name)
    if not isinstance(found, Mapping):
        raise Refused(str(payload.get("venue", "venue")), f"the step has no {name}")
    return {str(key): str(value) for key, value in found.items()}
