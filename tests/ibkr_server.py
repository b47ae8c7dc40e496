"""A loopback Client Portal gateway as documented: no key, but a log-in that ends, and accounts that are asked first.

Without a log-in everything is 401. Until a session has been asked for its accounts it knows none of them. The gateway
of old has no `/portfolio2`; a log-in by browser is `log_in()`.
"""

from decimal import Decimal
from typing import Any

from tests.signed_server import Asked, Reply, SignedServer

ACCOUNT = "DU1234567"
D = Decimal


class IbkrServer(SignedServer):
    """One gateway. `held` are rows by name: quantity, price, currency, kind (STK, OPT, FUT); `rates` go to the base."""

    def __init__(self) -> None:
        super().__init__(self._answer_http)
        self.accounts = [ACCOUNT]
        self.held: dict[str, tuple[Decimal, Decimal, str, str]] = {}
        self.rates = {"USD": D(1), "EUR": D("1.1")}
        self.cash, self.share = D("-30000.5"), D("0.25")
        self.changes: dict[str, Any] = {}
        self.is_old, self.is_logged_in = False, True
        self.tickles = 0
        self._is_introduced = False

    def log_in(self) -> None:
        """Begin another session, as its owner does in a browser."""
        self.is_logged_in, self._is_introduced = True, False

    def log_out(self) -> None:
        """End the session, as the broker does every night."""
        self.is_logged_in = False

    def _answer_http(self, asked: Asked) -> Reply:
        if not self.is_logged_in:
            return Reply(401, {"error": "not authenticated", "statusCode": 401})
        match asked.path.strip("/").split("/"):
            case ["tickle"] if asked.method == "POST":
                self.tickles += 1
                return Reply(200, {"session": "s", "iserver": {"authStatus": {"authenticated": True}}})
            case ["portfolio", "accounts"]:
                self._is_introduced = True
                return Reply(200, [{"id": each, "accountId": each, "currency": "USD"} for each in self.accounts])
            case [("portfolio" | "portfolio2"), account, *_] if not self._is_introduced or account not in self.accounts:
                return Reply(400, {"error": "Please query /accounts first", "statusCode": 400})
            case ["portfolio", _, "summary"]:
                return Reply(200, self._summary())
            case ["portfolio", _, "ledger"]:
                return Reply(200, {name: {"exchangerate": float(rate)} for name, rate in self.rates.items()})
            case ["portfolio", _, "positions", page]:
                return Reply(200, self._rows() if page == "0" else [])
            case ["portfolio2", _, "positions"] if not self.is_old:
                return Reply(200, self._rows())
            case _:
                return Reply(404, {"error": "not found"})

    @property
    def values(self) -> dict[str, Decimal]:
        """Return what each position is worth in the base currency, negative for a short."""
        return {each: size * price * self.rates[money] for each, (size, price, money, _) in self.held.items()}

    def _summary(self) -> dict[str, Any]:
        owned = sum((self.values[each] for each, row in self.held.items() if row[3] != "FUT"), D(0))
        equity, maintenance = self.cash + owned, sum(map(abs, self.values.values()), D(0)) * self.share
        told: dict[str, Any] = {
            "netliquidation": equity,
            "equitywithloanvalue": equity,
            "maintmarginreq": maintenance,
            "initmarginreq": maintenance * D("1.25"),
            "excessliquidity": equity - maintenance,
            "totalcashvalue": self.cash,
            "cushion": (equity - maintenance) / equity,
            "lookaheadexcessliquidity": equity - maintenance,
        } | self.changes
        return {key: _amount(value) for key, value in told.items()}

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "acctId": self.accounts[0],
                "conid": 265598 + index,
                "contractDesc": name,
                "position": float(quantity),
                "mktPrice": float(price),
                "mktValue": float(quantity * price),
                "currency": currency,
                "avgCost": float(price),
                "assetClass": kind,
            }
            for index, (name, (quantity, price, currency, kind)) in enumerate(self.held.items())
        ]


def _amount(value: Decimal | int) -> dict[str, Any]:
    number = value if isinstance(value, int) else float(value)
    return {
        "amount": number,
        "currency": "USD",
        "isNull": False,
        "timestamp": 1795789800000,
        "value": None,
        "severity": 0,
    }
