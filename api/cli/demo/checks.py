"""What must hold at the end, whatever was told: the log intact, read models equal to their rebuild, no cent lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from api.cli.demo.service import Client
from api.wiring import System
from infrastructure.event_store.history import EventHistory
from infrastructure.event_store.verification import verify_streams
from infrastructure.postgres.audit_chain import seal_audit, verify_audit

_LEDGER = """
{ ledgerReconciliation { inBalance controls { number variance { amount } } accountsWithVariance }
  trialBalance { debits { amount } credits { amount } } }
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what it says, whether it holds, and the figures it was decided on."""

    name: str
    holds: bool
    figures: str


def checks(system: System, client: Client, found: dict[str, Any], received: int) -> Iterator[Check]:
    """All checks. `received` is the money the bank reported for the account, minor units."""
    yield _hash_chains(system)
    yield _audit_trail(system)
    yield from _read_models(system)
    yield _cash(found, received)
    yield _billed(found)
    yield _ledger(client)


def _hash_chains(system: System) -> Check:
    with system.database.reading() as connection:
        events, streams = EventHistory(connection).extent()
    breaks = verify_streams(system.database)
    return Check("hash chains", not breaks, f"{events} events in {streams} streams, {len(breaks)} breaks")


def _audit_trail(system: System) -> Check:
    sealed = seal_audit(system.database)
    broken = verify_audit(system.database)
    return Check("trail of commands", broken is None, f"{sealed} commands" if broken is None else str(broken))


def _read_models(system: System) -> Iterator[Check]:
    for report in system.rebuilder.verify(list(system.projections)):
        differing = sum(table.differing_rows for table in report.comparison.tables) if report.comparison else 0
        yield Check(f"read model {report.projection} equals its rebuild", report.equal, f"{differing} rows differ")


def _cash(found: dict[str, Any], received: int) -> Check:
    """Every cent received is in exactly one place."""
    balances = {name: minor(value) for name, value in found["accountBalances"].items() if isinstance(value, dict)}
    placed = sum(balances[place] for place in ("totalPaid", "unapplied", "memberUnapplied", "memberOverpayment"))
    payments = sum(minor(payment["amount"]) for payment in found["payments"]["nodes"])
    figures = f"bank {_text(received)}, payments {_text(payments)}, places {_text(placed)}"
    return Check("conservation of cash", received == payments == placed, figures)


def _billed(found: dict[str, Any]) -> Check:
    """Every cent billed is due, paid or written off; credits set off against charges cancel out."""
    balances = {name: minor(value) for name, value in found["accountBalances"].items() if isinstance(value, dict)}
    due = balances["remainingDue"] - balances["openCredit"]
    states = due + balances["totalPaid"] + balances["writtenOff"]
    invoices = sum(minor(row["totalBilled"]) for row in found["invoices"]["nodes"] if row["live"])
    figures = f"invoices {_text(invoices)}, total billed {_text(balances['totalBilled'])}, states {_text(states)}"
    return Check("conservation of what is billed", invoices == balances["totalBilled"] == states, figures)


def _ledger(client: Client) -> Check:
    answer = client.query(_LEDGER)
    ledger, trial = answer["ledgerReconciliation"], answer["trialBalance"]
    debit = sum(minor(line["debits"]) for line in trial)
    credit = sum(minor(line["credits"]) for line in trial)
    holds = bool(ledger["inBalance"]) and not ledger["accountsWithVariance"] and debit == credit
    return Check("ledger agrees with the read models", holds, f"debit {_text(debit)}, credit {_text(credit)}")


def minor(money: dict[str, Any]) -> int:
    """Minor units of an amount with two decimals."""
    return int(str(money["amount"]).replace(".", ""))


def _text(amount: int) -> str:
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02}"
