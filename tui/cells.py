"""A terminal screen as cells: reads what Textual writes, and says in few bytes what differs from what is shown.

Textual repaints each changed region from its left edge. `ScreenDiff` keeps two pictures, the wanted one and the shown
one, and emits only the cells that differ. It does no input or output itself.
"""

import re

from rich.cells import split_graphemes

from tui.pen import Palette

_TOKENS = re.compile(
    r"\x1b\[(?P<row>\d+);(?P<column>\d+)H"
    r"|\x1b\[(?P<sgr>[\d;]*)m"
    r"|(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|(?P<newline>\r?\n)"
    r"|\x1b\[\?2026(?P<sync>[hl])"
    r"|\x1b\[\?1049(?P<screen>[hl])"
    r"|(?P<link>\x1b\]8;[^\x07\x1b]*(?:\x07|\x1b\\))"
    r"|(?P<other>\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[^@-~]*[@-~]|\x1b[^\[\]]|[\x00-\x1f\x7f-\x9f])"
)
_MERGED_GAP = 4
_SYNC_FROM_BYTES = 512
_KEPT_TEXTS = 8192


class ScreenDiff:
    """Two pictures of one screen, and everything needed to turn the shown one into the wanted one.

    A cell is `None` while unknown, `""` when it is the right half of a wide character. `passed` collects, in order,
    what is not cells (a bell, a clipboard write, terminal modes); the caller sends it when it can.
    """

    def __init__(self, width: int, height: int) -> None:
        self.passed: list[str] = []
        self._palette = Palette()
        self._texts: dict[str, tuple[tuple[str, ...], bool]] = {}
        self._row = self._column = self._style = 0
        self._pen: int | None = None
        self._at: tuple[int, int] | None = None
        self._wants_sync = False
        self._visible = True
        self._wanted: list[list[str | None]] = []
        self._wanted_styles: list[list[int]] = []
        self._odd: list[bool] = []
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        """Take a new screen size: what is wanted on the common part stays, nothing is known to be shown."""
        self.width, self.height = width, height
        rows = zip(self._wanted[:height], self._wanted_styles[:height], strict=True)
        kept = [((*row[:width],), (*styles[:width],)) for row, styles in rows]
        self._wanted = [[None] * width for _ in range(height)]
        self._wanted_styles = [[0] * width for _ in range(height)]
        for y, (row, styles) in enumerate(kept):
            self._wanted[y][: len(row)] = row
            self._wanted_styles[y][: len(styles)] = styles
        self._odd = [True] * height
        self.forget()

    def doubt(self) -> None:
        """Assume nothing about the terminal's pen and cursor; what its cells show stays known."""
        self._pen = None
        self._at = None

    def forget(self) -> None:
        """Assume nothing about what the terminal shows, so that the next difference paints every known cell."""
        self._shown: list[list[str | None]] = [[None] * self.width for _ in range(self.height)]
        self._shown_styles: list[list[int]] = [[0] * self.width for _ in range(self.height)]
        self._shown_odd: list[bool] = [False] * self.height
        self._dirty: set[int] = set(range(self.height))
        self.doubt()

    def feed(self, data: str) -> None:
        """Take what Textual writes: cells into the wanted picture, anything else into `passed`."""
        for token in _TOKENS.finditer(data):
            match token.lastgroup:
                case "column":
                    self._row, self._column = int(token["row"]) - 1, int(token["column"]) - 1
                case "text":
                    self._put(token["text"])
                case "sgr":
                    self._style = self._palette.apply(self._style, token["sgr"])
                case "newline":
                    self._row, self._column = self._row + 1, 0
                case "sync":
                    self._wants_sync = True
                case "screen":
                    self._visible = token["screen"] == "h"
                    self.passed.append(token[0])
                    self.forget()
                case "link":
                    pass
                case _:
                    self.passed.append(token[0])

    def difference(self) -> str:
        """Return the bytes that make the terminal show the wanted picture, and take them as sent."""
        if not self._visible:
            return ""
        runs: list[tuple[int, int, int, int]] = []
        for row in sorted(self._dirty):
            runs.extend(self._runs(row))
        self._dirty.clear()
        runs.sort()
        out: list[str] = []
        if runs and self._pen is None:
            out.append("\x1b[m")
            self._pen = 0
        for _, row, start, end in runs:
            self._emit(out, row, start, end)
        cursor = (min(self._row, self.height - 1), min(self._column, self.width - 1))
        if cursor != (0, 0) and cursor != self._at and (runs or self._at is not None):
            out.append(self._move(*cursor))
        text = "".join(out)
        if self._wants_sync and len(text) > _SYNC_FROM_BYTES:
            text = f"\x1b[?2026h{text}\x1b[?2026l"
        self._wants_sync = False
        return text

    def _put(self, text: str) -> None:
        row, column = self._row, self._column
        known = self._texts.get(text)
        if known is None:
            if len(self._texts) >= _KEPT_TEXTS:
                self._texts.clear()
            known = self._texts[text] = _split(text)
        cells, is_odd = known
        count = len(cells)
        self._column = column + count
        if not 0 <= row < self.height or column >= self.width:
            return
        count = min(count, self.width - column)
        style = self._palette.blank(self._style) if text.isspace() else self._style
        if self._odd[row]:
            self._cut(self._wanted[row], column)
            self._cut(self._wanted[row], column + count)
        self._wanted[row][column : column + count] = cells[:count]
        self._wanted_styles[row][column : column + count] = [style] * count
        if is_odd:
            self._odd[row] = True
        self._dirty.add(row)

    @staticmethod
    def _cut(cells: list[str | None], column: int) -> None:
        """Leave no half of a wide character on either side of the boundary before `column`."""
        if column < len(cells) and cells[column] == "":
            cells[column - 1 : column + 1] = (" ", " ")

    def _runs(self, row: int) -> list[tuple[int, int, int, int]]:
        """Return (style, row, start, end) for every stretch of `row` that must be sent."""
        wanted, styles = self._wanted[row], self._wanted_styles[row]
        shown, shown_styles = self._shown[row], self._shown_styles[row]
        if wanted == shown and styles == shown_styles:
            return []
        if self._odd[row] or self._shown_odd[row]:
            self._odd[row] = any(cell is not None and len(cell) != 1 for cell in wanted)
            self._shown_odd[row] = self._odd[row]
            return [(styles[0], row, 0, self.width)]
        changed = [
            column
            for column in range(self.width)
            if wanted[column] is not None
            and (wanted[column] != shown[column] or styles[column] != shown_styles[column])
        ]
        runs: list[tuple[int, int, int, int]] = []
        for column in changed:
            if runs:
                style, _, start, end = runs[-1]
                gap = styles[end:column]
                if (
                    column - end <= _MERGED_GAP
                    and all(s == styles[end - 1] for s in gap)
                    and None not in wanted[end:column]
                ):
                    runs[-1] = (style, row, start, column + 1)
                    continue
            runs.append((styles[column], row, column, column + 1))
        return runs

    def _emit(self, out: list[str], row: int, start: int, end: int) -> None:
        wanted, styles = self._wanted[row], self._wanted_styles[row]
        palette = self._palette
        column = start
        while column < end:
            cell = wanted[column]
            if cell is None:
                column += 1
                continue
            if self._at != (row, column):
                out.append(self._move(row, column))
            style = styles[column]
            stop = column + 1
            while stop < end and styles[stop] == style and wanted[stop] is not None:
                if self._odd[row] and len(wanted[stop - 1] or "") != 1 and wanted[stop] != "":
                    break
                stop += 1
            pen = self._pen or 0
            text = "".join(c for c in wanted[column:stop] if c is not None)
            if text.isspace() and palette.blank(pen) == palette.blank(style):
                style = pen
            out.append(palette.change(pen, style))
            out.append(text)
            self._pen = style
            self._at = (row, stop) if stop < self.width and len(text) == stop - column else None
            column = stop
        self._shown[row][start:end] = wanted[start:end]
        self._shown_styles[row][start:end] = styles[start:end]

    def _move(self, row: int, column: int) -> str:
        at, self._at = self._at, (row, column)
        if at is not None and at[0] == row and column > at[1]:
            forward = column - at[1]
            return f"\x1b[{forward}C" if forward > 1 else "\x1b[C"
        return f"\x1b[{row + 1};{column + 1}H"


def _split(text: str) -> tuple[tuple[str, ...], bool]:
    """Return one entry per cell of `text`, and whether any of its characters is not exactly one cell wide."""
    if text.isascii():
        return tuple(text), False
    spans, _ = split_graphemes(text)
    cells: list[str] = []
    is_odd = False
    for start, end, width in spans:
        if width == 0:
            continue
        cells.append(text[start:end])
        if width != 1 or end - start != 1:
            is_odd = True
            cells.extend([""] * (width - 1))
    return tuple(cells), is_odd
