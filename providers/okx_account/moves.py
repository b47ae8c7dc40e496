"""How margin is moved at OKX: into an isolated position, from the funding account, or by closing part of a position.

Wire: okx.com/docs-v5, "Increase/decrease margin", "Funds transfer" (6 is the funding account, 18 the trading account),
"Get funds transfer state", "Asset bills details", "Place order", "Get order details", "Get balance" of the funding
account (read 2026-11). A transfer and an order carry a client id of ours and are found again by it; added margin by the
position's margin.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from urllib.parse import urlencode

import msgspec

from engine.accounts import Account, MarginMode, Position
from engine.rendering import plain
from engine.rescue import Facility, Funds, Means, Option, Standing, Tariff
from providers.credentials import Credentials
from providers.errors import Malformed, Refused, Unauthorised
from providers.http import Call, HttpTransport
from providers.okx_account.accounts import account_name
from providers.okx_account.fates import added_fate, order_fate, transfer_fate
from providers.okx_account.markets import Contract
from providers.okx_account.moves_wire import (
    OrderTold,
    has_bill,
    parse_funding,
    parse_margin,
    parse_order,
    parse_placed,
    parse_transfer,
    parse_transfer_state,
)
from providers.okx_account.signing import RESCUE_RIGHT, VENUE
from providers.okx_account.source import contract_of
from providers.okx_account.wire import Balance, Config, Held, Level, parse_balance, parse_config, parse_positions
from providers.rescue_ports import Fate, Found, Step
from providers.signed_reads import SignedReads
from providers.venue_rescue import REDUCE_BOUND, chosen, decimals_of, fields_of, step_of, stepped

MARGIN, TRANSFER, ORDER = "margin-balance", "transfer", "reduce-order"
_PATHS = {
    MARGIN: "/api/v5/account/position/margin-balance",
    TRANSFER: "/api/v5/asset/transfer",
    ORDER: "/api/v5/trade/order",
}
FUNDING, TRADING = "funding", "trading account"
_FUNDING_ID, _TRADING_ID = "6", "18"
_COIN_DECIMALS, _DOLLAR_DECIMALS, _COINS_OF_FACE = 8, 4, 8
_DOLLARS = frozenset({"USDT", "USDC"})
_TARIFF = Tariff(cost_usd=Decimal(0), time_to_land_s=Decimal(1))
_REDUCE_TARIFF = Tariff(time_to_land_s=Decimal(1))
_ZERO = Decimal(0)
_NO_SUCH_ORDER = 51603


class OkxMoves:
    """What may be moved for one account; a `providers.venue_rescue.Moves`. `clock` is UTC now in ns."""

    def __init__(
        self, reads: SignedReads, headers: Mapping[str, str], *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._reads, self._headers, self._clock = reads, headers, clock
        self._contracts: dict[str, Contract] = {}
        self.venue = VENUE
        self.actions = frozenset(_PATHS)

    async def standing(self, account: Account) -> Standing:
        """Return what funding and trading account can spare, what can be closed, and what the key lacks."""
        config, balance = await self._config(), await self._balance()
        coins = _coins(account)
        funding, no_funding = await self._funding(coins)
        is_isolated = account.mode is MarginMode.ISOLATED
        lacks = "" if "trade" in config.permissions else f'the key lacks "{RESCUE_RIGHT}": no rescue works without it'
        facilities, funds = await self._reductions(account, _may_flip(config)), []
        for coin in coins:
            is_quote = coin == account.quote
            weights = [leg.liquidation_threshold for leg in account.collateral if leg.asset == coin]
            facilities.append(
                Facility(
                    coin,
                    frozenset({Means.ADD_MARGIN}),
                    token=coin,
                    decimals=_DOLLAR_DECIMALS if coin in _DOLLARS else _COIN_DECIMALS,
                    refused="" if is_isolated else no_funding,
                    liquidation_threshold=None if is_quote else weights[0] if weights else None,
                    price=_price(account, coin),
                )
            )
            if is_isolated:
                funds.append(Funds(coin, _free(balance, coin), TRADING, owner=VENUE))
            if not no_funding:
                funds.append(Funds(coin, funding.get(coin, _ZERO), FUNDING, owner=VENUE))
        return Standing(
            account.name,
            self._clock(),
            facilities=tuple(facilities),
            funds=tuple(funds),
            tariffs={Means.ADD_MARGIN: _TARIFF, Means.REDUCE: _REDUCE_TARIFF},
            problems=(lacks,) if lacks else (),
        )

    async def steps(self, account: Account, option: Option) -> Sequence[Step]:
        """Return one request, or two when an isolated position is fed from the funding account."""
        await self._reads.keep_time()
        if option.means is Means.REDUCE:
            return [await self._reduction(account, option)]
        if option.means is not Means.ADD_MARGIN or option.amount <= 0:
            raise Refused(VENUE, f"{option.means} of {option.amount} {option.asset} is not sent from here")
        is_isolated = account.mode is MarginMode.ISOLATED
        source = option.funds.source if option.funds is not None else FUNDING
        steps = []
        if source == FUNDING:
            steps.append(self._transfer(account, option, feeds_only=is_isolated))
        if is_isolated:
            steps.append(await self._addition(account, option, is_fed=bool(steps)))
        if not steps:
            raise Refused(VENUE, "the trading account backs its positions already")
        return steps

    def http(self, payload: Mapping[str, object]) -> HttpTransport:
        """Return the one transport of this venue."""
        return self._reads.http

    def call(self, payload: Mapping[str, object], credentials: Credentials) -> Call:
        """Return the signed request, with the venue's time of now."""
        body: dict[str, object] = dict(fields_of(payload))
        if "reduceOnly" in body:
            body["reduceOnly"] = body["reduceOnly"] == "true"
        return self._reads.signed_by(credentials, "POST", _PATHS[str(payload["action"])], msgspec.json.encode(body))

    def answered(self, facts: Mapping[str, str], raw: bytes) -> Found:
        """Return what the reply says; errors in it have been raised before."""
        match facts["action"]:
            case "transfer":
                return Found(Fate.PENDING, f"transfer {parse_transfer(raw)} accepted")
            case "margin-balance":
                return Found(Fate.CONFIRMED, f"the venue added it to {parse_margin(raw)}")
            case _:
                return Found(Fate.PENDING, f"order {parse_placed(raw)} accepted")

    async def find(self, facts: Mapping[str, str]) -> Found:
        """Return what became of an action, by reading only."""
        age_s = self._clock() / 1e9 - int(facts["at"]) / 1e3
        if facts["action"] == TRANSFER:
            return transfer_fate(await self._transfer_state(facts), age_s)
        if facts["action"] == ORDER:
            return order_fate(await self._order(facts), age_s)
        held = parse_positions(await self._read("/api/v5/account/positions", instId=facts["contract"]))
        mine = (h for h in held if h.is_isolated and h.contract == facts["contract"] and h.side == facts["side"])
        return added_fate(facts, next(mine, None), age_s)

    def _transfer(self, account: Account, option: Option, *, feeds_only: bool) -> Step:
        amount = plain(option.amount)
        client_id = f"ml{secrets.token_hex(14)}"
        fields = {
            "ccy": option.asset,
            "amt": amount,
            "from": _FUNDING_ID,
            "to": _TRADING_ID,
            "type": "0",
            "clientId": client_id,
        }
        return step_of(
            VENUE,
            account,
            TRANSFER,
            f"transfer {amount} {option.asset} from the funding account to the trading account",
            fields,
            {"id": client_id, "coin": option.asset, "amount": amount},
            None if feeds_only else (Means.ADD_MARGIN, option.asset, option.amount),
            at_ms=self._now_ms(),
            takes=(FUNDING, option.asset, option.amount),
        )

    async def _addition(self, account: Account, option: Option, *, is_fed: bool) -> Step:
        held = await self._held(account, _only(account))
        amount = plain(option.amount)
        if held.margin is None:
            raise Refused(VENUE, f"the venue does not tell the margin of {held.contract}: it could not be followed")
        fields = {"instId": held.contract, "posSide": held.side, "type": "add", "amt": amount}
        facts = {
            "contract": held.contract,
            "side": held.side,
            "amount": amount,
            "before": plain(held.margin),
            "contracts": plain(held.contracts),
        }
        return step_of(
            VENUE,
            account,
            MARGIN,
            f"add {amount} {option.asset} margin to {held.contract}",
            fields,
            facts,
            (Means.ADD_MARGIN, option.asset, option.amount),
            at_ms=self._now_ms(),
            takes=None if is_fed else (TRADING, option.asset, option.amount),
        )

    async def _reduction(self, account: Account, option: Option) -> Step:
        held = await self._held(account, chosen(account, option))
        may_flip = _may_flip(await self._config())
        if may_flip:
            raise Refused(VENUE, may_flip)
        contract = await self._contract(held.contract)
        mark, entry = held.mark_price, held.entry_price
        if mark is None or entry is None:
            raise Refused(VENUE, f"no mark or entry price of {held.contract}")
        worth = option.amount * entry if contract.is_inverse else option.amount
        size = min(stepped(worth / contract.value, contract.lot, up=True), abs(held.contracts))
        if contract.lowest is not None and size < contract.lowest:
            raise Refused(VENUE, f"{plain(size)} contracts are less than the smallest order of {held.contract}")
        is_long = held.contracts > 0
        bound = mark * (1 - REDUCE_BOUND) if is_long else mark * (1 + REDUCE_BOUND)
        price = plain(stepped(bound, contract.tick, up=is_long))
        client_id = f"ml{secrets.token_hex(14)}"
        fields = {
            "instId": held.contract,
            "tdMode": "isolated" if held.is_isolated else "cross",
            "side": "sell" if is_long else "buy",
            "posSide": held.side,
            "ordType": "ioc",
            "sz": plain(size),
            "px": price,
            "reduceOnly": "true",
            "clOrdId": client_id,
        }
        if not held.is_isolated:
            fields["ccy"] = held.currency
        closed = size * contract.value / (entry if contract.is_inverse else Decimal(1))
        title = f"{fields['side']} {fields['sz']} contracts of {held.contract} at {price} or better, reduce-only"
        return step_of(
            VENUE,
            account,
            ORDER,
            title,
            fields,
            {"id": client_id, "contract": held.contract},
            (Means.REDUCE, option.asset, closed),
            at_ms=self._now_ms(),
            closes=(held.contract, "long" if is_long else "short"),
        )

    async def _reductions(self, account: Account, refused: str) -> list[Facility]:
        found = []
        for position in account.positions:
            if not position.quantity or not position.tiers:
                continue
            decimals = _COINS_OF_FACE
            if not position.inverse:
                contract = await self._contract(position.contract)
                decimals = decimals_of(contract.lot * contract.value)
            found.append(
                Facility(
                    position.asset,
                    frozenset({Means.REDUCE}),
                    token=position.asset,
                    decimals=decimals,
                    refused=refused,
                    contract=position.contract,
                    side="long" if position.quantity > 0 else "short",
                )
            )
        return found

    async def _held(self, account: Account, position: Position) -> Held:
        """Return the position as it is now; raises `Refused` when it is gone."""
        is_isolated = account.mode is MarginMode.ISOLATED
        held = parse_positions(await self._read("/api/v5/account/positions", instId=position.contract))
        mine = [
            each
            for each in held
            if each.contract == position.contract and each.is_isolated == is_isolated
            if (each.contracts > 0) == (position.quantity > 0)
            if not is_isolated or account.name.endswith(account_name("", each))
        ]
        if len(mine) != 1:
            raise Refused(VENUE, f"there is no such position in {position.contract} any more")
        return mine[0]

    async def _funding(self, coins: Sequence[str]) -> tuple[dict[str, Decimal], str]:
        """Return what can be transferred from the funding account by coin, and why it could not be read."""
        if not coins:
            return {}, ""
        try:
            return parse_funding(await self._read("/api/v5/asset/balances", ccy=",".join(coins[:20]))), ""
        except (Refused, Malformed) as error:
            return {}, f"funding account not read: {error.detail}"

    async def _transfer_state(self, facts: Mapping[str, str]) -> str | None:
        """Return the state word of a transfer, `None` where neither its state nor the account's bills know it.

        The venue refuses to tell the state of a transfer that it does not know, in words that it documents nowhere:
        only the bills prove that there was none.
        """
        client_id = facts["id"]
        try:
            raw = await self._read("/api/v5/asset/transfer-state", clientId=client_id, type="0")
            state = parse_transfer_state(raw, client_id)
        except Unauthorised:
            raise
        except Refused:
            state = None
        if state is not None:
            return state
        raw = await self._read("/api/v5/asset/bills", ccy=facts["coin"], clientId=client_id)
        return "success" if has_bill(raw, client_id) else None

    async def _order(self, facts: Mapping[str, str]) -> OrderTold | None:
        """Return what is told of an order, `None` where the venue says that there is no such order."""
        try:
            raw = await self._read("/api/v5/trade/order", instId=facts["contract"], clOrdId=facts["id"])
        except Refused as error:
            if error.status == _NO_SUCH_ORDER:
                return None
            raise
        return parse_order(raw, facts["id"])

    async def _contract(self, name: str) -> Contract:
        """Return a contract's value and steps, read once."""
        known = self._contracts.get(name)
        if known is None:
            known = self._contracts[name] = await contract_of(self._reads.http, name, self._headers)
        return known

    async def _config(self) -> Config:
        return parse_config(await self._read("/api/v5/account/config"))

    async def _balance(self) -> Balance:
        return parse_balance(await self._read("/api/v5/account/balance"))

    async def _read(self, path: str, **query: str) -> bytes:
        return await self._reads.read(path, urlencode(query))

    def _now_ms(self) -> int:
        return self._clock() // 1_000_000


