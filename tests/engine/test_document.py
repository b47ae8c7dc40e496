import json
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.accounts import Account, Collateral, Debt, Kind, MarginCall, MarginMode, Position, Session, VenueReport
from engine.answers import portfolio_answer
from engine.document import DocumentError, Portfolio, parse_portfolio, render_portfolio
from engine.prices import AssetPrice, OracleLeg, OraclePrice, Quote
from tests.engine.portfolios import DESIGN_EXAMPLE, NOW, SECOND, amounts, d, example, flat, ladder_of_tiers, tiers


def changed(path: str, value: Any) -> str:
    """Return the example with one place set; `...` deletes it."""
    document = deepcopy(DESIGN_EXAMPLE)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    place: Any = document
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document)


def problem(text: str | bytes) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse_portfolio(text)
    return caught.value


def test_the_example_reads_as_meant() -> None:
    portfolio = parse_portfolio(example())
    main, perp, broker = portfolio.accounts
    assert portfolio.as_of_ns == NOW
    assert main.collateral == (Collateral("ETH", d(10), d("0.83"), d("0.805"), d("0.015")),)
    assert main.debt == (Debt("USDC", d(15000), d("0.052")),)
    assert (perp.mode, perp.balance, perp.quote) == (MarginMode.CROSS, 5000, "USDC")
    assert perp.positions[0].tiers == flat("0.01")
    assert (broker.balance, broker.positions[0].tiers) == (-20_000, flat("0.25"))
    eth = portfolio.prices["ETH"]
    assert eth.oracle is not None
    assert (eth.oracle.age_s, eth.quotes[0].observed_at_ns) == (120, NOW - 400_000_000)
    assert portfolio.prices["USDC"].stable


def test_numbers_may_be_strings_or_json_numbers_and_stay_exact() -> None:
    exact = "0.1234567890123456789012345678901234567890"
    text = example().replace('"amount": "10"', f'"amount": {exact}')
    assert parse_portfolio(text).accounts[0].collateral[0].amount == Decimal(exact)
    assert parse_portfolio(changed("accounts/0/collateral/0/amount", exact)).accounts[0].collateral[
        0
    ].amount == Decimal(exact)


