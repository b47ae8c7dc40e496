"""`cascade --depth-of`: sold into the order book of a configured account's venue, read over the real wire."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.marginline.command import marginline, write

BOOK = {
    "coin": "ETH",
    "time": 1764200000000,
    "levels": [
        [{"px": "2999", "sz": "50", "n": 1}, {"px": "2970", "sz": "4000", "n": 9}],
        [{"px": "3001", "sz": "20", "n": 1}],
    ],
}


class _Info(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(BOOK).encode() if asked == {"type": "l2Book", "coin": "ETH"} else b"null"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def venue() -> Iterator[str]:
    """Give the address of a venue that answers one order book."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Info) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(10)


def config(folder: Path, url: str) -> Path:
    """Write a config with one account at that venue."""
    address = "0x" + "12" * 20
    lines = ["[[account]]", 'name = "hl"', 'provider = "hyperliquid"', f'address = "{address}"', f'rest_url = "{url}"']
    return write(folder / "config.toml", lines)


def test_a_venues_bids_absorb_what_is_sold(tmp_path: Path) -> None:
    loans = write(tmp_path / "loans.csv", ["collateral,debt,threshold,bonus,name", "100,240000,0.83,0.05,mine"])
    with venue() as url:
        path = config(tmp_path, url)
        words = ("cascade", loans, "--config", path, "--shock", "-5%", "--account", "mine", "--json")
        done = marginline(*words, "--depth-of", "hl:ETH", home=tmp_path)
        other = marginline(*words, "--depth-of", "hl:BTC", home=tmp_path)
    assert done.code == 0, done.err
    assert done.json["prices"] == {"ETH": "3000"}
    assert done.json["impact"] == "ETH at hyperliquid: 2 bids, 4,050 units down to -1.00%"
    # 252,000 / 2,821.5 = 89.3 units: beyond the first bid, within the second, which is 1 % below the middle.
    static = done.json["shocks"][0]["static"]
    assert float(static["price"]) == 3000 * 0.95 * 0.99
    assert float(done.json["account"]["liquidators"]["first"]["profit"]) > 0
    assert other.code == 4
    assert "hyperliquid" in other.err


def test_a_venue_that_is_not_there_is_exit_4(tmp_path: Path) -> None:
    loans = write(tmp_path / "loans.csv", ["collateral,debt", "100,240000"])
    path = config(tmp_path, "http://127.0.0.1:9")
    done = marginline("cascade", loans, "--config", path, "--depth-of", "hl:ETH", "--timeout", "5", home=tmp_path)
    assert (done.code, done.out) == (4, "")
    assert "hyperliquid" in done.err
