"""Rows of the account table: what each figure becomes, and what a stale, an unknown and a masked one become."""

from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

from desk.snapshot import AccountState
from engine.accounts import Account, Collateral, Debt, Kind
from engine.assessment import Method, Severity
from engine.prices import OraclePrice
from tests.tui import frames
from tui.present_accounts import AccountRows, account_row
from tui.view import Sort, View
from widgets.accounts import AccountRow
from widgets.tones import BLANK, Cell, Tone


def row(account: str, **view: object) -> AccountRow:
    rows = AccountRows().model(frames.frame(view=View(**view))).rows  # type: ignore[arg-type]
    return next(each for each in rows if each.key == account)


def test_a_loan_in_danger_shows_health_at_the_oracle_at_the_market_and_after_the_next_print() -> None:
    main = row("main")
    assert main.glyph == Cell("!!", Tone.DANGER)
    assert main.health == Cell("1.083", Tone.DANGER)
    assert main.market == Cell("1.074", Tone.TEXT)
    assert main.next == Cell("1.074", Tone.NEXT)
    assert (main.by.text, main.liq_at.text, main.distance.text) == ("ETH", "2,290.0", "-7.7")
    assert main.room is not None
    assert 0.12 < main.room.fraction < 0.14


def test_a_short_must_rise_and_has_no_next_print() -> None:
    short = row("hl-short")
    assert short.distance.text == "+13.0"
    assert short.next == BLANK
    assert short.debt == BLANK
    assert short.age.text == "0.4s"


def test_a_stale_row_goes_muted_gains_question_marks_and_a_reversed_age() -> None:
    lost = row("bybit-sol")
    assert lost.glyph == Cell("?", Tone.UNKNOWN)
    assert lost.health == Cell("14.984?", Tone.UNKNOWN)
    assert lost.distance == Cell("-14.1?", Tone.MUTED)
    assert lost.buffer == Cell("773?", Tone.MUTED)
    assert lost.age == Cell("4m", Tone.STALE)
    assert lost.room is not None
    assert lost.room.tone is Tone.MUTED


def test_ages_drop_their_reverse_when_everything_is_stale() -> None:
    states = [frames.state(account, age_s=300, is_stale=True) for account in frames.CAST]
    rows = AccountRows().model(frames.frame(frames.snapshot(states))).rows
    assert {each.age.tone for each in rows} == {Tone.UNKNOWN}
    assert {each.glyph.text for each in rows} == {"?"}


def test_an_account_without_debt_says_so_and_shows_no_line() -> None:
    idle = row("vault-old")
    assert idle.health == Cell("no debt", Tone.MUTED)
    assert (idle.by, idle.liq_at, idle.distance, idle.market, idle.next, idle.room) == (BLANK,) * 5 + (None,)


def test_masked_amounts_have_one_length_and_ratios_stay() -> None:
    main = row("main", is_masked=True)
    assert {main.buffer.text, main.equity.text, main.debt.text, main.cost.text} == {"\u00b7" * 5}
    assert (main.health.text, main.distance.text, main.liq_at.text) == ("1.083", "-7.7", "2,290.0")


def test_market_and_next_print_are_unknown_without_a_consensus_and_blank_without_venues() -> None:
    taken = frames.snapshot([replace_market(None)])
    shown = AccountRows().model(frames.frame(taken)).rows[0]
    assert shown.market == Cell("?", Tone.UNKNOWN)
    without = replace(taken, sources=frames.SOURCES[:1])
    shown = AccountRows().model(frames.frame(without)).rows[0]
    assert (shown.market, shown.next) == (BLANK, BLANK)


def replace_market(market: str | None) -> frames.AccountState:
    prices = frames.PRICES | {"ETH": frames.asset_price("2481", market)}
    return frames.state(frames.MAIN, prices=prices)


def test_a_health_just_below_one_never_reads_as_one() -> None:
    account = Account(
        "edge", Kind.LOAN, collateral=(Collateral("ETH", Decimal(1), Decimal("0.4029826")),),
        debt=(Debt("USDC", Decimal(1000)),),
    )  # fmt: skip
    state = frames.state(account)
    assert state.assessment.health_factor is not None
    assert Decimal("0.9996") < state.assessment.health_factor < 1
    shown = account_row(frames.snapshot(), state, "12s", False, False, True)
    assert shown.health == Cell("0.999", Tone.DANGER)
    assert shown.glyph == Cell("X", Tone.LIQUIDATABLE)
    assert shown.distance.text == "0.0"