@pytest.mark.parametrize(
    ("path", "value", "where", "says"),
    [
        ("schema", "marginline.portfolio/2", "schema", "must be marginline.portfolio/1"),
        ("schema", ..., "schema", "is required"),
        ("as_of", "yesterday", "as_of", "not an RFC 3339 time in UTC"),
        ("as_of", "2026-02-30T00:00:00Z", "as_of", "not a real moment"),
        ("as_of", "2026-11-22T10:00:00+02:00", "as_of", "in UTC"),
        ("as_of", ..., "as_of", "is required"),
        ("accounts", ..., "accounts", "is required"),
        ("accounts", {}, "accounts", "must be a list, not an object"),
        ("accounts/0", "main", "accounts[0]", "must be an object, not 'main'"),
        ("acounts", [], "acounts", "unknown key; did you mean accounts?"),
        ("accounts/0/colateral", [], "accounts[0].colateral", "did you mean collateral?"),
        ("accounts/0/balance", "1", "accounts[0].balance", "unknown key"),
        ("accounts/0/collateral/0/apy", "1", "accounts[0].collateral[0].apy", "unknown key; known: amount, asset"),
        ("prices/ETH/orcale", "1", "prices.ETH.orcale", "did you mean oracle?"),
        ("prices/ETH/quotes/0/last", "1", "prices.ETH.quotes[0].last", "unknown key"),
        ("accounts/1/positions/0/tiers/0/imr", "1", "accounts[1].positions[0].tiers[0].imr", "unknown key"),
        ("accounts/0/name", ..., "accounts[0].name", "is required"),
        ("accounts/0/name", "", "accounts[0].name", "is empty"),
        ("accounts/0/name", " main", "accounts[0].name", "spaces around"),
        ("accounts/0/name", 7, "accounts[0].name", "must be a string, not 7"),
        ("accounts/0/kind", "loans", "accounts[0].kind", "did you mean loan?"),
        ("accounts/0/kind", None, "accounts[0].kind", "is required"),
        ("accounts/1/name", "main", "accounts[1].name", "accounts[0] has the same name"),
        ("accounts/0/chain_id", "-1", "accounts[0].chain_id", "whole number"),
        ("accounts/0/chain_id", 1.5, "accounts[0].chain_id", "whole number"),
        ("accounts/0/collateral/0/amount", "-1", "accounts[0].collateral[0].amount", "-1 is below 0"),
        ("accounts/0/collateral/0/amount", "ten", "accounts[0].collateral[0].amount", "'ten' is not a number"),
        ("accounts/0/collateral/0/amount", "NaN", "accounts[0].collateral[0].amount", "'NaN' is not a number"),
        ("accounts/0/collateral/0/amount", "1_000", "accounts[0].collateral[0].amount", "is not a number"),
        ("accounts/0/collateral/0/amount", "٣", "accounts[0].collateral[0].amount", "is not a number"),
        ("accounts/0/collateral/0/amount", "1e41", "accounts[0].collateral[0].amount", "is not a number we can hold"),
        ("accounts/0/collateral/0/amount", "1e-41", "accounts[0].collateral[0].amount", "is not a number we can hold"),
        ("accounts/0/collateral/0/amount", "9" * 42, "accounts[0].collateral[0].amount", "not a number we can hold"),
        ("accounts/0/collateral/0/amount", True, "accounts[0].collateral[0].amount", "must be a number, not true"),
        ("accounts/0/collateral/0/amount", [1], "accounts[0].collateral[0].amount", "must be a number, not a list"),
        ("accounts/0/collateral/0/amount", ..., "accounts[0].collateral[0].amount", "is required"),
        ("accounts/0/collateral/0/liquidation_threshold", "83", "", "83 is outside 0 to 1; write 83 % as 0.83"),
        ("accounts/0/collateral/0/liquidation_threshold", ..., "", "is required"),
        ("accounts/0/collateral/0/max_ltv", "1.01", "", "outside 0 to 1"),
        ("accounts/0/debt/0/borrow_rate", "500", "", "write 5 % as 0.05"),
        ("accounts/0/debt/0/amount", "-15000", "accounts[0].debt[0].amount", "below 0"),
        ("accounts/1/balance", ..., "accounts[1].balance", "is required"),
        ("accounts/2/cash", ..., "accounts[2].cash", "is required"),
        ("accounts/1/mode", "crossed", "accounts[1].mode", "did you mean cross?"),
        ("accounts/1/positions/0/entry_price", ..., "accounts[1].positions[0].entry_price", "is required"),
        ("accounts/1/positions/0/tiers", ..., "accounts[1].positions[0].tiers", "add tiers or maintenance_rate"),
        ("accounts/1/positions/0/tiers", [], "accounts[1].positions[0].tiers", "is empty"),
        ("accounts/1/positions/0/maintenance_rate", "0.01", "", "stands beside tiers"),
        ("accounts/1/positions/0/mark_price", "0", "accounts[1].positions[0].mark_price", "must be above 0"),
        ("accounts/1/positions/0/adl_rank", 6, "accounts[1].positions[0].adl_rank", "6 is outside 1 to 5"),
        ("accounts/1/positions/0/inverse", "yes", "accounts[1].positions[0].inverse", "must be true or false"),
        ("accounts/2/positions/0/inverse", True, "accounts[2].positions[0].entry_price", "is required"),
        ("accounts/1/positions/0/next_funding", "soon", "accounts[1].positions[0].next_funding", "RFC 3339"),
        ("accounts/1/positions/0/predicted_funding_rate", "500", "", "write 5 % as 0.05"),
        ("accounts/1/liquidation_multiple", "0", "accounts[1].liquidation_multiple", "must be above 0"),
        ("accounts/1/order_margin", "-1", "accounts[1].order_margin", "below 0"),
        ("accounts/1/mode", "port", "accounts[1].mode", "not one of cross, isolated, portfolio"),
        ("accounts/2/mode", "cross", "accounts[2].mode", "unknown key"),
        ("accounts/2/collateral", [], "accounts[2].collateral", "unknown key"),
        ("accounts/0/order_margin", "1", "accounts[0].order_margin", "unknown key"),
        ("accounts/2/margin_call", {"due": "2026-11-23T10:00:00Z"}, "accounts[2].margin_call.amount", "is required"),
        ("accounts/2/margin_call", {"amount": "1", "by": "x"}, "accounts[2].margin_call.by", "unknown key"),
        ("accounts/2/session", {}, "accounts[2].session.is_open", "is required"),
        ("accounts/2/session", {"is_open": True, "closes": "5 pm"}, "accounts[2].session.closes", "RFC 3339"),
        ("accounts/2/positions/0/maintenance_rate", "25", "", "write 25 % as 0.25"),
        ("prices/ETH/oracle", "-2500", "prices.ETH.oracle", "must be above 0"),
        ("prices/ETH", {"quotes": []}, "prices.ETH.oracle", "is required; accounts[0] holds ETH"),
        ("prices", ..., "prices.ETH.oracle", "is required; accounts[0] holds ETH"),
        ("prices/BTC", {"heartbeat_s": 1}, "prices.BTC.heartbeat_s", "no meaning without prices.BTC.oracle"),
        ("prices/ETH/oracle_age_s", "-5", "prices.ETH.oracle_age_s", "outside 0"),
        ("prices/ETH/stable", "yes", "prices.ETH.stable", "must be true or false, not 'yes'"),
        ("prices/ETH/volatility", "620", "prices.ETH.volatility", "0.62"),
        ("prices/ETH/quotes/0/bid", "0", "prices.ETH.quotes[0].bid", "must be above 0"),
        ("prices/ETH/quotes/0/venue", ..., "prices.ETH.quotes[0].venue", "is required"),
    ],
)
def test_a_wrong_place_is_named_with_its_value_and_what_to_do(path: str, value: Any, where: str, says: str) -> None:
    error = problem(changed(path, value))
    assert error.path == where or not where
    assert says in error.problem
    assert str(error) == f"{error.path}: {error.problem}"


