"""The loopback Binance with the fuller list of contracts that ccxt reads; nothing else of it differs."""

from decimal import Decimal
from typing import Any, ClassVar

from tests.binance_server import STEPS, Binance, Lot, Route
from tests.signed_server import Reply

D = Decimal


class CcxtBinance(Binance):
    """Binance as `ccxt:binanceusdm` asks it."""

    public_routes: ClassVar[dict[str, Route]] = Binance.public_routes | {
        "GET /fapi/v1/exchangeInfo": lambda self, _: Reply(200, {"symbols": [_contract(each) for each in STEPS]}),
    }


def two_lots() -> CcxtBinance:
    """Return a user with a cross long in profit and an isolated short at a loss."""
    lots = [
        Lot("BTCUSDT", D("0.5"), D(64_000), D(65_000)),
        Lot("ETHUSDT", D(-3), D(3000), D(3100), isolated=D(700)),
    ]
    return CcxtBinance(lots=lots)


def _contract(symbol: str) -> dict[str, Any]:
    tick, step = STEPS[symbol]
    return {
        "symbol": symbol,
        "pair": symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "baseAsset": symbol[:3],
        "quoteAsset": symbol[3:],
        "marginAsset": symbol[3:],
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": tick, "minPrice": tick, "maxPrice": "1000000"},
            {"filterType": "LOT_SIZE", "stepSize": step, "minQty": step, "maxQty": "1000"},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
    }
