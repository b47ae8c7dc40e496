"""Rescues at Deribit: whose money may move, what is ordered, how an outcome is told; the rest is the common suite's."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from engine.accounts import Account
from engine.rescue import Facility, HealthPath, Means, Option
from providers.credentials import Credentials
from providers.deribit.moves import DeribitMoves, make
from providers.deribit.moves_wire import order_fate, orders_fate, parse_own, parse_rules, transfer_fate, transfers_fate
from providers.deribit.signing import VENUE
from providers.errors import ConfigError, Malformed, Refused
from providers.ports import AccountOptions
from providers.rescue_ports import Fate
from tests.account_kit import option_of
from tests.conformance.deribit import VENUES
from tests.deribit_server import KEY, MAIN, SECRET, SUB, DeribitServer, dumps
from tests.looped import looped
from tests.providers.test_deribit_commands import command, configured

D = Decimal
(KIT,) = VENUES


def raw(result: object) -> bytes:
    return dumps({"jsonrpc": "2.0", "result": result}).encode()


def options(venue: DeribitServer, subaccount: str | None = str(SUB)) -> AccountOptions:
    credentials = Credentials("account kit", lambda: KEY, lambda: SECRET)
    return AccountOptions("kit", VENUE, rest_url=venue.url_rest, credentials=credentials, subaccount=subaccount)


@asynccontextmanager
async def venue_and_account(
    subaccount: str | None = str(SUB),
) -> AsyncIterator[tuple[DeribitServer, DeribitMoves, Account, Account]]:
    async with KIT.serve() as venue:
        rescue = make(options(venue, subaccount))
        moves = DeribitMoves(options(venue, subaccount))
        try:
            reading = await rescue._source.read()
            coin, dollars = reading.accounts
            yield venue, moves, coin, dollars
        finally:
            await rescue.aclose()
            await moves.transport.aclose()


def reduction(account: Account, contract: str, amount: str) -> Option:
    facility = Facility("", frozenset({Means.REDUCE}), contract=contract)
    held = next(each for each in account.positions if each.contract == contract)
    path = HealthPath(None, None, None, None)
    return Option(Means.REDUCE, held.asset, D(amount), "", None, path, None, facility=facility)


@looped
async def test_an_inverse_long_is_closed_in_dollars_of_face_within_the_bound() -> None:
    async with venue_and_account() as (_, moves, coin, _dollars):
        (step,) = await moves.steps(coin, reduction(coin, "BTC-PERPETUAL", "0.1"))
        assert step.payload["action"] == "sell"
        fields = dict(step.payload["fields"])  # type: ignore[call-overload]
        assert fields.pop("label").startswith("ml-")
        assert fields == {
            "instrument_name": "BTC-PERPETUAL",
            "amount": "6000",
            "type": "limit",
            "price": "59700",
            "time_in_force": "immediate_or_cancel",
            "reduce_only": "true",
        }
        assert step.payload["effect"] == {
            "means": "reduce",
            "asset": "BTC",
            "amount": "0.1",
            "contract": "BTC-PERPETUAL",
            "side": "long",
        }


@looped
async def test_a_linear_short_is_bought_back_in_its_base_never_more_than_is_held() -> None:
    async with venue_and_account() as (_, moves, _coin, dollars):
        (step,) = await moves.steps(dollars, reduction(dollars, "ETH_USDC-PERPETUAL", "99.999"))
        fields = dict(step.payload["fields"])  # type: ignore[call-overload]
        assert step.payload["action"] == "buy"
        assert (fields["amount"], fields["price"]) == ("2.5", "3005.45")


@looped
async def test_less_than_a_lot_is_refused_before_anything_is_sent() -> None:
    async with venue_and_account() as (_, moves, coin, _dollars):
        with pytest.raises(Refused, match="less than one lot"):
            await moves.steps(coin, reduction(coin, "BTC-PERPETUAL", "0.0001"))


@looped
async def test_nothing_is_taken_from_an_account_that_is_not_an_own_subaccount() -> None:
    for number in (str(MAIN), "999"):
        async with venue_and_account(number) as (venue, moves, coin, _dollars):
            standing = await moves.standing(coin)
            (facility,) = [each for each in standing.facilities if Means.ADD_MARGIN in each.means]
            assert f"subaccount {number} is not one of this login's own" in facility.refused
            assert standing.funds == ()
            assert venue.transfers == []


@looped
async def test_a_subaccounts_key_and_a_missing_setting_are_told() -> None:
    async with venue_and_account() as (venue, moves, coin, _dollars):
        venue.scope = "account:read trade:read_write wallet:read_write"
        refused = [each.refused for each in (await moves.standing(coin)).facilities if Means.ADD_MARGIN in each.means]
        assert "is not the main account's" in refused[0]
    async with venue_and_account(None) as (venue, moves, coin, _dollars):
        refused = [each.refused for each in (await moves.standing(coin)).facilities if Means.ADD_MARGIN in each.means]
        assert 'subaccount = "NUMBER"' in refused[0]
        assert venue.count("private/get_subaccounts") == 0


@looped
async def test_scopes_that_the_venue_will_not_tell_block_nothing() -> None:
    async with venue_and_account() as (venue, moves, coin, _dollars):
        venue.raw["public/auth"] = b'{"error":{"code":-32602,"message":"Invalid params"}}'
        standing = await moves.standing(coin)
        assert [each.refused for each in standing.facilities] == ["", ""]
        assert standing.funds[0].amount == D("1.5")


@looped
async def test_an_option_to_reduce_is_offered_for_each_future_with_the_scope_it_lacks() -> None:
    async with venue_and_account() as (venue, moves, coin, _dollars):
        venue.scope = "account:read trade:read wallet:read_write mainaccount"
        (facility,) = [each for each in (await moves.standing(coin)).facilities if Means.REDUCE in each.means]
        assert (facility.asset, facility.contract, facility.side) == ("BTC", "BTC-PERPETUAL", "long")
        assert "lacks the scope trade:read_write" in facility.refused


@looped
async def test_an_order_is_found_by_its_label_and_one_that_never_came_is_rejected_in_time() -> None:
    async with venue_and_account() as (venue, moves, _coin, _dollars):
        facts = {"action": "sell", "currency": "BTC", "label": "ml-1", "amount": "10"}
        now_ms = time.time_ns() // 1_000_000
        assert (await moves.find(facts | {"at": str(now_ms)})).fate is Fate.PENDING
        assert (await moves.find(facts | {"at": str(now_ms - 61_000)})).fate is Fate.REJECTED
        venue.orders.append({"label": "ml-1", "order_state": "filled", "amount": 10, "filled_amount": 10})
        assert (await moves.find(facts | {"at": str(now_ms)})).fate is Fate.CONFIRMED


@looped
async def test_what_the_venue_does_not_list_any_more_is_not_called_rejected() -> None:
    async with venue_and_account() as (venue, moves, _coin, _dollars):
        hour_ago = str(time.time_ns() // 1_000_000 - 3_600_000)
        order = {"action": "sell", "currency": "BTC", "label": "ml-1", "amount": "10", "at": hour_ago}
        assert (await moves.find(order)).fate is Fate.UNKNOWN
        transfer = {"action": "transfer", "currency": "BTC", "amount": "0.125", "last": "7", "at": hour_ago}
        row = {"currency": "BTC", "type": "subaccount", "state": "confirmed", "amount": D("0.5")}
        venue.transfers = [row | {"id": number, "created_timestamp": venue.now_ms()} for number in range(8, 57)]
        assert (await moves.find(transfer)).fate is Fate.REJECTED
        venue.transfers.append(row | {"id": 57, "created_timestamp": venue.now_ms()})
        assert (await moves.find(transfer)).fate is Fate.UNKNOWN


@looped
async def test_a_transfer_of_the_same_amount_from_before_is_not_taken_for_it() -> None:
    async with venue_and_account() as (venue, moves, coin, _dollars):
        standing = await moves.standing(coin)
        assert KIT.rescue is not None
        row = {"currency": "BTC", "type": "subaccount", "state": "confirmed", "amount": D("0.125")}
        venue.transfers.append(row | {"id": 1, "created_timestamp": venue.now_ms()})
        (step,) = await moves.steps(coin, option_of(KIT.rescue, standing))
        facts = {"action": "transfer", **step.payload["facts"]}  # type: ignore[dict-item]
        assert facts["last"] == "1"
        assert (await moves.find(facts)).fate is Fate.PENDING
        venue.transfers.append(row | {"id": 2, "created_timestamp": venue.now_ms()})
        assert (await moves.find(facts)).fate is Fate.CONFIRMED


def test_a_reduction_by_the_command_closes_part_of_the_served_position(tmp_path: Path) -> None:
    @looped
    async def story() -> None:
        async with KIT.serve() as venue:
            configured(tmp_path, venue, 'subaccount = "7"', ws=False)
            planned = await command(tmp_path, "plan", "d:BTC", "--to", "1.5", "--by", "reduce", "--json")
            assert planned.code == 0, planned.err
            done = await command(tmp_path, "topup", "d:BTC", "--to", "1.5", "--by", "reduce", "--confirm", "--json")
            assert done.code == 0, done.out + done.err
            assert 0 < venue.positions[0]["size"] < 30000
            assert venue.orders[0]["order_state"] == "filled"
            assert SECRET not in done.out + done.err

    story()


# What replies mean.


@pytest.mark.parametrize(
    ("state", "fate"),
    [
        ("confirmed", Fate.CONFIRMED),
        ("prepared", Fate.PENDING),
        ("waiting_for_admin", Fate.PENDING),
        ("insufficient_funds", Fate.REJECTED),
        ("cancelled", Fate.REJECTED),
    ],
)
def test_a_transfers_state_is_its_fate(state: str, fate: Fate) -> None:
    assert transfer_fate(raw({"id": 2, "amount": D("0.2"), "state": state})).fate is fate


def test_the_documented_transfer_is_between_users_and_never_ours() -> None:
    row = {"id": 2, "amount": D("0.2"), "state": "confirmed", "type": "user", "created_timestamp": 1000}
    facts = {"at": "1000", "last": "0", "amount": "0.2"}
    assert transfers_fate(raw({"data": [row]}), facts) is None
    assert transfers_fate(raw({"data": [row | {"type": "subaccount"}]}), facts) is not None
    assert transfers_fate(raw({"data": [row | {"type": "subaccount", "amount": D("0.3")}]}), facts) is None


@pytest.mark.parametrize(
    ("state", "filled", "fate"),
    [
        ("filled", "10", Fate.CONFIRMED),
        ("cancelled", "4", Fate.CONFIRMED),
        ("cancelled", "0", Fate.REJECTED),
        ("rejected", "0", Fate.REJECTED),
        ("open", "0", Fate.PENDING),
    ],
)
def test_what_was_filled_decides_an_orders_fate(state: str, filled: str, fate: Fate) -> None:
    order = {"order_state": state, "amount": D(10), "filled_amount": D(filled), "label": "a"}
    assert order_fate(raw({"order": order})).fate is fate
    found = orders_fate(raw([order]), "a")
    assert found is not None
    assert found.fate is fate
    assert orders_fate(raw([order]), "b") is None


def test_what_cannot_be_read_is_malformed() -> None:
    with pytest.raises(Malformed):
        order_fate(raw({"order": {"order_state": "exploded"}}))
    with pytest.raises(Malformed):
        parse_rules(raw([{"instrument_name": "X", "tick_size": 0, "min_trade_amount": 1}]))


def test_ticks_grow_with_the_price_where_the_venue_says_so() -> None:
    row = {"instrument_name": "X", "tick_size": D("0.5"), "min_trade_amount": D(10)}
    steps = [{"above_price": D(100), "tick_size": D(1)}, {"above_price": D(1000), "tick_size": D(5)}]
    rules = parse_rules(raw([row | {"tick_size_steps": steps}]))["X"]
    assert [rules.tick_at(D(price)) for price in (50, 100, 101, 5000)] == [D("0.5"), D("0.5"), 1, 5]


def test_only_what_may_leave_a_subaccount_counts() -> None:
    purse = {"currency": "BTC", "available_funds": D("0.5"), "available_withdrawal_funds": D("0.25")}
    rows = [{"id": 7, "type": "subaccount", "username": "spare", "portfolio": {"btc": purse}}]
    own = parse_own(raw(rows), 7)
    assert (own.is_listed, own.label, own.free) == (True, "subaccount spare", {"BTC": D("0.25")})
    assert not parse_own(raw(rows), 8).is_listed


def test_a_subaccount_that_is_no_number_is_a_config_error() -> None:
    credentials = Credentials("account d", lambda: KEY, lambda: SECRET)
    with pytest.raises(ConfigError, match="subaccount is a number"):
        make(AccountOptions("d", VENUE, credentials=credentials, subaccount="spare"))
