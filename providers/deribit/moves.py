"""Rescues at Deribit: margin from one of the owner's own subaccounts, and part of a position closed within a bound.

Wire: docs.deribit.com, `private/submit_transfer_between_subaccounts`, `get_transfers`, `get_subaccounts`, `buy`,
`sell`, `get_order_state_by_label` (API 2.1.1, read 2026-11). Only the main account's key may name a
source, and only its own subaccounts can be one: the one that the config names as `subaccount` must be among them.
A transfer has no number of ours: it is told from others by amount, time and the venue's numbers known before.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import inf

from engine.accounts import Account, Position
from engine.rendering import plain
from engine.rescue import Facility, Funds, Means, Option, Standing, Tariff
from providers.credentials import Credentials
from providers.deribit.legs import DOLLARS
from providers.deribit.moves_wire import (
    LISTED,
    Own,
    Rules,
    order_fate,
    orders_fate,
    parse_own,
    parse_rules,
    parse_transfers,
    transfer_fate,
    transfers_fate,
)
from providers.deribit.reader import Client
from providers.deribit.signing import INSTRUMENTS_COST, MOVE_SCOPE, ORDER_SCOPE, VENUE, allows, new_nonce, private_call
from providers.deribit.source import DeribitAccounts, key_of, transport
from providers.deribit.wire import name_of, parse_summaries, parse_ticker
from providers.errors import ConfigError, Malformed, Refused, Unauthorised
from providers.http import Call, HttpTransport
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found, KeySigner, Step
from providers.venue_clock import VenueClock
from providers.venue_rescue import REDUCE_BOUND, VenueRescue, chosen, decimals_of, fields_of, step_of, stepped

_TRANSFER, _SELL, _BUY = "transfer", "sell", "buy"
_METHODS = {
    _TRANSFER: "private/submit_transfer_between_subaccounts",
    _SELL: "private/sell",
    _BUY: "private/buy",
}
_TARIFF = Tariff(cost_usd=Decimal(0), time_to_land_s=Decimal(2))
_CLOSING = Tariff(time_to_land_s=Decimal(1))
_RULES_S, _SCOPES_S = 3600.0, 60.0
_COIN_DECIMALS, _STABLE_DECIMALS = 8, 6
# Sizes of inverse contracts are dollars; this many digits of a base quantity tell one from the next.
_BASE_DECIMALS = 10
_GRACE_MS = 60_000
# `get_order_state_by_label` tells of recent orders; the venue keeps those that ended for half an hour.
_RECENT_MS = 25 * 60_000
_CENT = Decimal("0.01")


def make(options: AccountOptions, wallet: KeySigner | None = None) -> VenueRescue:
    """Return the rescuer of one configured login; `wallet` is its key as a signer, `None` only reads."""
    moves = DeribitMoves(options)
    return VenueRescue(options.name, moves, DeribitAccounts(options), wallet, (moves.transport,))


class DeribitMoves:
    """What moves margin at one login; a `providers.venue_rescue.Moves`."""

    venue = VENUE
    actions = frozenset(_METHODS)

    def __init__(self, options: AccountOptions) -> None:
        credentials = key_of(options)
        self._source = _number(options)
        self.transport = transport(options, credentials)
        self._client = Client(self.transport, credentials, VenueClock())
        self._hint = credentials
        self._rules: dict[str, tuple[float, Mapping[str, Rules]]] = {}
        self._scopes: tuple[float, frozenset[str] | None] = (-inf, None)

    async def standing(self, account: Account) -> Standing:
        """Return what the subaccount can spare, what can be closed, which scope is lacking; raises `ProviderError`."""
        scopes = await self._allowed()
        lacks_move, lacks_order = (
            "" if scopes is None or allows(scopes, scope) else f"{self._hint.hint} lacks the scope {scope}"
            for scope in (MOVE_SCOPE, ORDER_SCOPE)
        )
        refused = lacks_move
        if not refused and self._source is None:
            refused = 'no subaccount to take margin from is configured: subaccount = "NUMBER"'
        own: Own | None = None
        if not refused:
            own = await self._own()
            refused = self._unfit(own, scopes)
        facilities, funds = [], []
        for currency in self._currencies(account, own):
            price = _price(account, currency)
            facilities.append(
                Facility(
                    currency,
                    frozenset({Means.ADD_MARGIN}),
                    token=currency,
                    decimals=_STABLE_DECIMALS if currency in DOLLARS else _COIN_DECIMALS,
                    refused=refused,
                    liquidation_threshold=Decimal(1),
                    price=price,
                )
            )
            if own is not None and not refused:
                funds.append(Funds(currency, own.free.get(currency, Decimal(0)), own.label, owner=str(self._source)))
        closings = await self._closings(account, lacks_order)
        return Standing(
            account.name,
            time.time_ns(),
            facilities=(*closings, *facilities),
            funds=tuple(funds),
            tariffs={Means.ADD_MARGIN: _TARIFF, Means.REDUCE: _CLOSING},
            problems=(f"{lacks_move}, and {lacks_order}",) if lacks_move and lacks_order else (),
        )

    async def steps(self, account: Account, option: Option) -> Sequence[Step]:
        """Return the one step of `option`; raises `ProviderError`."""
        await self._client.measure()
        if option.means is Means.REDUCE:
            return [await self._close(account, option)]
        if option.means is not Means.ADD_MARGIN or option.asset not in self._currencies(account, None):
            raise Refused(VENUE, f"{option.means} of {option.asset} is not sent from here")
        own = await self._own()
        refused = self._unfit(own, await self._allowed())
        if refused:
            raise Refused(VENUE, refused)
        login = parse_summaries(await self._client.private("private/get_account_summaries", extended="true"))
        if login.user_id is None:
            raise Refused(VENUE, "the venue does not tell the number of this account")
        asset, amount = option.asset, plain(option.amount)
        known = parse_transfers(await self._transfers(asset))
        fields = {
            "currency": asset,
            "amount": amount,
            "destination": str(login.user_id),
            "source": str(self._source),
        }
        facts = {"currency": asset, "amount": amount, "last": str(max((each.number for each in known), default=0))}
        return [
            step_of(
                VENUE,
                account,
                _TRANSFER,
                f"transfer {amount} {asset} from {own.label} to this account",
                fields,
                facts,
                (Means.ADD_MARGIN, asset, option.amount),
                at_ms=self._client.venue_clock.now_ms(),
                takes=(own.label, asset, option.amount),
            )
        ]

    def http(self, payload: Mapping[str, object]) -> HttpTransport:
        """Return the transport of the venue's one host."""
        return self.transport

    def call(self, payload: Mapping[str, object], credentials: Credentials) -> Call:
        """Return the signed request, with the venue's time of now."""
        method = _METHODS[str(payload["action"])]
        return private_call(method, fields_of(payload), credentials, self._client.venue_clock.now_ms(), new_nonce())

    def answered(self, facts: Mapping[str, str], raw: bytes) -> Found:
        """Return what the reply says; raises `Malformed` when it says nothing that we know."""
        return transfer_fate(raw) if facts["action"] == _TRANSFER else order_fate(raw)

    async def find(self, facts: Mapping[str, str]) -> Found:
        """Return what became of an action, by reading only; raises `ProviderError`."""
        await self._client.measure()
        if facts["action"] == _TRANSFER:
            found = transfers_fate(await self._transfers(facts["currency"]), facts)
        else:
            wanted = {"currency": facts["currency"], "label": facts["label"]}
            found = orders_fate(
                await self._client.private("private/get_order_state_by_label", **wanted), facts["label"]
            )
        if found is not None:
            return found
        age_ms = self._client.venue_clock.now_ms() - int(facts["at"])
        if age_ms < _GRACE_MS:
            return Found(Fate.PENDING, "the venue does not list it yet")
        if facts["action"] != _TRANSFER and age_ms > _RECENT_MS:
            return Found(Fate.UNKNOWN, f"the venue tells of recent orders only, this one is {age_ms // 60_000} min old")
        return Found(Fate.REJECTED, f"the venue lists none {age_ms // 1000} s after it was made: it was never taken")

    async def _close(self, account: Account, option: Option) -> Step:
        position = chosen(account, option)
        rules = (await self._rules_of(position.contract)).get(position.contract)
        if rules is None or position.entry_price is None:
            raise Refused(VENUE, f"no rules for orders of {position.contract}")
        amount = min(option.amount, abs(position.quantity))
        # An inverse contract is ordered in dollars of face value, which its base quantity came from.
        size = amount * position.entry_price if position.inverse else amount
        size = stepped(size.quantize(_CENT) if position.inverse else size, rules.lot, up=False)
        if size <= 0:
            raise Refused(VENUE, f"{plain(option.amount)} {option.asset} is less than one lot of {position.contract}")
        is_long = position.quantity > 0
        mark = parse_ticker(await self._client.public("public/ticker", instrument_name=position.contract)).mark_price
        bound = mark * (1 - REDUCE_BOUND) if is_long else mark * (1 + REDUCE_BOUND)
        price, label = plain(stepped(bound, rules.tick_at(bound), up=is_long)), f"ml-{secrets.token_hex(8)}"
        fields = {
            "instrument_name": position.contract,
            "amount": plain(size),
            "type": "limit",
            "price": price,
            "time_in_force": "immediate_or_cancel",
            "reduce_only": "true",
            "label": label,
        }
        closed = size / position.entry_price if position.inverse else size
        verb = _SELL if is_long else _BUY
        return step_of(
            VENUE,
            account,
            verb,
            f"{verb} {plain(size)} {position.contract} at {price} or better, reduce-only, at once or not at all",
            fields,
            {"currency": name_of(position.contract).currency, "label": label, "amount": plain(size)},
            (Means.REDUCE, option.asset, closed),
            at_ms=self._client.venue_clock.now_ms(),
            closes=(position.contract, "long" if is_long else "short"),
        )

    async def _closings(self, account: Account, refused: str) -> tuple[Facility, ...]:
        """Return what can be closed of each future by orders."""
        found = []
        for position in (each for each in account.positions if each.quantity and "-" in each.contract):
            rules = (await self._rules_of(position.contract)).get(position.contract)
            if rules is not None:
                found.append(_closing(position, rules, refused))
        return tuple(found)

    async def _rules_of(self, contract: str) -> Mapping[str, Rules]:
        """Return the rules of all futures that settle in the contract's currency, read once an hour."""
        currency, now_s = name_of(contract).currency, asyncio.get_running_loop().time()
        read_s, rules = self._rules.get(currency, (-inf, {}))
        if now_s - read_s > _RULES_S:
            asked = {"currency": currency, "kind": "future", "expired": "false"}
            rules = parse_rules(await self._client.public("public/get_instruments", INSTRUMENTS_COST, **asked))
            self._rules[currency] = (now_s, rules)
        return rules

    async def _allowed(self) -> frozenset[str] | None:
        """Return what the key may do; `None` when the venue would not say, and the request itself will tell."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._scopes[0] > _SCOPES_S:
            try:
                found = await self._client.scopes()
            except (Refused, Malformed) as error:
                if isinstance(error, Unauthorised):
                    raise
                return None
            self._scopes = (now_s, found)
        return self._scopes[1]

    async def _own(self) -> Own:
        raw = await self._client.private("private/get_subaccounts", with_portfolio="true")
        return parse_own(raw, self._source)

    async def _transfers(self, currency: str) -> bytes:
        return await self._client.private("private/get_transfers", currency=currency, count=str(LISTED))

    def _unfit(self, own: Own, scopes: frozenset[str] | None) -> str:
        """Return why nothing can come from the configured subaccount, or ""."""
        if not own.is_listed:
            return f"subaccount {self._source} is not one of this login's own; nothing is taken from any other"
        if scopes is not None and "mainaccount" not in scopes:
            return f"{self._hint.hint} is not the main account's: only that may take from a subaccount"
        return ""

    def _currencies(self, account: Account, own: Own | None) -> Sequence[str]:
        """Return what may be added: the account's one currency, or whatever backs a cross account."""
        _, _, currency = account.name.partition(":")
        if currency:
            return (currency,)
        backing = {leg.asset for leg in account.collateral}
        return sorted(backing | ({name for name, free in own.free.items() if free} if own else set()))


def _number(options: AccountOptions) -> int | None:
    said = (options.subaccount or "").strip()
    if not said:
        return None
    if not (said.isascii() and said.isdigit()):
        raise ConfigError(f'{options.name}: subaccount is a number at {VENUE}, as in subaccount = "12345"')
    return int(said)


def _price(account: Account, currency: str) -> Decimal | None:
    if currency == account.quote:
        return Decimal(1)
    oracle = account.oracles.get(currency)
    return None if oracle is None else oracle.price


def _closing(position: Position, rules: Rules, refused: str) -> Facility:
    return Facility(
        position.asset,
        frozenset({Means.REDUCE}),
        token=position.contract,
        decimals=_BASE_DECIMALS if position.inverse else decimals_of(rules.lot),
        refused=refused,
        contract=position.contract,
        side="long" if position.quantity > 0 else "short",
    )
