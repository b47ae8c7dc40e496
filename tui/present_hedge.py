"""Ways to bring the selected account through a bad month, side by side at one protected price: `marginline hedge`."""

from engine.hedge import hedges
from engine.hedge_case import Comparison, Protection
from tui import numbers
from tui.folding import folded
from tui.hedge_table import cannot_lines, hedge_headings, hedge_rows
from tui.view import Frame
from widgets.bars import Section
from widgets.facts import Text
from widgets.glyphs import fit
from widgets.tones import Cell, Tone

NOT_YET = "being worked out"
STALE = "the account is stale: what follows is for what was last read of it"
HIDDEN = "amounts are hidden; $ shows them"
CANNOT = Section("what each cannot do", "nothing here is sent")
_MEANS, _WITH, _PRICED = 11, 22, 10
_WIDTHS = (12, 12, 17, 11)
_AMOUNTS = (3, 4)
_WIDE = 100
_DAY_S = 86_400


def compared(frame: Frame, horizon_s: int) -> Comparison | None:
    """Return the ways to protect the selected account for `horizon_s`, options by theory; `None` without an account.

    Slow (50 ms): not on the loop.
    """
    state = frame.selected
    if state is None:
        return None
    prices = {asset: each.price for asset, each in frame.snapshot.prices.items()}
    wish = Protection(horizon_s)
    try:
        return hedges(state.account, state.assessment, prices, wish, frame.snapshot.taken_at_ns)
    except ArithmeticError as error:
        return Comparison(state.account.name, horizon_s, because=f"unknown: its figures are out of range ({error})")
    except ValueError as error:
        return Comparison(state.account.name, horizon_s, because=str(error))


def hedge_section(frame: Frame, found: Comparison | None, width: int) -> Section:
    """Return the title: whose hedges, for how long, and what options cost by."""
    name = "" if frame.selected is None else frame.selected.account.name
    note = ""
    if found is not None:
        days = f"{found.horizon_s // _DAY_S} days, options by theory"
        note = f"{days}: hedge --from-venue reads them" if width >= _WIDE else days
    return Section(f"ways to protect {name}", note, is_focused=True)


def hedge(frame: Frame, found: Comparison | None, width: int) -> Text:
    """Return what all ways are measured by, one line per way, and why there is none where there is none."""
    if frame.selected is None or found is None:
        return Text(((Cell(f" {NOT_YET}" if frame.selected else " no account selected", Tone.MUTED),),))
    threat = found.threat
    if threat is None or not found.hedges:
        return Text(folded(((found.because, Tone.TEXT),), width))
    places = numbers.price_places(threat.price)
    quote = frame.selected.account.quote
    unit = "$" if quote.upper() in numbers.DOLLARS else quote
    lacks = numbers.MASK if frame.view.is_masked else numbers.debt(found.missing)
    line = numbers.liquidation_price(threat.line, places, falls=threat.falls)
    point = frame.selected.assessment.liquidation.get(threat.underlying)
    now = numbers.liquidation_price(point.price if point else None, places, falls=threat.falls)
    # The table of accounts shows the line of now; this one has the interest of the horizon in it.
    by_then = f" in {found.horizon_s // _DAY_S} days" + ("" if now in (line, numbers.UNKNOWN) else f" ({now} now)")
    said = (
        f"{threat.underlying} at {numbers.price(threat.price, places)}, liquidated at {line}{by_then}; every way holds "
        f"it to {numbers.price(found.protected_to, places)}, where it lacks {lacks} {unit}"
    )
    stale = ((STALE, Tone.STALE),) if frame.selected.is_stale else ()
    lines = list(folded((*stale, (said, Tone.TEXT)), width))
    is_wide = width >= _WIDE
    heads = tuple(f"MONEY {unit}" if head == "MONEY NOW" else head for head in hedge_headings(found))
    lines += [(), (Cell(_row(heads, is_wide=is_wide), Tone.MUTED),)]
    for way, row in zip(found.hedges, hedge_rows(found), strict=True):
        if way.quantity is None:
            lines.append((Cell(f" {row[0]:<{_MEANS}}", Tone.STRONG), Cell(row[1], Tone.MUTED)))
            continue
        if frame.view.is_masked:
            row = tuple(numbers.MASK if at in _AMOUNTS and cell else cell for at, cell in enumerate(row))
        text = _row(row, is_wide=is_wide)
        lines.append((Cell(text[: _MEANS + 1], Tone.STRONG), Cell(text[_MEANS + 1 :], Tone.TEXT)))
    return Text(tuple(lines))


def cannot(frame: Frame, found: Comparison | None, width: int) -> Text:
    """Return what each way does not do and what was taken for granted; not while amounts are hidden: it has some."""
    if found is None or not found.hedges:
        return Text()
    if frame.view.is_masked:
        return Text(((Cell(f" {HIDDEN}", Tone.MUTED),),))
    told = [(f"{means}: {line}", Tone.TEXT) for means, line in cannot_lines(found.hedges)]
    told += [(f"assumed: {line}", Tone.MUTED) for line in found.assumed]
    return Text(folded((*told, *((line, Tone.UNKNOWN) for line in found.doubts)), width))


def _row(cells: tuple[str, ...], *, is_wide: bool) -> str:
    """Return a line of the table; a narrow one leaves out where the price is from."""
    means, instrument, priced = cells[:3]
    text = f" {means:<{_MEANS}}{fit(instrument, _WITH)} " + (f"{priced:<{_PRICED}}" if is_wide else "")
    widths = _WIDTHS if is_wide else (12, 11, 9, 10)
    heads = (
        cells[3:] if is_wide else (*cells[3:5], cells[5].replace(" OF NOTIONAL", "").replace(" OF DEBT", ""), cells[6])
    )
    return text + "".join(f"{cell:>{size}}" for cell, size in zip(heads, widths, strict=True))
