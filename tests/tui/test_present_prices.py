"""Prices, quotes, alerts and sources as rows."""

from dataclasses import replace
from decimal import Decimal

from engine.alerts import AlertPhase
from engine.consensus import consensus
from engine.prices import OracleLeg, OraclePrice, Quote
from providers.ports import LinkState
from tests.tui import frames
from tui import present_alerts, present_feeds, present_prices
from tui.view import View
from widgets.prices import PriceRow
from widgets.tones import Cell, Tone


def price(asset: str, taken: frames.Snapshot | None = None) -> PriceRow:
    return next(row for row in present_prices.prices(frames.frame(taken)).rows if row.key == asset)


def with_price(asset: str, entry: frames.AssetPrice) -> frames.Snapshot:
    state = frames.AssetState(asset, entry, consensus(entry.quotes, frames.NOW))
    return frames.snapshot(prices={asset: state})


def test_the_oracle_the_market_and_how_far_apart_they_are() -> None:
    eth = price("ETH")
    assert (eth.oracle.text, eth.age.text, eth.market.text) == ("2,481.0", "24s", "2,459.4")
    assert eth.divergence_bps == Cell("-87.1", Tone.WARN)
    assert eth.divergence is not None
    assert eth.divergence.deviation_bps == 50
    assert eth.next_print == Cell("due: deviation", Tone.WARN)
    assert eth.venues == Cell("3/3", Tone.TEXT)


def test_a_print_that_is_not_due_is_said_so_and_stables_come_last() -> None:
    assert price("BTC").next_print.text == "not due"
    assert [row.key for row in present_prices.prices(frames.frame()).rows][-1] == "USDC"


def test_a_venue_that_left_the_consensus_is_named_with_its_reason() -> None:
    entry = frames.asset_price("2481", "2459.4")
    old = Quote("okx", Decimal("2459"), Decimal("2460"), frames.NOW - 42 * frames.S)
    row = price("ETH", with_price("ETH", replace(entry, quotes=(*entry.quotes, old))))
    assert row.venues == Cell("3/4", Tone.UNKNOWN)
    assert row.note.text.startswith("okx stale 42")


def test_without_a_consensus_the_market_is_unknown_and_the_reason_is_told() -> None:
    entry = frames.asset_price("2481", "2459.4")
    old = tuple(replace(quote, observed_at_ns=frames.NOW - 60 * frames.S) for quote in entry.quotes)
    row = price("ETH", with_price("ETH", replace(entry, quotes=old)))
    assert row.market == Cell("?", Tone.UNKNOWN)
    assert row.note.tone is Tone.UNKNOWN
    assert row.note.text


def test_one_venue_alone_is_an_estimate() -> None:
    entry = frames.asset_price("2481", "2459.4")
    row = price("ETH", with_price("ETH", replace(entry, quotes=entry.quotes[:1])))
    assert row.market.text == "~2,459.4"
    assert row.note.text == "one venue"


def test_a_composite_names_its_legs() -> None:
    legs = (OracleLeg(Decimal("1.19")), OracleLeg(Decimal("2481"), "ETH"))
    entry = frames.AssetPrice(OraclePrice(Decimal("2952"), frames.NOW, frames.NOW, legs=legs))
    row = price("wstETH", with_price("wstETH", entry))
    assert row.note.text == "rate x ETH"
    assert row.heartbeat_label.text == "none"


def test_an_oracle_older_than_its_heartbeat_is_warned_of() -> None:
    row = price("ETH", with_price("ETH", frames.asset_price("2481", "2480", 4000)))
    assert row.age == Cell("1h", Tone.WARN)
    assert row.heartbeat is not None
    assert (row.heartbeat.fraction, row.heartbeat.tone) == (1.0, Tone.WARN)


def test_an_oracle_nobody_reads_any_more_grows_old_and_is_not_vouched_for() -> None:
    states = [frames.state(account, age_s=252, is_stale=True) for account in frames.CAST]
    row = price("ETH", frames.snapshot(states))
    assert row.oracle == Cell("2,481.0?", Tone.MUTED)
    assert row.age.text == "4m"


