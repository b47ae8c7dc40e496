"""What is the same for the rescues of all venues that take signed requests."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from engine.accounts import Account, Kind, MarginMode, Position, Tier
from engine.rescue import Facility, HealthPath, Means, Option, Standing
from marginline.venue_key import VenueKey
from providers.credentials import Credentials
from providers.http import Call, HttpTransport
from providers.ports import Reading
from providers.rescue_ports import Fate, Found, Step
from providers.venue_rescue import VenueRescue, facts_of, step_of
from tests.doubles import START_NS, Clock
from tests.looped import looped

VENUE_AHEAD_MS = 90_000
GRACE_S = 30.0


class Venue:
    """A venue that takes one action, and knows nothing of it afterwards. Its clock is ahead of ours."""

    venue = "there"
    actions = frozenset({"move"})

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.http_of = HttpTransport("there", "http://127.0.0.1:9")

    @property
    def now_ms(self) -> int:
        return self.clock() // 1_000_000 + VENUE_AHEAD_MS

    async def standing(self, account: Account) -> Standing:
        asset = account.positions[0].asset
        return Standing(account.name, self.clock(), (Facility(asset, frozenset({Means.REDUCE})),))

    async def steps(self, account: Account, option: Option) -> Sequence[Step]:
        facts = {"amount": "1"}
        return [step_of("there", account, "move", f"move {n}", {"n": n}, facts, at_ms=self.now_ms) for n in "12"]

    def http(self, payload: Mapping[str, object]) -> HttpTransport:
        return self.http_of

    def call(self, payload: Mapping[str, object], credentials: Credentials) -> Call:
        return Call("POST", "/move", content=b"{}")

    def answered(self, facts: Mapping[str, str], raw: bytes) -> Found:
        return Found(Fate.PENDING)

    async def find(self, facts: Mapping[str, str]) -> Found:
        is_fresh = self.now_ms - int(facts["at"]) < GRACE_S * 1000
        return Found(Fate.PENDING if is_fresh else Fate.REJECTED)


class Nobody:
    """A source that is never read."""

    name, poll_s, stale_after_s = "a", 5.0, 15.0

    async def read(self) -> Reading:
        raise AssertionError("not to be read here")

    def watch(self) -> None:
        raise AssertionError("not to be watched here")


def account(mode: MarginMode = MarginMode.CROSS) -> Account:
    held = Position("BTC", Decimal(1), (Tier(Decimal(0), Decimal("0.01")),), Decimal(100), Decimal(100))
    return Account("a", Kind.PERP, "there", mode=mode, quote="USD", balance=Decimal(10), positions=(held,))


def desk(clock: Clock) -> tuple[VenueRescue, VenueKey]:
    key = VenueKey("a", Credentials("a", lambda: "the key", lambda: "the secret"))
    return VenueRescue("a", Venue(clock), Nobody(), key, (), clock=clock), key  # type: ignore[arg-type]  # never read


@looped
async def test_a_step_that_waited_for_the_one_before_it_is_not_called_rejected_the_moment_it_leaves() -> None:
    clock = Clock()
    rescue, key = desk(clock)
    nothing = HealthPath(None, None, None, None)
    option = Option(Means.ADD_MARGIN, "USD", Decimal(1), "", None, nothing, None)
    first, second = await rescue.prepare(account(), option)
    await key.unlock()
    rescue.sign(first, key)
    clock.advance(120)
    signed = rescue.sign(second, key)
    assert int(facts_of(signed.reference)["at"]) == START_NS // 1_000_000 + 120_000 + VENUE_AHEAD_MS
    assert (await rescue.find(signed.reference, None, "a")).fate is Fate.PENDING
    clock.advance(GRACE_S + 1)
    assert (await rescue.find(signed.reference, None, "a")).fate is Fate.REJECTED


@looped
async def test_what_a_venue_does_not_list_days_later_is_unknown_and_not_rejected() -> None:
    clock = Clock()
    rescue, key = desk(clock)
    nothing = HealthPath(None, None, None, None)
    step, _ = await rescue.prepare(account(), Option(Means.ADD_MARGIN, "USD", Decimal(1), "", None, nothing, None))
    await key.unlock()
    signed = rescue.sign(step, key)
    clock.advance(23 * 3600)
    assert (await rescue.find(signed.reference, None, "a")).fate is Fate.REJECTED
    clock.advance(2 * 3600)
    found = await rescue.find(signed.reference, None, "a")
    assert (found.fate, "look at the venue" in found.evidence) == (Fate.UNKNOWN, True)


@looped
async def test_closing_part_of_an_isolated_position_is_not_offered_as_health() -> None:
    rescue, _ = desk(Clock())
    (shared,) = (await rescue.standing(account())).facilities
    (alone,) = (await rescue.standing(account(MarginMode.ISOLATED))).facilities
    assert shared.refused == ""
    assert "add margin instead" in alone.refused
