"""The plan of a rescue as columns, its age, whether the market overtook it, and what enter would do."""

import re
from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from desk.actions import Stage
from desk.snapshot import AccountState, Snapshot
from engine.record import record
from engine.rescue import Means, Option, Plan, Target
from tui import numbers, words
from tui.view import Frame
from widgets.bars import Bar, Section
from widgets.plan import PlanRow, PlanTable
from widgets.tones import Cell, Ground, Line, Phrase, Tone

MOVED = Decimal("0.005")
"""A plan is overtaken when health moved by more than this fraction: well before the desk would refuse to send it."""
OLD_NS = 45 * 1_000_000_000
"""A plan this old is computed again: the desk refuses one of over a minute."""
_SIGNIFICANT = 6
_DAY_NS = Decimal(86_400 * 1_000_000_000)
# Of a random walk, the chance to have touched a line k sigma-days away within t days is 2 * (1 - Phi(k / sqrt(t)))
# (reflection principle); 1.96 makes it 5 %.
_FIVE_PERCENT = Decimal("1.96")
_FIGURES = re.compile(r"(?<![\w.])\d[\d,.]*(?!\w)")


@record
class PlanView:
    """What the plan screen knows: the plan, which option is chosen, and why it can't be confirmed, if it can't.

    `problem` is why there is no plan; `overtaken` why the one shown does not hold any more. `health_seen` is the
    account's health on screen when the plan came. `notice` answers the last key.
    """

    account: str
    plan: Plan | None = None
    chosen: int = 0
    is_computing: bool = True
    problem: str = ""
    overtaken: str = ""
    health_seen: Decimal | None = None
    is_armed: bool = False
    is_sending: bool = False
    notice: str = ""
    is_dense: bool = False

    @property
    def option(self) -> Option | None:
        """Return the chosen option; `None` without any."""
        options = self.plan.options if self.plan is not None else ()
        return options[self.chosen] if self.chosen < len(options) else None


def overtaken(snapshot: Snapshot, view: PlanView) -> str:
    """Return why the plan does not hold any more, or "": the account moved, went stale or away, or the plan aged."""
    plan, state = view.plan, snapshot.accounts.get(view.account)
    if plan is None:
        return ""
    if state is None:
        return "the account is gone from its source"
    if snapshot.taken_at_ns - plan.made_at_ns > OLD_NS:
        return f"the plan is {numbers.age(snapshot.taken_at_ns - plan.made_at_ns)} old"
    now = state.assessment.health_factor
    bases = [view.health_seen]
    if _is_newer(state, plan):
        bases.append(plan.health_before)
    for base in bases:
        if base is not None and now is not None and abs(now - base) > abs(base) * MOVED:
            return f"the market overtook the plan: health {numbers.health(base)} is now {numbers.health(now)}"
    return ""


def _is_newer(state: AccountState, plan: Plan) -> bool:
    """Return whether the account on screen was read after the plan's state: an older reading overtakes nothing."""
    if state.block_number is not None and plan.block_number is not None:
        return state.block_number > plan.block_number
    return state.observed_at_ns > plan.made_at_ns


def same_option(old: Option | None, options: Sequence[Option]) -> int:
    """Return the index of what was chosen before in a plan that was computed again; 0 when it is gone."""
    if old is not None:
        for index, option in enumerate(options):
            if (option.means, option.asset, option.source) == (old.means, old.asset, old.source):
                return index
    return 0


def why_not(snapshot: Snapshot, view: PlanView) -> str:
    """Return why enter would send nothing now, or ""."""
    state, option = snapshot.accounts.get(view.account), view.option
    unknown = unknown_of(snapshot, view.account)
    if unknown:
        return unknown
    if view.is_sending:
        return "a rescue of this account is under way"
    if view.is_computing:
        return f"{view.overtaken}: computing again" if view.overtaken else "computing"
    if view.plan is None or option is None:
        return view.problem or "nothing to send"
    if state is None:
        return "the account is gone from its source"
    if state.is_stale:
        return "the reading is stale: r reads now"
    if not option.ready:
        return f"not ready: {option.blockers[0]}"
    if view.overtaken:
        return view.overtaken
    return "" if view.is_armed else "not armed: A arms"


