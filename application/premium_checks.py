"""Working premium out again: unbilled amounts, stored modal premiums, waivers that end, invoices of one member.

None of these commands decides anything about premium; they compare what is stored or was billed with what the
transactions give, and say or mend the difference.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

from pydantic import Field

from application.anyb_times import AnybTimes
from application.command import Command, Identifier, Outcome, command, handles
from application.invoices import check, discard, issue, open_process
from application.members import facts_of, facts_on, load_member, publish, unpublished, validation_of
from application.register import Directory, ItemRegister, Placements
from application.setups import load_policy
from application.tasks import close_tasks, raise_task
from application.unit_of_work import Loaded, UnitOfWork
from domain.accounts.account import ACCOUNT, Account, PeriodStatus, period_of
from domain.accounts.bill_type import AllocationMode
from domain.errors import Problem, Refusal, refuse, refuse_if_any
from domain.invoices.invoice import INVOICE, GenerationSource, InvoiceRegenerated, check_discardable
from domain.members.record import MEMBER_RECORD, MemberRecord
from domain.members.waiver_expiration import ASKED_AFTER, WAIVER_EXPIRATION, WaiverExpirationFailed, failures_on
from domain.members.waivers import expire_waivers
from domain.money import format_amount
from domain.platform.privileges import SYSTEM_PRIVILEGE
from domain.platform.tasks import TaskType
from domain.premium.timeline import OPEN_END
from domain.premium.validation import Discrepancy

_FIRST = dt.date.min
#: Records in memory at a time.
_PORTION = 500
_MEMBERS = Annotated[tuple[Identifier, ...], Field(max_length=1000)]


@command(
    privilege="anyb.recalculate",
    room="04",
    summary="Work out anew what is not billed yet",
    rules=("PRM-121", "PRM-123", "PRM-124"),
    refusals=("REQUEST_INVALID", "BILLING_ACCOUNT_NOT_FOUND", "MEMBER_RECORD_NOT_FOUND"),
    example={"accounts": ["LB000000018"]},
)
class RecalculateAnyb(Command):
    """Of members, or of all members of accounts. Without new events the figures stay what they are.

    When an account was worked out is kept; `kept` in the result names records whose figures, and their times, stay.
    """

    members: _MEMBERS = ()
    accounts: Annotated[tuple[Identifier, ...], Field(max_length=20)] = ()


@command(
    privilege="modal.validate",
    room="04",
    summary="Compare stored modal premiums with what the transactions give",
    rules=("PRM-160",),
    refusals=("REQUEST_INVALID", "BILLING_ACCOUNT_NOT_FOUND"),
    example={"accounts": ["LB000000018"]},
)
class ValidateModalAmounts(Command):
    """One consolidated result; nothing is repaired."""

    accounts: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=20)]


@command(
    privilege="waiver.manage",
    room="04",
    summary="Record the end of waivers whose last day has passed",
    rules=("PRM-095",),
    refusals=("REQUEST_INVALID", "BILLING_ACCOUNT_NOT_FOUND", "MEMBER_RECORD_NOT_FOUND"),
    example={"members": ["MR-1001"]},
)
class ExpirePremiumWaivers(Command):
    """What the daily job does, for members or for all members of an account."""

    members: _MEMBERS = ()
    account: Identifier | None = None


@command(
    privilege=SYSTEM_PRIVILEGE,
    room="04",
    summary="Record that the end of an account's waivers could not be recorded",
    rules=("PRM-095",),
    refusals=("BILLING_ACCOUNT_NOT_FOUND",),
    example={"account": "LB000000018", "code": "INTERNAL_ERROR", "detail": "a technical failure"},
)
class RecordWaiverExpirationFailure(Command):
    """What the daily job sends after it failed; from the third day in a row on a task waits for somebody."""

    account: Identifier
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]
    detail: Annotated[str, Field(max_length=500)] = ""


@command(
    privilege="invoice.regenerate",
    room="04",
    summary="Discard and regenerate the invoices of a member's unbilled differences",
    rules=("PRM-141",),
    refusals=(
        "MEMBER_RECORD_NOT_FOUND",
        "BILLING_ACCOUNT_NOT_FOUND",
        "CLEANUP_NOT_AVAILABLE",
        "ROLL_ON_PENDING",
        "NOTHING_TO_CLEAN_UP",
        "CONFIRMATION_REQUIRED",
        "PROCESS_CONFLICT",
    ),
    example={"member_record": "MR-1001", "account": "LB000000018", "confirmed": True},
)
class CleanUpMemberInvoices(Command):
    """On accounts that bill members individually: newest first discarded, oldest first issued again."""

    member_record: Identifier
    account: Identifier
    confirmed: bool = False


@handles(RecalculateAnyb)
def recalculate_anyb(command: RecalculateAnyb, unit: UnitOfWork) -> Outcome:
    by_account = _members_by_account(command, unit)
    numbers = {*command.members, *(number for members in by_account.values() for number in members)}
    if not numbers:
        raise refuse("REQUEST_INVALID", "members or accounts are named", pointer="/members")
    unit.lock(*(f"member:{number}" for number in command.members))
    unit.lock(*(f"account:{number}" for number in by_account))
    changed: list[str] = []
    kept: dict[str, str] = {}
    for member in _members(unit, numbers, command.members):
        try:
            if _recalculate(unit, member):
                changed.append(member.identifier)
        except _KeptFigure as reason:
            kept[member.identifier] = reason.code
    times = unit.port(AnybTimes)
    for account, members in by_account.items():
        times.calculated(account, unit.now, {number: kept[number] for number in sorted(members) if number in kept})
    return Outcome(
        {
            "members": len(numbers),
            "changed": changed[:1000],
            "kept": [{"member_record": number, "code": code} for number, code in list(kept.items())[:1000]],
            "calculated_at": unit.now.isoformat(),
        }
    )


class _KeptFigure(Exception):
    """The figures of a record stay what they were; the code of the reason."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _members_by_account(command: RecalculateAnyb, unit: UnitOfWork) -> dict[str, set[str]]:
    """The records of each named account: those with a figure on it, and those ever placed on it."""
    found: dict[str, set[str]] = {}
    problems = []
    for index, named in enumerate(command.accounts):
        account = unit.port(Directory).resolve_account(named)
        if account is None:
            problems.append(Problem("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", f"/accounts/{index}"))
            continue
        found[account] = {
            *unit.port(ItemRegister).members_with_anyb(account),
            *unit.port(Placements).members_on(account, _FIRST, OPEN_END),
        }
    refuse_if_any(problems)
    return found


