"""A config of many accounts without any venue: a dashboard on which nothing changes by itself."""

from pathlib import Path


def write_config(folder: Path, count: int) -> Path:
    """Write a config of `count` described broker accounts, each a little deeper in debt, and return its path."""
    tables = [
        "\n".join(
            (
                "[[account]]",
                f'name = "broker-{number:03}"',
                'provider = "manual"',
                'kind = "broker"',
                'quote = "USD"',
                f"cash = -{20_000 + 100 * number}",
                'positions = [{asset = "SPY", quantity = 100, mark_price = 500, maintenance_rate = 0.25}]',
            )
        )
        for number in range(count)
    ]
    path = folder / "config.toml"
    path.write_text("\n\n".join([*tables, "[prices]", "venues = []", ""]), encoding="utf-8")
    return path
