"""What a Hyperliquid rescue reads, by REST alone; what changes only by the user's own doing is not asked every time."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from math import inf

from engine.accounts import Account
from providers.errors import Malformed, Refused, Unreachable
from providers.http import HttpTransport
from providers.hyperliquid_rescue_facts import Right, right_of
from providers.hyperliquid_rescue_wire import (
    Purse,
    Role,
    Rules,
    parse_asset_id,
    parse_free,
    parse_purse,
    parse_role,
    parse_rules,
)
from providers.hyperliquid_spot_wire import parse_dexes, parse_tokens
from providers.hyperliquid_wire import VENUE, AccountMode, dex_of, parse_mode
from providers.venue_clock import MS_NS, VenueClock

USDC = "USDC"
LIGHT, HEAVY, _ROLE = 2, 20, 60
_ROLE_S, _MODE_S, _DEXES_S, _RULES_S, _CLOCK_S = 600.0, 30.0, 120.0, 60.0, 60.0


class RescueReads:
    """Reads for the rescue of one user, signed for by `wallet` ("" for nobody), both addresses in lower case.

    `venue_clock` is the venue's time, learnt from the states that are read: an action expires by it.
    """

    def __init__(self, http: HttpTransport, user: str, wallet: str, *, clock: Callable[[], int]) -> None:
        self._http, self._user, self._wallet = http, user, wallet
        self._clock, self.venue_clock = clock, VenueClock(clock=clock)
        self._measured_s = -inf
        self._mode: tuple[float, AccountMode] | None = None
        self._roles: dict[str, tuple[float, Role]] = {}
        self._dexes: tuple[float, tuple[str, ...]] | None = None
        self._rules: dict[str, tuple[float, Rules]] = {}
        self._token = ""

    async def ask(self, kind: str, weight: int, **fields: str | int) -> bytes:
        """Return the reply of one info request; raises `ProviderError`."""
        return await self._http.post("/info", {"type": kind, **fields}, is_read=True, weight=weight)

    async def mode(self) -> AccountMode:
        """Return where collateral lives; raises `Refused` for an account mode that we do not know."""
        now_s = asyncio.get_running_loop().time()
        if self._mode is None or now_s > self._mode[0] + _MODE_S:
            mode = parse_mode(await self.ask("userAbstraction", HEAVY, user=self._user))
            if mode is AccountMode.UNKNOWN:
                raise Refused(VENUE, "account mode of a new kind: nothing can be moved from here")
            self._mode = now_s, mode
        return self._mode[1]

    async def purse(self, dex: str, user: str | None = None) -> Purse:
        """Return one dex of the user."""
        sent_ns = self._clock()
        raw = await self.ask("clearinghouseState", LIGHT, user=user or self._user, **_scope(dex))
        received_ns, purse = self._clock(), parse_purse(raw)
        if purse.time_ms is not None:
            now_s = asyncio.get_running_loop().time()
            if now_s > self._measured_s + _CLOCK_S:
                self.venue_clock.forget()
                self._measured_s = now_s
            self.venue_clock.learn(purse.time_ms * MS_NS, sent_ns, received_ns)
        return purse

    async def spot(self) -> Decimal:
        """Return the free USDC of the spot balance."""
        return parse_free(await self.ask("spotClearinghouseState", LIGHT, user=self._user), USDC)

    async def asset_id(self, coin: str) -> int | None:
        """Return the number of a coin now, `None` when it is not traded."""
        dex = dex_of(coin)
        meta = await self.ask("meta", HEAVY, **_scope(dex))
        dexes = await self.ask("perpDexs", HEAVY) if dex else None
        return parse_asset_id(meta, dexes, coin)

    async def rules(self, dex: str) -> Rules:
        """Return lots and collateral of a dex."""
        now_s = asyncio.get_running_loop().time()
        read_s, rules = self._rules.get(dex, (0.0, None))
        if rules is None or now_s > read_s + _RULES_S:
            rules = parse_rules(await self.ask("meta", HEAVY, **_scope(dex)))
            self._rules[dex] = now_s, rules
        return rules

    async def size_decimals(self, account: Account) -> dict[str, int]:
        """Return the decimals of quantities of the coins that an account holds, of those dexes that tell them."""
        found: dict[str, int] = {}
        for dex in sorted({dex_of(held.asset) for held in account.positions}):
            try:
                found.update((await self.rules(dex)).size_decimals)
            except (Refused, Malformed, Unreachable):
                continue
        return {held.asset: found[held.asset] for held in account.positions if held.asset in found}

    async def usdc_token(self) -> str:
        """Return how a transfer between dexes names USDC on this network; raises `Refused` when nobody tells."""
        if not self._token:
            tokens = parse_tokens(await self.ask("spotMeta", HEAVY))
            usdc = tokens.get(0)
            if usdc is None or not usdc.full_name.startswith(f"{USDC}:0x"):
                raise Refused(VENUE, "the venue does not tell the token of USDC: nothing can go from dex to dex")
            self._token = usdc.full_name
        return self._token

    async def other_purses(self, but: str) -> Sequence[tuple[str, Decimal]]:
        """Return what can be spared on every dex with USDC as collateral, but for one; dexes that fail are left out."""
        now_s = asyncio.get_running_loop().time()
        if self._dexes is None or now_s > self._dexes[0] + _DEXES_S:
            try:
                self._dexes = now_s, ("", *parse_dexes(await self.ask("perpDexs", HEAVY)))
            except (Refused, Malformed, Unreachable):
                self._dexes = now_s, ("",)
        names = [dex for dex in self._dexes[1] if dex != but]
        purses = await asyncio.gather(*(self._purse_or_none(dex) for dex in names))
        found = []
        for dex, purse in zip(names, purses, strict=True):
            if purse is not None and purse.withdrawable and await self._holds_usdc(dex):
                found.append((dex, purse.withdrawable))
        return found

    async def right(self) -> Right:
        """Return what the wallet may do for the user."""
        if not self._wallet or self._wallet == self._user:
            return right_of(self._wallet, self._user)
        of_user, of_wallet = await asyncio.gather(self._role(self._user), self._role(self._wallet))
        return right_of(self._wallet, self._user, of_user, of_wallet)

    async def _role(self, address: str) -> Role:
        now_s = asyncio.get_running_loop().time()
        read_s, role = self._roles.get(address, (0.0, None))
        if role is None or now_s > read_s + _ROLE_S:
            role = parse_role(await self.ask("userRole", _ROLE, user=address))
            self._roles[address] = (now_s, role)
        return role

    async def _purse_or_none(self, dex: str) -> Purse | None:
        try:
            return await self.purse(dex)
        except (Refused, Malformed, Unreachable):
            return None

    async def _holds_usdc(self, dex: str) -> bool:
        try:
            return not dex or (await self.rules(dex)).is_usdc
        except (Refused, Malformed, Unreachable):
            return False


def _scope(dex: str) -> dict[str, str]:
    return {"dex": dex} if dex else {}
