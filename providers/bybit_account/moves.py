"""How margin is moved at Bybit: into an isolated position, from the funding wallet, or by closing part of a position.

Wire: bybit-exchange.github.io/docs/v5 position/manual-add-margin, asset/transfer/create-inter-transfer and
inter-transfer-list, order/create-order, order/open-order, asset/balance/all-balance (read 2026-11). A transfer carries
a UUID of ours and an order a link id of ours: both are found again by it. Margin that was added is found by the
position's liquidation price, which moves by amount / size.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from uuid import uuid4

import msgspec

from engine.accounts import Account, MarginMode, Position
from engine.rendering import plain
from engine.rescue import Facility, Funds, Means, Option, Standing, Tariff
from providers.bybit_account.accounts import account_name
from providers.bybit_account.fates import added_fate, order_fate, transfer_fate
from providers.bybit_account.markets import Contract, parse_contract, parse_weights, weight_of
from providers.bybit_account.moves_wire import (
    parse_funding,
    parse_order_id,
    parse_orders,
    parse_status,
    parse_transfers,
)
from providers.bybit_account.orders import closing
from providers.bybit_account.signing import RESCUE_RIGHTS, VENUE, query_of
from providers.bybit_account.wire import (
    AccountMode,
    Held,
    KeyInfo,
    Wallet,
    parse_added,
    parse_key,
    parse_mode,
    parse_positions,
    parse_wallet,
)
from providers.credentials import Credentials
from providers.errors import Malformed, ProviderError, Refused, Unauthorised
from providers.http import Call, HttpTransport
from providers.rescue_ports import Fate, Found, Step
from providers.signed_reads import SignedReads
from providers.venue_rescue import chosen, decimals_of, fields_of, step_of

ADD, TRANSFER, ORDER = "add-margin", "inter-transfer", "reduce-order"
_PATHS = {ADD: "/v5/position/add-margin", TRANSFER: "/v5/asset/transfer/inter-transfer", ORDER: "/v5/order/create"}
FUNDING, UNIFIED = "funding", "unified account"
_MARGIN_DECIMALS, _COIN_DECIMALS, _COINS_OF_FACE = 4, 6, 8
_TARIFF = Tariff(cost_usd=Decimal(0), time_to_land_s=Decimal(1))
_REDUCE_TARIFF = Tariff(time_to_land_s=Decimal(1))
_ZERO = Decimal(0)
_POSITIONS = frozenset({"ContractTrade:Position", "Derivatives:DerivativesTrade"})
_ORDERS = frozenset({"ContractTrade:Order", "Derivatives:DerivativesTrade"})
_TRANSFERS = frozenset({"Wallet:AccountTransfer"})


class BybitMoves:
    """What may be moved for one account; a `providers.venue_rescue.Moves`. `clock` is UTC now in ns."""

    def __init__(self, reads: SignedReads, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._reads, self._clock = reads, clock
        self._contracts: dict[str, Contract] = {}
        self.venue = VENUE
        self.actions = frozenset(_PATHS)

    async def standing(self, account: Account) -> Standing:
        """Return what the funding wallet and the free unified wallet hold, and what the key may do with it."""
        key, wallet, mode = await asyncio.gather(self._key(), self._wallet(), self._mode())
        coins = self._coins(account)
        weights = await self._weights() if any(coin != account.quote for coin in coins) else {}
        is_isolated = account.mode is MarginMode.ISOLATED
        funding, no_funding = await self._funding(coins)
        problems, funds = [], []
        # A coin's own price comes last: it is the one that a dry run takes.
        facilities = await self._reductions(account, _lacks(key, _ORDERS, "Contracts - Orders"))
        no_add = _lacks(key, _POSITIONS, "Contracts - Positions") if is_isolated else ""
        no_transfer = no_funding or _lacks(key, _TRANSFERS, "Wallet - Account Transfer")
        if is_isolated and mode is not AccountMode.ISOLATED:
            problems.append("the account is not in isolated margin mode any more; it must be read again")
        for coin in coins:
            weight = Decimal(1) if is_isolated else _weight(weights, coin, funding.get(coin, _ZERO))
            is_quote = coin == account.quote
            refused = no_add if is_isolated else no_transfer
            facilities.append(
                Facility(
                    coin,
                    frozenset({Means.ADD_MARGIN}),
                    token=coin,
                    decimals=_MARGIN_DECIMALS if is_isolated else _COIN_DECIMALS,
                    refused=refused,
                    liquidation_threshold=None if is_quote else weight,
                    price=_coin_price(account, wallet, coin),
                )
            )
            if is_isolated:
                funds.append(Funds(coin, _free(wallet, coin), UNIFIED, owner=VENUE))
            if not (is_isolated and no_transfer):
                funds.append(Funds(coin, funding.get(coin, _ZERO), FUNDING, owner=VENUE))
        if key.is_read_only:
            hint = self._reads.credentials.hint
            problems.append(f"the {hint} is read-only: rescues need {RESCUE_RIGHTS}")
        return Standing(
            account.name,
            self._clock(),
            facilities=tuple(facilities),
            funds=tuple(funds),
            tariffs={Means.ADD_MARGIN: _TARIFF, Means.REDUCE: _REDUCE_TARIFF},
            problems=tuple(problems),
        )

    async def steps(self, account: Account, option: Option) -> Sequence[Step]:
        """Return one request, or two when an isolated position is fed from the funding wallet."""
        await self._reads.keep_time()
        if option.means is Means.REDUCE:
            return [await self._reduction(account, option)]
        if option.means is not Means.ADD_MARGIN or option.amount <= 0:
            raise Refused(VENUE, f"{option.means} of {option.amount} {option.asset} is not sent from here")
        is_isolated = account.mode is MarginMode.ISOLATED
        source = option.funds.source if option.funds is not None else FUNDING
        effect = (option.means, option.asset, option.amount)
        steps = []
        if source == FUNDING:
            steps.append(self._transfer(account, option, None if is_isolated else effect))
        if is_isolated:
            takes = None if steps else (UNIFIED, option.asset, option.amount)
            steps.append(await self._addition(account, option, effect, takes))
        if not steps:
            raise Refused(VENUE, "the unified account backs all its positions already")
        return steps

    def http(self, payload: Mapping[str, object]) -> HttpTransport:
        """Return the one transport of this venue."""
        return self._reads.http

    def call(self, payload: Mapping[str, object], credentials: Credentials) -> Call:
        """Return the signed request, with the venue's time of now."""
        action = str(payload["action"])
        body: dict[str, object] = dict(fields_of(payload))
        if "positionIdx" in body:
            body["positionIdx"] = int(str(body["positionIdx"]))
        if "reduceOnly" in body:
            body["reduceOnly"] = body["reduceOnly"] == "true"
        return self._reads.signed_by(credentials, "POST", _PATHS[action], msgspec.json.encode(body))

    def answered(self, facts: Mapping[str, str], raw: bytes) -> Found:
        """Return what the reply says; errors in it have been raised before."""
        match facts["action"]:
            case "inter-transfer":
                return transfer_fate(parse_status(raw))
            case "add-margin":
                limit = parse_added(raw)
                now = "has none any more" if limit is None else f"is now {limit:f}"
                return Found(Fate.CONFIRMED, f"the venue added it; the liquidation price {now}")
            case _:
                return Found(Fate.PENDING, f"order {parse_order_id(raw)} accepted")

    async def find(self, facts: Mapping[str, str]) -> Found:
        """Return what became of an action, by reading only."""
        action = facts["action"]
        if action == TRANSFER:
            raw = await self._read("/v5/asset/transfer/query-inter-transfer-list", transferId=facts["id"])
            return transfer_fate(parse_transfers(raw).get(facts["id"]), self._age_s(facts))
        if action == ORDER:
            where = {"category": facts["category"], "symbol": facts["symbol"], "orderLinkId": facts["id"]}
            for path in ("/v5/order/realtime", "/v5/order/history"):
                told = parse_orders(await self._read(path, **where)).get(facts["id"])
                if told is not None:
                    return order_fate(told)
            return order_fate(None, self._age_s(facts))
        held = await self._position(facts["category"], facts["symbol"], int(facts["side"]))
        return added_fate(facts, held, self._age_s(facts))

    def _age_s(self, facts: Mapping[str, str]) -> float:
        return self._clock() / 1e9 - int(facts["at"]) / 1e3

    def _transfer(self, account: Account, option: Option, effect: tuple[Means, str, Decimal] | None) -> Step:
        amount = plain(option.amount)
        fields = {
            "transferId": str(uuid4()),
            "coin": option.asset,
            "amount": amount,
            "fromAccountType": "FUND",
            "toAccountType": "UNIFIED",
        }
        return self._step(
            account,
            TRANSFER,
            f"transfer {amount} {option.asset} from the funding wallet to the unified account",
            fields,
            {"id": fields["transferId"], "coin": option.asset, "amount": amount},
            effect,
            takes=(FUNDING, option.asset, option.amount),
        )

    async def _addition(
        self,
        account: Account,
        option: Option,
        effect: tuple[Means, str, Decimal],
        takes: tuple[str, str, Decimal] | None,
    ) -> Step:
        position = _only(account)
        held = await self._held(account, position)
        amount = plain(option.amount.quantize(Decimal(1).scaleb(-_MARGIN_DECIMALS), ROUND_CEILING))
        fields = {
            "category": held.category,
            "symbol": held.symbol,
            "margin": amount,
            "positionIdx": str(held.side_index),
        }
        facts = {
            "category": held.category,
            "symbol": held.symbol,
            "side": str(held.side_index),
            "margin": amount,
            "size": plain(held.size),
            "entry": plain(held.entry_price or _ZERO),
            "limit": plain(held.liquidation_price or _ZERO),
        }
        title = f"add {amount} {option.asset} margin to {held.symbol}"
        return self._step(account, ADD, title, fields, facts, effect, takes=takes)

    async def _reduction(self, account: Account, option: Option) -> Step:
        held = await self._held(account, chosen(account, option))
        order = closing(held, await self._contract(held.category, held.symbol), option.amount)
        effect = (Means.REDUCE, option.asset, order.closed)
        closes = (held.symbol, "long" if held.size > 0 else "short")
        return self._step(account, ORDER, order.title, order.fields, order.facts, effect, closes=closes)

    def _step(
        self,
        account: Account,
        action: str,
        title: str,
        fields: Mapping[str, str],
        facts: Mapping[str, str],
        effect: tuple[Means, str, Decimal] | None,
        *,
        takes: tuple[str, str, Decimal] | None = None,
        closes: tuple[str, str] = ("", ""),
    ) -> Step:
        at_ms = self._clock() // 1_000_000
        return step_of(VENUE, account, action, title, fields, facts, effect, at_ms=at_ms, takes=takes, closes=closes)

    async def _reductions(self, account: Account, refused: str) -> list[Facility]:
        found = []
        for position in account.positions:
            if not position.quantity:
                continue
            decimals = _COINS_OF_FACE
            if not position.inverse:
                contract = await self._contract("linear", position.contract)
                decimals = decimals_of(contract.lot)
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

    def _coins(self, account: Account) -> tuple[str, ...]:
        """Return the coins that help this account: its margin coin, or every collateral coin of a cross account."""
        if account.mode is MarginMode.ISOLATED:
            position = _only(account)
            return (position.asset if position.inverse else account.quote,)
        others = [leg.asset for leg in account.collateral if leg.liquidation_threshold]
        quote = () if account.quote == "USD" else (account.quote,)
        return tuple(dict.fromkeys((*quote, *others)))

    async def _held(self, account: Account, position: Position) -> Held:
        """Return the position as it is now; raises `Refused` when it is gone."""
        category = "inverse" if position.inverse else "linear"
        raw = await self._read("/v5/position/list", category=category, symbol=position.contract)
        held, _ = parse_positions(raw, category)
        is_isolated = account.mode is MarginMode.ISOLATED
        mine = [
            each
            for each in held
            if each.symbol == position.contract and (each.size > 0) == (position.quantity > 0)
            if not is_isolated or account.name.endswith(account_name("", each))
        ]
        if len(mine) != 1:
            raise Refused(VENUE, f"there is no such position in {position.contract} any more")
        return mine[0]

    async def _position(self, category: str, symbol: str, side_index: int) -> Held | None:
        held, _ = parse_positions(await self._read("/v5/position/list", category=category, symbol=symbol), category)
        return next((each for each in held if each.symbol == symbol and each.side_index == side_index), None)

    async def _contract(self, category: str, symbol: str) -> Contract:
        """Return a contract's steps, read once: what else is said of it is not used here."""
        known = self._contracts.get(symbol)
        if known is not None:
            return known
        params = {"category": category, "symbol": symbol}
        raw = await self._reads.http.get("/v5/market/instruments-info", params=params)
        found = self._contracts[symbol] = parse_contract(raw, category, symbol)
        return found

    async def _funding(self, coins: Sequence[str]) -> tuple[dict[str, Decimal], str]:
        """Return what can be transferred from the funding wallet by coin, and why it could not be read."""
        if not coins:
            return {}, ""
        try:
            raw = await self._read(
                "/v5/asset/transfer/query-account-coins-balance", accountType="FUND", coin=",".join(coins[:10])
            )
            return parse_funding(raw), ""
        except (Refused, Malformed) as error:
            return {}, f"funding wallet not read: {error.detail}"

    async def _weights(self) -> Mapping[str, Sequence[tuple[Decimal, Decimal]]]:
        try:
            return parse_weights(await self._reads.http.get("/v5/spot-margin-trade/collateral"))
        except ProviderError:
            return {}

    async def _key(self) -> KeyInfo:
        """Return what the key may do; the venue itself refuses where it is not told."""
        try:
            return parse_key(await self._read("/v5/user/query-api"))
        except Unauthorised:
            raise
        except Refused:
            return KeyInfo(is_told=False)

    async def _wallet(self) -> Wallet:
        return parse_wallet(await self._read("/v5/account/wallet-balance", accountType="UNIFIED"))

    async def _mode(self) -> AccountMode:
        return parse_mode(await self._read("/v5/account/info"))

    async def _read(self, path: str, **query: str) -> bytes:
        return await self._reads.read(path, query_of(query))


