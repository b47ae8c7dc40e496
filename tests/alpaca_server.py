"""A loopback Alpaca as documented: account, positions, assets and clock, for one key and its secret in headers."""

from decimal import Decimal
from typing import Any

from tests.signed_server import Asked, Reply, SignedServer

KEY = "PKTESTKEY0000000ALPA"
SECRET = "test-secret-of-alpaca-0000000000000000000"
D = Decimal


class AlpacaServer(SignedServer):
    """What the broker would answer. Equity and requirements are counted from what the account holds.

    `held` is quantity and price by symbol, `rates` maintenance in percent, `initial` that of opening. `changes` replace
    fields of the account. A wrong key or secret is refused with 403, none at all with 401.
    """

    def __init__(self) -> None:
        super().__init__(self._answer_http)
        self.cash = D("-23140.2")
        self.held: dict[str, tuple[Decimal, Decimal]] = {}
        self.rates: dict[str, Decimal] = {}
        self.crypto: frozenset[str] = frozenset()
        self.changes: dict[str, Any] = {}
        self.is_open, self.is_revoked = True, False
        self.initial = D(50)

    @property
    def values(self) -> dict[str, Decimal]:
        """Return what each position is worth, negative for a short."""
        return {symbol: quantity * price for symbol, (quantity, price) in self.held.items()}

    def _answer_http(self, asked: Asked) -> Reply:
        key, secret = (asked.headers.get(name) for name in ("apca-api-key-id", "apca-api-secret-key"))
        if not key or not secret:
            return Reply(401, {"message": "unauthorized."})
        if self.is_revoked or (key, secret) != (KEY, SECRET):
            return Reply(403, {"message": "forbidden."})
        match asked.path.strip("/").split("/"):
            case ["v2", "account"]:
                return Reply(200, self._account())
            case ["v2", "positions"]:
                return Reply(200, [self._position(symbol) for symbol in self.held])
            case ["v2", "assets", symbol] if symbol in self.rates:
                return Reply(200, self._asset(symbol))
            case ["v2", "clock"]:
                return Reply(200, self._clock())
            case _:
                return Reply(404, {"code": 40410000, "message": "not found"})

    def _account(self) -> dict[str, Any]:
        values = self.values
        maintenance = sum((abs(value) * self.rates.get(each, D(30)) / 100 for each, value in values.items()), D(0))
        gross = sum(map(abs, values.values()), D(0))
        return {
            "id": "e6fe16f3-64a4-4921-8928-cadf02f92f98",
            "status": "ACTIVE",
            "currency": "USD",
            "cash": f"{self.cash:f}",
            "equity": f"{self.cash + sum(values.values(), D(0)):f}",
            "initial_margin": f"{gross * self.initial / 100:f}",
            "maintenance_margin": f"{maintenance:f}",
            "multiplier": "4",
            "trading_blocked": False,
            "account_blocked": False,
            "transfers_blocked": False,
            "shorting_enabled": True,
        } | self.changes

    def _position(self, symbol: str) -> dict[str, Any]:
        quantity, price = self.held[symbol]
        return {
            "asset_id": "904837e3-3b76-47ec-b432-046db621571b",
            "symbol": symbol,
            "asset_class": "crypto" if symbol in self.crypto else "us_equity",
            "qty": f"{quantity:f}",
            "side": "short" if quantity < 0 else "long",
            "avg_entry_price": f"{price:f}",
            "current_price": f"{price:f}",
            "market_value": f"{quantity * price:f}",
            "asset_marginable": symbol not in self.crypto,
        }

    def _asset(self, symbol: str) -> dict[str, Any]:
        rate = self.rates[symbol]
        return {
            "symbol": symbol,
            "class": "us_equity",
            "marginable": True,
            "maintenance_margin_requirement": float(rate),
            "margin_requirement_long": f"{rate:f}",
            "margin_requirement_short": f"{rate:f}",
        }

    def _clock(self) -> dict[str, Any]:
        return {
            "timestamp": "2026-11-27T12:30:00-05:00",
            "is_open": self.is_open,
            "next_open": "2026-11-30T09:30:00-05:00",
            "next_close": "2026-11-27T13:00:00-05:00",
        }
