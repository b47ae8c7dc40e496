"""Orders to a running lab: move its oracle feeds, cap its exchange ratio, pin its price venues.

`state` is what the lab wrote when it started: its RPC and control ports and the contracts that may be moved.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from eth_abi.abi import encode

from tests.chain.contracts import selector
from tests.chain.node import Rpc

RATIO_WAD = 1_180000000000000000
"""ETH behind one wstETH in the lab, 18 decimals."""

AssetPrice = tuple[str, Decimal | None]
"""An asset and its price, `None` to let it go again."""


def token_of(asset: str) -> str:
    """Return the lab's token symbol for the product's name of an asset."""
    return {"ETH": "WETH", "BTC": "WBTC"}.get(asset, asset)


def set_price(state: Mapping[str, Any], asset: str, price: Decimal, versions: Sequence[str]) -> list[str]:
    """Write a round of the asset's feed on the running lab; returns a line per market moved."""
    symbol = token_of(asset)
    data = "0x" + (selector("setAnswer(int256)") + encode(["int256"], [int(price.scaleb(8))])).hex()
    known = {version: state["feeds"][version] for version in versions}
    if any(symbol not in feeds for feeds in known.values()):
        raise LookupError(f"no feed for {asset}; there is {', '.join(next(iter(known.values())))}")
    for feeds in known.values():
        _send(state, feeds[symbol], data)
    return [f"market {version}: {asset} oracle at {price}" for version in known]


def set_cap(state: Mapping[str, Any], cap: Decimal, versions: Sequence[str]) -> list[str]:
    """Cap the wstETH exchange ratio on the running lab; returns a line per market."""
    arguments = encode(["int256", "int256"], [RATIO_WAD, int(cap.scaleb(18))])
    data = "0x" + (selector("setRatio(int256,int256)") + arguments).hex()
    for version in versions:
        _send(state, state["adapters"][version], data)
    return [f"market {version}: wstETH ratio capped at {cap}" for version in versions]


def _send(state: Mapping[str, Any], to: str, data: str) -> None:
    rpc = Rpc("127.0.0.1", state["rpc_port"])
    try:
        rpc.call("eth_sendTransaction", {"from": state["sender"], "to": to, "data": data})
    finally:
        rpc.close()


async def _tell_venues(port: int, asset: str, price: Decimal | None) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(json.dumps({"asset": asset, "price": None if price is None else str(price)}).encode() + b"\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer.decode().strip()


def asset_price(text: str) -> AssetPrice:
    """Return `ETH=2300` as a pair, `ETH=` with `None`; raises `argparse.ArgumentTypeError`."""
    asset, equals, number = text.partition("=")
    try:
        price = Decimal(number) if number else None
    except InvalidOperation:
        price = Decimal("NaN")
    if not asset or not equals or (price is not None and not (price.is_finite() and price > 0)):
        raise argparse.ArgumentTypeError(f"{text!r} is not like ETH=2300")
    return asset, price


def obey(
    state: Mapping[str, Any],
    versions: Sequence[str],
    *,
    oracle: AssetPrice | None = None,
    cap: AssetPrice | None = None,
    venues: AssetPrice | None = None,
) -> list[str]:
    """Carry the orders out on the markets of `versions`; returns what was done, raises `LookupError` if it cannot."""
    said = []
    if oracle is not None:
        if oracle[1] is None:
            raise LookupError("an oracle price is a number: --set-price ETH=2300")
        said += set_price(state, oracle[0], oracle[1], versions)
    if cap is not None:
        if cap[0] != "wstETH" or cap[1] is None:
            raise LookupError("only wstETH has a capped ratio: --set-cap wstETH=1.146")
        said += set_cap(state, cap[1], versions)
    if venues is not None:
        said.append(asyncio.run(_tell_venues(state["control_port"], *venues)))
    return said
