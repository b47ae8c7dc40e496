"""A config is either right, or refused with the file, the line, the key and what to do."""

from decimal import Decimal
from pathlib import Path

import pytest

from engine.accounts import Kind
from marginline.compose import account_options
from marginline.config import Config, load_config
from marginline.registry import DESCRIBED_IN_CONFIG, SettingsByProvider
from marginline.secrets import resolve
from marginline.toml_table import key_lines
from providers.errors import ConfigError

ACCOUNT = (
    '[[account]]\nname = "main"\nprovider = "hyperliquid"\naddress = "0x0000000000000000000000000000000000000001"\n'
)
CHAIN = ACCOUNT.replace("hyperliquid", "aave-v3") + 'rpc_url = "http://127.0.0.1:1"\n'


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, SettingsByProvider(), DESCRIBED_IN_CONFIG)


def test_a_whole_config_is_read(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        ACCOUNT
        + """
[account.alerts]
distance = [0.3, 0.2, 0.1]
[prices]
venues = ["kraken", "binance"]
[venues.kraken]
ws_url = "ws://127.0.0.1:9"
[alerts.loan]
health = [3, 2, 1.2]
[notify]
urls = ["env:NTFY_URL"]
[limits]
max_topup_usd = 5000
arm_minutes = 5
""",
    )
    (account,) = config.accounts
    assert account.name == "main"
    assert account.ladder is not None
    assert account.ladder.distance == (Decimal("0.3"), Decimal("0.2"), Decimal("0.1"))
    assert config.venues == ("kraken", "binance")
    assert config.venue_options["kraken"].ws_url == "ws://127.0.0.1:9"
    assert config.ladders[Kind.LOAN].health == (Decimal(3), Decimal(2), Decimal("1.2"))
    assert config.limits.arm_minutes == 5


def test_what_may_be_spent_and_where_it_is_written_down_is_read(tmp_path: Path) -> None:
    account = ACCOUNT + 'signer = "keystore:rescue"\n[account.limits]\nmax_topup_usd = 250.5\n'
    caps = "[limits]\nmax_topup_usd = 5000\nmax_per_day_usd = 10000\n"
    config = load(tmp_path, account + caps + '[journal]\npath = "state/actions.sqlite3"\n')
    assert config.accounts[0].signer == "keystore:rescue"
    assert config.accounts[0].max_topup_usd == Decimal("250.5")
    assert (config.limits.max_topup_usd, config.limits.max_per_day_usd) == (Decimal(5000), Decimal(10000))
    assert config.journal_path() == tmp_path / "state/actions.sqlite3"
    assert config.signer_directory == tmp_path / "signers"


def test_confirmations_reach_the_one_who_waits_for_them(tmp_path: Path) -> None:
    plain, patient = (load(tmp_path, CHAIN + line).accounts[0] for line in ("", "confirmations = 12\n"))
    assert (plain.confirmations, account_options(plain).confirmations) == (None, 1)
    assert (patient.confirmations, account_options(patient).confirmations) == (12, 12)


def test_without_a_word_on_money_nothing_may_fall_back_and_the_journal_is_in_the_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    config = load(tmp_path, ACCOUNT)
    assert (config.accounts[0].submit_fallback, config.accounts[0].max_topup_usd) == (False, None)
    assert config.journal_path() == tmp_path / "state/marginline/journal.sqlite3"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (ACCOUNT + "submit_fallback = true\n", 5, ["submit_rpc_url"]),
        (ACCOUNT + "confirmations = 2\n", 5, ["provider hyperliquid does not take it"]),
        (CHAIN + "confirmations = 0\n", 6, ["must be a whole number from 1 to 200, not 0"]),
        (CHAIN + "confirmations = 1.5\n", 6, ["must be a whole number from 1 to 200"]),
        (CHAIN + "confirmation = 2\n", 6, ['did you mean "confirmations"?']),
        (ACCOUNT + "[account.limits]\nmax_topup = 5\n", 6, ['did you mean "max_topup_usd"?']),
        ("[journal]\nfile = 1\n", 2, ["unknown key"]),
        (ACCOUNT + 'adress = "0x1"\n', 5, ['unknown key; did you mean "address"?', "main"]),
        (ACCOUNT + 'secret = "hunter2hunter2"\n', 5, ["a secret must not stand in the file", "env:"]),
        (ACCOUNT + 'signer = "0xabc"\n', 5, ["keystore:"]),
        (
            '[[account]]\nname = "bb"\nprovider = "bybit"\nsigner = "keystore:rescue"\n',
            4,
            ["signed with the account's own key"],
        ),
        ("[price]\n", 1, ['did you mean "prices"?']),
        ('[prices]\nvenues = ["mtgox"]\n', 2, ["mtgox", "binance"]),
        ("[alerts.loan]\nhealth = [1.5, 2.0, 1.1]\n", 2, ["must fall"]),
        ("[alerts.loan]\nhealth = [1.5, 1.2]\n", 2, ["3 numbers"]),
        ("[alerts.perp]\ndistance = [0.2, nan, 0.1]\n", 2, ["must be from"]),
        ("[limits]\nmax_topup_usd = -1\n", 2, ["must be from 0"]),
        ('[notify]\nurls = ["ntfy://token@host/x"]\n', 2, ["env:NAME"]),
        (ACCOUNT + 'rest_url = "ftp://x"\n', 5, ["http://"]),
        (ACCOUNT + 'rest_url = "https://x.example/v3/0123456789abcdef0123456789abcdef"\n', 5, ["API key"]),
        ('[[account]]\nname = "a b"\nprovider = "hyperliquid"\n', 2, ["letters"]),
        ('[[account]]\nname = "a"\nprovider = "hyperliquide"\n', 3, ["unknown provider", "hyperliquid"]),
        ('[[account]]\nname = "a"\n', 1, ["provider", "is missing"]),
        (ACCOUNT + ACCOUNT, 6, ["already used"]),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, line: int, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert f"config.toml:{line}:" in message
    assert all(word in message for word in words), message


