"""The dashboard on loopback venues, in a real terminal: a push there is a row, a detail and an alert here."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.hyperliquid_server import HyperliquidServer, hyperliquid_server
from tests.marginline.test_readers import CLEARINGHOUSE, META, config, serve_account
from tests.terminal.programs import assert_framed, at_home, command
from tests.terminal.tmux import Picture, Terminal
from tests.venues import VenueServer

TICKS = 30_000
TICKS_PER_S = 10_000


class Stage:
    """A terminal with the dashboard, the Hyperliquid whose account it watches and the two venues that quote."""

    def __init__(self, terminal: Terminal, venue: HyperliquidServer, one: VenueServer, two: VenueServer) -> None:
        self.terminal, self.venue, self.one, self.two = terminal, venue, one, two

    async def see(self, fact: str | Callable[[Picture], bool], patience_s: float = 12.0) -> Picture:
        """Return the first picture of which `fact` is true, while the venues go on."""
        return await asyncio.to_thread(self.terminal.wait_for, fact, patience_s)


def on_stage(folder: Path, work: Callable[[Stage], Awaitable[None]], size: tuple[int, int] = (120, 40)) -> None:
    """Run `work` beside the dashboard once its account, short 10 ETH and liquidated at 2,950.9, stands on screen."""

    async def run() -> None:
        async with (
            asyncio.timeout(60),
            hyperliquid_server() as venue,
            VenueServer("binance") as one,
            VenueServer("kraken") as two,
        ):
            serve_account(venue)
            one.set_book("ETH", "2479.9", "2480.1")
            two.set_book("ETH", "2480.9", "2481.1")
            one.set_closes("ETH", [str(2400 + day % 7 * 10) for day in range(30)])
            with Terminal(*size) as terminal:
                await asyncio.to_thread(terminal.run, command("dashboard", "--config", config(folder, venue, one, two)))
                stage = Stage(terminal, venue, one, two)
                await stage.see(lambda it: "+18.0" in it.line_with(" hl ") and "3 live" in it.lines[-2])
                await work(stage)
                terminal.press("q")
                await stage.see("code=0")

    asyncio.run(run())


def set_mark(venue: HyperliquidServer, price: int) -> None:
    """Move the mark of ETH from 2,500: told at once by the socket, and by every later REST reply."""
    lost = 10 * (price - 2500)
    summary = {**CLEARINGHOUSE["crossMarginSummary"], "accountValue": str(5100 - lost), "totalNtlPos": str(10 * price)}
    (held,) = CLEARINGHOUSE["assetPositions"]
    position = {**held["position"], "positionValue": str(10 * price), "unrealizedPnl": str(100 - lost)}
    venue.info["clearinghouseState"] = {
        **CLEARINGHOUSE,
        "marginSummary": summary,
        "crossMarginSummary": summary,
        "assetPositions": [{**held, "position": position}],
    }
    universe, (context,) = META
    context = {**context, "markPx": str(price), "oraclePx": str(price)}
    venue.info["metaAndAssetCtxs"] = [universe, [context]]
    venue.push("activeAssetCtx", {"coin": "ETH", "ctx": context})


def test_a_mark_near_the_line_is_a_row_a_detail_and_an_alert(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        before = await stage.see("2,950.")
        assert "WATCH" in before.lines[1]
        await stage.venue.until_subscribed("activeAssetCtx")
        set_mark(stage.venue, 2850)
        picture = await stage.see(lambda it: "+3.5" in it.line_with("▌!! hl ") and "is danger" in it)
        assert "DANGER" in picture.lines[1]
        assert "ETH +3.5 % to 2,950." in picture.lines[1]
        assert "2,850.0" in picture.line_with("- ETH ")
        assert_framed(picture, 40, ("hl", "danger"))

    on_stage(tmp_path, work)


def test_a_venue_that_is_gone_is_named_down_and_comes_back(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        stage.one.refuse_connections(503)
        stage.one.limit_rest(3, status=503)
        stage.one.drop()
        down = await stage.see(lambda it: "binance down" in it.lines[-2])
        assert "2 live" in down.lines[-2]
        assert_framed(down, 40)
        stage.terminal.press("5")
        listed = await stage.see("WHAT IT SAYS")
        assert " down " in listed.line_with("binance")
        stage.terminal.press("1")
        stage.one.refuse_connections(None)
        stage.terminal.press("r")
        await stage.see(lambda it: "3 live" in it.lines[-2])

    on_stage(tmp_path, work)


def test_it_answers_keys_and_shows_the_last_price_of_ten_thousand_ticks_a_second(tmp_path: Path) -> None:
    async def flood(venue: VenueServer) -> None:
        started = time.monotonic()
        for first in range(0, TICKS, 500):
            mids = [2480 + number % 100 / 10 for number in range(first, first + 500)]
            await venue.flood("ETH", [(f"{mid:.2f}", f"{mid + 0.2:.2f}") for mid in mids])
            due = started + (first + 500) / TICKS_PER_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def work(stage: Stage) -> None:
        flooding = asyncio.gather(flood(stage.one), flood(stage.two))
        stage.terminal.press("2")
        await stage.see("ETH quotes")
        clock = (await stage.see(lambda it: it.lines[0].endswith("UTC"))).lines[0][-12:]
        await stage.see(lambda it: it.lines[0][-12:] != clock)
        stage.terminal.press("1")
        await stage.see(at_home)
        assert not flooding.done()
        await flooding
        await stage.one.push("ETH", "2601.0", "2601.2")
        await stage.two.push("ETH", "2601.0", "2601.2")
        picture = await stage.see("2,601.1")
        assert "3 live" in picture.lines[-2]
        assert_framed(picture, 40, ("hl",))

    on_stage(tmp_path, work)