def unknown_of(snapshot: Snapshot, account: str) -> str:
    """Return that an earlier action of the account may still land, or ""."""
    if any(action.account == account and action.stage is Stage.UNKNOWN for action in snapshot.actions):
        return "outcome unknown: do not send again; r reconciles"
    return ""


def title(frame: Frame, view: PlanView) -> Section:
    """Return what the plan is for, how old it is and of which block."""
    plan = view.plan
    if plan is None:
        return Section(f"rescue {view.account}", "computing" if view.is_computing else "no plan", is_focused=True)
    note = f"planned {numbers.age(max(0, frame.snapshot.taken_at_ns - plan.made_at_ns))} ago"
    if plan.block_number is not None:
        note += f" at block {plan.block_number:,}"
    return Section(f"rescue {view.account} to {target_text(plan.target)}", note, is_focused=True)


def target_text(target: Target) -> str:
    """Return what a plan must reach."""
    if target.health is not None:
        return f"health {numbers.health(target.health, 2)}"
    return f"{numbers.distance(target.distance, falls=False).lstrip('+')} % to the line"


def table(frame: Frame, view: PlanView) -> PlanTable:
    """Return the options side by side, or the words that stand for none."""
    plan, state = view.plan, frame.snapshot.accounts.get(view.account)
    if plan is None or state is None or not plan.options:
        return PlanTable(said=tuple(_nothing(frame, view, state)), is_dense=view.is_dense)
    columns = [_column(frame, view, state, option) for option in plan.options]
    rows = tuple(
        PlanRow(label, tuple(column[at] for column in columns), gap, wrapped)
        for at, (label, gap, wrapped) in enumerate(_labels(state))
    )
    heads = tuple(_head(at, option, at == view.chosen) for at, option in enumerate(plan.options))
    return PlanTable(heads, rows, view.chosen, tuple(_closing(frame, view, state, plan)), is_dense=view.is_dense)


def confirm(frame: Frame, view: PlanView) -> Bar:
    """Return what enter would do, or why it does nothing."""
    if view.notice:
        return Bar((Phrase.of(view.notice, Tone.WARN),), ground=Ground.SURFACE)
    reason, option = why_not(frame.snapshot, view), view.option
    if reason or option is None:
        reason = hushed(frame, reason)
        is_loud = bool(view.overtaken) or bool(unknown_of(frame.snapshot, view.account))
        return Bar((Phrase.of(reason, Tone.UNKNOWN if is_loud else Tone.WATCH),), ground=Ground.SURFACE)
    said = (Cell("enter sends: ", Tone.KEY), Cell(sentence(frame, view.account, option), Tone.STRONG))
    return Bar((Phrase(said),), ground=Ground.SURFACE)


def keys(view: PlanView) -> Bar:
    """Return the keys of the plan screen."""
    count = len(view.plan.options) if view.plan is not None else 0
    choose = " ".join(str(number) for number in range(1, min(count, 9) + 1)) if count > 1 else ""
    left = [Phrase.key(choose, "choose", rank=2)] if choose else []
    left.append(Phrase.key("enter", "confirm", rank=0))
    if not view.is_armed:
        left.append(Phrase.key("A", "arm", rank=1))
    left.extend((Phrase.key("e", "target", rank=3), Phrase.key("r", "again", rank=4), Phrase.key("esc", "close")))
    mode = (Cell(" ARMED ", Tone.LIQUIDATABLE),) if view.is_armed else (Cell("not armed", Tone.MUTED),)
    return Bar(tuple(left), (Phrase(mode),))


