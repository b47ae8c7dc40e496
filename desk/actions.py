"""Rescues under way and done, as screens and commands see them; and the refusal that leaves everything untouched."""

from decimal import Decimal
from enum import StrEnum

from engine.record import record
from providers.errors import AppError


class Refusal(AppError):
    """An action that was not begun: nothing was signed and nothing sent. The message is the reason -> exit 30."""


class JournalError(AppError):
    """The journal can't be written or trusted; says which file, why, and what to do. Sending stops, reading goes on."""


class StepFate(StrEnum):
    """How far one step is. `SIGNED` without more: it may have been handed over or not, only reading tells."""

    WAITING = "waiting"
    SIGNED = "signed"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


WAITS = frozenset({StepFate.SIGNED, StepFate.SENT, StepFate.UNKNOWN})
"""Fates of a step that may still land: what a higher fee could overtake."""


class Stage(StrEnum):
    """Where an action stands. `UNSENT`: nothing left this machine. `UNFINISHED`: some steps landed, others never left.

    `ABANDONED`: its owner closed an unknown one by hand, and the journal says so.
    """

    PREPARING = "preparing"
    RUNNING = "running"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    UNSENT = "unsent"
    UNFINISHED = "unfinished"
    ABANDONED = "abandoned"


OPEN = frozenset({Stage.PREPARING, Stage.RUNNING, Stage.UNKNOWN})
"""Stages after which something may still happen to the account."""


@record
class StepState:
    """One step: its title, how far it is, how to find it (transaction hash or venue reference), and the evidence.

    `earlier` are the references that were replaced by faster ones under the same nonce: at most one of all lands.
    `fee_usd` is what the last replacement may cost at most; it counts against the caps, `None` without one.
    """

    title: str
    fate: StepFate = StepFate.WAITING
    reference: str = ""
    nonce: int | None = None
    owner: str = ""
    evidence: str = ""
    earlier: tuple[str, ...] = ()
    fee_usd: Decimal | None = None

    @property
    def references(self) -> tuple[str, ...]:
        """Return every reference under which it may have landed, the latest first; empty before a signature."""
        return (self.reference, *reversed(self.earlier)) if self.reference else ()


@record
class ActionState:
    """One rescue from its intent to its result. `id` is the plan's; health factors are `None` where nothing is owed.

    `value_usd` counts against the caps. `evidence` is one line: what happened last, or why it stopped. `actor` is who
    asked ("tui T", "cli user@host").
    """

    id: str
    account: str
    means: str
    asset: str
    amount: Decimal
    source: str
    started_at_ns: int
    stage: Stage = Stage.PREPARING
    steps: tuple[StepState, ...] = ()
    evidence: str = ""
    actor: str = ""
    value_usd: Decimal | None = None
    health_before: Decimal | None = None
    health_after: Decimal | None = None
    target: str = ""

    @property
    def is_open(self) -> bool:
        """Return whether its end is not known yet; while one is open its account takes no other action."""
        return self.stage in OPEN

    @property
    def exit_code(self) -> int:
        """Return 0 confirmed, 32 unknown or still open, 31 everything else."""
        if self.stage is Stage.CONFIRMED:
            return 0
        return 32 if self.is_open else 31
