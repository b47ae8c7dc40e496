"""A market's borrowers read from the chain: all who owe, with the contract's own figures, as the book of a cascade."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from marginline.cascade_pane import Cascades
from marginline.cascade_wish import Wish
from providers.evm.aave_v3 import source
from providers.ports import AccountOptions
from tests.chain.market import Market
from tests.marginline.command import marginline, write
from tests.tui import frames
from tui.cascade_like import CascadeFound


def borrow(market: Market, label: str, weth: str, usdc: str) -> str:
    """Open a loan and return its owner's address."""
    user = market.user(label)
    market.supply(user, "WETH", market.units("WETH", weth))
    market.borrow(user, "USDC", market.units("USDC", usdc))
    return user


def keeps_the_book_of_a_chain(config: Path, loans: int) -> None:
    """Check that the cascade pane reads a chain every ten minutes, and keeps its book while it does not answer."""
    moment = [0.0]
    cascades = Cascades({"ETH": Wish("chain:main", pools=("1000",))}, config, lambda: moment[0])

    def found(after_s: int) -> CascadeFound:
        moment[0] += after_s
        taken = replace(frames.snapshot(), taken_at_ns=frames.NOW + int(moment[0]) * frames.S)
        return asyncio.run(cascades.cascade_of(taken, "main", with_paths=False))

    first = found(0)
    answer: dict[str, Any] = dict(first.answer or {})
    assert (first.because, answer["account"]["of"]) == ("", loans)
    assert found(599).book_at_ns == frames.NOW
    assert found(2).book_at_ns == frames.NOW + 601 * frames.S
    silent = config.read_text().replace("rpc_url", 'rpc_url = "http://127.0.0.1:1" #')
    config.write_text(silent)
    late = found(700)
    assert (late.because, late.book_at_ns) == ("", frames.NOW + 601 * frames.S)
    unread = Cascades({"ETH": Wish("chain:main", pools=("1000",))}, config)
    assert "connect error" in asyncio.run(unread.cascade_of(frames.snapshot(), "main", with_paths=False)).because


def test_all_who_owe_are_read_and_nobody_who_has_repaid(market36: Market, tmp_path: Path) -> None:
    owing = [borrow(market36, "ann", "10", "12000"), borrow(market36, "ben", "4", "7000")]
    gone = borrow(market36, "cal", "1", "500")
    market36.repay(gone, "USDC", market36.units("USDC", "600"))
    options = AccountOptions(
        name="main",
        provider="aave-v3",
        address=owing[0],
        chain_id=market36.anvil.chain_id,
        addresses_provider=market36.addresses_provider,
        rpc_urls=(market36.anvil.url,),
    )
    book = asyncio.run(source(options).borrowers())
    found = {one.address: one.data for one in book.borrowers}
    assert gone.lower() not in found
    assert book.ever >= 3
    for user in owing:
        contract = market36.account_data(user)
        assert found[user.lower()].total_debt_base == contract.debt_base
        assert found[user.lower()].total_collateral_base == contract.collateral_base

    lines = ["[[account]]", 'name = "main"', 'provider = "aave-v3"', f"chain_id = {market36.anvil.chain_id}"]
    lines += [f'addresses_provider = "{market36.addresses_provider}"', f'rpc_url = "{market36.anvil.url}"']
    config = write(tmp_path / "config.toml", [*lines, f'address = "{owing[0]}"'])
    words = ("cascade", "chain:main", "--config", config, "--price", "2500", "--pool", "1000", "--account", "main")
    done = marginline(*words, "--json", home=tmp_path)
    assert done.code == 0, done.err
    assert done.json["book"]["loans"] == len(book.borrowers)
    assert "who ever borrowed" in done.json["book"]["source"]
    assert any("one asset that falls together" in caveat for caveat in done.json["caveats"])
    worse = [one for one in book.borrowers if one.data.health_factor_wad < found[owing[0].lower()].health_factor_wad]
    assert done.json["account"]["rank"] == len(worse) + 1
    nobody = marginline("cascade", "chain:nobody", "--config", config, "--price", "2500", "--pool", "1000")
    assert nobody.code == 2
    assert "names no aave-v3 or spark account" in nobody.err
    keeps_the_book_of_a_chain(config, len(book.borrowers))