def _members(unit: UnitOfWork, numbers: Iterable[str], named: Sequence[str]) -> Iterator[Loaded[MemberRecord]]:
    """The records in order, as they stand, a portion in memory. Refused `MEMBER_RECORD_NOT_FOUND` for a named one.

    Those of an account are not locked one by one: there may be more of them than a command may lock. What is written
    to one is written behind the version that it was decided on, and who changes one holds its account.
    """
    ordered = sorted(numbers)
    for start in range(0, len(ordered), _PORTION):
        portion = ordered[start : start + _PORTION]
        found = unit.read_many(MEMBER_RECORD, portion)
        if any(number not in found and number in named for number in portion):
            raise refuse("MEMBER_RECORD_NOT_FOUND", "there is no such member record", pointer="/members")
        yield from (found[number] for number in portion if number in found)


def _recalculate(unit: UnitOfWork, read: Loaded[MemberRecord]) -> bool:
    """Work out the figures of a record; whether one of them changed.

    Raises _KeptFigure for figures that are held (PRM-111), and for those that cannot be worked out: the others are.
    """
    if read.state.is_roll_on_pending:
        raise _KeptFigure("ROLL_ON_PENDING")
    policy = load_policy(unit, read.state.master_policy)
    try:
        facts = facts_on(unit, policy.state, read.state.accounts)
        if not unpublished(unit, read.state, facts):
            return False
        member = unit.load(MEMBER_RECORD, read.identifier)
        if member.state.is_roll_on_pending:
            raise _KeptFigure("ROLL_ON_PENDING")
        after = publish(unit, member, facts)
    except Refusal as refusal:
        raise _KeptFigure(refusal.code) from refusal
    return after.version != member.version


@handles(ValidateModalAmounts)
def validate_modal_amounts(command: ValidateModalAmounts, unit: UnitOfWork) -> Outcome:
    directory = unit.port(Directory)
    accounts = [directory.resolve_account(named) for named in command.accounts]
    refuse_if_any(
        [
            Problem("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", f"/accounts/{index}")
            for index, account in enumerate(accounts)
            if account is None
        ]
    )
    validated = 0
    differences: list[Discrepancy] = []
    incomplete: list[Problem] = []
    for account in accounts:
        for number in unit.port(Placements).members_on(account or "", _FIRST, OPEN_END):
            member = unit.load(MEMBER_RECORD, number)
            if member.state.is_roll_on_pending:
                continue  # the rows are those of the PENDING version until it is decided
            policy = load_policy(unit, member.state.master_policy).state
            found = validation_of(member.state, policy, facts_of(unit, policy, number), unit.today())
            validated += 1
            differences += [one for one in found.discrepancies if one.account == account]
            incomplete += found.incomplete
    return Outcome(
        {
            "members": validated,
            "discrepancies": [
                {
                    "account": one.account,
                    "member_record": one.member_record,
                    "check": one.check,
                    "row": one.row,
                    "expected": one.expected,
                    "actual": one.actual,
                }
                for one in differences[:1000]
            ],
            "count": len(differences),
        },
        warnings=incomplete[:100],
    )