def sentence(frame: Frame, account: str, option: Option) -> str:
    """Return an option as words: what moves, from where, to whom."""
    amount = numbers.MASK if frame.view.is_masked else amount_text(option.amount)
    close = ", closing it" if option.is_full_close else ""
    return f"{option.means.value} {amount} {option.asset} for {account} from {option.source}{close}"


def amount_text(value: Decimal, rounding: str = ROUND_CEILING) -> str:
    """Return an amount with six significant digits, rounded up: never less than what would leave the wallet."""
    places = max(0, _SIGNIFICANT - 1 - value.adjusted()) if value else 0
    text = f"{numbers.round_exactly(value, min(places, 18), rounding):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def hushed(frame: Frame, text: str) -> str:
    """Return words with their figures hidden where amounts are masked."""
    return _FIGURES.sub(numbers.MASK, text) if frame.view.is_masked else text


def line_in_ns(state: AccountState) -> int | None:
    """Return how soon the line is touched with a chance of 5 %, by volatility alone; `None` when that is not known."""
    assessment = state.assessment
    if assessment.health_factor is not None and assessment.health_factor < 1:
        return 0
    if assessment.sigma_days is None:
        return None
    return int((assessment.sigma_days / _FIVE_PERCENT) ** 2 * _DAY_NS)


def _head(at: int, option: Option, is_chosen: bool) -> Line:
    tone = Tone.STRONG if is_chosen else Tone.TEXT
    return (Cell(f"{at + 1} ", Tone.KEY), Cell(f"{option.means.value} {option.asset}", tone))


def _labels(state: AccountState) -> tuple[tuple[str, bool, bool], ...]:
    """Return labels in order, with a gap before or not, wrapped or not."""
    return (
        ("amount", True, False),
        ("from", False, False),
        ("has", False, False),
        (f"at {state.assessment.trigger}", True, False),
        ("at market", False, False),
        ("after -10 %", False, False),
        ("to the line", False, False),
        ("cost now", True, False),
        ("lands in", False, False),
        ("line in", False, False),
        ("ready", True, True),
    )


def _column(frame: Frame, view: PlanView, state: AccountState, option: Option) -> tuple[Line, ...]:
    is_masked, plan = frame.view.is_masked, view.plan
    health, at_market = option.health, state.assessment.at_market
    market = at_market.health_factor if at_market is not None else None
    target = plan.target.health if plan is not None else None
    tone = words.number_tone(words.severity_of(state))
    line_ns, land_s = line_in_ns(state), option.time_to_land_s
    land_ns = None if land_s is None else int(land_s * 1_000_000_000)
    is_late = land_ns is not None and line_ns is not None and land_ns >= line_ns
    funds = option.funds
    return (
        (Cell(numbers.MASK if is_masked else f"{amount_text(option.amount)} {option.asset}", Tone.STRONG),),
        (Cell(option.source or "no wallet", Tone.MUTED),),
        (Cell("" if funds is None else _held(option, is_masked), Tone.MUTED),),
        _change(_health(health.before, tone), health.after, target, closes=option.is_full_close),
        _change(_health(market, tone), health.after_at_market, None, closes=option.is_full_close),
        (Cell("no debt", Tone.STRONG) if option.is_full_close else _health(health.after_minus_10pct),),
        _distances(state, option),
        (Cell(_cost(option.cost_usd), Tone.TEXT),),
        (Cell(numbers.age(land_ns), Tone.DANGER if is_late else Tone.TEXT),),
        _line_in(line_ns),
        _readiness(frame, option),
    )


def _held(option: Option, is_masked: bool) -> str:
    if option.funds is None:
        return ""
    return numbers.MASK if is_masked else f"{amount_text(option.funds.amount, ROUND_FLOOR)} {option.funds.asset}"


def _change(before: Cell, after: Decimal | None, target: Decimal | None, *, closes: bool) -> Line:
    """Return a health before and after; a closed debt is said in words."""
    if after is None:
        return (before, Cell(" → ", Tone.FAINT), Cell("no debt", Tone.STRONG) if closes else _health(None))
    misses = target is not None and after < target
    return (before, Cell(" → ", Tone.FAINT), _health(after, Tone.WARN if misses else Tone.STRONG))


