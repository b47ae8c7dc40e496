"""What each venue's parse functions make of documented frames, and of anything else that may come out of a socket."""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import binance, bybit, coinbase, hyperliquid_prices, kraken, okx
from providers.errors import Malformed, ProviderError, RateLimited, Refused, Unreachable
from providers.ports import PriceTick
from providers.symbols import Markets, markets
from providers.ws import Signal
from tests.venue_wires import WIRES

FIXTURES = Path(__file__).parent.parent / "fixtures"
AT_NS = 1_700_000_000_000_000_000

T = TypeVar("T")
Parse = Callable[[bytes, int], Sequence[PriceTick | Signal]]
STREAM: dict[str, Callable[[Markets], Parse]] = {
    "binance": lambda known: partial(binance.parse_frame, by_symbol=known),
    "coinbase": lambda known: partial(coinbase.parse_frame, by_symbol=known),
    "kraken": lambda known: partial(kraken.parse_frame, by_symbol=known),
    "okx": lambda known: partial(okx.parse_frame, by_symbol=known),
    "bybit": lambda known: partial(bybit.parse_frame, by_symbol=known, books={}),
    "hyperliquid": lambda known: partial(hyperliquid_prices.parse_frame, by_symbol=known),
}
REST: dict[str, Callable[[bytes, int, Markets], Sequence[PriceTick]]] = {
    "binance": binance.parse_book_tickers,
    "coinbase": lambda raw, at_ns, known: coinbase.parse_ticker(raw, at_ns, next(iter(known)), known),
    "kraken": kraken.parse_tickers,
    "okx": okx.parse_ticker,
    "bybit": bybit.parse_tickers,
    "hyperliquid": hyperliquid_prices.parse_book,
}
CLOSES: dict[str, Callable[[bytes, int], Sequence[Decimal]]] = {
    "binance": binance.parse_closes,
    "coinbase": coinbase.parse_closes,
    "kraken": kraken.parse_closes,
    "okx": okx.parse_closes,
    "bybit": bybit.parse_closes,
    "hyperliquid": hyperliquid_prices.parse_closes,
}

every_venue = pytest.mark.parametrize("venue", STREAM)


def fixture(venue: str) -> Any:
    return json.loads((FIXTURES / venue / "prices.json").read_text())


def plain(items: Sequence[PriceTick | Signal]) -> list[tuple[str, Decimal, Decimal]]:
    return [(item.asset, item.bid, item.ask) for item in items if isinstance(item, PriceTick)]


def expected(rows: Sequence[Sequence[str]]) -> list[tuple[str, Decimal, Decimal]]:
    return [(asset, Decimal(bid), Decimal(ask)) for asset, bid, ask in rows]


@every_venue
def test_documented_frames_mean_what_the_venue_says(venue: str) -> None:
    recorded = fixture(venue)
    parse = STREAM[venue](markets(venue, recorded["assets"]))
    for case in recorded["stream"]:
        items = parse(json.dumps(case["frame"]).encode(), AT_NS)
        if "signal" in case:
            assert [item.kind for item in items if isinstance(item, Signal)] == [case["signal"]], case["says"]
            assert all(item.detail for item in items if isinstance(item, Signal))
        else:
            assert plain(items) == expected(case["ticks"]), case["says"]
            assert all(item.observed_at_ns == AT_NS for item in items if isinstance(item, PriceTick))


@every_venue
def test_documented_rest_replies_mean_what_the_venue_says(venue: str) -> None:
    recorded = fixture(venue)
    ticks = REST[venue](json.dumps(recorded["rest"]).encode(), AT_NS, markets(venue, recorded["assets"]))
    assert sorted(plain(ticks)) == sorted(expected(recorded["rest_ticks"]))


def test_the_plain_text_pong_of_okx_is_no_data() -> None:
    assert STREAM["okx"](markets("okx", ["BTC"]))(b"pong", AT_NS) == ()


@every_venue
def test_a_frame_cut_anywhere_is_malformed_or_nothing(venue: str) -> None:
    frame = WIRES[venue].frame(WIRES[venue].symbol("ETH"), "2480.1", "2480.3").encode()
    for end in range(len(frame)):
        with pytest.raises(Malformed):
            STREAM[venue](markets(venue, ["ETH"]))(frame[:end], AT_NS)


def outcome(parse: Callable[[], Sequence[T]]) -> Sequence[T] | ProviderError:
    try:
        return parse()
    except ProviderError as error:
        return error


def mangled(data: st.DataObject, text: str) -> bytes:
    """Return `text` with up to four short stretches replaced by other bytes, often ones that JSON gives a meaning."""
    frame = bytearray(text.encode())
    meant = st.sampled_from(
        [b"null", b"NaN", b"-", b'"', b"[]", b"{}", b"1e999", b'""', b'"NaN"', b'"sNaN"', b"1e999999999", b"0", b","]
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(frame) - 1))
        frame[at : at + data.draw(st.integers(0, 8))] = data.draw(meant | st.binary(max_size=6))
    return bytes(frame)


@every_venue
@given(data=st.data())
def test_no_frame_raises_anything_but_malformed(venue: str, data: st.DataObject) -> None:
    raw = mangled(data, WIRES[venue].frame(WIRES[venue].symbol("ETH"), "2480.1", "2480.3"))
    items = outcome(lambda: STREAM[venue](markets(venue, ["ETH"]))(raw, AT_NS))
    if isinstance(items, ProviderError):
        assert isinstance(items, Malformed)
    else:
        assert all(0 < item.bid <= item.ask for item in items if isinstance(item, PriceTick))


