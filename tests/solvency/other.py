"""The second verifier (`verifier.mjs`), asked many cases in one process."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.solvency.cases import Case

ROOT = Path(__file__).resolve().parents[2]
VERIFIER = Path(__file__).with_name("verifier.mjs")
TIMEOUT_S = 1800


def missing() -> str | None:
    """Return why the second verifier cannot run here, `None` when it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    package = ROOT / "node_modules" / "@noble" / "curves" / "package.json"
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]["@noble/curves"]
    if not package.is_file() or json.loads(package.read_text())["version"] != wanted:
        return f"@noble/curves {wanted} is not installed (npm ci)"
    return None


def require() -> None:
    """Skip without the second verifier; with `MARGINLINE_REQUIRE_CHAIN=1`, where all npm packages are, fail."""
    reason = missing()
    if reason is not None:
        if os.environ.get("MARGINLINE_REQUIRE_CHAIN") == "1":
            pytest.fail(f"MARGINLINE_REQUIRE_CHAIN=1, but {reason}", pytrace=False)
        pytest.skip(reason)


def ask(cases: Sequence[Case], *, timeout_s: float = TIMEOUT_S) -> list[dict[str, Any]]:
    """Return `{valid, reason}` for every case, in order."""
    done = subprocess.run(
        ["node", str(VERIFIER)],
        input="\n".join(case.line() for case in cases) + "\n",
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases), done.stderr[-2000:]
    return answers