@handles(ExpirePremiumWaivers)
def expire_premium_waivers(command: ExpirePremiumWaivers, unit: UnitOfWork) -> Outcome:
    numbers = set(command.members)
    account = None
    if command.account is not None:
        account = unit.port(Directory).resolve_account(command.account)
        if account is None:
            raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer="/account")
        numbers |= {*unit.port(Placements).members_on(account, _FIRST, OPEN_END)}
    elif not numbers:
        raise refuse("REQUEST_INVALID", "members or an account are named", pointer="/members")
    unit.lock(*(f"member:{number}" for number in command.members))
    if account is not None:
        unit.lock(f"account:{account}")
    ended: dict[str, list[str]] = {}
    for read in _members(unit, numbers, command.members):
        if not expire_waivers(read.state, unit.today()):
            continue
        events = expire_waivers(unit.load(MEMBER_RECORD, read.identifier).state, unit.today())
        if events:
            unit.append(MEMBER_RECORD, read.identifier, events)
            ended[read.identifier] = [one.waiver_id for one in events]
    if account is not None:
        close_tasks(unit, _failed_expiration(account), "the waivers' end was recorded")
    return Outcome({"ended": ended})


@handles(RecordWaiverExpirationFailure)
def record_waiver_expiration_failure(command: RecordWaiverExpirationFailure, unit: UnitOfWork) -> Outcome:
    account = unit.port(Directory).resolve_account(command.account)
    if account is None:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer="/account")
    unit.lock(f"account:{account}")
    day = unit.today()
    failures = failures_on(unit.load(WAIVER_EXPIRATION, account).state, day)
    task = None
    if failures >= ASKED_AFTER:
        task = raise_task(
            unit,
            TaskType.WAIVER_EXPIRATION_FAILED,
            cause=_failed_expiration(account),
            subject=account,
            account=account,
            code=command.code,
            reason=f"The end of waivers could not be recorded on {failures} days: {command.detail or command.code}",
            links={"account": account, "failures": str(failures)},
        )
    failed = WaiverExpirationFailed(
        account=account, day=day, failures=failures, code=command.code, detail=command.detail, task=task
    )
    unit.append(WAIVER_EXPIRATION, account, [failed])
    return Outcome({"account": account, "failures": failures, "task": task})


def _failed_expiration(account: str) -> str:
    """The cause of the task that waits while the end of an account's waivers cannot be recorded."""
    return f"WAIVER_EXPIRATION_FAILED {account}"


@handles(CleanUpMemberInvoices)
def clean_up_member_invoices(command: CleanUpMemberInvoices, unit: UnitOfWork) -> Outcome:
    account = open_process(unit, command.account, "REGENERATION")
    if not command.confirmed and "confirmed" not in unit.confirmations:
        unit.require_confirmation("confirmed", "the command must be confirmed")
    member, _ = load_member(unit, command.member_record)
    unit.expect_main(MEMBER_RECORD, member)
    if account.state.allocation_mode is not AllocationMode.INDIVIDUAL:
        raise refuse("CLEANUP_NOT_AVAILABLE", "the account does not bill members individually", pointer="/account")
    if member.state.is_roll_on_pending:
        raise refuse("ROLL_ON_PENDING", "a roll-on is undecided", entity=command.member_record)
    published = member.state.anyb_of(account.identifier)
    starts = {line.billing_start for line in published.lines} if published is not None else set()
    live = [one for one in account.state.live_periods() if one.start >= min(starts)] if starts else []
    if not live:
        raise refuse(
            "NOTHING_TO_CLEAN_UP", "nothing of the member is unbilled on the account", entity=member.identifier
        )
    check(unit, account.state)
    discarded = _discard_newest_first(unit, account.identifier, [one.invoice for one in reversed(live) if one.invoice])
    issued = _issue_oldest_first(unit, account.identifier, discarded)
    after = unit.load(MEMBER_RECORD, command.member_record).state.anyb_of(account.identifier)
    return Outcome(
        {
            "account": account.identifier,
            "member_record": command.member_record,
            "discarded": discarded,
            "issued": issued,
            "anyb": format_amount(after.total if after is not None else 0, account.state.currency),
        }
    )


def _discard_newest_first(unit: UnitOfWork, account: str, numbers: list[str]) -> list[str]:
    for number in numbers:
        invoice = unit.load(INVOICE, number).state
        check_discardable(invoice, "CLEAN_UP", None)
        discard(unit, unit.load(ACCOUNT, account).state, invoice, "CLEAN_UP", GenerationSource.MANUAL)
        unit.flush()
    return numbers


def _issue_oldest_first(unit: UnitOfWork, account: str, discarded: list[str]) -> list[str]:
    issued = []
    for number in reversed(discarded):
        state: Account = unit.load(ACCOUNT, account).state
        start = unit.load(INVOICE, number).state.period_start
        record = state.periods[start]
        assert record.status is PeriodStatus.DISCARDED
        outcome = issue(unit, state, [period_of(record)], GenerationSource.MANUAL, regenerates=number)
        made = outcome.result.get("invoice")
        if made is not None:
            replaced = InvoiceRegenerated(number=number, account=account, replaced_by=str(made))
            unit.append(INVOICE, number, [replaced])
            issued.append(str(made))
        unit.flush()
    return issued
