"""A market to try the product on: real Aave v3.0 and v3.6 on a local chain, three accounts, price venues that wander.

    python -m tests.chain.lab                          start; runs until Ctrl-C
    python -m tests.chain.lab --set-price ETH=2300     move the oracle feed, on both markets or one (--market 3.6)
    python -m tests.chain.lab --venue-price ETH=2250   move the venues and leave the oracle behind; ETH= lets go again
    python -m tests.chain.lab --set-cap wstETH=1.146    cap the exchange ratio that prices wstETH

The last three find the running lab through `.cache/chain/lab.json` (`--state` names another file).
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from tests.chain.contracts import Contract, missing
from tests.chain.deploy import deploy
from tests.chain.lab_control import RATIO_WAD, asset_price, obey, token_of
from tests.chain.lab_venues import Venues
from tests.chain.market import Market
from tests.chain.node import ROOT, Anvil

STATE = ROOT / ".cache/chain/lab.json"
BLOCK_EVERY_S = 1.0
CAP_WAD = 1_250000000000000000

RULES = {"ETH": (50, 3_600), "wstETH": (50, 3_600), "USDC": (25, 82_800)}
"""What the config says of when feeds print: deviation in bps and heartbeat in seconds, those of Ethereum's feeds."""


@dataclass(frozen=True, slots=True)
class Resident:
    """An account of the lab: its name in the config, its address and the market it lives in."""

    name: str
    address: str
    market: Market


def settle(markets: Mapping[str, Market]) -> tuple[Resident, ...]:
    """Return three accounts: a safe one at health 4.15, a looped one in an eMode at 1.03, and one at 1.10."""
    old, new = markets["3.0"], markets["3.6"]
    for market in markets.values():
        market.lend_out(50)
    safe, loop, tight = (new.user(f"lab {name}") for name in ("safe", "loop", "tight"))
    old.supply(safe, "WETH", old.units("WETH", 20))
    old.borrow(safe, "USDC", old.units("USDC", 10_000))
    new.supply(loop, "wstETH", new.units("wstETH", 100))
    new.set_emode(loop, 1)
    new.borrow(loop, "WETH", new.units("WETH", 109))
    new.supply(tight, "WETH", new.units("WETH", 10))
    new.borrow(tight, "USDC", new.units("USDC", 18_860))
    return Resident("safe", safe, old), Resident("loop", loop, new), Resident("tight", tight, new)


def config_text(residents: Sequence[Resident], rpc_url: str, venues: Mapping[str, tuple[str, str]]) -> str:
    """Return a config that reads `residents` from `rpc_url` and prices from `venues` (name -> WebSocket, REST)."""
    parts = [
        f'[[account]]\nname = "{resident.name}"\nprovider = "aave-v3"\nchain_id = {resident.market.anvil.chain_id}\n'
        f'addresses_provider = "{resident.market.addresses_provider}"\nrpc_url = "{rpc_url}"\n'
        f'address = "{resident.address}"\n'
        + "".join(
            f"[account.oracles.{asset}]\ndeviation_bps = {bps}\nheartbeat_s = {heartbeat}\n"
            for asset, (bps, heartbeat) in RULES.items()
        )
        for resident in residents
    ]
    parts.append(f"[prices]\nvenues = {json.dumps(list(venues))}\n")
    parts += [
        f'[venues.{name}]\nws_url = "{ws_url}"\nrest_url = "{rest_url}"\n'
        for name, (ws_url, rest_url) in venues.items()
    ]
    return "\n".join(parts)


def state_text(anvil: Anvil, markets: Mapping[str, Market], adapters: Mapping[str, Contract], control: int) -> str:
    """Return what the control commands need to find the running lab, as JSON."""
    state = {
        "rpc_port": int(anvil.url.rpartition(":")[2]),
        "control_port": control,
        "sender": anvil.accounts[0],
        "feeds": {
            version: {symbol: token.feed.address for symbol, token in market.tokens.items() if symbol != "wstETH"}
            for version, market in markets.items()
        },
        "adapters": {version: adapter.address for version, adapter in adapters.items()},
    }
    return json.dumps(state, indent=1)


