"""What Hyperliquid's replies mean for a rescue, and that damaged ones are said to be damaged."""

import json
from decimal import Decimal

import pytest

from providers.errors import Malformed, Refused, Unreachable
from providers.hyperliquid_fate import margin_fate, transfer_fate
from providers.hyperliquid_rescue_facts import right_of
from providers.hyperliquid_rescue_wire import (
    Purse,
    Role,
    RoleKind,
    Stake,
    check_taken,
    parse_asset_id,
    parse_free,
    parse_purse,
    parse_role,
    parse_transfers,
)
from providers.rescue_ports import Fate

USER, MASTER, AGENT = "0x" + "aa" * 20, "0x" + "bb" * 20, "0x" + "cc" * 20


@pytest.mark.parametrize(
    ("reply", "role"),
    [
        ({"role": "user"}, Role(RoleKind.USER)),
        ({"role": "missing"}, Role(RoleKind.MISSING)),
        ({"role": "vault"}, Role(RoleKind.VAULT)),
        ({"role": "agent", "data": {"user": USER.upper().replace("0X", "0x")}}, Role(RoleKind.AGENT, USER)),
        ({"role": "subAccount", "data": {"master": MASTER}}, Role(RoleKind.SUB_ACCOUNT, MASTER)),
    ],
)
def test_roles_are_read(reply: object, role: Role) -> None:
    assert parse_role(json.dumps(reply).encode()) == role


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"role":"emperor"}', b'{"role":5}', b'{"role":"agent","data":7}'])
def test_an_unreadable_role_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_role(raw)


@pytest.mark.parametrize(
    ("of_user", "of_wallet", "vault", "nothing", "no_transfer"),
    [
        (Role(RoleKind.USER), Role(RoleKind.AGENT, USER), None, "", "own key"),
        (Role(RoleKind.SUB_ACCOUNT, MASTER), Role(RoleKind.AGENT, MASTER), USER, "", "own key"),
        (Role(RoleKind.USER), Role(RoleKind.AGENT, MASTER), None, "may not act", ""),
        (Role(RoleKind.VAULT), Role(RoleKind.USER), None, "may not act", ""),
        (Role(RoleKind.SUB_ACCOUNT, MASTER), Role(RoleKind.USER), None, "may not act", ""),
        (Role(RoleKind.USER), Role(RoleKind.MISSING), None, "may not act", ""),
    ],
)
def test_who_may_sign_for_whom(
    of_user: Role, of_wallet: Role, vault: str | None, nothing: str, no_transfer: str
) -> None:
    right = right_of(AGENT, USER, of_user, of_wallet)
    assert right.vault == vault
    assert nothing in right.nothing
    assert bool(nothing) is bool(right.nothing)
    assert nothing or no_transfer in right.no_transfer


def test_a_master_and_the_user_itself_may_do_everything() -> None:
    assert right_of(USER, USER) == right_of(USER, USER, None, None)
    assert right_of(USER, USER).nothing == right_of(USER, USER).no_transfer == ""
    assert right_of(MASTER, USER, Role(RoleKind.SUB_ACCOUNT, MASTER), Role(RoleKind.USER)).vault == USER
    assert "read-only" in right_of("", USER).nothing


@pytest.mark.parametrize(
    "position",
    [
        {"coin": "ETH", "szi": "NaN"},
        {"coin": "ETH", "szi": "1", "positionValue": "sNaN"},
        {"coin": "ETH", "szi": "1", "leverage": {"type": "isolated", "rawUsd": "Infinity"}},
        {"coin": "ETH", "szi": "1", "cumFunding": {"sinceOpen": "1E+99"}},
        {"szi": "1"},
    ],
)
def test_a_damaged_position_is_malformed(position: object) -> None:
    with pytest.raises(Malformed):
        parse_purse(json.dumps({"assetPositions": [{"position": position}]}).encode())


def test_a_purse_of_few_words_is_still_one() -> None:
    assert parse_purse(b"{}") == Purse(None, (), None)


