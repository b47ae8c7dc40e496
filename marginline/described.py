"""Accounts that their owner describes, in the config or in a CSV file beside it: an OTC loan, a broker without an API.

A CSV has a header and one leg a line. `leg` says what it is (`collateral`, `debt` or `position`), the other columns are
the keys that such a leg has in a portfolio document (DESIGN 6); an empty cell is an absent key. What concerns the whole
account (kind, cash, balance, quote) stays in the config.
"""

import csv
import io
import json
import re
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

from engine.accounts import Account
from engine.document import DocumentError, parse_portfolio
from marginline.config import AccountConfig
from providers.errors import ConfigError

MAX_BYTES = 4_000_000
_LISTS = {"collateral": "collateral", "debt": "debt", "position": "positions"}
_PLACE = re.compile(r"^accounts\[0\]\.(collateral|debt|positions)\[([0-9]+)\]\.?(.*)$")


def describer(account: AccountConfig, clock: Callable[[], int]) -> Callable[[], Account]:
    """Return a function that gives the account as described now; its CSV file is read anew whenever it has changed.

    The function raises `ConfigError` for a description that cannot be used, and names the file and line.
    """
    if account.file is None:
        fixed = described_account(account, clock())
        return lambda: fixed
    path = Path(account.file).expanduser()
    if not path.is_absolute():
        path = account.folder / path
    held: dict[str, tuple[object, Account]] = {}

    def describe() -> Account:
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if "now" not in held or held["now"][0] != stamp:
                held["now"] = stamp, described_account(account, clock(), path)
        except OSError as error:
            raise ConfigError(f"{account.where}: file {path} cannot be read ({type(error).__name__})") from error
        return held["now"][1]

    return describe


def described_account(account: AccountConfig, now_ns: int, table: Path | None = None) -> Account:
    """Return a described account from its keys in the config and the legs of `table`, under a document's rules.

    Raises `ConfigError` naming the place; `OSError` when the table cannot be read.
    """
    described, lines = dict(account.described), dict[str, list[int]]()
    if table is not None:
        for name, rows in _legs(account, table, lines).items():
            if name in described:
                raise ConfigError(f"{account.where}: {name} stand both here and in {table}; keep one of them")
            described[name] = rows
    document = {
        "schema": "marginline.portfolio/1",
        "as_of": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_ns // 1_000_000_000)),
        "prices": {asset: {"oracle": 1} for asset in _assets(described)},  # only to satisfy the parser: not kept
        "accounts": [{"name": account.name, "provider": "manual", **described}],
    }
    try:
        portfolio = parse_portfolio(json.dumps(document, default=_plain))
    except DocumentError as error:
        place = _PLACE.match(error.path)
        if place is not None and place[1] in lines and int(place[2]) < len(lines[place[1]]):
            line = lines[place[1]][int(place[2])]
            raise ConfigError(f"{table}:{line}: {place[3] or 'leg'} {error.problem}") from error
        raise ConfigError(f"{account.where}: {error}") from error
    return portfolio.accounts[0]


def _legs(account: AccountConfig, path: Path, lines: dict[str, list[int]]) -> dict[str, list[dict[str, object]]]:
    """Return the legs of a CSV file by their list in a document; `lines` gets the line of each."""
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{account.where}: file {path} is larger than {MAX_BYTES >> 20} MiB")
    try:
        reader = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: is not a UTF-8 CSV file: {error}") from error
    rows = [(line, row) for line, row in rows if any(row) and not row[0].startswith("#")]
    if not rows or "leg" not in rows[0][1]:
        raise ConfigError(f"{path}:1: the first line must name the columns, and one of them must be leg")
    header = rows[0][1]
    if len(set(header)) != len(header):
        raise ConfigError(f"{path}:{rows[0][0]}: a column is named twice")
    found: dict[str, list[dict[str, object]]] = {}
    for line, row in rows[1:]:
        if len(row) > len(header):
            raise ConfigError(f"{path}:{line}: {len(row)} cells under {len(header)} columns")
        cells = {name: cell for name, cell in zip(header, row, strict=False) if cell}
        leg = cells.pop("leg", "")
        if leg not in _LISTS:
            raise ConfigError(f"{path}:{line}: leg must be collateral, debt or position, not {leg[:24]!r}")
        found.setdefault(_LISTS[leg], []).append({name: _value(cell) for name, cell in cells.items()})
        lines.setdefault(_LISTS[leg], []).append(line)
    return found


def _value(cell: str) -> object:
    return {"true": True, "false": False}.get(cell.lower(), cell)


def _assets(described: Mapping[str, object]) -> set[str]:
    """Return every asset that an account names; what is not a table is left to the parser's complaint."""
    legs = [leg for key in _LISTS.values() for leg in _tables(described.get(key))]
    return {asset for leg in legs if isinstance(asset := leg.get("asset"), str) and asset}


def _tables(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise ConfigError(f"a manual account holds a {type(value).__name__}, which is neither text nor a number")
