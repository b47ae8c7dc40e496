"""Being armed: for a while, by someone, with certain signers. Pure transitions, and the boxes that follow them."""

from collections.abc import Iterable, Mapping

from desk.actions import Refusal
from engine.record import record
from providers.errors import AppError
from providers.rescue_ports import SignerBox

MINUTE_NS = 60 * 1_000_000_000
_CLOCK_SLACK_NS = 5 * 1_000_000_000


@record
class Armed:
    """Sending is allowed from `since_ns` until just before `until_ns`, with the signers named; `by` is who armed."""

    since_ns: int
    until_ns: int
    signers: tuple[str, ...]
    by: str

    def holds(self, now_ns: int) -> bool:
        """Return whether sending is allowed; a clock that was set back does not prolong it."""
        return self.since_ns - _CLOCK_SLACK_NS <= now_ns < self.until_ns


def armed_for(minutes: int, signers: Iterable[str], by: str, now_ns: int) -> Armed:
    """Return being armed from now on; raises `Refusal` without a signer or a positive time."""
    names = tuple(sorted(set(signers)))
    if not names:
        raise Refusal("no signer is unlocked: nothing could be signed")
    if minutes <= 0:
        raise Refusal(f"armed for {minutes} minutes is not armed")
    return Armed(now_ns, now_ns + minutes * MINUTE_NS, names, by)


def why_not_armed(armed: Armed | None, signer: str, now_ns: int) -> str:
    """Return "" when `signer` may sign now, else the reason."""
    if armed is None:
        return "not armed"
    if not armed.holds(now_ns):
        return "arming has expired"
    return "" if signer in armed.signers else f"signer {signer} is not unlocked"


class Armoury:
    """Keeps the signers' boxes unlocked exactly while armed."""

    def __init__(self, boxes: Iterable[SignerBox]) -> None:
        self._boxes = {box.name: box for box in boxes}
        self.armed: Armed | None = None
        self.locked: dict[str, str] = {}

    @property
    def locked_by_password(self) -> tuple[str, ...]:
        """Return the names of the signers that ask for a password, in order."""
        return tuple(sorted(name for name, box in self._boxes.items() if box.needs_password))

    async def arm(self, passwords: Mapping[str, str], minutes: int, by: str, now_ns: int) -> Armed:
        """Unlock every signer that needs no password or has one in `passwords`, and be armed.

        Raises `Unauthorised` for a wrong password, and what a broken reference raises when nothing else unlocks: else
        its signer stays locked and is named in `locked`. After an error all are locked again.
        """
        self.locked = {}
        broken: AppError | None = None
        try:
            for box in self._boxes.values():
                if box.needs_password and box.name in passwords:
                    await box.unlock(passwords[box.name])
                elif not box.needs_password:
                    try:
                        await box.unlock(None)
                    except AppError as error:
                        broken, self.locked[box.name] = error, str(error)
                else:
                    self.locked[box.name] = "no password was given"
            unlocked = self._boxes.keys() - self.locked.keys()
            if broken is not None and not unlocked:
                raise broken
            armed = armed_for(minutes, unlocked, by, now_ns)
        except BaseException:
            self.disarm()
            raise
        self.armed = armed
        return armed

    def disarm(self) -> None:
        """Wipe every key now."""
        self.armed = None
        for box in self._boxes.values():
            box.lock()

    def expire(self, now_ns: int) -> bool:
        """Disarm when the time is over; return whether that happened."""
        if self.armed is None or self.armed.holds(now_ns):
            return False
        self.disarm()
        return True
