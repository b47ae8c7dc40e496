"""Rescues on Hyperliquid: margin for one isolated position, and USDC from spot to perp for the cross account.

Wire: hyperliquid.gitbook.io, "Exchange endpoint" (read 2026-11): `updateIsolatedMargin`, an L1 action that an API
wallet may sign, and `usdClassTransfer`, which only the account's own key may. Every error comes with HTTP 200. The
venue has no dry run, so a simulation is a fresh reading and arithmetic. What became of an action is read from what it
changes: the cash of the position, the ledger of transfers. There is no gas and no fee.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Context, Decimal

import msgspec

from engine.accounts import Account
from engine.rescue import Facility, Funds, Means, Option, Standing, Tariff
from providers.errors import ConfigError, Malformed, RateLimited, Refused, Unreachable
from providers.http import HttpTransport, shared_budget
from providers.hyperliquid import MAIN_REST
from providers.hyperliquid_actions import (
    EXPIRES_MS,
    MARGIN,
    SPOT_TO_PERP,
    UNITS,
    digest_of,
    fault_of,
    margin_payload,
    ordered_action,
    reference_of,
    told,
    transfer_payload,
)
from providers.hyperliquid_fate import SKEW_MS, facts_of, margin_fate, plain, transfer_fate
from providers.hyperliquid_rescue_facts import (
    Right,
    Scope,
    health_of,
    marked,
    right_of,
    scope_of,
    short,
    units_of,
)
from providers.hyperliquid_rescue_wire import (
    Purse,
    Role,
    check_taken,
    parse_asset_id,
    parse_free,
    parse_purse,
    parse_role,
    parse_transfers,
)
from providers.hyperliquid_signing import signature_json
from providers.hyperliquid_wire import VENUE, AccountMode, dex_of, parse_mode
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found, Signed, Signer, Simulation, Step

_USDC = "USDC"
_LIGHT, _HEAVY, _ROLE = 2, 20, 60
_WEIGHT_PER_MINUTE = 1200
_SPOT, _PERP = "spot", "perp balance"
# Blocks come several times a second and an answer means that one took the action: an estimate, not a promise.
_TARIFF = Tariff(cost_usd=Decimal(0), time_to_land_s=Decimal(1), gas_asset_needed=None)
# What changes only by the user's own doing is not asked for at every step.
_ROLE_S, _MODE_S, _LOOKS = 600.0, 30.0, 10
_ZERO = Decimal(0)
_EXACT = Context(prec=60)


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
        self._last_nonce = 0
        self._mode_read: tuple[float, AccountMode] | None = None
        self._roles: dict[str, tuple[float, Role]] = {}
        self._taken: set[str] = set()
        self._looked: dict[int, tuple[int, Found | None]] = {}

    @property
    def is_mainnet(self) -> bool:
        """Return for which network actions are signed."""
        return self._is_mainnet

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def standing(self, account: Account) -> Standing:
        """Return spot USDC, what the perp side can spare, and who may sign; raises `ProviderError`."""
        scope = self._scope(account)
        mode, purse, spot, right = await asyncio.gather(self._mode(), self._purse(scope), self._spot(), self._right())
        shares = mode in (AccountMode.UNIFIED, AccountMode.PORTFOLIO)
        refused = right.nothing
        funds = []
        if not scope.coin:
            funds.append(Funds(_USDC, spot, _SPOT, owner=self._user))
            if shares:
                refused = refused or "unified account: spot USDC backs the positions already"
            elif scope.dex:
                refused = refused or f"margin of dex {scope.dex} is moved at the venue, not from here"
            refused = refused or right.no_transfer
        else:
            if shares:
                funds.append(Funds(_USDC, spot, _SPOT, owner=self._user))
            elif purse.withdrawable is not None:
                funds.append(Funds(_USDC, max(purse.withdrawable, _ZERO), _PERP, owner=self._user))
            if not shares and not scope.dex and not right.no_transfer and spot:
                funds.append(Funds(_USDC, spot, _SPOT, owner=self._user))
            if purse.stake(scope.coin) is None:
                refused = refused or f"there is no position in {scope.coin} any more"
        facility = Facility(
            _USDC, frozenset({Means.ADD_MARGIN}), token=_USDC, decimals=UNITS, refused=refused, price=Decimal(1)
        )
        return Standing(
            account.name,
            self._clock(),
            facilities=(facility,),
            funds=tuple(funds),
            tariffs={Means.ADD_MARGIN: _TARIFF},
            signer=self._wallet,
            problems=(right.nothing,) if right.nothing and self._wallet else (),
        )

    async def prepare(self, account: Account, option: Option) -> Sequence[Step]:
        """Return one action, or two when an isolated position is fed from spot; raises `ProviderError`."""
        if option.means is not Means.ADD_MARGIN or option.asset != _USDC:
            raise Refused(VENUE, f"{option.means} of {option.asset} is not sent from here; USDC as add-margin is")
        units = units_of(option)
        scope, right = self._scope(account), await self._right()
        if right.nothing:
            raise Refused(VENUE, right.nothing)
        source = option.funds.source if option.funds is not None else ""
        mode = await self._mode()
        is_standard = mode not in (AccountMode.UNIFIED, AccountMode.PORTFOLIO)
        steps = []
        if not scope.coin or (source == _SPOT and is_standard and not scope.dex):
            steps.append(self._transfer(units, right))
        if scope.coin:
            steps.append(await self._margin(scope, units, right))
        return steps

    async def verify(self, account: Account, steps: Sequence[Step]) -> str:
        """Return "" when every step is one of our two actions, on this account, network and coin, and still in time."""
        scope, right = self._scope(account), await self._right()
        if right.nothing:
            return right.nothing
        if not steps:
            return "there is nothing to send"
        for step in steps:
            payload = step.payload
            fault = fault_of(payload, self._user, right.vault, self._clock() // 1_000_000, is_mainnet=self._is_mainnet)
            if fault:
                return fault
            if told(payload, "type") == MARGIN:
                if payload.get("coin") != scope.coin:
                    return f"the action is for {payload.get('coin')}, the account is {scope.coin or 'cross'}"
                if told(payload, "asset") != await self._asset_id(scope):
                    return f"asset id {told(payload, 'asset')} is not {scope.coin} any more"
            elif right.no_transfer:
                return right.no_transfer
        return ""

    async def simulate(self, account: Account, steps: Sequence[Step]) -> Simulation:
        """Return the health after all steps: the account at the venue's marks of now, plus what is added.

        An account whose positions are not those that the venue shows now is refused: it must be read again.
        """
        scope = self._scope(account)
        mode, purse, spot = await asyncio.gather(self._mode(), self._purse(scope), self._spot())
        present = marked(account, purse)
        if present is None:
            return Simulation(None, f"the positions of {account.name} changed; it must be read again")
        spare = purse.withdrawable or _ZERO
        if mode in (AccountMode.UNIFIED, AccountMode.PORTFOLIO):
            spare = spot
        added = _ZERO
        for step in steps:
            amount = Decimal(int(str(step.payload["units"]))).scaleb(-UNITS)
            if told(step.payload, "type") == SPOT_TO_PERP:
                if amount > spot:
                    return Simulation(None, f"spot has {spot} USDC free, {amount} are needed")
                spot, spare = spot - amount, spare + amount
                added += amount if not scope.coin else _ZERO
                continue
            stake = purse.stake(scope.coin)
            if stake is None or not stake.is_isolated:
                return Simulation(None, f"there is no isolated position in {scope.coin} any more")
            if amount > spare:
                return Simulation(None, f"{spare} USDC can be spared, {amount} are needed")
            spare, added = spare - amount, added + amount
        return Simulation(health_of(replace(present, balance=present.balance + added)))

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
        self._taken.add(signed.reference)

    async def find(self, signed_reference: str, nonce: int | None, owner: str) -> Found:
        """Return what became of an action, read from what it would have changed; raises `ProviderError`."""
        facts, owner = facts_of(signed_reference), owner or self._user
        try:
            nonce_ms = int(facts["nonce"])
            if signed_reference.startswith(MARGIN):
                coin = facts["coin"]
                found = margin_fate(facts, await self._purse(Scope(dex_of(coin), coin), owner))
            else:
                found = await self._find_transfer(facts, nonce_ms, owner)
        except (KeyError, ValueError, ArithmeticError) as error:
            raise Malformed(VENUE, "the reference of the action cannot be read") from error
        if found.fate in (Fate.CONFIRMED, Fate.REJECTED) or signed_reference not in self._taken:
            return found
        if self._clock() // 1_000_000 < nonce_ms + SKEW_MS and found.fate is Fate.PENDING:
            return found
        return Found(Fate.CONFIRMED, "the venue said ok")

    async def _find_transfer(self, facts: Mapping[str, str], nonce_ms: int, owner: str) -> Found:
        """Look into the ledger, a heavy request: less often the older the action, not at every question."""
        now_ms = self._clock() // 1_000_000
        looked_ms, found = self._looked.get(nonce_ms, (0, None))
        if found is None or now_ms - looked_ms >= (now_ms - nonce_ms) / _LOOKS:
            since_ms = nonce_ms - SKEW_MS
            raw = await self._ask("userNonFundingLedgerUpdates", _HEAVY, user=owner, startTime=since_ms)
            found = transfer_fate(facts, parse_transfers(raw), await self._purse(Scope(""), owner))
            self._looked[nonce_ms] = (now_ms, found)
        return found

    def _transfer(self, units: int, right: Right) -> Step:
        if right.no_transfer:
            raise Refused(VENUE, right.no_transfer)
        payload = transfer_payload(self._user, units, self._nonce(), right.vault, is_mainnet=self._is_mainnet)
        usd = Decimal(units).scaleb(-UNITS)
        return Step(f"transfer {plain(usd)} USDC from spot to perp", payload)

    async def _margin(self, scope: Scope, units: int, right: Right) -> Step:
        asset_id, purse = await asyncio.gather(self._asset_id(scope), self._purse(scope))
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

    async def _right(self) -> Right:
        """Return what the wallet may do for the user."""
        if not self._wallet or self._wallet == self._user:
            return right_of(self._wallet, self._user)
        of_user, of_wallet = await asyncio.gather(self._role(self._user), self._role(self._wallet))
        return right_of(self._wallet, self._user, of_user, of_wallet)

    async def _role(self, address: str) -> Role:
        now_s = asyncio.get_running_loop().time()
        read_s, role = self._roles.get(address, (0.0, None))
        if role is None or now_s > read_s + _ROLE_S:
            role = parse_role(await self._ask("userRole", _ROLE, user=address))
            self._roles[address] = (now_s, role)
        return role

    async def _mode(self) -> AccountMode:
        now_s = asyncio.get_running_loop().time()
        if self._mode_read is None or now_s > self._mode_read[0] + _MODE_S:
            mode = parse_mode(await self._ask("userAbstraction", _HEAVY, user=self._user))
            if mode is AccountMode.UNKNOWN:
                raise Refused(VENUE, "account mode of a new kind: nothing can be moved from here")
            self._mode_read = now_s, mode
        return self._mode_read[1]

    async def _purse(self, scope: Scope, user: str | None = None) -> Purse:
        return parse_purse(await self._ask("clearinghouseState", _LIGHT, user=user or self._user, **scope.fields))

    async def _spot(self) -> Decimal:
        return parse_free(await self._ask("spotClearinghouseState", _LIGHT, user=self._user), _USDC)

    async def _asset_id(self, scope: Scope) -> int | None:
        meta = await self._ask("meta", _HEAVY, **scope.fields)
        dexes = await self._ask("perpDexs", _HEAVY) if scope.dex else None
        return parse_asset_id(meta, dexes, scope.coin)

    async def _ask(self, kind: str, weight: int, **fields: str | int) -> bytes:
        return await self._http.post("/info", {"type": kind, **fields}, is_read=True, weight=weight)

    def _scope(self, account: Account) -> Scope:
        return scope_of(account, self._name)

    def _nonce(self) -> int:
        """Return UTC now in ms, always above the last one: two actions must not share it."""
        self._last_nonce = max(self._clock() // 1_000_000, self._last_nonce + 1)
        return self._last_nonce