def test_quotes_tell_who_counts_and_who_does_not() -> None:
    entry = frames.asset_price("2481", "2459.4")
    old = Quote("okx", Decimal("2459"), Decimal("2460"), frames.NOW - 42 * frames.S)
    taken = with_price("ETH", replace(entry, quotes=(*entry.quotes, old)))
    rows = {row.name.text: row for row in present_prices.quotes(frames.frame(taken), "ETH").rows}
    assert list(rows) == ["oracle", "next", "binance", "coinbase", "kraken", "okx"]
    assert rows["next"].high == Cell("~2,459.4", Tone.NEXT)
    assert rows["binance"].state.text == "live"
    assert rows["okx"].high.text == "2,460.0?"
    assert rows["okx"].age.tone is Tone.STALE
    assert rows["okx"].state.text.endswith("left the consensus")
    section = present_prices.quotes_section(frames.frame(taken), "ETH")
    assert section.note == "consensus 2,459.4 · median of 3 · spread 0.0 bps"


def test_no_asset_has_no_quotes() -> None:
    assert present_prices.quotes(frames.frame(), None).nothing == "no asset selected"
    assert present_prices.quotes(frames.frame(), "NONE").nothing == "no asset selected"


def test_alerts_leave_the_subject_out_of_the_text_and_mute_what_is_seen() -> None:
    new, seen = present_alerts.alerts(frames.frame()).rows
    assert (new.subject, new.text) == (
        Cell("main", Tone.STRONG),
        Cell("is danger: health_factor 1.08", Tone.TEXT),
    )
    assert new.state == Cell("new", Tone.ACCENT)
    assert new.time.text == "09:58:44"
    assert seen.state == Cell("ack 09:58", Tone.MUTED)
    assert seen.delivery == Cell("push ok", Tone.MUTED)
    assert seen.text.tone is Tone.MUTED


def test_closed_repeated_and_unsent_alerts() -> None:
    alert = replace(frames.ALERTS[0], phase=AlertPhase.RESOLVED, count=3, delivery="push failed: timeout")
    row = present_alerts.alerts(frames.frame(frames.snapshot(alerts=(alert,)))).rows[0]
    assert row.state.text == "closed"
    assert row.text.text.endswith("(3 times)")
    assert row.delivery.tone is Tone.DANGER


def test_the_selected_alert_in_full() -> None:
    key = frames.ALERTS[1].key
    text = present_alerts.detail(frames.frame(view=View(selected_alert=key)))
    said = ["".join(cell.text for cell in line) for line in text.lines]
    assert said[0].split(maxsplit=1) == ["what", "bybit-sol: no reading for over 60 s"]
    assert "09:56:02 UTC, 4m12s ago" in said[2]
    assert present_alerts.detail(frames.frame(frames.snapshot(alerts=()))).lines == ()


def test_every_source_with_what_it_says_and_when_it_tries_again_the_sick_first() -> None:
    text = present_feeds.feeds(frames.frame())
    said = ["".join(cell.text for cell in line).split() for line in text.lines]
    assert said[1] == ["bybit-sol", "accounts", "down", "4m", "8.0s", "connection", "refused"]
    assert said[2] == ["main", "accounts", "live", "12s"]
    assert ["binance", "prices", "live", "0.5s", "3"] in said
    assert present_feeds.section(frames.frame()).note == "3 of 4 live"


def test_what_is_degraded_overall_is_listed_with_the_sources() -> None:
    taken = frames.snapshot(degraded=("USDT taken at 1 USD",), sources=())
    said = ["".join(cell.text for cell in line) for line in present_feeds.feeds(frames.frame(taken)).lines]
    assert "USDT taken at 1 USD" in said
    assert "no sources" in said
    assert LinkState.DOWN in present_feeds.LINK_TONES


def test_an_oracle_that_prints_nothing_leaves_the_next_print_unknown() -> None:
    account = replace(frames.MAIN, oracles={"ETH": OraclePrice(Decimal(0), frames.NOW, frames.NOW, None, Decimal(50))})
    row = price("ETH", frames.snapshot((replace(frames.state(frames.MAIN), account=account),)))
    assert row.next_print == Cell("? no consensus", Tone.UNKNOWN)