async def run(directory: Path, state: Path) -> None:
    """Start the lab, write `config.toml` into `directory`, say what to try, and serve until SIGINT or SIGTERM.

    `state` is written for the control commands and removed at the end.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with Anvil() as anvil:
        markets = {version: deploy(anvil, version) for version in ("3.0", "3.6")}
        adapters = {
            version: market.use_ratio_source("wstETH", "WETH", RATIO_WAD, CAP_WAD)
            for version, market in markets.items()
        }
        residents = settle(markets)
        async with Venues() as venues:
            control = await asyncio.start_server(venues.obey, "127.0.0.1", 0)
            port = control.sockets[0].getsockname()[1]
            config = directory / "config.toml"
            written = {
                config: config_text(residents, anvil.url, venues.urls),
                state: state_text(anvil, markets, adapters, port),
            }
            async with control:
                with _files(written):
                    _say(_welcome(residents, anvil, config))
                    await _live(anvil, markets["3.6"], venues, stop)


@contextmanager
def _files(texts: Mapping[Path, str]) -> Iterator[None]:
    """Keep files with these texts while the block runs."""
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    try:
        yield
    finally:
        for path in texts:
            path.unlink(missing_ok=True)


async def _live(anvil: Anvil, market: Market, venues: Venues, stop: asyncio.Event) -> None:
    """Mine a block every second and keep the venues near the oracle, until `stop` is set."""
    async with asyncio.TaskGroup() as tasks:
        wandering = tasks.create_task(venues.wander())
        while not stop.is_set():
            anvil.mine()
            prices = {asset: market.price(token_of(asset)) for asset in ("ETH", "BTC", "USDC", "DAI")}
            venues.centres |= {asset: Decimal(price).scaleb(-8) for asset, price in prices.items()}
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), BLOCK_EVERY_S)
        wandering.cancel()


def _welcome(residents: Sequence[Resident], anvil: Anvil, config: Path) -> str:
    rows = [
        f"  {who.name:<6} Aave v{who.market.version}  {who.address}  "
        f"health {Decimal(who.market.account_data(who.address).health_factor_wad).scaleb(-18):.4f}"
        for who in residents
    ]
    lines = [
        f"A local chain (id {anvil.chain_id}) with real Aave v3.0 and v3.6 at {anvil.url}",
        *rows,
        "",
        "Watch it:",
        f"  marginline dashboard --config {config}",
        f"  marginline status --config {config}",
        "Move it, in another terminal:",
        "  python -m tests.chain.lab --venue-price ETH=2250   # the venues fall, the oracle has not printed yet",
        "  python -m tests.chain.lab --set-price ETH=2300     # the oracle prints",
        "  python -m tests.chain.lab --set-cap wstETH=1.146    # the wstETH oracle is capped 2.9 % too low",
        "  python -m tests.chain.lab --venue-price ETH=       # the venues follow the oracle again",
        "Ctrl-C ends it.",
        "",
    ]
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the lab, or carry out orders to the running one; returns the exit code."""
    parser = argparse.ArgumentParser(prog="lab", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--set-price", type=asset_price, metavar="ASSET=PRICE")
    parser.add_argument("--venue-price", type=asset_price, metavar="ASSET=[PRICE]")
    parser.add_argument("--set-cap", type=asset_price, metavar="wstETH=RATIO")
    parser.add_argument("--market", choices=["3.0", "3.6"], help="move the oracle of this market only")
    parser.add_argument("--state", type=Path, default=STATE, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    try:
        if any((chosen.set_price, chosen.venue_price, chosen.set_cap)):
            if not chosen.state.exists():
                raise LookupError("no lab is running; start one with: python -m tests.chain.lab")
            state = json.loads(chosen.state.read_text())
            versions = [chosen.market] if chosen.market else ["3.0", "3.6"]
            said = obey(state, versions, oracle=chosen.set_price, cap=chosen.set_cap, venues=chosen.venue_price)
            _say("\n".join(said))
            return 0
        if (reason := missing()) is not None:
            raise LookupError(reason)
        with tempfile.TemporaryDirectory(prefix="marginline-lab-") as directory:
            asyncio.run(run(Path(directory), chosen.state))
    except LookupError as error:
        sys.stderr.write(f"lab: {error.args[0]}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
