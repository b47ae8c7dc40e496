"""One account in full."""

from dataclasses import replace
from decimal import Decimal

from engine.accounts import Position
from engine.assessment import Direction
from tests.tui import frames
from tui import present_detail, present_facts
from tui.view import Frame, View
from widgets.facts import FactList, Text
from widgets.tones import Tone


def of(account: str, **view: object) -> Frame:
    return frames.frame(view=View(selected=account, **view))  # type: ignore[arg-type]


def values(facts: FactList) -> dict[str, str]:
    return {fact.label: "".join(cell.text for cell in fact.value) for fact in facts.rows}


def lines(text: Text) -> list[str]:
    return ["".join(cell.text for cell in line).rstrip() for line in text.lines]


def test_the_load_line_has_the_line_below_a_loan_and_three_marks() -> None:
    scale = present_detail.scale(of("main"))
    assert scale.direction is Direction.DOWN
    assert scale.line_label == "2,290.0"
    assert [(mark.letter, mark.name, mark.label) for mark in scale.marks] == [
        ("O", "oracle", "2,481.0"),
        ("M", "market", "2,459.4"),
        ("N", "next", "2,459.4"),
    ]


def test_the_load_line_has_the_line_above_a_short_and_names_the_mark() -> None:
    scale = present_detail.scale(of("hl-short"))
    assert scale.direction is Direction.UP
    assert [(mark.letter, mark.name) for mark in scale.marks] == [("P", "mark"), ("M", "market")]
    assert scale.line is not None
    assert scale.line > scale.marks[0].price


def test_what_has_no_line_says_why() -> None:
    assert present_detail.scale(of("vault-old")).reason == "no debt: nothing can be liquidated"
    assert present_detail.scale(frames.frame(frames.snapshot([]))).reason == "no account selected"


def test_a_stale_scale_says_that_it_is() -> None:
    assert present_detail.scale(of("bybit-sol")).is_stale


def test_the_legs_of_a_loan_add_and_owe() -> None:
    legs = present_detail.legs(of("main"))
    shown = [(row.leg.text, row.amount.text, row.value.text, row.rate.text, row.price.text) for row in legs.rows]
    assert shown == [
        ("+ ETH", "24.1500", "59,916", "+1.5", "2,481.0"),
        ("- USDC", "-45,900.00", "-45,900", "-5.2", "1.0000"),
    ]
    assert legs.threshold_header == "THRESH"


def test_the_legs_of_a_perp_end_with_its_balance() -> None:
    legs = present_detail.legs(of("hl-short"))
    assert [row.leg.text for row in legs.rows] == ["- BTC", "+ USDC"]
    assert legs.rows[0].threshold.text == "0.012"
    assert legs.threshold_header == "MAINT"


def test_masked_legs_keep_thresholds_and_prices() -> None:
    row = present_detail.legs(of("main", is_masked=True)).rows[0]
    assert {row.amount.text, row.value.text} == {"\u00b7" * 5}
    assert (row.threshold.text, row.price.text) == ("0.830", "2,481.0")


def test_the_facts_of_a_loan() -> None:
    facts = values(present_facts.facts(of("main")))
    assert facts["collateral"] == "59,916 $"
    assert facts["debt"] == "45,900 $"
    assert facts["buffer"] == "3,830 $"
    assert facts["leverage"] == "4.28 ×"
    assert facts["cost of debt"] == "6.54 $/d"
    assert facts["all together"] == "-7.7 %"
    assert facts["because"] == "health_factor 1.0834 < 1.15"
    assert facts["lost at the line"].endswith(" $")


def test_masked_facts_hide_amounts_and_keep_ratios() -> None:
    facts = values(present_facts.facts(of("main", is_masked=True)))
    assert facts["buffer"] == "\u00b7" * 5
    assert facts["leverage"] == "4.28 ×"


def test_a_venue_that_reports_another_line_is_shown_loudly() -> None:
    position = frames.SHORT.positions[0]
    agreeing = replace(position, venue_liquidation_price=Decimal("69135.8"))
    other = replace(position, venue_liquidation_price=Decimal("68000"))

    def tone(leg: Position) -> Tone:
        state = frames.state(replace(frames.SHORT, positions=(leg,)))
        facts = present_facts.facts(frames.frame(frames.snapshot([state])))
        return next(fact.value[0].tone for fact in facts.rows if fact.label == "venue's line")

    assert tone(agreeing) is Tone.TEXT
    assert tone(other) is Tone.WARN


def test_three_healths_stand_side_by_side() -> None:
    shown = lines(present_detail.healths(of("main")))
    assert shown[0].split("  ")[0].strip() == "at oracle"
    assert shown[1].split() == ["1.083", "-7.7", "%", "1.074", "-6.8", "%", "1.074"]
    assert "due: deviation" in shown[2]


def test_a_market_past_the_line_is_said_in_words() -> None:
    prices = frames.PRICES | {"ETH": frames.asset_price("2481", "2200")}
    state = frames.state(frames.MAIN, prices=prices)
    eth = frames.AssetState("ETH", prices["ETH"], frames.agreed(prices)["ETH"])
    taken = frames.snapshot([state], prices={"ETH": eth})
    brief = values(present_detail.brief(frames.frame(taken)))
    assert brief["to the line"] == "-7.7 %"
    assert brief["at market"] == "past it"


def test_every_asset_has_its_own_line_or_none() -> None:
    shown = lines(present_detail.lines_by_asset(of("main")))
    assert shown[1].split() == ["ETH", "2,481.0", "2,290.0", "-7.7", "-6.8"]
    assert shown[2].split()[:4] == ["USDC", "1.0000", "1.0834", "+8.3"]


def test_the_chart_has_the_rungs_of_the_ladder_and_spans_what_is_known() -> None:
    history = present_detail.history(of("main"))
    assert [rung.label for rung in history.thresholds] == ["2.00", "1.50", "1.15"]
    assert len(history.points) == 25
    assert present_detail.history_section(of("main")).title == "health factor, 24 h"
    assert present_detail.history(of("vault-old")).nothing == "no debt"
    assert present_detail.history(of("hl-short")).thresholds == ()


def test_a_short_history_is_not_stretched_to_a_day() -> None:
    state = replace(frames.state(frames.MAIN), health_history=((frames.NOW - 600 * frames.S, 1.1),))
    section = present_detail.history_section(frames.frame(frames.snapshot([state])))
    assert section.title == "health factor, 10 min"