@pytest.mark.parametrize(
    ("steps", "where", "says"),
    [
        ([["1", "0.01"]], "tiers[0].notional_floor", "the first tier starts at nothing"),
        ([["0", "0.01"], ["0", "0.02"]], "tiers[1].notional_floor", "does not rise above 0; sort the tiers"),
        ([["0", "0.01"], ["100", "0.02", "0.5"]], "tiers[1].deduction", "at this floor it must be 1"),
        ([["0", "0.01", "5"]], "tiers[0].deduction", "does not join"),
        ([["0", "-0.01"]], "tiers[0].maintenance_rate", "outside 0"),
    ],
)
def test_tiers_must_be_sorted_and_join(steps: list[list[str]], where: str, says: str) -> None:
    keys = ("notional_floor", "maintenance_rate", "deduction")
    listed = [dict(zip(keys, step, strict=False)) for step in steps]
    error = problem(changed("accounts/1/positions/0/tiers", listed))
    assert error.path == f"accounts[1].positions[0].{where}"
    assert says in error.problem


def test_a_deduction_left_out_joins_the_tier_before() -> None:
    listed = [
        {"notional_floor": 0, "maintenance_rate": "0.01"},
        {"notional_floor": 100, "maintenance_rate": "0.02"},
        {"notional_floor": 300, "maintenance_rate": "0.05"},
    ]
    found = parse_portfolio(changed("accounts/1/positions/0/tiers", listed)).accounts[1].positions[0].tiers
    assert [tier.deduction for tier in found] == [0, 1, 10]
    assert found == ladder_of_tiers([(0, 100), (100, 200), (300, 500)])


