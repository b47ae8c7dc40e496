"""From accounts that were read to a signed snapshot and the openings behind it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from engine.accounts import Account
from engine.prices import AssetPrice
from engine.record import record
from marginline.solvency.attester import public_key, sign
from marginline.solvency.documents import MAX_CAVEAT, MAX_CAVEATS
from marginline.solvency.group import commit, random_scalar
from marginline.solvency.holdings import Wanted, amounts, asset_list, holdings
from marginline.solvency.proof import Openings
from marginline.solvency.ranges import Secret
from marginline.solvency.statement import STANDARD, Block, Snapshot, digest


@record
class Read:
    """Accounts as an attester read them at one moment: of one block, or of a document that it vouches for."""

    accounts: tuple[Account, ...]
    prices: Mapping[str, AssetPrice]
    taken_at_s: int
    block: Block | None
    degraded: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return what was wrong with the reading or an account, each once."""
        return tuple(dict.fromkeys((*self.degraded, *(why for account in self.accounts for why in account.degraded))))


def attest(
    read: Read,
    seed: bytes,
    *,
    subject: str,
    expires_at_s: int,
    wanted: Sequence[Wanted] | None = None,
    draw: Callable[[], int] = random_scalar,
) -> tuple[Snapshot, Openings]:
    """Return the snapshot of `read` signed with the 32-byte `seed`, and its openings; raises `ConfigError`."""
    held = holdings(read.accounts, read.prices)
    assets = asset_list(held, wanted, read.prices)
    collateral, debt = (_secrets(values, draw) for values in amounts(held, assets))
    unsigned = Snapshot(
        attester=public_key(seed),
        subject=subject,
        unit=read.accounts[0].quote,
        accounts=len(read.accounts),
        taken_at_s=read.taken_at_s,
        expires_at_s=expires_at_s,
        block=read.block,
        ranges_checked=True,
        caveats=_caveats(read.reasons, hides=wanted is not None),
        assets=assets,
        collateral=tuple(commit(one.value, one.blinding) for one in collateral),
        debt=tuple(commit(one.value, one.blinding) for one in debt),
    )
    name = digest(unsigned)
    return replace(unsigned, signature=sign(seed, name)), Openings(name, collateral, debt)


def _secrets(values: Sequence[int], draw: Callable[[], int]) -> tuple[Secret, ...]:
    padded = (*values, *(0 for _ in range(STANDARD.assets - len(values))))
    return tuple(Secret(value, draw()) for value in padded)


def _caveats(reasons: Sequence[str], *, hides: bool) -> tuple[str, ...]:
    """Return what was wrong with the reading, in the statement's ASCII and bounds.

    Under a list that `hides` what is held only their number is told: a reason names the asset that it is about.
    """
    if hides and reasons:
        return (f"the reading was degraded, for {len(reasons)} reason(s) that may name what is held",)
    return tuple(text for text in map(_ascii, reasons) if text)[:MAX_CAVEATS]


def _ascii(text: str) -> str:
    plain = "".join(sign if " " <= sign <= "~" else "?" for sign in text)
    return plain[:MAX_CAVEAT]
