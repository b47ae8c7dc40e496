"""The dashboard on every venue at once: all accounts in one list, and what a top-up made of each of them."""

import asyncio
from pathlib import Path

from tests.everywhere import Everywhere, everywhere, own
from tests.marginline.command import marginline
from tests.terminal.programs import assert_framed, command
from tests.terminal.tmux import Picture, Terminal


def healths(picture: Picture) -> dict[str, str]:
    """Return the health that each row of the account list shows, by what it shows of the account's name."""
    found = {}
    first = next(number for number, line in enumerate(picture.lines) if line.lstrip().startswith("ACCOUNT"))
    for line in picture.lines[first + 1 :]:
        if not line.strip():
            break
        words = line.replace("▌", " ")[4:].split()
        found[words[0].rstrip("…")] = next((word for word in words[1:] if word[0].isdigit() and "." in word), "")
    return found


def of(shown: dict[str, str], account: str) -> str:
    """Return the health shown of an account whose name may be cut, "" when it is not shown."""
    return next((health for name, health in shown.items() if account == name), "") or next(
        (health for name, health in shown.items() if len(name) > 12 and account.startswith(name)), ""
    )


def test_top_ups_by_the_command_are_re_read_by_the_running_dashboard(tmp_path: Path) -> None:
    async def work(there: Everywhere, terminal: Terminal) -> None:
        def all_shown(picture: Picture) -> bool:
            return (
                "ACCOUNT" in picture
                and f"{len(there.servers) + 1} live" in picture.lines[-2]
                and len(healths(picture)) >= 17
            )

        picture = await asyncio.to_thread(terminal.wait_for, all_shown, 30)
        before = healths(picture)
        assert_framed(picture, 50)
        assert [name for name in sorted(there.accounts) if not of(before, name) and name != "okx:USDT"] == []
        assert not [secret for secret in there.secrets.values() if secret in picture]
        for venue, rescue in there.rescues:
            wanted = (own(venue, rescue.account), "--to", rescue.target, "--by", rescue.means.value, "--confirm")
            done = await asyncio.to_thread(marginline, "topup", *wanted, "--config", there.config, home=tmp_path)
            assert done.code == 0, done.out + done.err
        terminal.press("r")

        def all_rescued(now: Picture) -> bool:
            shown = healths(now)
            return all(of(shown, own(venue, one.account)) == f"{float(one.target):.3f}" for venue, one in there.rescues)

        await asyncio.to_thread(terminal.wait_for, all_rescued, 30)
        terminal.press("q")
        await asyncio.to_thread(terminal.wait_for, "code=0")

    async def story() -> None:
        async with asyncio.timeout(120), everywhere(tmp_path) as there:
            with Terminal(220, 50, environment={"XDG_STATE_HOME": str(tmp_path / "state")}) as terminal:
                await asyncio.to_thread(terminal.run, command("dashboard", "--config", there.config))
                await work(there, terminal)

    asyncio.run(story())
