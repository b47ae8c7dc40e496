"""Every source in full: state, age, what it says of itself, and when it tries again."""

from desk.snapshot import SourceState
from providers.ports import LinkState
from tui import numbers
from tui.present_bars import LINK_TONES
from tui.view import Frame
from widgets.bars import Section
from widgets.facts import Text
from widgets.glyphs import fit
from widgets.tones import Cell, Line, Tone

_KINDS = {"account": "accounts", "prices": "prices", "notify": "push", "history": "history"}


def section(frame: Frame, *, is_focused: bool = False) -> Section:
    """Return the title of the feeds and how many are live."""
    sources = frame.snapshot.sources
    live = sum(1 for source in sources if source.state is LinkState.LIVE)
    return Section("feeds", f"{live} of {len(sources)} live", is_focused)


def feeds(frame: Frame) -> Text:
    """Return one line per source, the sick ones first, and then what is degraded overall."""
    snapshot = frame.snapshot
    head = f"{'SOURCE':<16}{'FEEDS':<10}{'STATE':<12}{'AGE':>5}{'RETRY':>7}{'DROPPED':>9}  WHAT IT SAYS"
    lines: list[Line] = [(Cell(head, Tone.MUTED),)]
    ranked = sorted(snapshot.sources, key=lambda source: (source.state is LinkState.LIVE, source.kind, source.name))
    lines.extend(_line(frame.now_ns, source) for source in ranked)
    warned = [(source.name, warning) for source in snapshot.sources for warning in source.warnings]
    if warned:
        lines.append(())
        lines.extend((Cell(f"{fit(name, 15)} ", Tone.STRONG), Cell(warning, Tone.WARN)) for name, warning in warned)
    if snapshot.degraded:
        lines.append(())
        lines.extend((Cell(reason, Tone.UNKNOWN),) for reason in snapshot.degraded)
    if not snapshot.sources:
        lines.append((Cell("no sources", Tone.MUTED),))
    return Text(tuple(lines))


def _line(now_ns: int, source: SourceState) -> Line:
    is_live = source.state is LinkState.LIVE
    unknown = "" if is_live else numbers.UNKNOWN
    age = numbers.age(now_ns - source.updated_at_ns) if source.updated_at_ns is not None else unknown
    wait_ns = source.retry_at_ns - now_ns if source.retry_at_ns is not None else None
    retry = numbers.age(wait_ns) if wait_ns is not None and wait_ns > 0 else ""
    tone = LINK_TONES[source.state]
    dropped = f"{source.dropped:,}" if source.dropped else ""
    return (
        Cell(f"{fit(source.name, 15)} ", Tone.STRONG),
        Cell(f"{_KINDS.get(source.kind, source.kind)[:9]:<10}", Tone.MUTED),
        Cell(f"{source.state.value:<12}", tone),
        Cell(f"{age:>5}", Tone.UNKNOWN if source.state in (LinkState.DOWN, LinkState.STALE) else Tone.MUTED),
        Cell(f"{retry:>7}{dropped:>9}  ", Tone.MUTED),
        Cell(source.detail, Tone.TEXT if is_live else tone),
    )