def test_an_isolated_account_has_one_position() -> None:
    document = deepcopy(DESIGN_EXAMPLE)
    document["accounts"][1]["mode"] = "isolated"
    assert parse_portfolio(json.dumps(document)).accounts[1].mode is MarginMode.ISOLATED
    document["accounts"][1]["positions"] *= 2
    error = problem(json.dumps(document))
    assert (error.path, error.problem) == (
        "accounts[1].positions",
        "an isolated account has one position, not 2; split it",
    )


def test_positions_of_one_asset_may_have_marks_of_their_own() -> None:
    document = deepcopy(DESIGN_EXAMPLE)
    positions = document["accounts"][1]["positions"]
    positions.append({**positions[0], "mark_price": "61500", "contract": "BTC-DEC"})
    read = parse_portfolio(json.dumps(document)).accounts[1]
    assert [each.mark_price for each in read.positions] == [61_000, 61_500]
    assert read.positions[1].contract == "BTC-DEC"


def test_a_coin_in_the_quote_currency_needs_no_price() -> None:
    coins = [{"asset": "USDT", "amount": "5", "liquidation_threshold": "1"}]
    document = deepcopy(DESIGN_EXAMPLE)
    document["accounts"][1] |= {"quote": "USDT", "collateral": coins}
    assert parse_portfolio(json.dumps(document)).accounts[1].collateral[0].amount == 5
    document["accounts"][1]["quote"] = "USD"
    assert problem(json.dumps(document)).problem.endswith("accounts[1] holds USDT; add its price")


def test_an_account_may_bring_its_own_oracle() -> None:
    document = deepcopy(DESIGN_EXAMPLE)
    document["accounts"][0]["prices"] = {"ETH": {"oracle": "2000"}, "USDC": {"oracle": "0.99"}}
    del document["prices"]
    account = parse_portfolio(json.dumps(document)).accounts[0]
    assert account.oracles == {"ETH": OraclePrice(d(2000)), "USDC": OraclePrice(d("0.99"))}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON: Expecting value at line 1 column 1"),
        ("{", "is not JSON"),
        ("[]", "must be an object, not a list"),
        ("null", "must be an object, not null"),
        (b"\xff\xfe", "is not UTF-8 text (byte 0)"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ('{"a":' * 100_000, "nested deeper than 64 levels"),
        ('"' + "[" * 1000, "is not JSON"),
        (" " * 16_000_001, "is larger than 16 MB"),
        ('{"schema": "a", "schema": "b"}', "key 'schema' is given twice; keep one"),
    ],
    ids=("empty", "cut", "list", "null", "bytes", "nested", "nested-objects", "brackets-in-text", "large", "twice"),
)
def test_text_that_is_no_document_is_refused_as_a_whole(text: str | bytes, says: str) -> None:
    error = problem(text)
    assert error.path == "document"
    assert says in error.problem


@pytest.mark.parametrize(
    "literal",
    ["NaN", "Infinity", "-Infinity", "1e999999999", "1" * 5000, "0." + "1" * 90],
    ids=("nan", "infinity", "minus-infinity", "exponent", "digits", "places"),
)
def test_numbers_that_cannot_be_held_are_refused_where_they_stand(literal: str) -> None:
    error = problem(example().replace('"amount": "10"', f'"amount": {literal}'))
    assert error.path == "accounts[0].collateral[0].amount"
    assert len(str(error)) < 250


@pytest.mark.parametrize(
    "hostile",
    ["[bold red]x" * 900, "\x1b[2J", "\u202eUSDC", "a\nb", "\ud800", "\u200b"],
    ids=("markup", "escape", "right-to-left", "newline", "surrogate", "zero-width"),
)
def test_hostile_names_are_refused_inertly(hostile: str) -> None:
    for path in ("accounts/0/name", "accounts/0/collateral/0/asset", "prices/ETH/source"):
        error = problem(changed(path, hostile))
        assert str(error).isprintable()
        assert str(error).isascii()
        assert len(str(error)) < 250


