"""What the dashboard asks of whoever carries out rescues; without one the screen is read-only."""

from collections.abc import Callable, Mapping
from typing import Protocol

from desk.actions import ActionState
from desk.speedup import Faster
from engine.rescue import Plan, Target

Show = Callable[[ActionState], None]
"""Takes every state of an action on its way; called on the event loop."""


class RescueDesk(Protocol):
    """Plans, arms, sends, settles and remembers. Every method raises `AppError` with a reason fit for the screen.

    Its clock is the desk's: `armed_until_ns` and `Plan.made_at_ns` compare with `Snapshot.taken_at_ns`.
    """

    async def run(self) -> None:
        """Keep readiness fresh until cancelled, then disarm and close; starts once the desk has something to show."""

    @property
    def armed_until_ns(self) -> int | None:
        """Return when arming ends, `None` when not armed."""

    @property
    def passwords_needed(self) -> tuple[str, ...]:
        """Return the names of the signers that ask for a password, in the order to be asked."""

    async def plan_for(self, account: str, target: Target | None = None) -> Plan:
        """Return a fresh plan for one account by its snapshot name; without a target it is the standing plan."""

    async def execute(self, plan: Plan, option_index: int, *, actor: str, show: Show) -> ActionState:
        """Carry out one option once and return how it ended; raises `Refusal` when nothing was signed."""

    async def rehearse(self, plan: Plan, option_index: int) -> None:
        """Prepare, verify and dry-run one option; raises `Refusal` with why it would not work. Nothing is signed."""

    async def faster(self, action: str) -> Faster:
        """Return what would overtake the step of an open action that waits, with its fee; raises `Refusal`."""

    async def speed_up(self, offer: Faster, *, actor: str, show: Show) -> ActionState:
        """Send what overtakes, once; return the action as it then stands. `Refusal`: nothing more was sent."""

    async def arm(self, passwords: Mapping[str, str], *, actor: str) -> int:
        """Unlock the signers and return when that ends (ns); the passwords are kept nowhere."""

    async def disarm(self, *, actor: str) -> None:
        """Wipe every key at once."""

    async def reconcile(self, account: str | None = None, *, actor: str) -> tuple[ActionState, ...]:
        """Settle open actions by reading, of one account or of all; return those looked at, as they stand now."""

    async def history(self, limit: int) -> tuple[ActionState, ...]:
        """Return the latest actions, newest first."""
