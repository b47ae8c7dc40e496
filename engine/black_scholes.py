"""European options in closed form: price, delta and implied volatility. Floats; standard library only.

Black and Scholes, Journal of Political Economy 81, 1973; with `rate` 0 and the forward as `spot` it is Black
1976, by which Deribit marks its options. Estimates, not money: what is paid is a venue's ask.
"""

import math

from engine.options import Right

LEAST_VOLATILITY, MOST_VOLATILITY = 1e-6, 20.0
_ROOT_2 = math.sqrt(2.0)
_HALVINGS = 200


def option_price(right: Right, spot: float, strike: float, years: float, volatility: float, rate: float = 0.0) -> float:
    """Return the price of one option per unit of the underlying, in quote currency.

    `years` to expiry, `volatility` and `rate` (continuously compounded) are annual. Without time or volatility it is
    what the option is worth when the forward comes true. Raises `ValueError` unless all are finite, prices positive,
    time and volatility not negative.
    """
    _check(spot, strike, years, volatility, rate)
    side = 1.0 if right is Right.CALL else -1.0
    owed = strike * math.exp(-rate * years)
    spread = volatility * math.sqrt(years)
    if spread == 0.0:
        return max(side * (spot - owed), 0.0)
    upper = _upper(spot, owed, spread)
    return side * (spot * _normal(side * upper) - owed * _normal(side * (upper - spread)))


def option_delta(right: Right, spot: float, strike: float, years: float, volatility: float, rate: float = 0.0) -> float:
    """Return the change of the price per unit of change of `spot`: 0 to 1 for a call, -1 to 0 for a put.

    Raises `ValueError` as `option_price` does.
    """
    _check(spot, strike, years, volatility, rate)
    side = 1.0 if right is Right.CALL else -1.0
    owed = strike * math.exp(-rate * years)
    spread = volatility * math.sqrt(years)
    if spread == 0.0:
        return side if side * (spot - owed) > 0 else 0.0
    return side * _normal(side * _upper(spot, owed, spread))


def implied_volatility(
    right: Right, price: float, spot: float, strike: float, years: float, rate: float = 0.0
) -> float | None:
    """Return the annual volatility at which the option is worth `price`, by Newton's steps kept inside a bracket.

    `None` where no volatility between `LEAST_VOLATILITY` and `MOST_VOLATILITY` gives the price: below what the option
    is worth at once, above what it can ever be worth, or no time left. Raises `ValueError` as `option_price` does.
    """
    _check(spot, strike, years, 0.0, rate)
    if not math.isfinite(price):
        raise ValueError("a price must be finite")
    low, high = LEAST_VOLATILITY, MOST_VOLATILITY
    if years == 0 or not (
        option_price(right, spot, strike, years, low, rate)
        <= price
        <= option_price(right, spot, strike, years, high, rate)
    ):
        return None
    owed, root = strike * math.exp(-rate * years), math.sqrt(years)
    guess = min(max(math.sqrt(2 * abs(math.log(spot / owed)) / years), 0.1), 5.0)
    for _ in range(_HALVINGS):
        missing = option_price(right, spot, strike, years, guess, rate) - price
        if missing == 0:
            return guess
        low, high = (low, guess) if missing > 0 else (guess, high)
        upper = _upper(spot, owed, guess * root)
        vega = spot * root * math.exp(-upper * upper / 2) / math.sqrt(2 * math.pi)
        step = guess - missing / vega if vega > 0 else low
        following = step if low < step < high else (low + high) / 2
        if following == guess:
            break
        guess = following
    return guess


def _upper(spot: float, owed: float, spread: float) -> float:
    return math.log(spot / owed) / spread + spread / 2


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / _ROOT_2)


def _check(spot: float, strike: float, years: float, volatility: float, rate: float) -> None:
    if not all(map(math.isfinite, (spot, strike, years, volatility, rate))):
        raise ValueError("an option's price needs finite numbers")
    if spot <= 0 or strike <= 0 or years < 0 or volatility < 0:
        raise ValueError("an option's price needs positive prices, and time and volatility that are not negative")