def test_a_hostile_key_is_named_inertly() -> None:
    error = problem(changed("\x1b]0;owned\x07" + "k" * 10_000, 1))
    assert str(error).isprintable()
    assert len(str(error)) < 250


def test_a_repeated_key_deep_inside_is_named_with_its_place() -> None:
    text = example().replace('"amount": "10"', '"amount": "10", "amount": "11"')
    assert problem(text).path == "accounts[0].collateral[0]"


def test_too_many_legs_are_refused() -> None:
    error = problem(changed("accounts/0/debt", [{"asset": "USDC", "amount": 1}] * 1001))
    assert (error.path, error.problem) == ("accounts[0].debt", "holds 1001 items, at most 1000 are read")


def test_rendering_rebases_ages_on_the_documents_time_and_drops_what_others_say() -> None:
    block = NOW - 30 * SECOND
    oracle = OraclePrice(d(2500), updated_at_ns=block - 100 * SECOND, as_of_ns=block, source="ETH / USD")
    account = Account(
        "main",
        Kind.LOAN,
        collateral=(Collateral("ETH", d(1), d("0.8")),),
        oracles={"ETH": oracle},
        reported=VenueReport(health_factor=d(2)),
        degraded=("x",),
        venue="aave-v3 eth",
    )
    again = parse_portfolio(json.dumps(render_portfolio(Portfolio(NOW, {}, (account,)))))
    read = again.accounts[0]
    assert read.oracles["ETH"].age_s == 100
    assert (read.reported, read.degraded, read.venue) == (None, (), "")


