"""The tables of `make science`: a score never stands without its baseline."""

from collections.abc import Mapping, Sequence

from engine.simulation.backtest import Coverage
from engine.simulation.scores import Cell, Score, held

GOALS: Mapping[int, tuple[float, float]] = {1: (0.765, 0.0025), 24: (0.885, 0.01), 168: (0.905, 0.033)}
"""Log-loss ratio and calibration error to reach for falls, by horizon."""
FEWEST_HITS = 50
_NAMES = {1: "1 h", 6: "6 h", 24: "24 h", 72: "3 d", 168: "7 d"}


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under headings as a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def score_table(scores: Sequence[Score]) -> str:
    """Return log loss and calibration error beside those of the 30-day closed form."""
    rows = [
        (
            _NAMES[each.hours],
            each.side,
            f"{each.log_loss:.4f}",
            f"{each.baseline_log_loss:.4f}",
            f"{each.ratio:.4f} [{each.low:.3f}, {each.high:.3f}]",
            f"{each.calibration_error:.4f}",
            f"{each.baseline_calibration_error:.4f}",
        )
        for each in scores
    ]
    return table(("horizon", "move", "log loss", "closed form", "ratio [95 %]", "ECE", "closed form"), rows)


def empty_note(hours: int, side: str, whole: Score, kept: Score) -> str:
    """Return what leaving out cells that never happened does to one ratio; empty when there are none."""
    if whole.count == kept.count:
        return ""
    return (
        f"{_NAMES[hours]} {side}: cells that never happened are left out; "
        f"with them the ratio is {whole.ratio:.4f} [{whole.low:.3f}, {whole.high:.3f}]"
    )


def goal_table(scores: Mapping[tuple[int, str], Score], found: Mapping[tuple[int, str], Sequence[Cell]]) -> str:
    """Return which goal was reached; goals are for falls."""
    rows = []
    for hours, (ratio, error) in GOALS.items():
        said = scores[hours, "down"]
        rows.append((f"{_NAMES[hours]} log-loss ratio", f"<= {ratio}", f"{said.ratio:.4f}", _mark(said.ratio <= ratio)))
        rows.append(
            (
                f"{_NAMES[hours]} ECE",
                f"<= {error}",
                f"{said.calibration_error:.4f}",
                _mark(said.calibration_error <= error),
            )
        )
    shares = [_share(cell) for (_, side), each in found.items() if side == "down" for cell in each if _counts(cell)]
    inside = sum(0.5 <= share <= 2 for share in shares)
    rows.append(
        (
            f"tail cells with >= {FEWEST_HITS} hits in [0.5, 2]",
            "all",
            f"{inside} of {len(shares)}",
            _mark(inside == len(shares)),
        )
    )
    return table(("goal", "asked", "measured", ""), rows)


def tail_table(found: Mapping[tuple[int, str], Sequence[Cell]]) -> str:
    """Return what happened over what was said, for every asset and barrier; neighbouring hours overlap."""
    rows = []
    for (hours, side), each in found.items():
        for cell in each:
            base = float(cell.baseline.mean())
            rows.append(
                (
                    _NAMES[hours],
                    side,
                    cell.asset.upper(),
                    f"{cell.move:.0%}",
                    str(cell.hits),
                    f"{float(cell.happened.mean()):.5f}",
                    f"{float(cell.said.mean()):.5f}",
                    f"{_share(cell):.2f}" if cell.hits else "none",
                    f"{base:.5f}",
                    _times(float(cell.happened.mean()), base),
                )
            )
    headings = (
        "horizon",
        "move",
        "asset",
        "by",
        "hours hit",
        "observed",
        "said",
        "obs/said",
        "closed form",
        "obs/closed form",
    )
    return table(headings, rows)


def interval_table(found: Mapping[tuple[int, str], Sequence[Cell]]) -> str:
    """Return how often the frequency of a half-year lay within the 95 % interval, beside 95 %."""
    rows = []
    for (hours, side), each in found.items():
        inside, total = held(each)
        rows.append((_NAMES[hours], side, f"{inside} of {total}", f"{inside / total:.0%}" if total else "none"))
    return "Half-years of cells whose frequency lay within the mean 95 % interval:\n\n" + table(
        ("horizon", "move", "within", "share"), rows
    )


def interpolation_table(scores: Sequence[Score]) -> str:
    """Return the scores of horizons between the fitted ones."""
    return "Between the fitted horizons (interpolated):\n\n" + score_table(scores)


def coverage_table(rows: Sequence[Coverage]) -> str:
    """Return the back-test of margin rules."""
    return "Margin rules back-tested (share of hours that fell further than required):\n\n" + table(
        ("asset", "horizon", "target", "rule", "exceeded", "mean requirement", "5-95 %"),
        [
            (
                each.asset.upper(),
                _NAMES[each.hours],
                f"{each.target:.1%}",
                each.rule,
                f"{each.exceeded:.2%}",
                f"{each.mean:.1%}",
                f"{each.low:.1%} to {each.high:.1%}",
            )
            for each in rows
        ],
    )


def _counts(cell: Cell) -> bool:
    return cell.hits >= FEWEST_HITS


def _share(cell: Cell) -> float:
    said = float(cell.said.sum())
    return cell.hits / said if said > 0 else float("inf")


def _times(observed: float, said: float) -> str:
    return f"{observed / said:.2f}" if observed < 1000 * said else "> 1000"


def _mark(reached: bool) -> str:
    return "reached" if reached else "missed"
