"""`marginline cascade`: what happens when liquidations outpace the liquidity that absorbs them, and where you stand."""

from collections.abc import Collection
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from engine.answers import Answer
from marginline.cascade_wish import Wish, over
from marginline.commands.cascade_scene import NO_VOLATILITY, Scene, scene_of
from marginline.commands.ground import Ground, config_or_default, say_all
from marginline.exits import Exit
from marginline.output import put_json
from providers.errors import ConfigError

if TYPE_CHECKING:
    from engine.simulation.cascade_dynamic import Map, Outcomes
    from engine.simulation.cascade_static import Sorted

MOST_LOANS_IN_ROUNDS = 20_000
"""Loans up to which a cascade is also walked loan by loan."""
NO_ROUNDS = "not asked for"
SEVERAL = "needs a book of one collateral; the rounds are of all of them"


def cascade(ground: Ground, wish: Wish, said: Collection[str] = (), *, as_json: bool) -> Exit:
    """Print where shocks end, the numbers to watch, what many paths come to, and one account's place.

    A book called like a `[cascade.ASSET]` of the config is that market, with those fields of `wish` that were `said`.
    0 when it answered; raises `AppError`.
    """
    from engine.simulation.cascade_dynamic import here
    from marginline.cluster import cluster

    wish = _market(ground, wish, said)
    scene = scene_of(ground, wish)
    why = _no_paths(scene, wish)
    if why and wish.scheduler is not None:
        raise ConfigError(f"--scheduler is for paths over time: {why}")
    with nullcontext(here) if wish.scheduler is None else cluster(wish.scheduler) as run:
        answer = answered(scene, wish, run)
    if as_json:
        put_json(answer)
    else:
        from marginline.commands.cascade_words import put_parts

        put_parts(answer)
    say_all([*scene.degraded, *(f"assumed: {each}" for each in scene.caveats)])
    return Exit.OK


def answered(scene: Scene, wish: Wish, run: "Map") -> Answer:
    """Return the whole answer; slow. Raises `ConfigError` for a book or figure that cannot be used."""
    from engine.simulation.cascade_answer import cascade_answer
    from engine.simulation.cascade_book import BookError

    try:
        parts = _parts(scene, wish, run)
    except BookError as error:
        raise ConfigError(str(error)) from error
    return cascade_answer(scene.as_of_ns, scene.degraded, scene.caveats, **parts)


def _market(ground: Ground, wish: Wish, said: Collection[str]) -> Wish:
    if not wish.book.isalnum() or Path(wish.book).exists():
        return wish
    market = config_or_default(ground.config).cascades.get(wish.book)
    return wish if market is None else over(market, wish, said)


def _no_paths(scene: Scene, wish: Wish) -> str:
    return NO_VOLATILITY if scene.setting is None else "" if wish.paths else "no paths were asked for"


def _parts(scene: Scene, wish: Wish, run: "Map") -> Answer:
    from engine.simulation import cascade_answer as answers
    from engine.simulation.answers import figures
    from engine.simulation.cascade_dynamic import bucketed, simulated
    from engine.simulation.cascade_static import in_order

    impact, assets = scene.impact, scene.book.assets
    queue = None if impact is None else in_order(scene.book)
    parts: Answer = {
        "book": answers.book_answer(scene.book, scene.prices),
        "prices": {asset: figures(price, 10) for asset, price in zip(assets, scene.prices, strict=True)},
        "impact": impact.says
        if impact is not None
        else "; ".join(
            f"{one}: a pool of {units:,.6g} units" for one, units in zip(assets, scene.reserves, strict=True)
        ),
        "shocks": _shocks(scene, wish, queue),
        "watch": None,
        "dynamic": None,
        "dynamic_because": SEVERAL,
        "account": None,
        "account_because": SEVERAL if scene.row is not None else "no --account was named",
    }
    if impact is None or queue is None:
        return parts
    parts["watch"] = answers.watch(queue, impact, scene.setting)
    outcomes, why = None, _no_paths(scene, wish)
    if why or scene.setting is None:
        parts["dynamic_because"] = why
    else:
        buckets = bucketed(scene.book, wish.buckets)
        outcomes = simulated(buckets, impact, scene.setting, paths=wish.paths, seed=wish.seed, run=run)
        parts["dynamic"] = answers.dynamic_answer(outcomes, scene.setting, buckets, impact.start, wish.seed)
        parts["dynamic_because"] = None
    if scene.row is not None:
        parts |= _account(scene, wish, queue, outcomes)
    return parts


def _shocks(scene: Scene, wish: Wish, queue: "Sorted | None") -> list[Answer]:
    from engine.simulation import cascade_answer as answers
    from engine.simulation.answers import figures
    from engine.simulation.cascade_rounds import in_rounds

    falls = [moves[0] for moves in scene.shocks]
    rests = answers.rests(queue, scene.impact, falls) if queue is not None and scene.impact is not None else None
    why = "" if wish.rounds else NO_ROUNDS
    if not scene.reserves:
        why = "an order book has no rounds; the static fixed point is of it"
    elif len(scene.book) > MOST_LOANS_IN_ROUNDS:
        why = f"more than {MOST_LOANS_IN_ROUNDS:,} loans are not walked one by one"
    rows: list[Answer] = []
    for index, moves in enumerate(scene.shocks):
        rounds = None
        if not why:
            rounds = in_rounds(scene.book, scene.prices, moves, scene.reserves, scene.terms, cross=scene.cross)
        rows.append(
            {
                "shock": {asset: figures(move) for asset, move in zip(scene.book.assets, moves, strict=True)},
                "exogenous_prices": {
                    asset: figures(price * (1 + move), 10)
                    for asset, price, move in zip(scene.book.assets, scene.prices, moves, strict=True)
                },
                "static": None if rests is None else answers.rest_answer(rests[index]),
                "static_because": SEVERAL if rests is None else None,
                "rounds": None if rounds is None else answers.rounds_answer(rounds, scene.book.assets, scene.row),
                "rounds_because": why or None,
            }
        )
    return rows


def _account(scene: Scene, wish: Wish, queue: "Sorted", outcomes: "Outcomes | None") -> Answer:
    from engine.simulation.cascade_answer import account_answer, share_reached
    from engine.simulation.cascade_place import liquidators_view, place

    row, impact = scene.row, scene.impact
    assert row is not None
    assert impact is not None
    volatility = None if scene.setting is None else scene.setting.volatility
    where = place(scene.book, row, queue, impact, volatility=volatility, hours=scene.hours, name=scene.name)
    view = liquidators_view(
        scene.book, row, queue, impact, scene.terms, volatility=volatility, latency_s=wish.latency_s
    )
    reached = None if outcomes is None else share_reached(outcomes, where.liquidation_price)
    why = NO_VOLATILITY if volatility is None else ""
    return {"account": account_answer(where, view, reached, why), "account_because": None}