def test_an_estimated_health_is_marked() -> None:
    state = frames.state(frames.MAIN)
    guessed = replace(state, assessment=replace(state.assessment, method=Method.ESTIMATED))
    assert account_row(frames.snapshot(), guessed, "12s", False, False, True).health.text == "~1.083"


def test_an_unknown_health_is_a_question_mark_in_the_unknown_tone() -> None:
    prices = frames.PRICES | {"ETH": replace(frames.PRICES["ETH"], oracle=None)}
    state = frames.state(frames.MAIN, prices=prices)
    shown = account_row(frames.snapshot(), state, "12s", False, False, True)
    assert state.assessment.severity is Severity.UNKNOWN
    assert (shown.health, shown.glyph) == (Cell("?", Tone.UNKNOWN), Cell("?", Tone.UNKNOWN))


def test_amounts_in_another_currency_name_it() -> None:
    state = frames.state(replace(frames.MAIN, quote="EUR"))
    assert account_row(frames.snapshot(), state, "12s", False, False, True).buffer.text.endswith(" EUR")


def test_an_unchanged_account_keeps_its_row_object_and_a_changed_one_does_not() -> None:
    rows = AccountRows()
    taken = frames.snapshot()
    first = rows.model(frames.frame(taken)).rows
    later = replace(taken, sequence=2, taken_at_ns=taken.taken_at_ns + 60_000_000_000)
    moved = dict(later.accounts)
    moved["spark"] = frames.state(frames.SAFE, prices=frames.PRICES | {"ETH": frames.asset_price("2400", "2390")})
    second = rows.model(frames.frame(replace(later, accounts=moved))).rows
    again = rows.model(frames.frame(replace(later, accounts=moved, sequence=3))).rows
    by_key = {each.key: each for each in first}
    assert next(each for each in second if each.key == "spark").health != by_key["spark"].health
    assert all(a is b for a, b in zip(second, again, strict=True))


def test_a_row_object_survives_a_new_reading_that_shows_the_same() -> None:
    rows = AccountRows()
    taken = frames.snapshot([frames.state(frames.MAIN)])
    first = rows.model(frames.frame(taken)).rows[0]
    same = frames.snapshot([frames.state(frames.MAIN)], sequence=2)
    assert rows.model(frames.frame(same)).rows[0] is first


def test_only_rows_that_are_looked_at_are_made() -> None:
    class Watched(dict[str, AccountState]):
        looked_at: ClassVar[list[str]] = []

        def __getitem__(self, name: str) -> AccountState:
            self.looked_at.append(name)
            return super().__getitem__(name)

    taken = frames.snapshot()
    watched = Watched(taken.accounts)
    frame = replace(frames.frame(taken), snapshot=replace(taken, accounts=watched))
    model = AccountRows().model(frame)
    assert watched.looked_at == []
    assert [each.key for each in model.rows[1:3]] == list(frame.order[1:3])
    assert set(watched.looked_at) == set(frame.order[1:3])
    assert (len(model.rows), model.keys) == (len(frame.order), frame.order)


def test_the_sorted_column_is_named_and_a_filter_without_a_match_says_how_to_clear_it() -> None:
    model = AccountRows().model(frames.frame(view=View(sort=Sort.DISTANCE)))
    assert model.sorted_by == "DIST %"
    nothing = replace(frames.frame(view=View(filter="zzz")), order=())
    assert AccountRows().model(nothing).nothing == "nothing matches 'zzz'; esc clears the filter"


def test_a_tiny_price_keeps_its_digits() -> None:
    price = frames.AssetPrice(OraclePrice(Decimal("0.00001234"), frames.NOW, frames.NOW, Decimal(3600), Decimal(50)))
    account = Account(
        "pepe", Kind.LOAN, collateral=(Collateral("PEPE", Decimal(10**9), Decimal("0.5")),),
        debt=(Debt("USDC", Decimal(4000)),),
    )  # fmt: skip
    prices = frames.PRICES | {"PEPE": price}
    state = frames.state(account, prices=prices)
    taken = frames.snapshot([state], prices={"PEPE": frames.AssetState("PEPE", price, frames.Consensus(None))})
    assert account_row(taken, state, "1s", False, False, True).liq_at.text == "8.0000e-6"