@pytest.mark.parametrize(
    ("balances", "free"),
    [
        ([], "0"),
        ([{"coin": "USDC", "total": "10", "hold": "4"}], "6"),
        ([{"coin": "USDC", "total": "10"}], "10"),
        ([{"coin": "USDC", "total": "1", "hold": "4"}], "0"),
        ([{"coin": "PURR", "total": "9"}], "0"),
    ],
)
def test_only_what_no_order_holds_is_free(balances: object, free: str) -> None:
    assert parse_free(json.dumps({"balances": balances}).encode(), "USDC") == Decimal(free)


def test_asset_ids_are_places_in_a_universe() -> None:
    main = json.dumps({"universe": [{"name": "BTC"}, {"name": "ETH", "isDelisted": True}, {"name": "SOL"}]}).encode()
    other = json.dumps({"universe": [{"name": "xyz:A"}, {"name": "xyz:B"}]}).encode()
    dexes = json.dumps([None, {"name": "abc"}, {"name": "xyz"}]).encode()
    assert parse_asset_id(main, None, "BTC") == 0
    assert parse_asset_id(main, None, "SOL") == 2
    assert parse_asset_id(main, None, "ETH") is None
    assert parse_asset_id(main, None, "DOGE") is None
    assert parse_asset_id(other, dexes, "xyz:B") == 120_001
    assert parse_asset_id(other, b"[null]", "xyz:B") is None


def test_a_taken_action_is_told_from_a_refused_and_from_an_unreadable_one() -> None:
    check_taken(b'{"status":"ok","response":{"type":"default"}}')
    with pytest.raises(Refused, match="too poor"):
        check_taken(b'{"status":"err","response":"too poor"}')
    with pytest.raises(Refused):
        check_taken(b'{"status":"err","response":{"why":"odd"}}')
    for raw in (b"", b"null", b'{"status":"later"}'):
        with pytest.raises(Unreachable):
            check_taken(raw)


def test_a_ledger_holds_more_than_transfers() -> None:
    rows = [
        {"time": 5, "hash": "0xa", "delta": {"type": "accountClassTransfer", "usdc": "7", "toPerp": True}},
        {"time": 6, "delta": {"type": "vaultDeposit", "usdc": "7"}},
        {"time": 7, "delta": {"type": "rewardsClaim", "amount": "7"}},
    ]
    (found,) = parse_transfers(json.dumps(rows).encode())
    assert (found.usd, found.time_ms, found.nonce) == (Decimal(7), 5, None)


def stake(raw: str | None, size: str = "1", funding: str | None = None) -> Purse:
    cash, paid = (None if text is None else Decimal(text) for text in (raw, funding))
    return Purse(Decimal(1), (Stake("ETH", Decimal(size), True, cash, paid),), 1_000)


FACTS = {"coin": "ETH", "usd": "100", "nonce": "900", "raw": "-50", "funding": "", "size": "1", "until": "60900"}


@pytest.mark.parametrize(
    ("raw", "fate"),
    [
        ("50", Fate.CONFIRMED),
        ("50.9", Fate.CONFIRMED),
        ("-50", Fate.PENDING),
        ("-50.9", Fate.PENDING),
        ("0", Fate.UNKNOWN),
        ("150", Fate.UNKNOWN),
        (None, Fate.UNKNOWN),
    ],
)
def test_margin_is_told_by_the_cash_of_the_position(raw: str | None, fate: Fate) -> None:
    assert margin_fate(FACTS, stake(raw)).fate is fate


def test_funding_as_large_as_the_amount_proves_nothing() -> None:
    facts = {**FACTS, "funding": "0"}
    assert margin_fate(facts, stake("-50", funding="100")).fate is Fate.UNKNOWN
    assert margin_fate(facts, stake("50", funding="100")).fate is Fate.UNKNOWN


def test_a_transfer_is_missing_for_certain_only_after_two_minutes_of_the_venues_time() -> None:
    cases = ((None, Fate.PENDING), (1_000, Fate.PENDING), (120_900, Fate.PENDING), (120_901, Fate.REJECTED))
    for time_ms, fate in cases:
        assert transfer_fate(FACTS, (), Purse(None, (), time_ms)).fate is fate
