"""What the venues agree an asset is worth: the median of fresh mids, with stale and outlying venues out and named."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from engine.prices import Consensus, Quote

DEFAULT_STALE_AFTER_S = 15.0
STALE_AFTER_S: Mapping[str, float] = {"coinbase": 30.0}
CLOCK_TOLERANCE_NS = 5_000_000_000
OUTLIER_FLOOR = Decimal("0.01")
OUTLIER_MADS = 5
PAIR_TOLERANCE = Decimal("0.01")
QUORUM = 2


def median(values: Sequence[Decimal]) -> Decimal:
    """Return the median, the mean of the middle two for an even count; `values` is not empty."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def consensus(
    quotes: Sequence[Quote],
    now_ns: int,
    stale_after_s: Mapping[str, float] | None = None,
    configured: int | None = None,
) -> Consensus:
    """Return what fresh venues agree on; `price` is `None` below the quorum and `reason` then says why.

    `stale_after_s` overrides the age budget by venue. `configured` is how many venues are meant to quote the asset,
    by default those in `quotes`: two must agree, one suffices when it is the only one configured. Of three or more, a
    mid farther from the median than 1 % and than five median absolute deviations leaves; two that differ by more than
    1 % give no consensus.
    """
    excluded: dict[str, str] = {}
    mids: dict[str, Decimal] = {}
    newest = _newest(quotes)
    for venue, quote in newest.items():
        reason = _unfit(quote, now_ns, stale_after_s)
        if reason:
            excluded[venue] = reason
        else:
            mids[venue] = quote.mid
    if len(mids) >= 3:
        excluded.update(_outliers(mids))
        for venue in excluded:
            mids.pop(venue, None)
    expected = len(newest) if configured is None else configured
    reason = _shortfall(mids, expected)
    if reason:
        return Consensus(None, tuple(mids), excluded, reason)
    return Consensus(median(list(mids.values())), tuple(mids), excluded, single_venue=len(mids) == 1)


def _newest(quotes: Sequence[Quote]) -> dict[str, Quote]:
    newest: dict[str, Quote] = {}
    for quote in quotes:
        seen = newest.get(quote.venue)
        if seen is None or (quote.observed_at_ns or 0) >= (seen.observed_at_ns or 0):
            newest[quote.venue] = quote
    return newest


def _unfit(quote: Quote, now_ns: int, stale_after_s: Mapping[str, float] | None) -> str:
    bid, ask = quote.bid, quote.ask
    if not (bid.is_finite() and ask.is_finite() and bid > 0 and ask > 0):
        return "not a price"
    if bid > ask:
        return "crossed"
    if quote.observed_at_ns is None:
        return "age unknown"
    age_ns = now_ns - quote.observed_at_ns
    if age_ns < -CLOCK_TOLERANCE_NS:
        return f"from the future by {-age_ns // 1_000_000_000}s"
    budget_s = None if stale_after_s is None else stale_after_s.get(quote.venue)
    if budget_s is None:
        budget_s = STALE_AFTER_S.get(quote.venue, DEFAULT_STALE_AFTER_S)
    return f"stale {age_ns // 1_000_000_000}s" if age_ns > budget_s * 1_000_000_000 else ""


def _outliers(mids: Mapping[str, Decimal]) -> dict[str, str]:
    centre = median(list(mids.values()))
    spread = median([abs(mid - centre) for mid in mids.values()])
    limit = max(OUTLIER_FLOOR, OUTLIER_MADS * spread / centre)
    away = {venue: mid / centre - 1 for venue, mid in mids.items()}
    return {venue: f"outlier {100 * share:+.1f} %" for venue, share in away.items() if abs(share) > limit}


def _shortfall(mids: Mapping[str, Decimal], expected: int) -> str:
    if expected == 0:
        return "no venue quotes it"
    quorum = 1 if expected == 1 else QUORUM
    if len(mids) < quorum:
        return f"{len(mids)} of {expected} venues usable, {quorum} needed"
    if len(mids) == 2:
        low, high = sorted(mids.values())
        if high / low - 1 > PAIR_TOLERANCE:
            return "venues disagree"
    return ""