def _lacks(key: KeyInfo, wanted: frozenset[str], words: str) -> str:
    if key.is_told and (key.is_read_only or not key.permissions & wanted):
        return f'the key lacks "{words}": rescues need {RESCUE_RIGHTS}'
    return ""


def _only(account: Account) -> Position:
    held = [each for each in account.positions if each.quantity]
    if len(held) != 1:
        raise Refused(VENUE, f"{account.name} holds {len(held)} positions, not one")
    return held[0]


def _free(wallet: Wallet, coin: str) -> Decimal:
    """Return what an isolated position can be given (docs/v5 account/wallet-balance, availableToWithdraw)."""
    row = next((each for each in wallet.coins if each.coin == coin), None)
    if row is None:
        return _ZERO
    return max(row.wallet - row.position_margin - row.order_margin - row.locked - row.bonus, _ZERO)


def _weight(weights: Mapping[str, Sequence[tuple[Decimal, Decimal]]], coin: str, amount: Decimal) -> Decimal:
    return weight_of(weights[coin], amount) if coin in weights else _ZERO


def _coin_price(account: Account, wallet: Wallet, coin: str) -> Decimal | None:
    """Return the coin's price in the account's quote currency."""
    if coin == account.quote:
        return Decimal(1)
    known = account.oracles.get(coin)
    if known is not None:
        return known.price
    row = next((each for each in wallet.coins if each.coin == coin), None)
    return None if row is None else row.usd_price
