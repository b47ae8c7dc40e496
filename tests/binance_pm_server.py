"""A loopback Binance portfolio margin account as its documentation describes it, over the futures server's checks."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tests.binance_server import Binance, Route, _row, refusal
from tests.signed_server import Asked, Reply

ZERO = Decimal(0)
INVERSE_BRACKETS = [("0", "0.004", "0"), ("5", "0.005", "0.005"), ("10", "0.01", "0.055")]
FACE = Decimal(100)


@dataclass
class InverseLot:
    """Coin-margined contracts of 100 USD each, signed."""

    symbol: str
    contracts: int
    entry: Decimal
    mark: Decimal
    side: str = "BOTH"

    @property
    def coins(self) -> Decimal:
        return self.contracts * FACE / self.mark

    @property
    def profit(self) -> Decimal:
        """Return the profit in the coin."""
        return self.contracts * FACE * (1 / self.entry - 1 / self.mark)

    @property
    def maintenance(self) -> Decimal:
        """Return the maintenance in the coin."""
        size = abs(self.coins)
        _, rate, cum = next(each for each in reversed(INVERSE_BRACKETS) if Decimal(each[0]) <= size)
        return size * Decimal(rate) - Decimal(cum)


@dataclass
class BinancePm(Binance):
    """One user under portfolio margin. `coins` is (margin wallet, UM wallet, borrowed) by coin."""

    inverse: list[InverseLot] = field(default_factory=list)
    coins: dict[str, tuple[Decimal, Decimal, Decimal]] = field(
        default_factory=lambda: {"USDT": (Decimal(3000), Decimal(1000), ZERO)}
    )
    prices: dict[str, str] = field(default_factory=lambda: {"USDT": "1", "BTC": "65000.5"})
    haircuts: dict[str, str] = field(default_factory=lambda: {"USDT": "1", "BTC": "0.95"})
    loan_maintenance: Decimal = ZERO
    status: str = "NORMAL"

    def admit(self, target: str) -> int:
        path = urlsplit(target).path
        if path == "/market/stream":
            return 101
        return 101 if self.keys and path == f"/pm/ws/{self.keys[-1]}" else 400

    def fault_of(self, asked: Asked) -> Reply | None:
        fault = super().fault_of(asked)
        trades = asked.method != "GET" and asked.path.startswith("/papi")
        if fault is None and trades and not self.rights.get("enablePortfolioMarginTrading", True):
            return refusal(-2015, "Invalid API-key, IP, or permissions for action", 401)
        return fault

    @property
    def gross(self) -> Decimal:
        return self._equity(with_haircuts=False)

    def _equity(self, *, with_haircuts: bool) -> Decimal:
        total = sum((lot.profit for lot in self.lots), ZERO)
        for lot in self.inverse:
            total += lot.profit * lot.mark
        for coin, (margin, futures, _) in self.coins.items():
            amount = margin + futures
            weight = Decimal(self.haircuts[coin]) if with_haircuts and amount > 0 else Decimal(1)
            total += amount * Decimal(self.prices[coin]) * weight
        return total

    @property
    def maintenance(self) -> Decimal:
        total = sum((lot.maintenance for lot in self.lots), self.loan_maintenance)
        return total + sum((lot.maintenance * lot.mark for lot in self.inverse), ZERO)

    def unified(self, _: dict[str, str]) -> Reply:
        equity = self._equity(with_haircuts=True)
        ratio = equity / self.maintenance if self.maintenance else Decimal("99999999")
        return Reply(
            200,
            {
                "uniMMR": str(round(ratio, 8)),
                "accountEquity": str(equity),
                "actualEquity": str(self.gross),
                "accountInitialMargin": str(self.maintenance * 2),
                "accountMaintMargin": str(self.maintenance),
                "accountStatus": self.status,
                "virtualMaxWithdrawAmount": "0.5",
                "updateTime": self.now_ms,
            },
        )

    def balance(self, _: dict[str, str]) -> Reply:
        return Reply(
            200,
            [
                {
                    "asset": coin,
                    "totalWalletBalance": str(margin + futures),
                    "crossMarginAsset": str(margin),
                    "crossMarginBorrowed": str(borrowed),
                    "crossMarginInterest": "0.0",
                    "umWalletBalance": str(futures),
                    "cmWalletBalance": "0.0",
                    "updateTime": self.now_ms,
                }
                for coin, (margin, futures, borrowed) in self.coins.items()
            ],
        )

    def um_positions(self, _: dict[str, str]) -> Reply:
        kept = ("symbol", "positionSide", "positionAmt", "entryPrice", "markPrice", "unRealizedProfit", "notional")
        rows = [{name: _row(lot)[name] for name in kept} for lot in self.lots]
        return Reply(200, [{**row, "liquidationPrice": "0", "leverage": "20"} for row in rows])

    def cm_positions(self, _: dict[str, str]) -> Reply:
        return Reply(
            200,
            [
                {
                    "symbol": lot.symbol,
                    "positionSide": lot.side,
                    "positionAmt": str(lot.contracts),
                    "entryPrice": str(lot.entry),
                    "markPrice": str(lot.mark),
                    "notionalValue": str(lot.coins),
                    "liquidationPrice": "0",
                }
                for lot in self.inverse
            ],
        )

    def transfer(self, fields: dict[str, str]) -> Reply:
        coin, amount = fields["asset"], Decimal(fields["amount"])
        if fields["type"] != "MAIN_PORTFOLIO_MARGIN":
            return refusal(-1102, "Mandatory parameter was not sent, was empty/null, or malformed.")
        if self.spot.get(coin, ZERO) < amount:
            return refusal(-5013, "Asset transfer failed: insufficient balance")
        self.spot[coin] -= amount
        margin, futures, borrowed = self.coins[coin]
        self.coins[coin] = (margin + amount, futures, borrowed)
        row: dict[str, Any] = {
            "asset": coin,
            "amount": str(amount),
            "type": fields["type"],
            "status": "CONFIRMED",
            "tranId": next(self._ids),
            "timestamp": self.now_ms,
        }
        self.transfers.append(row)
        return Reply(200, {"tranId": row["tranId"]})

    def collect(self, fields: dict[str, str]) -> Reply:
        margin, futures, borrowed = self.coins[fields["asset"]]
        self.coins[fields["asset"]] = (margin + futures, ZERO, borrowed)
        return Reply(200, {"msg": "success"})

    def pm_order(self, fields: dict[str, str]) -> Reply:
        self.futures["USDT"] = ZERO
        told = self.order(fields)
        margin, futures, borrowed = self.coins["USDT"]
        self.coins["USDT"] = (margin, futures + self.futures["USDT"], borrowed)
        return told

    signed_routes: ClassVar[dict[str, Route]] = {
        **Binance.signed_routes,
        "GET /papi/v1/account": unified,
        "GET /papi/v1/balance": balance,
        "GET /papi/v1/um/positionRisk": um_positions,
        "GET /papi/v1/cm/positionRisk": cm_positions,
        "GET /papi/v1/um/leverageBracket": Binance.signed_routes["GET /fapi/v1/leverageBracket"],
        "GET /papi/v1/cm/leverageBracket": lambda self, _: Reply(
            200,
            [
                {
                    "symbol": "BTCUSD_PERP",
                    "brackets": [
                        {"bracket": index, "qtyFloor": int(floor), "maintMarginRatio": float(rate), "cum": float(cum)}
                        for index, (floor, rate, cum) in enumerate(INVERSE_BRACKETS, start=1)
                    ],
                }
            ],
        ),
        "GET /papi/v1/um/accountConfig": Binance.signed_routes["GET /fapi/v1/accountConfig"],
        "GET /sapi/v1/portfolio/collateralRate": lambda self, _: Reply(
            200,
            [{"asset": coin, "collateralRate": rate} for coin, rate in self.haircuts.items()],  # type: ignore[attr-defined]  # routes are typed for the base
        ),
        "POST /sapi/v1/asset/transfer": transfer,
        "POST /papi/v1/asset-collection": collect,
        "POST /papi/v1/um/order": pm_order,
        "GET /papi/v1/um/order": Binance.signed_routes["GET /fapi/v1/order"],
    }
    public_routes: ClassVar[dict[str, Route]] = {
        **Binance.public_routes,
        "GET /sapi/v1/portfolio/asset-index-price": lambda self, _: Reply(
            200,
            [{"asset": coin, "assetIndexPrice": value} for coin, value in self.prices.items()],  # type: ignore[attr-defined]  # routes are typed for the base
        ),
    }