def _coins(account: Account) -> tuple[str, ...]:
    """Return the currencies that help this account: its margin coin, or whatever backs it with others."""
    if account.mode is MarginMode.ISOLATED:
        position = _only(account)
        return (position.asset if position.inverse else account.quote,)
    held = [leg.asset for leg in account.collateral if leg.liquidation_threshold]
    owed = [leg.asset for leg in account.debt]
    quote = () if account.quote == "USD" else (account.quote,)
    return tuple(dict.fromkeys((*quote, *held, *owed)))


def _may_flip(config: Config) -> str:
    """Return why an order could open what it should close, or "".

    "Place order", `reduceOnly`: for net positions it is there in futures mode and multi-currency margin only. Where
    positions have two sides, the side itself says that an order closes.
    """
    if config.level is not Level.PORTFOLIO or config.has_sides:
        return ""
    return "in portfolio margin the venue has no reduce-only orders for net positions: close it at the venue"


def _only(account: Account) -> Position:
    held = [each for each in account.positions if each.quantity]
    if len(held) != 1:
        raise Refused(VENUE, f"{account.name} holds {len(held)} positions, not one")
    return held[0]


def _free(balance: Balance, coin: str) -> Decimal:
    row = next((each for each in balance.coins if each.coin == coin), None)
    return _ZERO if row is None or row.available is None else max(row.available, _ZERO)


def _price(account: Account, coin: str) -> Decimal | None:
    """Return the coin's price in the account's quote currency."""
    if coin == account.quote:
        return Decimal(1)
    known = account.oracles.get(coin)
    return None if known is None else known.price