DAYS = [(1_700_006_400_000 + day * 86_400_000, f"24{day}0.5") for day in range(5)]
CANDLES: dict[str, object] = {
    "binance": [[t, "1", "9", "1", close, "5", t, "7", 3, "2", "2", "0"] for t, close in DAYS],
    "coinbase": [[t // 1000, 1, 9, 1, float(close), 5] for t, close in reversed(DAYS)],
    "kraken": {
        "error": [],
        "result": {"XETHZUSD": [[t // 1000, "1", "9", "1", c, "5", "3", 1] for t, c in DAYS], "last": 1},
    },
    "okx": {"code": "0", "msg": "", "data": [[str(t), "1", "9", "1", close, "5"] for t, close in reversed(DAYS)]},
    "bybit": {"retCode": 0, "result": {"list": [[str(t), "1", "9", "1", close, "5"] for t, close in reversed(DAYS)]}},
    "hyperliquid": [{"t": t, "T": t, "s": "ETH", "i": "1d", "o": "1", "c": close} for t, close in DAYS],
}


@every_venue
def test_closes_come_oldest_first_however_the_venue_sorts_them(venue: str) -> None:
    closes = CLOSES[venue](json.dumps(CANDLES[venue]).encode(), 3)
    assert list(closes) == [Decimal("2420.5"), Decimal("2430.5"), Decimal("2440.5")]


@every_venue
@given(data=st.data())
def test_no_candles_raise_anything_but_a_provider_error(venue: str, data: st.DataObject) -> None:
    raw = mangled(data, json.dumps(CANDLES[venue]))
    closes = outcome(lambda: CLOSES[venue](raw, 3))
    assert isinstance(closes, ProviderError) or all(close > 0 for close in closes)


@every_venue
@given(data=st.data())
def test_no_rest_reply_raises_anything_but_a_provider_error(venue: str, data: st.DataObject) -> None:
    recorded = fixture(venue)
    raw = mangled(data, json.dumps(recorded["rest"]))
    ticks = outcome(lambda: REST[venue](raw, AT_NS, markets(venue, recorded["assets"])))
    assert isinstance(ticks, ProviderError) or all(0 < tick.bid <= tick.ask for tick in ticks)


@every_venue
@pytest.mark.parametrize(("bid", "ask"), [("NaN", "1"), ("1", "Infinity"), ("sNaN", "1"), ("-1", "1"), ("0", "1")])
def test_what_is_no_price_is_malformed(venue: str, bid: str, ask: str) -> None:
    frame = WIRES[venue].frame(WIRES[venue].symbol("ETH"), bid, ask)
    with pytest.raises(Malformed):
        STREAM[venue](markets(venue, ["ETH"]))(frame.encode(), AT_NS)


@every_venue
def test_a_crossed_quote_is_malformed_and_a_locked_one_is_not(venue: str) -> None:
    wire = WIRES[venue]
    parse = STREAM[venue](markets(venue, ["ETH"]))
    with pytest.raises(Malformed, match="no quote"):
        parse(wire.frame(wire.symbol("ETH"), "2480.2", "2480.1").encode(), AT_NS)
    locked = parse(wire.frame(wire.symbol("ETH"), "2480.2", "2480.2").encode(), AT_NS)
    assert plain(locked) == [("ETH", Decimal("2480.2"), Decimal("2480.2"))]


@every_venue
def test_two_of_our_assets_that_are_one_at_the_venue_both_get_its_quote(venue: str) -> None:
    wire = WIRES[venue]
    items = STREAM[venue](markets(venue, ["ETH", "WETH"]))(wire.frame(wire.symbol("ETH"), "1", "2").encode(), AT_NS)
    assert sorted(asset for asset, _, _ in plain(items)) == ["ETH", "WETH"]


@pytest.mark.parametrize(
    ("parse", "raw", "error"),
    [
        (kraken.parse_tickers, {"error": ["EAPI:Rate limit exceeded"]}, RateLimited),
        (kraken.parse_tickers, {"error": ["EGeneral:Too many requests"]}, RateLimited),
        (kraken.parse_tickers, {"error": ["EService:Unavailable"]}, Unreachable),
        (kraken.parse_tickers, {"error": ["EQuery:Unknown asset pair"]}, Refused),
        (okx.parse_ticker, {"code": "50011", "msg": "Too Many Requests", "data": []}, RateLimited),
        (okx.parse_ticker, {"code": "50001", "msg": "Service temporarily unavailable", "data": []}, Unreachable),
        (okx.parse_ticker, {"code": "51001", "msg": "Instrument ID doesn't exist", "data": []}, Refused),
        (bybit.parse_tickers, {"retCode": 10006, "retMsg": "Too many visits!", "result": {}}, RateLimited),
        (bybit.parse_tickers, {"retCode": 10016, "retMsg": "Server error", "result": {}}, Unreachable),
        (bybit.parse_tickers, {"retCode": 10001, "retMsg": "Invalid symbol\x1b[2J", "result": {}}, Refused),
        (hyperliquid_prices.parse_book, None, Malformed),
    ],
)
def test_a_venues_own_error_becomes_ours(parse: Callable[..., object], raw: object, error: type[ProviderError]) -> None:
    with pytest.raises(error) as caught:
        parse(json.dumps(raw).encode(), AT_NS, {})
    assert type(caught.value) is error
    assert "\x1b" not in str(caught.value)


def test_bybit_subscribes_ten_topics_at_a_time() -> None:
    texts = bybit.subscriptions([f"S{n}USDT" for n in range(23)])
    assert [len(json.loads(text)["args"]) for text in texts] == [10, 10, 3]
