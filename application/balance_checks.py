"""Balances whose figures do not fit together are not shown, and somebody is asked to look (INV-243).

decision: a query changes nothing, so it tells the finding as a command of the service itself, once an account and day.

The totals of an account are kept with every event. A query that finds that they contradict one another gives no figure
(`domain.balances.balances.contradictions`), and the finding becomes a task, which closes when they agree again with
what invoices, payments and members of the account give.
"""

from __future__ import annotations

import datetime as dt
from typing import Protocol

from application.command import Command, CommandRequest, Identifier, Outcome, Principal, command, handles
from application.dispatch import Dispatcher
from application.register import AccountSums
from application.tasks import close_tasks, raise_task
from application.unit_of_work import UnitOfWork
from domain.accounts.account import ACCOUNT
from domain.errors import refuse
from domain.platform.privileges import SYSTEM_PRIVILEGE, Role
from domain.platform.tasks import TaskType

_FINDER = Principal("JOB", "balance-query", "queries", frozenset({SYSTEM_PRIVILEGE}), roles=frozenset({Role.SYSTEM}))


@command(
    privilege=SYSTEM_PRIVILEGE,
    room="08",
    summary="Ask somebody to look at balances that do not fit together",
    rules=("INV-243", "BAL-053"),
    refusals=("BILLING_ACCOUNT_NOT_FOUND",),
    example={"account": "LB000000018"},
)
class ReportIncompleteBalance(Command):
    """Compares again; where all agrees, a task that waits for it is closed and the result says so as `skipped`."""

    account: Identifier


@handles(ReportIncompleteBalance)
def report_incomplete_balance(command: ReportIncompleteBalance, unit: UnitOfWork) -> Outcome:
    unit.lock(f"account:{command.account}")
    if not unit.load(ACCOUNT, command.account).version:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer="/account")
    cause = f"BALANCE_INCOMPLETE {command.account}"
    figures = unit.port(AccountSums).differing(command.account)
    if not figures:
        close_tasks(unit, cause, "the figures agree")
        return Outcome({"account": command.account, "skipped": "CONSISTENT"})
    named = ", ".join(figures)
    task = raise_task(
        unit,
        TaskType.BALANCE_INCOMPLETE,
        cause=cause,
        subject=command.account,
        account=command.account,
        code="DATA_INCOMPLETE",
        reason=f"Totals of the account are not what its parts give: {named}",
        links={"account": command.account, "figures": named},
    )
    return Outcome({"account": command.account, "task": task})


class Findings(Protocol):
    """Where a query tells what it found and may not mend."""

    def incomplete_balance(self, account: str, now: dt.datetime) -> None:
        """The balances of the account do not fit together."""
        ...


class DispatchedFindings:
    """Findings as commands of the service itself; the same one is told once a day."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def incomplete_balance(self, account: str, now: dt.datetime) -> None:
        key = f"balance:{account}:{now.date().isoformat()}"
        name = ReportIncompleteBalance.__name__
        self._dispatcher.execute(CommandRequest(name, {"account": account}, _FINDER, "JOB", idempotency_key=key))
