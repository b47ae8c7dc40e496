"""Rescues in the simulated market: wallets are spent, accounts change, blocks take their time, links fail on the way.

Nothing here knows a key: see `providers.simulated.signer`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_UP, Context, Decimal

from engine.accounts import Account, Collateral, Debt, Kind
from engine.market import health_at
from engine.record import record
from engine.rescue import Facility, Funds, Means, Option, Standing, Tariff
from engine.solvency import gap, solvency_of, trigger_prices
from providers.errors import Refused, Unreachable
from providers.rescue_ports import Fate, Found, Signed, Signer, Simulation, Step
from providers.simulated.cast import CAST, BrokerPlan, LoanPlan
from providers.simulated.changes import Change, Deed
from providers.simulated.links import SimulatedLink
from providers.simulated.market import SimulatedMarket
from providers.simulated.scenarios import Loss
from providers.simulated.signer import ADDRESS, SIGNER_NAME
from providers.simulated.wallets import DECIMALS, PERMITS, PROTOCOL, WALLETS, Wallet

VENUE = "simulated"
_EXACT = Context(prec=60)
_ZERO = Decimal(0)
# In the chain's coin, by chain: what one step burns, and what must be there for it with headroom for full blocks.
_BURNT = {1: Decimal("0.0009"), 42_161: Decimal("0.00002"), 8_453: Decimal("0.00001")}
_HEADROOM = 4
_GAS_PRICE_USD = Decimal(2_480)
_PERP_LANDS_S = 0.4
# A broker has no way in for a program: a wire that is sent today counts tomorrow.
_WIRE = Tariff(cost_usd=Decimal(25), time_to_land_s=Decimal(86_400))


@record
class _Sent:
    """One step that arrived, when it lands, and why it fails there, if it does."""

    account: str
    do: str
    asset: str
    amount: Decimal
    lands_s: float
    fails: str = ""
    nonce: int = 0


class SimulatedRescue:
    """A `WalletSource` and a `CollateralWriter` for every account of the market."""

    def __init__(self, market: SimulatedMarket) -> None:
        self._market, self._clock = market, market.clock
        self._sources = {source.name: source for source in market.sources()}
        self._sent: dict[str, _Sent] = {}
        self._lost: dict[str, str] = {}
        self._nonces: dict[str, int] = {}
        self._replaced: dict[str, str] = {}

    async def standing(self, account: Account) -> Standing:
        """Return the rescuer's funds now; raises `Unreachable` while the account's link is lost."""
        plan = CAST[account.name]
        self._link(account.name).require()
        block = plan.chain.block(self._clock.elapsed_s())[0] if isinstance(plan, LoanPlan) else None
        wallet = WALLETS.get(account.name)
        made = Standing(account.name, self._clock.now_ns(), signer=SIGNER_NAME, block_number=block)
        if isinstance(plan, BrokerPlan) or wallet is None:
            return replace(made, tariffs={Means.DEPOSIT: _WIRE})
        return replace(
            made,
            facilities=self._facilities(account),
            funds=self._funds(account.name, wallet),
            tariffs=_tariffs(plan.chain.chain_id, plan.chain.block_s) if isinstance(plan, LoanPlan) else _VENUE_TARIFFS,
            gas_balance=self._gas(account.name, wallet),
        )

    async def prepare(self, account: Account, option: Option) -> Sequence[Step]:
        """Return the steps: wrap and approve where needed, then what rescues. Raises `Refused` for other means."""
        self._link(account.name).require()
        deed = {Means.SUPPLY: "supply", Means.REPAY: "repay", Means.ADD_MARGIN: "margin"}.get(option.means)
        wallet = WALLETS.get(account.name)
        fits = deed is not None and wallet is not None and (deed == "margin") == (account.kind is Kind.PERP)
        if deed is None or wallet is None or not fits:
            raise Refused(VENUE, f"{option.means} cannot be sent for {account.name}; it is done by hand")
        units = _units(option)
        does = [deed]
        if option.funds is not None and account.kind is Kind.LOAN:
            allowance, amount = option.funds.allowance, _tokens(option.asset, units)
            if allowance is not None and allowance < amount:
                permits = deed == "supply" and option.asset in PERMITS and not option.funds.is_native
                does.insert(0, "permit" if permits else "approve")
            if option.funds.is_native:
                does.insert(0, "wrap")
        return [self._step(account, do, option.asset, units, is_close=option.is_full_close) for do in does]

    async def verify(self, account: Account, steps: Sequence[Step]) -> str:
        """Return "" when every step is for this account, on its chain, to the protocol's contract."""
        plan = CAST[account.name]
        chain_id = plan.chain.chain_id if isinstance(plan, LoanPlan) else None
        for step in steps:
            if step.payload.get("venue") != VENUE or step.payload.get("account") != account.name:
                return "the step is not for this simulated account"
            if step.chain_id != chain_id:
                return f"wrong chain: {step.chain_id}, the account is on {chain_id}"
            if step.contract != (PROTOCOL if isinstance(plan, LoanPlan) else None):
                return f"{step.contract} is not the market's contract"
        return "" if steps else "there is nothing to send"

    async def simulate(self, account: Account, steps: Sequence[Step]) -> Simulation:
        """Return the health that the steps would give now, or why they would fail."""
        self._link(account.name).require()
        now = self._sources[account.name].reading_at(self._clock.elapsed_s()).accounts
        if not now:
            return Simulation(None, f"{account.name} is closed")
        present = now[0]
        for step in steps:
            why = self._fault(step.payload, among=steps)
            if why:
                return Simulation(None, why)
            present = _after(present, step.payload)
        triggers, lacking = trigger_prices(present, {})
        if gap(present) or lacking:
            return Simulation(None)
        return Simulation(health_at(present, solvency_of(present), triggers, {}), gas_used=90_000 * len(steps))

    def sign(self, step: Step, signer: Signer) -> Signed:
        """Return the step with a reference that follows from its content; raises `Unauthorised` when locked."""
        raw = json.dumps(dict(step.payload), sort_keys=True)
        digest = hashlib.sha256(raw.encode()).digest()
        signer.sign_digest(digest)
        nonce = int(str(step.payload["nonce"]))
        return Signed("0x" + digest.hex(), raw, nonce, WALLETS[str(step.payload["account"])].owner or ADDRESS)

    async def send(self, signed: Signed) -> None:
        """Let it land in its time. On a link that is lost nobody knows: a silent one may have carried it."""
        payload = json.loads(signed.raw)
        name, now_s = str(payload["account"]), self._clock.elapsed_s()
        outage = self._market.story.outage(name, now_s)
        if outage is not None and outage[0].loss is Loss.DROPPED:
            self._lost[signed.reference] = name
            raise Unreachable(VENUE, f"{name}: the connection was closed while sending (simulated outage)")
        if signed.reference in self._sent:
            raise Refused(VENUE, "already known")
        if not self._sources[name].reading_at(now_s).accounts:
            raise Refused(VENUE, f"{name} is closed")
        waiting = self._under(name, int(str(payload["nonce"])))
        if waiting:
            if self._sent[waiting].lands_s <= now_s:
                raise Refused(VENUE, f"nonce {payload['nonce']} was used by {waiting}")
            self._sent[signed.reference] = self._sent.pop(waiting)
            self._replaced[waiting] = signed.reference
            return
        self._take(signed.reference, payload, now_s)
        if outage is not None:
            raise Unreachable(VENUE, f"{name}: no answer within 5 s (simulated outage)")

    async def find(self, signed_reference: str, nonce: int | None, owner: str) -> Found:
        """Return what became of it; raises `Unreachable` while the account's link is lost."""
        sent = self._sent.get(signed_reference)
        if sent is None:
            if signed_reference in self._replaced:
                return Found(Fate.REJECTED, f"nonce {nonce} was used by {self._replaced[signed_reference]}")
            if signed_reference in self._lost:
                self._link(self._lost[signed_reference]).require()
            return Found(Fate.REJECTED, "it never reached the simulated market")
        self._link(sent.account).require()
        plan = CAST[sent.account]
        block = f"block {plan.chain.block(sent.lands_s)[0]:,}" if isinstance(plan, LoanPlan) else "the venue's ledger"
        if self._clock.elapsed_s() < sent.lands_s:
            return Found(Fate.PENDING, f"due in {block}")
        if sent.fails:
            return Found(Fate.REJECTED, f"reverted in {block}: {sent.fails}")
        return Found(Fate.CONFIRMED, f"in {block}")

    async def speed_up(self, step: Step) -> Step:
        """Return the same step at a fee that is an eighth higher; raises `Refused` where no fee is paid."""
        if step.chain_id is None:
            raise Refused(VENUE, "a venue takes no fee that could be raised")
        return replace(step, payload={**step.payload, "fee_percent": _fee_percent(step) * 9 // 8 + 1})

    async def fee_usd(self, step: Step) -> Decimal | None:
        """Return what the step costs at most, its headroom for full blocks included."""
        return _burnt(str(step.payload["account"])) * _HEADROOM * _GAS_PRICE_USD * _fee_percent(step) / 100

    async def why_not_replaced(self, step: Step) -> str:
        """Return "" while what it would replace has not landed, else the reason to refuse."""
        name = str(step.payload["account"])
        self._link(name).require()
        sent = self._sent.get(self._under(name, int(str(step.payload["nonce"]))))
        return "it has landed: reconcile" if sent is not None and sent.lands_s <= self._clock.elapsed_s() else ""

    def _under(self, name: str, nonce: int) -> str:
        """Return the reference of what was taken under a nonce of an account, or ""."""
        found = (each for each, sent in self._sent.items() if (sent.account, sent.nonce) == (name, nonce))
        return next(found, "")

    def _take(self, reference: str, payload: Mapping[str, object], now_s: float) -> None:
        name, do, asset = (str(payload[key]) for key in ("account", "do", "asset"))
        plan = CAST[name]
        lands_s = now_s + _PERP_LANDS_S
        if isinstance(plan, LoanPlan):
            block_s = plan.chain.block_s
            lands_s = (int(now_s // block_s) + 1) * block_s
        amount, closes = _tokens(asset, int(str(payload["units"]))), False
        fails = self._fault(payload)
        if do == "repay" and not fails:
            due = self._sources[name].reading_at(lands_s).accounts[0]
            owed = next((leg.amount for leg in due.debt if leg.asset == asset), _ZERO)
            amount, closes = min(amount, owed), amount >= owed
        self._sent[reference] = _Sent(name, do, asset, amount, lands_s, fails, int(str(payload["nonce"])))
        deed = {"supply": Deed.SUPPLIED, "repay": Deed.REPAID, "margin": Deed.MARGIN}.get(do)
        if deed is not None and not fails:
            self._market.changes.add(name, Change(deed, asset, amount, lands_s, closes))

    def _fault(self, payload: Mapping[str, object], among: Sequence[Step] = ()) -> str:
        """Return why the chain or venue would refuse a step; approvals in `among` count as given."""
        name, do, asset = (str(payload[key]) for key in ("account", "do", "asset"))
        wallet = WALLETS[name]
        held = next((each for each in self._funds(name, wallet) if each.asset == asset), None)
        amount = _tokens(asset, int(str(payload["units"])))
        gas, burnt = self._gas(name, wallet), _burnt(name)
        if gas is not None and gas < burnt:
            return f"no gas: has {gas}, needs {burnt}"
        if do in ("approve", "permit"):
            return ""
        if held is None or held.amount < amount:
            return f"transfer amount exceeds balance of {asset}"
        approved = any(step.payload["do"] in ("approve", "permit") for step in among)
        if do in ("supply", "repay") and not approved and held.allowance is not None and held.allowance < amount:
            return f"{asset} is not approved"
        return ""

    def _facilities(self, account: Account) -> tuple[Facility, ...]:
        if account.kind is Kind.PERP:
            add = frozenset({Means.ADD_MARGIN})
            return (Facility(account.quote, add, decimals=DECIMALS[account.quote], price=Decimal(1)),)
        supplied = {leg.asset: leg for leg in account.collateral}
        owed = {leg.asset for leg in account.debt}
        found = []
        for asset in dict.fromkeys((*supplied, *owed)):
            means = {Means.SUPPLY} if asset in supplied else set()
            means |= {Means.REPAY} if asset in owed else set()
            leg = supplied.get(asset)
            found.append(
                Facility(
                    asset,
                    frozenset(means),
                    token="0x" + asset.encode().hex().rjust(40, "0"),
                    decimals=DECIMALS[asset],
                    has_permit=asset in PERMITS,
                    liquidation_threshold=None if leg is None else leg.liquidation_threshold,
                )
            )
        return tuple(found)

    def _funds(self, name: str, wallet: Wallet) -> tuple[Funds, ...]:
        """Return what is left: less what was spent, more what was approved and not used."""
        landed = [one for one in self._of(name) if not one.fails]
        found = []
        for held in wallet.holdings:
            mine = [one for one in landed if one.asset == held.asset]
            used = sum((one.amount for one in mine if one.do in ("supply", "repay", "margin")), _ZERO)
            allowed = held.allowance
            for one in mine if allowed is not None else ():
                if one.do in ("approve", "permit"):
                    allowed = one.amount
                elif one.do in ("supply", "repay"):
                    allowed = max((allowed or _ZERO) - one.amount, _ZERO)
            found.append(
                Funds(
                    held.asset,
                    held.amount - used - (self._burnt(name) if held.is_native else _ZERO),
                    wallet.source,
                    owner=wallet.owner,
                    allowance=allowed,
                    is_native=held.is_native,
                    is_owner=wallet.gas is None,
                )
            )
        return tuple(found)

    def _gas(self, name: str, wallet: Wallet) -> Decimal | None:
        if wallet.gas is None:
            return None
        native = {held.asset for held in wallet.holdings if held.is_native}
        spent = sum((one.amount for one in self._of(name) if one.asset in native and one.do == "wrap"), _ZERO)
        return wallet.gas - spent - self._burnt(name)

    def _burnt(self, name: str) -> Decimal:
        return _burnt(name) * len(self._of(name))

    def _of(self, name: str) -> list[_Sent]:
        return [one for one in self._sent.values() if one.account == name]

    def _step(self, account: Account, do: str, asset: str, units: int, *, is_close: bool) -> Step:
        plan = CAST[account.name]
        self._nonces[account.name] = nonce = self._nonces.get(account.name, -1) + 1
        amount = f"{_tokens(asset, units).normalize():f} {asset}"
        title = {
            "wrap": f"wrap {amount}",
            "approve": f"approve exactly {amount}",
            "permit": f"permit exactly {amount}",
            "supply": f"supply {amount} for {account.name}",
            "repay": f"repay all {asset} of {account.name}" if is_close else f"repay {amount} of {account.name}",
            "margin": f"add {amount} of margin",
        }[do]
        payload = {
            "venue": VENUE,
            "account": account.name,
            "do": do,
            "asset": asset,
            "units": str(units),
            "nonce": nonce,
            "made_at_ns": self._clock.now_ns(),
        }
        if isinstance(plan, LoanPlan):
            return Step(title, payload, contract=PROTOCOL, chain_id=plan.chain.chain_id)
        return Step(title, payload)

    def _link(self, name: str) -> SimulatedLink:
        return SimulatedLink(name, self._market.story, self._clock, 1.0)


_VENUE_TARIFFS: Mapping[Means, Tariff] = {
    Means.ADD_MARGIN: Tariff(cost_usd=_ZERO, time_to_land_s=Decimal(1), gas_asset_needed=None)
}


def _tariffs(chain_id: int, block_s: float) -> dict[Means, Tariff]:
    burnt = _BURNT[chain_id]
    tariff = Tariff(burnt * _GAS_PRICE_USD, Decimal(str(2 * block_s)), burnt * _HEADROOM)
    return {Means.SUPPLY: tariff, Means.REPAY: tariff}


def _burnt(name: str) -> Decimal:
    plan = CAST[name]
    return _BURNT[plan.chain.chain_id] if isinstance(plan, LoanPlan) else _ZERO


def _fee_percent(step: Step) -> int:
    return int(str(step.payload.get("fee_percent", 100)))


def _units(option: Option) -> int:
    units = option.amount_units
    if units is None:
        units = int(_EXACT.scaleb(option.amount, DECIMALS[option.asset]).to_integral_value(ROUND_UP))
    if units <= 0:
        raise Refused(VENUE, "there is nothing to add")
    return units


def _tokens(asset: str, units: int) -> Decimal:
    return _EXACT.scaleb(Decimal(units), -DECIMALS[asset])


def _after(account: Account, payload: Mapping[str, object]) -> Account:
    """Return the account after one step, in today's amounts."""
    do, asset = payload["do"], str(payload["asset"])
    amount = _tokens(asset, int(str(payload["units"])))
    if do == "margin":
        return replace(account, balance=account.balance + amount)
    collateral: tuple[Collateral, ...] = account.collateral
    debt: tuple[Debt, ...] = account.debt
    if do == "supply":
        collateral = tuple(
            replace(leg, amount=leg.amount + amount) if leg.asset == asset else leg for leg in account.collateral
        )
    if do == "repay":
        debt = tuple(
            replace(leg, amount=max(leg.amount - amount, _ZERO)) if leg.asset == asset else leg for leg in account.debt
        )
    return replace(account, collateral=collateral, debt=debt)
