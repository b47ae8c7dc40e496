"""A snapshot's public figures against what the verifier knows itself: block, prices, oracle rounds, thresholds."""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal

from engine.accounts import Account
from engine.prices import OraclePrice
from engine.record import record
from engine.rendering import plain
from marginline.solvency.attesting import Read
from marginline.solvency.holdings import parts_price
from marginline.solvency.statement import BPS, ListedAsset, Snapshot


@record
class Comparison:
    """What differs (reasons to reject) and what could not be compared, in words."""

    differs: tuple[str, ...]
    unchecked: tuple[str, ...]


def compare(snapshot: Snapshot, known: Read, tolerance: Decimal) -> Comparison:
    """Return how the stated figures stand to the known ones; prices may differ by the fraction `tolerance`.

    A stated price must be the known one cut to the statement's precision, within the tolerance; a stated threshold must
    not be above the lowest known one; a stated block must have the hash that it has for the verifier's own node.
    """
    differs: list[str] = []
    unchecked: list[str] = []
    if snapshot.block is not None and known.block is None:
        unchecked.append(f"hash of block {snapshot.block.number}")
    elif snapshot.block is not None and snapshot.block != known.block:
        differs.append(f"block {snapshot.block.number} of chain {snapshot.block.chain_id} has another hash")
    for entry in snapshot.assets:
        oracles = _oracles(entry.asset, known)
        if not oracles:
            unchecked.append(f"price of {entry.asset}")
        elif not any(_fits(entry, oracle.price, tolerance) for oracle in oracles):
            stated = plain(Decimal(entry.price_down).scaleb(entry.decimals - 18))
            differs.append(f"{entry.asset}: the stated price {stated} is not yours, {plain(oracles[0].price)}")
        elif not tolerance and _other_round(entry, oracles):
            differs.append(f"{entry.asset}: the stated oracle round {entry.round_id} is not yours")
        thresholds = _thresholds(entry.asset, known.accounts)
        if entry.threshold_bps and not thresholds:
            unchecked.append(f"threshold of {entry.asset}")
        elif entry.threshold_bps and entry.threshold_bps > min(thresholds):
            mine = plain(Decimal(min(thresholds)) / BPS)
            differs.append(f"{entry.asset}: the stated threshold {entry.threshold_bps / BPS:g} is above yours, {mine}")
    return Comparison(tuple(differs), tuple(unchecked))


def _oracles(asset: str, known: Read) -> list[OraclePrice]:
    shared = known.prices.get(asset)
    own = [account.oracles[asset] for account in known.accounts if asset in account.oracles]
    return own if shared is None or shared.oracle is None else [shared.oracle, *own]


def _fits(entry: ListedAsset, price: Decimal, tolerance: Decimal) -> bool:
    exact = parts_price(price, entry.decimals)
    return entry.price_down <= exact * (1 + tolerance) and entry.price_up >= exact * (1 - tolerance)


def _other_round(entry: ListedAsset, oracles: Sequence[OraclePrice]) -> bool:
    rounds = {oracle.round_id for oracle in oracles}
    return entry.round_id is not None and None not in rounds and entry.round_id not in rounds


def _thresholds(asset: str, accounts: Sequence[Account]) -> list[int]:
    return [
        int((leg.liquidation_threshold * BPS).to_integral_value(ROUND_FLOOR))
        for account in accounts
        for leg in account.collateral
        if leg.asset == asset and leg.liquidation_threshold > 0
    ]
