"""The bundled address book: every address spelled right, every market reachable by name, rules by feed."""

import json
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest

from providers.evm.abi import ARB_SYS, MULTICALL3
from providers.evm.address import checksummed
from providers.evm.address_book import chain_of, feed_rule, market_of
from providers.ports import OracleRule


def loaded(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(files("providers.evm").joinpath(name).read_text())
    return content


def bundled_addresses() -> list[str]:
    book, feeds = loaded("addresses.json"), loaded("feeds.json")
    found = [raw[key] for raw in book["markets"] for key in ("addresses_provider", "pool")]
    found += [raw["sequencer_feed"] for raw in book["chains"] if "sequencer_feed" in raw]
    return [*found, *(raw["feed"] for raw in feeds["feeds"]), MULTICALL3, ARB_SYS]


@pytest.mark.parametrize("address", sorted(set(bundled_addresses())))
def test_every_bundled_address_carries_its_right_checksum(address: str) -> None:
    assert checksummed(address) == address


@pytest.mark.parametrize("name", ["addresses.json", "feeds.json"])
def test_every_bundled_figure_names_its_source(name: str) -> None:
    assert "202" in loaded(name)["source"]


def test_a_feeds_rule_is_found_by_chain_and_address_in_any_case() -> None:
    feed = "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419"
    assert feed_rule(1, feed) == OracleRule(Decimal(50), Decimal(3600))
    assert feed_rule(1, feed.lower()) == feed_rule(1, feed)
    assert feed_rule(10, feed) is None
    assert feed_rule(1, "0x5424384B256154046E9667dDFaaa5e550145215e") == OracleRule(Decimal(50), None)
    assert feed_rule(42161, "0x50834F3163758fcC1Df9973b6e91f0F0F0434aD3") == OracleRule(Decimal(10), Decimal(255))


def test_a_chain_goes_by_several_names_or_its_id() -> None:
    assert chain_of("Mainnet", None, "x") == chain_of("ethereum", 1, "x") == chain_of(None, 1, "x")
    assert chain_of(None, 777, "x").chain_id == 777
    assert chain_of("arb", None, "x").sequencer_feed is not None


def test_three_chains_share_one_provider_and_stay_apart_by_chain() -> None:
    shared = {
        market_of("aave-v3", chain_of(name, None, "x"), None, "x") for name in ("arbitrum", "optimism", "polygon")
    }
    assert len(shared) == 3
    assert len({market.addresses_provider for market in shared}) == 1