def _health(value: Decimal | None, tone: Tone = Tone.TEXT) -> Cell:
    if value is None:
        return Cell(numbers.UNKNOWN, Tone.UNKNOWN)
    return Cell(numbers.health(value), Tone.DANGER if value < 1 else tone)


def _distances(state: AccountState, option: Option) -> Line:
    nearest = words.nearest_point(state)
    falls = nearest is None or words.falls(nearest[1])
    now = numbers.distance(nearest[1].distance, falls=falls) if nearest is not None else numbers.UNKNOWN
    if option.distance_after is None:
        return (Cell(f"{now} %", Tone.TEXT),)
    after = numbers.distance(option.distance_after, falls=falls)
    return (Cell(now, Tone.TEXT), Cell(" → ", Tone.FAINT), Cell(f"{after} %", Tone.STRONG))


def _cost(cost_usd: Decimal | None) -> str:
    return numbers.UNKNOWN if cost_usd is None else f"{numbers.cents(cost_usd)} $"


def _line_in(line_ns: int | None) -> Line:
    if line_ns is None:
        return (Cell(numbers.UNKNOWN, Tone.UNKNOWN),)
    if line_ns == 0:
        return (Cell("past it now", Tone.DANGER),)
    return (Cell(f"~{numbers.long_age(line_ns)}", Tone.TEXT), Cell(" worst 5 %", Tone.MUTED))


def _readiness(frame: Frame, option: Option) -> Line:
    if not option.ready:
        return tuple(Cell(hushed(frame, blocker), Tone.WARN) for blocker in option.blockers)
    if any(step.startswith("approve") for step in option.steps):
        return (Cell("ready, approves first", Tone.KEY),)
    return (Cell("ready", Tone.KEY),)


def _closing(frame: Frame, view: PlanView, state: AccountState, plan: Plan) -> Iterable[tuple[str, Line]]:
    option = view.option
    if option is not None and option.steps:
        steps = " → ".join(option.steps)
        yield "by hand" if option.means is Means.DEPOSIT else "signs", (Cell(hushed(frame, steps), Tone.TEXT),)
    yield "if nothing", _if_nothing(frame, state, plan)
    if plan.possible:
        yield "possible", (Cell(hushed(frame, plan.possible), Tone.TEXT),)


def _if_nothing(frame: Frame, state: AccountState, plan: Plan) -> Line:
    loss = plan.loss_if_nothing
    coming = state.assessment.at_next_oracle
    said = []
    if state.assessment.health_factor is not None and state.assessment.health_factor < 1:
        said.append("liquidatable now")
    elif coming is not None and coming.updates and coming.health_factor is not None and coming.health_factor < 1:
        said.append("the next print is past the line")
    if loss is None:
        said.append("what is lost at the line is not known")
    else:
        shown = numbers.MASK if frame.view.is_masked else numbers.money(loss, ROUND_CEILING)
        quote = state.account.quote
        said.append(f"lose {shown} {'$' if quote.upper() in numbers.DOLLARS else quote} at the line")
    return (Cell(", ".join(said), Tone.TEXT if len(said) == 1 else Tone.DANGER),)


def _nothing(frame: Frame, view: PlanView, state: AccountState | None) -> Iterable[Line]:
    if state is None:
        yield (Cell("the account is gone from its source", Tone.UNKNOWN),)
    elif view.problem:
        yield (Cell("no plan", Tone.STRONG), Cell(f"  {hushed(frame, view.problem)}", Tone.TEXT))
        yield (Cell("r computes it again", Tone.MUTED),)
    elif view.plan is None:
        yield (Cell("reading wallets and computing alternatives", Tone.MUTED),)
    else:
        yield (Cell(hushed(frame, view.plan.possible) or "nothing can be done from here", Tone.TEXT),)
