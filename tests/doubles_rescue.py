"""A chain in memory with a wallet, a writer and a signer that count: what the executor is tested with."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from decimal import Decimal

from desk.carry import Patience
from desk.executor import Executor
from desk.journal import Journal
from desk.limits import Limits
from engine.accounts import Account
from engine.rescue import Funds, HealthPath, Means, Option, Plan, Standing, Target, Tariff
from providers.errors import Unauthorised
from providers.ports import LinkChange, Reading
from providers.rescue_ports import Fate, Found, Signed, Signer, Simulation, Step
from tests.doubles import START_NS, Clock, loan

POOL = "0x00000000000000000000000000000000000000aa"
WALLET = "0x00000000000000000000000000000000000000bb"
QUICK = Patience(land_s=0.2, look_every_s=0.001, answer_s=0.2)


class CountingBox:
    """A `SignerBox` that counts its signatures and is open only between `unlock` and `lock`."""

    def __init__(self, name: str = "rescue", password: str | None = None, error: Exception | None = None) -> None:
        self._error = error
        self._name = name
        self._password = password
        self.is_open = False
        self.signatures = 0
        self.whose = WALLET

    @property
    def name(self) -> str:
        return self._name

    @property
    def address(self) -> str:
        return self.whose

    @property
    def needs_password(self) -> bool:
        return self._password is not None

    async def unlock(self, password: str | None) -> None:
        if self._error is not None:
            raise self._error
        if self._password is not None and password != self._password:
            raise Unauthorised(f"signer {self._name}", "wrong password")
        self.is_open = True

    def lock(self) -> None:
        self.is_open = False

    def sign_digest(self, digest: bytes) -> tuple[int, int, int]:
        if not self.is_open:
            raise Unauthorised(f"signer {self._name}", "locked")
        self.signatures += 1
        return 27, int.from_bytes(digest[:4], "big"), 1


class Chain:
    """Accounts, what was sent, and how it answers: the source, the wallet and the writer of a test in one.

    `faults` raises by method name; `fate` is what `find` says of what was sent, and `forgets` what was never taken.
    """

    def __init__(self, *names: str, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.accounts = {name: loan(name) for name in names or ("main",)}
        self.block = 100
        self.nonce = 7
        self.sent: list[str] = []
        self.faults: dict[str, Exception] = {}
        self.fate = Fate.CONFIRMED
        self.evidence = "block 101"
        self.forbidden = ""
        self.simulation: Simulation | None = None
        self.standing_now = Standing("main", START_NS)
        self.held: dict[str, asyncio.Event] = {}
        self.reached: dict[str, asyncio.Event] = {}
        self.takes_before_fault = False
        self.counts: Counter[str] = Counter()
        self.lags = 0
        self._gone: dict[str, int] = {}
        self._then = Fate.CONFIRMED

    @property
    def name(self) -> str:
        return "chain"

    @property
    def stale_after_s(self) -> float:
        return 30.0

    def hold(self, method: str) -> asyncio.Event:
        """Make `method` wait; return the event that is set once it was reached. `held[method].set()` lets it go on."""
        self.held[method], self.reached[method] = asyncio.Event(), asyncio.Event()
        return self.reached[method]

    async def read(self) -> Reading:
        await self._at("read")
        self.lags -= self.lags > 0
        return Reading("chain", tuple(self.accounts.values()), self.clock(), self.block - (self.lags > 0))

    async def watch(self) -> AsyncIterator[Reading | LinkChange]:
        yield await self.read()

    async def standing(self, account: Account) -> Standing:
        await self._at("standing")
        return replace(self.standing_now, account=account.name)

    async def prepare(self, account: Account, option: Option) -> Sequence[Step]:
        await self._at("prepare")
        titles = ("approve", "supply")
        return [
            Step(
                f"{title} {option.asset}",
                {"do": title, "account": account.name, "amount": str(option.amount), "nonce": self.nonce + index},
                POOL,
                1,
            )
            for index, title in enumerate(titles)
        ]

    async def verify(self, account: Account, steps: Sequence[Step]) -> str:
        await self._at("verify")
        return self.forbidden

    async def simulate(self, account: Account, steps: Sequence[Step]) -> Simulation:
        await self._at("simulate")
        return self.simulation or Simulation(Decimal("1.6601"), gas_used=200_000)

    def sign(self, step: Step, signer: Signer) -> Signed:
        fault = self.faults.get("sign")
        if fault is not None:
            raise fault
        nonce = step.payload["nonce"]
        assert isinstance(nonce, int)
        v, r, s = signer.sign_digest(str(sorted(step.payload.items())).encode()[-32:])
        raw = f"{step.payload['do']}:{step.payload['account']}:{step.payload['amount']}:{v}:{r}:{s}"
        return Signed(f"tx-{step.payload['account']}-{nonce}", raw, nonce, signer.address)

    async def send(self, signed: Signed) -> None:
        fault = self.faults.get("send")
        if fault is None or self.takes_before_fault:
            self.take(signed)
        await self._at("send")

    async def find(self, signed_reference: str, nonce: int | None, owner: str) -> Found:
        await self._at("find")
        left = self._gone.get(signed_reference, 0)
        if left:
            self._gone[signed_reference] = left - 1
            return Found(Fate.PENDING, "its block left the chain")
        if signed_reference in self._gone:
            return Found(self._then, "block 103")
        if signed_reference not in self.sent:
            return Found(Fate.UNKNOWN, f"no node knows {signed_reference}")
        return Found(self.fate, self.evidence)

    def reorganise(self, *, comes_back: bool, then: Fate) -> None:
        """Let everything that was taken leave the chain; what `comes_back` is found after a few looks, as `then`."""
        if not self._gone:
            self._gone = {reference: 3 if comes_back else -1 for reference in self.sent}
            self._then = then

    def take(self, signed: Signed) -> None:
        """Count what was sent, and let a supply change its account."""
        self.sent.append(signed.reference)
        do, name, amount, *_ = signed.raw.split(":")
        if do == "supply" and self.fate is Fate.CONFIRMED:
            account = self.accounts[name]
            (leg,) = account.collateral
            self.accounts[name] = replace(account, collateral=(replace(leg, amount=leg.amount + Decimal(amount)),))
        self.block += 1
        self.nonce += 1

    async def _at(self, method: str) -> None:
        self.counts[method] += 1
        if method in self.held:
            self.reached[method].set()
            await self.held[method].wait()
        fault = self.faults.get(method)
        if fault is not None:
            raise fault


def plan_for(
    account: str = "main", *, made_at_ns: int = START_NS, value: str | None = "5000", **changes: object
) -> Plan:
    """Return a plan of one option: 2 ETH more against 15,000 USDC takes health from 1.3833 to 1.66."""
    option = Option(
        means=Means.SUPPLY,
        asset="ETH",
        amount=Decimal(2),
        source="rescue 0x..bb",
        cost_usd=Decimal(1),
        health=HealthPath(Decimal("1.3833"), Decimal("1.66"), None, None),
        time_to_land_s=Decimal(24),
        steps=("approve", "supply"),
        value_usd=None if value is None else Decimal(value),
        amount_units=2 * 10**18,
        funds=Funds("ETH", Decimal(5), "rescue 0x..bb", WALLET, is_owner=False),
    )
    return Plan(
        account,
        Target(health=Decimal("1.66")),
        made_at_ns,
        (replace(option, **changes),),  # type: ignore[arg-type]  # fields of `Option`, as the test names them
        block_number=100,
        health_before=loan_health(),
    )


def loan_health() -> Decimal:
    """Return the health of `loan()`: 10 ETH at 2500 and threshold 0.83 over 15,000."""
    return Decimal(10) * 2500 * Decimal("0.83") / Decimal(15_000)


def executor_on(
    journal: Journal, chain: Chain, box: CountingBox | None = None, *, limits: Limits | None = None
) -> Executor:
    """Return an executor for every account of `chain`, all with one box."""
    box = box or CountingBox()
    names = chain.accounts
    return Executor(
        journal,
        {name: chain for name in names},
        {name: chain for name in names},
        {name: box for name in names},
        {name: chain for name in names},
        limits or Limits(),
        clock=chain.clock,
        patience=QUICK,
    )


def expensive(cost: str = "20", gas: str = "0.01", balance: str = "1") -> Standing:
    """Return a standing in which a supply costs `cost` USD and needs `gas` of the chain's coin."""
    tariff = Tariff(Decimal(cost), Decimal(24), Decimal(gas))
    return Standing("main", START_NS, tariffs={Means.SUPPLY: tariff}, gas_balance=Decimal(balance))
