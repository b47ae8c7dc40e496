"""Rescues on Hyperliquid: margin for one isolated position, USDC from spot or another dex, and reduce-only orders.

Wire: hyperliquid.gitbook.io, "Exchange endpoint" (read 2026-11): `updateIsolatedMargin` and `order`, L1 actions that an
API wallet may sign; `usdClassTransfer` and `sendAsset`, which only the account's own key may. Every error comes with
HTTP 200. The venue has no dry run, so a simulation is a fresh reading and arithmetic. What became of an action is read
from what it changes: the cash of the position, the ledger of transfers, the order by its own id. There is no gas;
transfers cost nothing.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import msgspec

from engine.accounts import Account
from engine.plan_effect import with_means
from engine.rescue import Facility, Funds, Means, Option, Standing, Tariff
from providers.errors import ConfigError, Malformed, RateLimited, Refused, Unreachable
from providers.http import HttpTransport, shared_budget
from providers.hyperliquid import MAIN_REST
from providers.hyperliquid_actions import (
    EXPIRES_MS,
    MARGIN,
    SEND,
    SPOT,
    SPOT_TO_PERP,
    UNITS,
    digest_of,
    fault_of,
    is_user_signed,
    margin_payload,
    ordered_action,
    reference_of,
    send_payload,
    told,
    transfer_payload,
)
from providers.hyperliquid_close import ORDER, Close, answered, close_payload, order_fate, order_of, price_fault
from providers.hyperliquid_fate import SKEW_MS, facts_of, margin_fate, place, plain, transfer_fate
from providers.hyperliquid_rescue_facts import Right, Scope, health_of, marked, scope_of, short, units_of
from providers.hyperliquid_rescue_reads import HEAVY, LIGHT, USDC, RescueReads
from providers.hyperliquid_rescue_wire import check_taken, parse_transfers
from providers.hyperliquid_signing import signature_json
from providers.hyperliquid_wire import VENUE, AccountMode, dex_of
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found, Signed, Signer, Simulation, Step
from providers.venue_rescue import RELEASED

_WEIGHT_PER_MINUTE = 1200
_PERP = "perp balance"
# Blocks come several times a second and an answer means that one took the action: an estimate, not a promise.
_TARIFF = Tariff(cost_usd=Decimal(0), time_to_land_s=Decimal(1), gas_asset_needed=None)
_SHARED = (AccountMode.UNIFIED, AccountMode.PORTFOLIO)
_LOOKS = 10
_ZERO = Decimal(0)


def make(
    options: AccountOptions, wallet: Signer | str | None = None, *, testnet: bool | None = None
) -> "HyperliquidRescue":
    """Return the rescuer of one configured user; `wallet` is who signs, or its address, and `None` only reads."""
    address = wallet if isinstance(wallet, str) or wallet is None else wallet.address
    return HyperliquidRescue(options, address, testnet=testnet)


class HyperliquidRescue:
    """A `WalletSource` and a `CollateralWriter` for one user. Writes are sent once, whatever happens.

    `testnet` decides which network's signature is made; by default the venue's own test hosts are it, all others are
    mainnet. `clock` is UTC now in ns.
    """

    def __init__(
        self,
        options: AccountOptions,
        wallet_address: str | None = None,
        *,
        testnet: bool | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._name, self._user = options.name, (options.address or "").strip().lower()
        if len(self._user) != 42:
            raise ConfigError(f"{options.name}: hyperliquid needs address, 0x and 40 hex digits")
        rest_url = (options.rest_url or MAIN_REST).rstrip("/")
        self._is_mainnet = "hyperliquid-testnet" not in rest_url if testnet is None else not testnet
        self._wallet, self._clock = (wallet_address or "").lower(), clock
        budget = shared_budget(VENUE, rest_url, _WEIGHT_PER_MINUTE, 60)
        self._http = HttpTransport(VENUE, rest_url, budget=budget, tls_ca=options.tls_ca)
        self._reads = RescueReads(self._http, self._user, self._wallet, clock=clock)
        self._last_nonce = 0
        self._taken: dict[str, Found | None] = {}
        self._looked: dict[int, tuple[int, Found | None]] = {}

    @property
    def is_mainnet(self) -> bool:
        """Return for which network actions are signed."""
        return self._is_mainnet

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def standing(self, account: Account) -> Standing:
        """Return USDC on spot and on every dex, what can be closed, and who may sign; raises `ProviderError`."""
        scope, reads = self._scope(account), self._reads
        mode, purse, spot, right = await asyncio.gather(
            reads.mode(), reads.purse(scope.dex), reads.spot(), reads.right()
        )
        refused, funds = right.nothing, list[Funds]()
        if scope.coin and purse.stake(scope.coin) is None:
            refused = refused or f"there is no position in {scope.coin} any more"
        if mode in _SHARED:
            funds.append(Funds(USDC, spot, SPOT, owner=self._user))
            if not scope.coin:
                refused = refused or "unified account: spot USDC backs the positions already"
        elif scope.dex and not (await reads.rules(scope.dex)).is_usdc:
            refused = refused or f"the collateral of dex {scope.dex} is {account.quote}: it is moved at the venue"
        else:
            if scope.coin and purse.withdrawable is not None:
                funds.append(Funds(USDC, max(purse.withdrawable, _ZERO), _PERP, owner=self._user))
            if not scope.coin:
                refused = refused or right.no_transfer
            if not right.no_transfer and not right.nothing:
                funds += [Funds(USDC, spot, SPOT, owner=self._user)] if spot or not scope.coin else []
                elsewhere = await reads.other_purses(scope.dex)
                funds += [Funds(USDC, free, place(dex), owner=self._user) for dex, free in elsewhere]
            elif not scope.coin:
                funds.append(Funds(USDC, spot, SPOT, owner=self._user))
        add = Facility(
            USDC, frozenset({Means.ADD_MARGIN}), token=USDC, decimals=UNITS, refused=refused, price=Decimal(1)
        )
        lots = await reads.size_decimals(account)
        not_closed = right.nothing or (RELEASED if scope.coin else "")
        closes = [
            Facility(coin, frozenset({Means.REDUCE}), token=coin, decimals=decimals, refused=not_closed)
            for coin, decimals in lots.items()
        ]
        return Standing(
            account.name,
            self._clock(),
            facilities=(add, *closes),
            funds=tuple(funds),
            tariffs={Means.ADD_MARGIN: _TARIFF, Means.REDUCE: _TARIFF},
            signer=self._wallet,
            problems=(right.nothing,) if right.nothing and self._wallet else (),
        )

    async def prepare(self, account: Account, option: Option) -> Sequence[Step]:
        """Return one action, or two when an isolated position is fed from elsewhere; raises `ProviderError`."""
        scope, right = self._scope(account), await self._reads.right()
        if right.nothing:
            raise Refused(VENUE, right.nothing)
        if option.means is Means.REDUCE:
            return [await self._close(account, option, right)]
        if option.means is not Means.ADD_MARGIN or option.asset != USDC:
            raise Refused(VENUE, f"{option.means} of {option.asset} is not sent from here; USDC as add-margin is")
        units = units_of(option)
        source = option.funds.source if option.funds is not None else ""
        steps = []
        if await self._reads.mode() not in _SHARED:
            came_from = _dex_named(source, scope.dex) if source else scope.dex if scope.coin else SPOT
            if came_from != scope.dex:
                steps.append(await self._move(came_from, scope.dex, units, right))
        elif not scope.coin:
            raise Refused(VENUE, "unified account: spot USDC backs the positions already")
        if scope.coin:
            steps.append(await self._margin(scope, units, right))
        return steps

    async def verify(self, account: Account, steps: Sequence[Step]) -> str:
        """Return "" when every step is one of our actions, on this account, network and coin, and still in time."""
        scope, right = self._scope(account), await self._reads.right()
        if right.nothing:
            return right.nothing
        if not steps:
            return "there is nothing to send"
        for step in steps:
            payload = step.payload
            fault = fault_of(payload, self._user, right.vault, self._now_ms(), is_mainnet=self._is_mainnet)
            fault = fault or await self._misfit(account, scope, payload)
            if fault or (is_user_signed(payload) and right.no_transfer):
                return fault or right.no_transfer
        return ""

    async def _misfit(self, account: Account, scope: Scope, payload: Mapping[str, object]) -> str:
        """Return why an action that is sound in itself does not fit this account, "" when it does."""
        kind, coin = told(payload, "type"), str(payload.get("coin", ""))
        if kind in (SEND, SPOT_TO_PERP):
            if str(payload.get("destination", "")) != scope.dex:
                return f"the action feeds {place(str(payload.get('destination', '')))}, not {place(scope.dex)}"
            if kind == SEND and payload.get("token") != await self._reads.usdc_token():
                return "the action moves another token than the venue's USDC"
            return ""
        if kind == MARGIN and coin != scope.coin:
            return f"the action is for {coin}, the account is {scope.coin or 'cross'}"
        if kind == ORDER and coin not in {held.asset for held in account.positions}:
            return f"the order is for {coin}, which {account.name} does not hold"
        number = told(payload, "asset") if kind == MARGIN else order_of(payload)["a"]
        if number != await self._reads.asset_id(coin):
            return f"asset id {number} is not {coin} any more"
        if kind == ORDER:
            stake = (await self._reads.purse(dex_of(coin))).stake(coin)
            if stake is None or stake.size != Decimal(str(payload["held"])):
                return f"the position in {coin} changed; prepare it again"
            return price_fault(payload, stake.mark_price)
        return ""

    async def simulate(self, account: Account, steps: Sequence[Step]) -> Simulation:
        """Return the health after all steps: the account at the venue's marks of now, plus what is added or closed.

        An account whose positions are not those that the venue shows now is refused: it must be read again.
        """
        scope, reads = self._scope(account), self._reads
        mode, purse, spot = await asyncio.gather(reads.mode(), reads.purse(scope.dex), reads.spot())
        present = marked(account, purse)
        if present is None:
            return Simulation(None, f"the positions of {account.name} changed; it must be read again")
        own = SPOT if mode in _SHARED else scope.dex
        free = {SPOT: spot, **({} if own == SPOT else {own: purse.withdrawable or _ZERO})}
        for step in steps:
            payload = step.payload
            if told(payload, "type") == ORDER:
                coin, size = str(payload["coin"]), Decimal(str(payload["closes"]))
                mark = next((held.mark_price for held in present.positions if held.asset == coin), None)
                if mark is None:
                    return Simulation(None, f"no mark price of {coin}")
                try:
                    present = with_means(present, Means.REDUCE, coin, size, mark)
                except ValueError as error:
                    return Simulation(None, str(error))
                continue
            amount = Decimal(int(str(payload["units"]))).scaleb(-UNITS)
            is_margin = told(payload, "type") == MARGIN
            source = own if is_margin else str(payload.get("source", SPOT))
            if source not in free:
                free[source] = (await reads.purse(source)).withdrawable or _ZERO
            if amount > free[source]:
                return Simulation(None, f"{place(source)} has {free[source]} USDC to spare, {amount} are needed")
            free[source] -= amount
            if is_margin:
                stake = purse.stake(scope.coin)
                if stake is None or not stake.is_isolated:
                    return Simulation(None, f"there is no isolated position in {scope.coin} any more")
            elif scope.coin:
                free[scope.dex] = free.get(scope.dex, _ZERO) + amount
                continue
            present = replace(present, balance=present.balance + amount)
        return Simulation(health_of(present))

    def sign(self, step: Step, signer: Signer) -> Signed:
        """Return the signed request; raises `Refused` for an action that is not ours, `Unauthorised` when locked."""
        payload = step.payload
        if signer.address.lower() != self._wallet:
            raise Refused(VENUE, f"the signer {short(signer.address)} is not the one that was planned with")
        signature = signature_json(signer.sign_digest(digest_of(payload, is_mainnet=self._is_mainnet)))
        request = {
            "action": ordered_action(payload),
            "nonce": payload["nonce"],
            "signature": signature,
            "vaultAddress": payload["vaultAddress"],
            "expiresAfter": payload["expiresAfter"],
        }
        nonce = int(str(payload["nonce"]))
        return Signed(reference_of(payload), msgspec.json.encode(request).decode(), nonce, self._user)

    async def send(self, signed: Signed) -> None:
        """Hand it to the venue once; raises `Refused` when it was not taken, `Unreachable` when nobody knows."""
        try:
            raw = await self._http.post("/exchange", signed.raw.encode(), weight=1)
        except RateLimited as error:
            raise Refused(VENUE, f"not taken, too many requests: {error.detail}") from error
        except Malformed as error:
            raise Unreachable(VENUE, f"the action may have been taken: {error.detail}") from error
        check_taken(raw)
        facts = facts_of(signed.reference)
        self._taken[signed.reference] = answered(raw, facts["coin"]) if signed.reference.startswith(ORDER) else None

    async def find(self, signed_reference: str, nonce: int | None, owner: str) -> Found:
        """Return what became of an action, read from what it would have changed; raises `ProviderError`."""
        facts, owner = facts_of(signed_reference), owner or self._user
        answer = self._taken.get(signed_reference)
        if answer is not None and answer.fate is Fate.CONFIRMED:
            return answer
        try:
            nonce_ms = int(facts["nonce"])
            if signed_reference.startswith(ORDER):
                return await self._find_order(facts, owner)
            if signed_reference.startswith(MARGIN):
                found = margin_fate(facts, await self._reads.purse(dex_of(facts["coin"]), owner))
            else:
                found = await self._find_transfer(facts, nonce_ms, owner)
        except (KeyError, ValueError, ArithmeticError) as error:
            raise Malformed(VENUE, "the reference of the action cannot be read") from error
        if found.fate in (Fate.CONFIRMED, Fate.REJECTED) or signed_reference not in self._taken:
            return found
        if self._now_ms() < nonce_ms + SKEW_MS and found.fate is Fate.PENDING:
            return found
        return Found(Fate.CONFIRMED, "the venue said ok")

    async def _find_order(self, facts: Mapping[str, str], owner: str) -> Found:
        """Look for the order first and read the position after it, so that a fill in between is not missed."""
        raw = await self._reads.ask("orderStatus", LIGHT, user=owner, oid=facts["cloid"])
        return order_fate(facts, raw, await self._reads.purse(dex_of(facts["coin"]), owner), SKEW_MS)

    async def _find_transfer(self, facts: Mapping[str, str], nonce_ms: int, owner: str) -> Found:
        """Look into the ledger, a heavy request: less often the older the action, not at every question."""
        now_ms = self._clock() // 1_000_000
        looked_ms, found = self._looked.get(nonce_ms, (0, None))
        if found is None or now_ms - looked_ms >= (self._now_ms() - nonce_ms) / _LOOKS:
            since_ms = nonce_ms - SKEW_MS
            raw = await self._reads.ask("userNonFundingLedgerUpdates", HEAVY, user=owner, startTime=since_ms)
            found = transfer_fate(facts, parse_transfers(raw), await self._reads.purse("", owner))
            self._looked[nonce_ms] = (now_ms, found)
        return found

    async def _move(self, source: str, destination: str, units: int, right: Right) -> Step:
        """Return the step that moves USDC between spot and dexes; the oldest action for it where that suffices."""
        if right.no_transfer:
            raise Refused(VENUE, right.no_transfer)
        usd = plain(Decimal(units).scaleb(-UNITS))
        title = f"transfer {usd} USDC from {place(source)} to {place(destination)}"
        if (source, destination) == (SPOT, ""):
            payload = transfer_payload(self._user, units, self._nonce(), right.vault, is_mainnet=self._is_mainnet)
            return Step(title, payload)
        token = await self._reads.usdc_token()
        ends = (self._user, source, destination, token)
        return Step(title, send_payload(*ends, units, self._nonce(), right.vault, is_mainnet=self._is_mainnet))

    async def _margin(self, scope: Scope, units: int, right: Right) -> Step:
        asset_id, purse = await asyncio.gather(self._reads.asset_id(scope.coin), self._reads.purse(scope.dex))
        stake = purse.stake(scope.coin)
        if asset_id is None or stake is None or not stake.is_isolated:
            raise Refused(VENUE, f"there is no isolated position in {scope.coin}")
        if stake.raw_usd is None:
            raise Refused(VENUE, f"the venue does not tell the cash of {scope.coin}: its margin could not be followed")
        nonce = self._nonce()
        payload = margin_payload(
            self._user, asset_id, stake, units, nonce, right.vault, nonce + EXPIRES_MS, is_mainnet=self._is_mainnet
        )
        usd = Decimal(units).scaleb(-UNITS)
        return Step(f"add {plain(usd)} USDC margin to {scope.coin}", payload)

    async def _close(self, account: Account, option: Option, right: Right) -> Step:
        """Return the reduce-only order that closes part of a position of this account."""
        coin, reads = option.asset, self._reads
        if coin not in {held.asset for held in account.positions}:
            raise Refused(VENUE, f"{account.name} has no position in {coin}")
        asset_id, purse, lots = await asyncio.gather(
            reads.asset_id(coin), reads.purse(dex_of(coin)), reads.size_decimals(account)
        )
        stake = purse.stake(coin)
        if asset_id is None or coin not in lots or stake is None or stake.mark_price is None:
            raise Refused(VENUE, f"the venue does not tell lot, mark or position of {coin}")
        nonce = self._nonce()
        close = Close(coin, asset_id, stake.size, option.amount, stake.mark_price, lots[coin])
        payload = close_payload(self._user, close, nonce, right.vault, nonce + EXPIRES_MS, is_mainnet=self._is_mainnet)
        side = "buy" if stake.size < 0 else "sell"
        bound = order_of(payload)["p"]
        return Step(f"{side} {option.amount:f} {coin} reduce-only, at {bound} or better", payload)

    def _now_ms(self) -> int:
        """Return the venue's time now: what is signed is valid by its clock, not by ours."""
        return self._reads.venue_clock.now_ms()

    def _scope(self, account: Account) -> Scope:
        return scope_of(account, self._name)

    def _nonce(self) -> int:
        """Return the venue's time in ms, always above the last one: two actions must not share it."""
        self._last_nonce = max(self._now_ms(), self._last_nonce + 1)
        return self._last_nonce


def _dex_named(source: str, own: str) -> str:
    """Return the dex that funds of a standing name; `own` for the account's own balance."""
    if source in ("", _PERP):
        return own
    return "" if source == place("") else source.removeprefix("dex ")