def test_an_error_never_repeats_the_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, ACCOUNT + 'key = "sk-live-0123456789"\n')
    assert "0123456789" not in str(caught.value)


def test_broken_toml_names_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not valid TOML.*line 1"):
        load(tmp_path, "[[account\n")


def test_every_key_knows_its_line() -> None:
    lines = key_lines('a = 1\n[t]\n"b" = 2\n[[x]]\n c.d = 3\n[[x]]\n[x.y]\ne = 1\n')
    assert lines[("a",)] == 1
    assert lines[("t", "b")] == 3
    assert lines[("x", 0, "c", "d")] == 5
    assert lines[("x", 1)] == 6
    assert lines[("x", 1, "y", "e")] == 8


def test_a_secret_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("s3cret\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        resolve(f"file:{file}", "key")
    file.chmod(0o600)
    assert resolve(f"file:{file}", "key") == "s3cret"


def test_a_command_gives_its_first_line_and_hides_its_failure_text() -> None:
    assert resolve("cmd:printf 'abc\\ndef\\n'", "key") == "abc"
    with pytest.raises(ConfigError) as caught:
        resolve("cmd:false --password=hunter2", "key")
    assert "hunter2" not in str(caught.value)


def test_an_unset_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="MARGINLINE_TEST_NOT_SET"):
        resolve("env:MARGINLINE_TEST_NOT_SET", "account main: rpc_url")


CASCADE = CHAIN + "[cascade.ETH]\n"


def test_a_market_for_cascades_is_read_with_files_beside_the_config(tmp_path: Path) -> None:
    text = CASCADE + 'book = "loans.csv"\ndepth_of = "main:ETH"\nclose_factor = 0.4\nlatency = 5\nthroughput = 2e6\n'
    text += '[cascade.BTC]\nbook = "chain:main"\npool = 1200\nsince = 100\n'
    cascades = load(tmp_path, text).cascades
    eth, btc = cascades["ETH"], cascades["BTC"]
    assert (eth.book, eth.asset, eth.depth_of) == (str(tmp_path / "loans.csv"), "ETH", "main:ETH")
    assert (eth.close_factor, eth.latency_s, eth.throughput, eth.heal) == (0.4, 5.0, 2e6, 0.02)
    assert (btc.book, btc.asset, btc.pools, btc.since) == ("chain:main", "BTC", ("1200",), 100)


@pytest.mark.parametrize(
    ("lines", "line", "says"),
    [
        ("pool = 5", 6, 'cascade.ETH.book: is missing; add for example: book = "prior"'),
        ('book = "prior"', 6, "cascade.ETH: needs what absorbs sales, in one way: pool = UNITS"),
        ('book = "prior"\npool = 5\ndepth = "x.csv"', 6, "needs what absorbs sales, in one way"),
        ('book = "prior"\npool = -5', 8, "cascade.ETH.pool: must be from"),
        ('book = "chain:nobody"\npool = 5', 7, "must name an aave-v3 or spark account of this config; there are: main"),
        ('book = "prior"\ndepth_of = "nobody:ETH"', 8, "depth_of: must be ACCOUNT:CONTRACT, of an account"),
        ('book = "prior"\npool = 5\noracle = "never"', 9, "write instant, deviation:0.5% or delayed:STEPS"),
        ('book = "prior"\npool = 5\nborowers = 5', 9, 'unknown key; did you mean "borrowers"?'),
        ('book = "prior"\npool = 5\npaths = 2.5', 9, "paths: must be a whole number"),
    ],
)
def test_a_wrong_market_is_named_with_line_key_and_remedy(tmp_path: Path, lines: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, f"{CASCADE}{lines}\n")
    assert f"config.toml:{line}: cascade.ETH" in str(raised.value)
    assert says in str(raised.value)
