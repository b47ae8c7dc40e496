"""What became of a Hyperliquid action, told by what it would have changed: pure, over what was read and its reference.

The venue gives an action no name of its own. Margin that was added shows in the cash of the position, which funding
and trades move as well; a transfer shows in the ledger of the account.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Decimal

from providers.hyperliquid_rescue_wire import Purse, Stake, Transfer
from providers.rescue_ports import Fate, Found

SKEW_MS = 10_000
"""How far our clock and the venue's may stand apart."""
_SETTLED_MS = 120_000
_CENT = Decimal("0.01")


def facts_of(reference: str) -> Mapping[str, str]:
    """Return the named values of a reference (`providers.hyperliquid_actions.reference_of`)."""
    return dict(part.split("=", 1) for part in reference.split() if "=" in part)


def margin_fate(facts: Mapping[str, str], purse: Purse) -> Found:
    """Return whether the position's cash rose by what was added.

    Only an action that can no longer be taken is rejected. Raises `KeyError`, `ValueError` or `ArithmeticError` for a
    reference that is not one.
    """
    coin, usd, until_ms = facts["coin"], Decimal(facts["usd"]), int(facts["until"])
    size, raw_before = Decimal(facts["size"]), Decimal(facts["raw"])
    stake = purse.stake(coin)
    if stake is None:
        return Found(Fate.UNKNOWN, f"the position in {coin} is gone: look at its history at the venue")
    if stake.size != size or stake.raw_usd is None:
        return Found(Fate.UNKNOWN, f"the position in {coin} changed meanwhile: look at its history at the venue")
    grown, slack = stake.raw_usd - raw_before, _slack(stake, facts.get("funding"), usd)
    has_risen, has_stayed = abs(grown - usd) <= slack, abs(grown) <= slack
    if has_risen and not has_stayed:
        return Found(Fate.CONFIRMED, f"margin of {coin} rose by {plain(grown)} USD")
    if has_stayed and not has_risen:
        if purse.time_ms is not None and purse.time_ms > until_ms + SKEW_MS:
            return Found(Fate.REJECTED, f"margin of {coin} did not rise, and the action has expired")
        return Found(Fate.PENDING, f"margin of {coin} has not risen yet")
    return Found(Fate.UNKNOWN, f"margin of {coin} changed by {plain(grown)} USD, {plain(usd)} were sent")


def transfer_fate(facts: Mapping[str, str], transfers: Sequence[Transfer], purse: Purse) -> Found:
    """Return whether the ledger has the transfer: by its nonce where that is told, else by its amount.

    Two minutes of the venue's own time without it count as rejected. Raises as `margin_fate` does.
    """
    usd, nonce_ms = Decimal(facts["usd"]), int(facts["nonce"])
    source, destination = facts.get("from", "spot"), facts.get("to", "")
    for transfer in transfers:
        if (transfer.source, transfer.destination) != (source, destination):
            continue
        if transfer.nonce == nonce_ms or (transfer.nonce is None and transfer.usd == usd):
            return Found(
                Fate.CONFIRMED,
                f"ledger: {plain(transfer.usd)} USDC from {place(source)} to {place(destination)}, {transfer.hash}",
            )
    if purse.time_ms is not None and purse.time_ms > nonce_ms + _SETTLED_MS:
        return Found(Fate.REJECTED, "the venue's ledger does not have it two minutes later")
    return Found(Fate.PENDING, "not in the venue's ledger yet")


def place(dex: str) -> str:
    """Return what people call a dex: "spot", "perp" for the main one, "dex xyz" for another."""
    return {"": "perp", "spot": "spot"}.get(dex, f"dex {dex}")


def plain(value: Decimal) -> str:
    """Return an amount of USD without needless zeros, cut to a millionth."""
    return f"{value.quantize(Decimal('0.000001'), ROUND_DOWN).normalize():f}"


def _slack(stake: Stake, funding_before: str | None, usd: Decimal) -> Decimal:
    """Return by how much the cash may have moved without us: the funding since then, of either sign, and a cent.

    A hundredth of the amount where the venue does not tell the funding.
    """
    if stake.funding is None or not funding_before:
        return usd / 100
    return min(abs(stake.funding - Decimal(funding_before)) + _CENT, usd)