names = st.text("ABCdef012 .-_/:é漢", min_size=1, max_size=12).map(str.strip).filter(bool)
shares = amounts("0", "1")
rates = st.none() | amounts("-2", "2")
positive = amounts("0.0001", "1000000") | st.sampled_from([d("1e40"), d("1e-40"), d("123456789.123456789123456789")])
moments = st.none() | st.integers(0, 4 * NOW // 3)
ages = st.none() | st.integers(0, 10**13).map(lambda age: NOW - age)


@st.composite
def oracle_prices(draw: st.DrawFn) -> OraclePrice:
    legs = tuple(
        draw(
            st.lists(
                st.builds(
                    OracleLeg, positive, st.none() | names, ages, st.none() | positive, st.none() | positive, names
                ),
                max_size=2,
            )
        )
    )
    updated = draw(ages)
    aged = updated is not None or any(leg.updated_at_ns is not None for leg in legs)
    return OraclePrice(
        draw(positive),
        updated,
        NOW if aged else None,
        draw(st.none() | positive),
        draw(st.none() | positive),
        legs,
        draw(st.just("") | names),
        draw(st.none() | st.integers(0, 10**30)),
    )


@st.composite
def documents(draw: st.DrawFn) -> Portfolio:
    assets = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    quotes = st.lists(st.builds(Quote, names, positive, positive, ages), max_size=3).map(tuple)
    prices = {
        asset: AssetPrice(
            draw(oracle_prices()), draw(quotes), draw(st.none() | amounts("0.01", "9")), draw(st.booleans())
        )
        for asset in assets
    }
    asset = st.sampled_from(assets)
    chosen = draw(st.lists(names, max_size=4, unique=True))
    accounts = tuple(draw(one_account(name, asset)) for name in chosen)
    return Portfolio(NOW, prices, accounts)


@st.composite
def one_account(draw: st.DrawFn, name: str, asset: st.SearchStrategy[str]) -> Account:
    base = Account(
        name,
        draw(st.sampled_from(Kind)),
        provider=draw(st.none() | names),
        chain_id=draw(st.none() | st.integers(0, 10**9)),
        quote=draw(names),
        oracles=draw(st.dictionaries(asset, oracle_prices(), max_size=2)),
    )
    amount = st.just(d(0)) | positive
    if base.kind is Kind.LOAN:
        held = st.builds(Collateral, asset, amount, shares, st.none() | shares, rates, st.none() | shares)
        return replace(
            base,
            collateral=tuple(draw(st.lists(held, max_size=3))),
            debt=tuple(draw(st.lists(st.builds(Debt, asset, amount, rates), max_size=3))),
            close_factor=draw(st.none() | shares),
        )
    position = st.builds(
        Position,
        asset,
        positive.map(lambda size: size if draw(st.booleans()) else -size),
        tiers(),
        positive,
        positive,
        st.none() | shares,
        rates,
        st.none() | positive,
        st.none() | positive,
        st.booleans(),
        st.just("") | names,
        st.none() | st.integers(1, 5),
        rates,
        moments,
        st.none() | amounts("-1000", "1000"),
    )
    listed = draw(st.lists(position, max_size=3))
    if base.kind is Kind.PERP and draw(st.booleans()):
        coins = st.builds(Collateral, asset, amount, shares, st.none() | shares, rates, st.none() | shares)
        base = replace(
            base,
            collateral=tuple(draw(st.lists(coins, max_size=2))),
            debt=tuple(draw(st.lists(st.builds(Debt, asset, amount, rates), max_size=2))),
        )
    mode = draw(st.none() | st.sampled_from(MarginMode)) if base.kind is Kind.PERP else None
    if mode is MarginMode.ISOLATED and len(listed) != 1:
        mode = MarginMode.CROSS
    return replace(
        base,
        mode=mode,
        balance=draw(amounts("-1000", "1000")),
        cash_rate=draw(rates),
        positions=tuple(listed),
        extra_requirement=draw(st.just(d(0)) | amounts("-1000", "1000")),
        liquidation_multiple=draw(st.just(d(1)) | amounts("0.5", "2")),
        order_margin=draw(st.none() | amount),
        initial_requirement=draw(st.none() | amount),
        trigger=draw(st.just("") | names),
        estimated=draw(st.just("") | names),
        margin_call=draw(st.none() | st.builds(MarginCall, amount, moments, st.just("") | names)),
        session=draw(st.none() | st.builds(Session, st.booleans(), moments, moments)),
    )


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_reading_what_was_written_gives_the_same_portfolio(portfolio: Portfolio) -> None:
    assert parse_portfolio(json.dumps(render_portfolio(portfolio))) == portfolio


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_every_document_that_reads_is_answered_in_plain_decimals(portfolio: Portfolio) -> None:
    text = json.dumps(portfolio_answer(portfolio))
    for account in json.loads(text)["accounts"]:
        for key in ("health_factor", "equity", "buffer", "leverage", "uniform_shock"):
            figure = account[key]
            assert figure is None or "E" not in figure.upper()
            assert figure is None or len(figure.partition(".")[2]) <= 18
        assert account["severity"] in ("safe", "watch", "warn", "danger", "liquidatable", "unknown")


@settings(deadline=None, max_examples=150)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["schema", "as_of", "accounts", "prices", "name", "kind", "oracle", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_other_json_is_refused_by_name(value: object) -> None:
    error = problem(json.dumps(value))
    assert error.problem
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ("[]", "must be an object, not a list"),
        ('{"ETH": {"oracle": 1}, "ETH": {"oracle": 2}}', "key 'ETH' is given twice; keep one"),
        ("{" + ",".join(f'"A{index}": {{}}' for index in range(10_001)) + "}", "at most 10000 are read"),
    ],
    ids=("list", "twice", "many"),
)
def test_prices_are_an_object_of_distinct_assets(entries: str, says: str) -> None:
    text = (
        f'{{"schema": "marginline.portfolio/1", "as_of": "2026-11-22T10:00:00Z", "prices": {entries}, "accounts": []}}'
    )
    error = problem(text)
    assert error.path == "prices"
    assert says in error.problem
