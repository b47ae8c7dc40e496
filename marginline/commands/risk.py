"""`marginline risk`: a portfolio document assessed offline."""

import sys
from pathlib import Path

from engine.accounts import Account
from engine.answers import assess_portfolio, portfolio_answer
from engine.assessment import Assessment
from engine.document import DocumentError, Portfolio, parse_portfolio
from marginline.exits import Exit
from marginline.output import put_json, put_table, say
from marginline.words import account_rows
from providers.errors import ConfigError

MAX_BYTES = 64 * 1024 * 1024


def risk(source: str, *, as_json: bool) -> Exit:
    """Assess the document in file `source` (`-` = stdin); raises `ConfigError` naming file and JSON path."""
    portfolio = read_portfolio(source)
    if as_json:
        put_json(portfolio_answer(portfolio))
    else:
        put_assessed(assess_portfolio(portfolio))
    return Exit.OK


def put_assessed(assessed: list[tuple[Account, Assessment]]) -> None:
    """Print one row per account, reasons for what is unknown on stderr."""
    headings, rows = account_rows(assessed)
    put_table(headings, rows, left=2)
    for account, assessment in assessed:
        for field, reason in assessment.missing.items():
            if field == "health_factor" or "health_factor" not in assessment.missing:
                say(f"{account.name}: {field} unknown: {reason}")
        for reason in assessment.degraded:
            say(f"{account.name}: {reason}")


def read_portfolio(source: str) -> Portfolio:
    """Return the portfolio document in a file or on stdin (`-`); raises `ConfigError`."""
    name = "stdin" if source == "-" else source
    try:
        if source == "-":
            text = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror or error}") from error
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{name}: is larger than {MAX_BYTES // 1024 // 1024} MiB; no portfolio document is")
    try:
        return parse_portfolio(text)
    except DocumentError as error:
        raise ConfigError(f"{name}: {error}") from error
