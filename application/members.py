"""Member records: every policy transaction, moves, employment, waivers and roll-on, and what they leave unbilled.

A handler gathers the facts (master policy, set-up, accounts), lets `domain.members` decide, appends the events, and
publishes what the accounts have not billed for the record from now on. A message that cannot be processed because
something is not set up is kept as a dead letter and answered so; a business refusal goes back to the sender (PRM-009).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from application.command import AmountText, Command, Identifier, Outcome, Part, command, handles
from application.invoicing_start import earliest_effective_date_events
from application.parameters import parameters_in_force
from application.pricing import terms_of_accounts
from application.products import with_terms_in_force
from application.register import Directory, ItemRegister, PendingLetters
from application.reprocessing import ReprocessingUnit, StillFailingError
from application.settlement import tell_next_due_date
from application.setups import load_policy
from application.tasks import close_tasks, misaligned_waiver, overdue_roll_on, raise_task
from application.unit_of_work import Loaded, UnitOfWork
from domain.accounts.account import ACCOUNT, Account, BillTypeAssigned, MasterPolicyAssociated
from domain.accounts.bill_type import BillType
from domain.accounts.setup import SETUP, Routed, RoutingAttributes, Setup, SetupType, route
from domain.calendar.frequency import Frequency
from domain.calendar.periods import Period
from domain.errors import Problem, Refusal, refuse, refuse_if_any
from domain.members.anyb_publication import changed_since, publish_anyb
from domain.members.dead_letter import (
    CONFIGURATION_FAILURES,
    DEAD_LETTER,
    DeadLetterKind,
    MemberTransactionDeadLettered,
    Reason,
    reasons_of,
)
from domain.members.decisions import decide, unpark
from domain.members.forms import form_problems
from domain.members.record import MEMBER_RECORD, MemberRecord, active_timeline
from domain.members.requests import (
    NewMember,
    PolicyFacts,
    RollOnAction,
    RollOnDecision,
    RoutingKey,
    TransactionFacts,
    TransactionRequest,
)
from domain.members.rollon import instruct
from domain.members.rows import rows_of
from domain.money import AmountFormatError, format_amount, half_up_ratio, parse_amount
from domain.platform.tasks import TaskType
from domain.premium.anyb import InvoicedAmount
from domain.premium.charges import ChargeKey
from domain.premium.timeline import OPEN_END
from domain.premium.transactions import (
    AmendmentKind,
    ItemKey,
    Origin,
    PremiumAmount,
    PremiumSequence,
    SequenceHolder,
    TransactionType,
    WaiverSource,
)
from domain.premium.validation import PlacedOn, Validation, validate
from domain.products.master_policy import MasterPolicy, RollOnMode

ShortText = Annotated[str, Field(max_length=100)]


class HolderPart(Part):
    """A holder's annual share of a premium sequence."""

    party: Identifier
    annual_amount: AmountText
    effective_date: dt.date
    expiration_date: dt.date | None = None


class SequencePart(Part):
    """A premium sequence of an item with its holders (MEM-033)."""

    sequence_id: Identifier
    number: Annotated[int, Field(ge=1, le=999)]
    effective_date: dt.date
    end_date: dt.date | None = None
    replaces_sequence_id: Identifier | None = None
    holders: Annotated[tuple[HolderPart, ...], Field(min_length=1, max_length=50)]


class AmountPart(Part):
    """The premium of one item key from the transaction's date: annual, or monthly, or both agreeing (MEM-020).

    `removed` takes the key away from that date (PRM-061).
    """

    coverage: Identifier
    plan: ShortText = ""
    coverage_class: ShortText = ""
    tier: ShortText = ""
    sub_group: ShortText = ""
    annual_amount: AmountText | None = None
    monthly_amount: AmountText | None = None
    removed: bool = False
    sequences: Annotated[tuple[SequencePart, ...], Field(max_length=50)] = ()


class RollOnDecisionPart(Part):
    """The decision on one backed-off transaction; amounts re-rate it (PRM-112)."""

    transaction_id: Identifier
    action: RollOnAction
    amounts: Annotated[tuple[AmountPart, ...], Field(max_length=100)] = ()
    rolled_on_as: Identifier | None = None


class TransactionMembers(Command):
    """What every policy transaction states (PRM-003). `transaction_id` is the sender's own key of it."""

    transaction_id: Identifier | None = None
    member_record: Identifier | None = None
    effective_date: dt.date | None = None
    transaction_date: dt.date | None = None
    origin: Origin = Origin.POLICY


_AMOUNTS = [{"coverage": "LIFE", "annual_amount": "1200.00"}]
#: What may be wrong with stated amounts.
_OF_AMOUNTS = ("PREMIUM_AMOUNTS_INCONSISTENT", "PREMIUM_KEY_DUPLICATE", "SEQUENCE_CONFLICT")
_COMMON = (
    "TRANSACTION_INCOMPLETE",
    "MEMBER_RECORD_NOT_FOUND",
    "BEFORE_MEMBER_EFFECTIVE",
    "OUTSIDE_PRODUCT_DATES",
    "MEMBER_NOT_IN_FORCE",
    "ROLL_ON_PENDING",
    "MODAL_CALCULATION_BLOCKED",
    "BILL_TYPE_MISMATCH",
    "IDEMPOTENCY_CONFLICT",
)


@command(
    privilege="policytxn.submit",
    room="04",
    summary="Apply New Business: a member record begins",
    rules=("PRM-060", "PRM-101", "MEM-020", "MEM-067", "MEM-074"),
    refusals=(
        "MASTER_POLICY_NOT_FOUND",
        "OOS_NEW_BUSINESS_NOT_SUPPORTED",
        "MEMBER_RECORD_EXISTS",
        "PREMIUM_MISSING",
        *_OF_AMOUNTS,
        "CLASS_UNKNOWN",
        "MODALITY_LOCKED_BY_SEASONAL",
        *_COMMON,
    ),
    example={
        "transaction_id": "TX-1001",
        "member_record": "MR-1001",
        "master_policy": "MP-100",
        "customer": "P-1001",
        "first_name": "Ada",
        "last_name": "Miller",
        "effective_date": "2025-01-01",
        "amounts": _AMOUNTS,
    },
)
class ApplyNewBusiness(TransactionMembers):
    """The account follows from the billing set-up; without one the message becomes a dead letter."""

    master_policy: Identifier
    customer: Identifier | None = None
    first_name: ShortText | None = None
    last_name: ShortText | None = None
    employee_id: ShortText | None = None
    amounts: Annotated[tuple[AmountPart, ...], Field(max_length=100)] = ()
    modality: Frequency | None = None
    payroll_frequency: Frequency | None = None
    member_class: ShortText | None = None
    location: ShortText | None = None
    division: ShortText | None = None


@command(
    privilege="policytxn.submit",
    room="04",
    summary="Apply an amendment",
    rules=("PRM-002", "PRM-061", "PRM-062", "PRM-063", "PRM-102", "PRM-116"),
    refusals=("AMENDMENT_KIND_CONFLICT", "ROLL_ON_INCOMPLETE", "CLASS_UNKNOWN", *_OF_AMOUNTS, *_COMMON),
    example={
        "transaction_id": "TX-1002",
        "member_record": "MR-1001",
        "effective_date": "2025-04-01",
        "kinds": ["GENERAL"],
        "amounts": [{"coverage": "LIFE", "annual_amount": "1320.00"}],
    },
)
class ApplyAmendment(TransactionMembers):
    """Keys not named keep their amount. Out of sequence, `roll_on_decisions` decide on what it backs off."""

    kinds: Annotated[tuple[AmendmentKind, ...], Field(max_length=5)] = (AmendmentKind.GENERAL,)
    amounts: Annotated[tuple[AmountPart, ...], Field(max_length=100)] = ()
    payroll_frequency: Frequency | None = None
    member_class: ShortText | None = None
    location: ShortText | None = None
    division: ShortText | None = None
    nonforfeiture: ShortText | None = None
    reason: ShortText | None = None
    roll_on_mode: RollOnMode | None = None
    roll_on_decisions: Annotated[tuple[RollOnDecisionPart, ...], Field(max_length=100)] = ()


@command(
    privilege="billing.stop",
    room="04",
    summary="Stop billing a member whose cover goes on as nonforfeiture",
    rules=("PRM-080", "PRM-081"),
    refusals=("ALREADY_STOPPED", *_COMMON),
    example={
        "transaction_id": "TX-1003",
        "member_record": "MR-1001",
        "effective_date": "2025-05-01",
        "nonforfeiture": "REDUCED_PAID_UP",
    },
)
class StopBilling(TransactionMembers):
    """Annual amounts are charged 0.00 from the date."""

    nonforfeiture: ShortText | None = None


@command(
    privilege="billing.resume",
    room="04",
    summary="Resume billing a stopped member",
    rules=("PRM-082", "PRM-083"),
    refusals=("NO_ACTIVE_STOP_BILLING", "RESUME_REASON_INVALID", "RECONCILIATION_INCOMPLETE", *_COMMON),
    example={
        "transaction_id": "TX-1004",
        "member_record": "MR-1001",
        "effective_date": "2025-06-01",
        "reason": "PAYMENT_RECEIVED",
    },
)
class ResumeBilling(TransactionMembers):
    """The amounts are those in force on the stop date as if the stop were disregarded."""

    reason: ShortText | None = None
    roll_on_mode: RollOnMode | None = None
    roll_on_decisions: Annotated[tuple[RollOnDecisionPart, ...], Field(max_length=100)] = ()


@command(
    privilege="policytxn.submit",
    room="04",
    summary="Cancel a member record",
    rules=("PRM-064",),
    refusals=("ALREADY_CANCELLED", *_COMMON),
    example={"transaction_id": "TX-1005", "member_record": "MR-1001", "effective_date": "2025-07-01"},
)
class ApplyCancellation(TransactionMembers):
    """The effective date is not charged; on the member's first day the cancellation is flat."""

    reason: ShortText | None = None


@command(
    privilege="policytxn.submit",
    room="04",
    summary="Rescind a cancellation",
    rules=("PRM-065",),
    refusals=("NO_CANCELLATION_IN_FORCE", "RESCIND_DATE_MISMATCH", *_COMMON),
    example={"transaction_id": "TX-1006", "member_record": "MR-1001", "effective_date": "2025-07-01"},
)
class RescindCancellation(TransactionMembers):
    """Voids the cancellation of the same date."""


@command(
    privilege="policytxn.submit",
    room="04",
    summary="Reinstate a cancelled member record",
    rules=("PRM-066",),
    refusals=("NO_CANCELLATION_IN_FORCE", "REINSTATEMENT_BEFORE_CANCELLATION", *_OF_AMOUNTS, *_COMMON),
    example={"transaction_id": "TX-1007", "member_record": "MR-1001", "effective_date": "2025-08-01"},
)
class ApplyReinstatement(TransactionMembers):
    """Without lapse on the cancellation date, with lapse later; amounts as stated or as before."""

    amounts: Annotated[tuple[AmountPart, ...], Field(max_length=100)] = ()
    roll_on_mode: RollOnMode | None = None
    roll_on_decisions: Annotated[tuple[RollOnDecisionPart, ...], Field(max_length=100)] = ()


@command(
    privilege="policytxn.submit",
    room="04",
    summary="Renew a member record",
    rules=("PRM-068", "PRM-101"),
    refusals=("RENEWAL_NOT_ALLOWED", "OOS_RENEWAL_NOT_SUPPORTED", *_OF_AMOUNTS, *_COMMON),
    example={
        "transaction_id": "TX-1008",
        "member_record": "MR-1001",
        "effective_date": "2026-01-01",
        "amounts": [{"coverage": "LIFE", "annual_amount": "1260.00"}],
    },
)
class ApplyRenewal(TransactionMembers):
    """States the annual amounts from its date; issued invoices are kept."""

    amounts: Annotated[tuple[AmountPart, ...], Field(max_length=100)] = ()


@command(
    privilege="waiver.manage",
    room="04",
    summary="Waive the premium of a member",
    rules=("PRM-090", "PRM-091", "PRM-092", "PRM-093", "PRM-094"),
    refusals=(
        "WAIVER_SOURCE_NOT_ALLOWED",
        "WAIVER_OTHER_SOURCE_ACTIVE",
        "WAIVER_DATE_MISALIGNED",
        "WAIVER_DATES_INVALID",
        "WAIVER_OVERLAP",
        *_COMMON,
    ),
    example={
        "transaction_id": "TX-1009",
        "member_record": "MR-1001",
        "source": "CLAIMS",
        "effective_date": "2025-03-11",
        "last_waived_day": "2025-04-20",
    },
)
class ApplyPremiumWaiver(TransactionMembers):
    """`end_date` is the first charged day (Policy), `last_waived_day` the last waived one (Claims); neither: open."""

    source: WaiverSource | None = None
    waiver_id: Identifier | None = None
    end_date: dt.date | None = None
    last_waived_day: dt.date | None = None
    expiration_date: dt.date | None = None
    coverages: Annotated[tuple[Identifier, ...], Field(max_length=50)] = ()
    classification: Literal["IN_SCOPE", "OUT_OF_SCOPE"] = "IN_SCOPE"
    apply_to_all_policies: bool | None = None


@command(
    privilege="waiver.manage",
    room="04",
    summary="End a premium waiver",
    rules=("PRM-091", "PRM-095"),
    refusals=("NO_ACTIVE_WAIVER", "WAIVER_SOURCE_NOT_ALLOWED", "WAIVER_DATES_INVALID", *_COMMON),
    example={
        "transaction_id": "TX-1010",
        "member_record": "MR-1001",
        "waiver_id": "TX-1009",
        "effective_date": "2025-04-21",
    },
)
class EndPremiumWaiver(TransactionMembers):
    """The effective date is the first charged day; equal to the waiver's start it voids it.

    `source` is who ends it, read from a stated `origin` when left out; with neither it is the source that granted it.
    """

    waiver_id: Identifier | None = None
    source: WaiverSource | None = None


@command(
    privilege="policytxn.rollon",
    room="04",
    summary="Decide on backed-off transactions",
    rules=("PRM-112", "PRM-113", "PRM-114", "PRM-117"),
    refusals=(
        "NOT_ROLL_ON_PENDING",
        "ROLL_ON_OUT_OF_ORDER",
        "ALREADY_DECIDED",
        "NOT_BACKED_OFF",
        *_OF_AMOUNTS,
        *_COMMON,
    ),
    example={"member_record": "MR-1001", "decisions": [{"transaction_id": "TX-1002", "action": "ROLL_ON"}]},
)
class InstructRollOn(Command):
    """Roll on with re-rated or the original amounts, or drop; in chronological order."""

    member_record: Identifier
    decisions: Annotated[tuple[RollOnDecisionPart, ...], Field(min_length=1, max_length=200)]


@command(
    privilege="member.move",
    room="03",
    summary="Move a member to individual direct billing",
    rules=("MEM-120", "MEM-121", "MEM-122", "MEM-124", "PRM-070"),
    refusals=(
        "ACCOUNT_SELECTION_MISSING",
        "MODALITY_MISSING",
        "MODALITY_NOT_ALLOWED",
        "TRANSITION_DATE_NOT_AFTER_PREVIOUS",
        "ALREADY_INDIVIDUAL_DIRECT",
        "BILLING_ACCOUNT_NOT_FOUND",
        "ACCOUNT_NOT_ELIGIBLE",
        *_OF_AMOUNTS,
        *_COMMON,
    ),
    example={
        "transaction_id": "TX-1011",
        "member_record": "MR-1001",
        "type": "PORTABILITY",
        "effective_date": "2025-09-16",
        "account": "ID000000018",
        "modality": "MONTHLY",
    },
)
class MoveMemberToIndividualDirect(TransactionMembers):
    """CONTINUATION or PORTABILITY; amounts carry over, or are those stated."""

    type: Literal["CONTINUATION", "PORTABILITY"] | None = None
    account: Identifier | None = None
    modality: Frequency | None = None
    amounts: Annotated[tuple[AmountPart, ...], Field(max_length=100)] = ()


@command(
    privilege="member.return",
    room="03",
    summary="Return a member from individual direct billing to its group",
    rules=("MEM-125", "MEM-126", "MEM-127"),
    refusals=(
        "NOT_ON_INDIVIDUAL_DIRECT",
        "RETURN_BEFORE_CONTINUATION",
        "GROUP_ACCOUNT_NOT_ACTIVE",
        "NO_GROUP_ACCOUNT_FOR_ATTRIBUTES",
        "SELF_BILL_ORIGIN",
        "MODALITY_UNRESOLVED",
        *_OF_AMOUNTS,
        *_COMMON,
    ),
    example={"transaction_id": "TX-1012", "member_record": "MR-1001", "effective_date": "2025-11-01"},
)
class ReturnMemberToGroup(TransactionMembers):
    """To the account left by the move, or that of the routing key on the date."""

    amounts: Annotated[tuple[AmountPart, ...], Field(max_length=100)] = ()


@command(
    privilege="integration.cem",
    room="03",
    summary="Take an employment change: location and division of a member from a date",
    rules=("MEM-098", "MEM-099", "MEM-100", "MEM-101", "MEM-102", "MEM-103", "MEM-104"),
    refusals=("EFFECTIVE_DATE_MISSING", *_COMMON),
    example={
        "transaction_id": "EV-1",
        "member_record": "MR-1001",
        "effective_date": "2025-04-16",
        "location": "C-101",
    },
)
class ApplyEmploymentChange(TransactionMembers):
    """An attribute left out keeps its value, an empty text clears it."""

    origin: Origin = Origin.CEM
    location: ShortText | None = None
    division: ShortText | None = None


# --- Facts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetupRouter:
    """The last issued revision's answer to where a member belongs (MEM-074 to MEM-076)."""

    setup: Setup | None

    def __call__(self, sought: RoutingKey, /) -> Routed:
        if self.setup is None or self.setup.issued_revision == 0:
            return Routed(None, ("BILLING_ACCOUNT_MISSING",))
        unit = sought.division if self.setup.unit_kind == "DIVISION" else sought.location
        attributes = RoutingAttributes(unit or None, sought.member_class, sought.payroll_frequency)
        return route(self.setup, attributes, employment_change=sought.employment_change)


def policy_facts(policy: MasterPolicy) -> PolicyFacts:
    return PolicyFacts(
        policy.number,
        policy.bill_type,
        policy.currency,
        policy.effective_date,
        policy.expiration_date,
        policy.terms,
    )


def facts_of(
    unit: UnitOfWork, policy: MasterPolicy, member_record: str, further_accounts: Iterable[str] = ()
) -> TransactionFacts:
    """Everything a decision on the record may need, with the accounts concerned locked in ascending order."""
    return facts_on(unit, policy, {*unit.load(MEMBER_RECORD, member_record).state.accounts, *further_accounts})


def facts_on(unit: UnitOfWork, policy: MasterPolicy, accounts_of_record: Iterable[str]) -> TransactionFacts:
    """As `facts_of`, for a record on these accounts."""
    setup = unit.load(SETUP, policy.setup_ref).state if policy.setup_ref else None
    numbers = set(accounts_of_record)
    if setup is not None:
        numbers |= {entry.account for entry in setup.entries if entry.counts and entry.account}
    unit.lock(*(f"account:{number}" for number in numbers))
    accounts = unit.load_many(ACCOUNT, sorted(numbers))
    return TransactionFacts(
        today=unit.today(),
        now=unit.now,
        policy=policy_facts(with_terms_in_force(unit, policy)),
        accounts=terms_of_accounts(unit, sorted(numbers)),
        route=SetupRouter(setup),
        inactive_accounts=frozenset(number for number, one in accounts.items() if not one.state.active),
        class_decides=setup is not None and setup.setup_type is SetupType.PER_LOCATION_AND_CLASS,
        waiver_override="waiver.override" in unit.principal.privileges,
    )


def premium_amounts(parts: Sequence[AmountPart], currency: str, pointer: str = "/amounts") -> tuple[PremiumAmount, ...]:
    """Amounts as stated, annual in minor units; refused with every inconsistency (MEM-020)."""
    problems: list[Problem] = []
    found = []
    for index, part in enumerate(parts):
        where = f"{pointer}/{index}"
        try:
            found.append(_premium_amount(part, currency, where, problems))
        except AmountFormatError as error:
            problems.append(Problem("REQUEST_INVALID", str(error), f"{where}/annual_amount"))
    if problems:
        raise Refusal(problems)
    return tuple(found)


def _premium_amount(part: AmountPart, currency: str, where: str, problems: list[Problem]) -> PremiumAmount:
    key = ItemKey(part.coverage, part.plan, part.coverage_class, part.tier, part.sub_group)
    annual = None if part.annual_amount is None else parse_amount(part.annual_amount, currency)
    monthly = None if part.monthly_amount is None else parse_amount(part.monthly_amount, currency)
    if annual is None and monthly is not None:
        annual = monthly * 12
    elif annual is not None and monthly is not None and monthly != half_up_ratio(annual, 12):
        problems.append(
            Problem(
                "PREMIUM_AMOUNTS_INCONSISTENT", "the monthly amount differs from annual / 12", f"{where}/monthly_amount"
            )
        )
    if part.removed and annual is not None:
        problems.append(Problem("REQUEST_INVALID", "a removed key has no amount", f"{where}/removed"))
    if not part.removed and annual is None:
        problems.append(
            Problem(
                "TRANSACTION_INCOMPLETE",
                "the amount is missing",
                f"{where}/annual_amount",
                params={"field": "annual_amount"},
            )
        )
    sequences = tuple(
        PremiumSequence(
            one.sequence_id,
            one.number,
            one.effective_date,
            tuple(
                SequenceHolder(
                    holder.party,
                    parse_amount(holder.annual_amount, currency),
                    holder.effective_date,
                    holder.expiration_date,
                )
                for holder in one.holders
            ),
            one.end_date,
            one.replaces_sequence_id,
        )
        for one in part.sequences
    )
    return PremiumAmount(key, annual, sequences)


def _decisions(
    parts: Sequence[RollOnDecisionPart], currency: str, where: str = "/roll_on_decisions"
) -> tuple[RollOnDecision, ...]:
    return tuple(
        RollOnDecision(
            part.transaction_id,
            part.action,
            premium_amounts(part.amounts, currency, f"{where}/{index}/amounts"),
            part.rolled_on_as,
        )
        for index, part in enumerate(parts)
    )


def load_member(unit: UnitOfWork, member_record: str | None) -> tuple[Loaded[MemberRecord], Loaded[MasterPolicy]]:
    """The record and its master policy, the record locked. Refused `MEMBER_RECORD_NOT_FOUND`."""
    if member_record is None:
        raise refuse(
            "TRANSACTION_INCOMPLETE", "member_record is missing", pointer="/member_record", field="member_record"
        )
    unit.lock(f"member:{member_record}")
    member = unit.load(MEMBER_RECORD, member_record)
    if not member.state.exists:
        raise refuse("MEMBER_RECORD_NOT_FOUND", "there is no such member record", pointer="/member_record")
    return member, load_policy(unit, member.state.master_policy)


def _first_sent(command: TransactionMembers, unit: UnitOfWork) -> dt.date | None:
    """The day on which a message without a date was first taken, so that it is the same message on another day."""
    if command.member_record is None or command.transaction_id is None:
        return None
    known = unit.load(MEMBER_RECORD, command.member_record).state.transaction(command.transaction_id)
    return None if known is None else known.transaction_date


def _request(command: TransactionMembers, kind: TransactionType, unit: UnitOfWork, **stated: Any) -> TransactionRequest:
    return TransactionRequest(
        transaction_id=command.transaction_id,
        type=kind.value,
        effective_date=command.effective_date,
        transaction_date=command.transaction_date or _first_sent(command, unit) or unit.today(),
        origin=command.origin,
        member_record=command.member_record,
        **stated,
    )


# --- Processing ------------------------------------------------------------------------------------------------------


def process(
    command: TransactionMembers,
    unit: UnitOfWork,
    request: TransactionRequest,
    policy: MasterPolicy,
    further_accounts: Iterable[str] = (),
) -> Outcome:
    """Decide a transaction and publish its consequences; configuration failures become dead letters (MEM-091)."""
    member_record = request.member_record or ""
    unit.lock(f"member:{member_record}")
    waiting = unit.port(PendingLetters).pending(member_record)
    facts = facts_of(unit, policy, member_record, further_accounts)
    if waiting:
        reason = Reason("WAITING", "an earlier message of the record waits", "decide the earlier dead letter first")
        return dead_letter(unit, command, member_record, (reason,), waiting=True)
    member = unit.load(MEMBER_RECORD, member_record)
    if AmendmentKind.RESUME_BILLING in request.kinds and not member.state.is_roll_on_pending:
        facts = replace(facts, reconciliation_open=_is_unreconciled(unit, member.state, policy, facts))
    try:
        events = decide(member.state, request, facts)
    except Refusal as refusal:
        if (
            all(problem.code in CONFIGURATION_FAILURES for problem in refusal.problems)
            and refusal.code != "ROLL_ON_PENDING"
        ):
            return dead_letter(unit, command, member_record, reasons_of(refusal.problems))
        raise
    after = apply_events(unit, member, events, facts)
    return Outcome(transaction_result(after.state, request.transaction_id, after.version))


def _is_unreconciled(unit: UnitOfWork, record: MemberRecord, policy: MasterPolicy, facts: TransactionFacts) -> bool:
    """Whether the stored premium of the record differs from what its transactions give (PRM-083, PRM-160)."""
    return bool(record.exists and validation_of(record, policy, facts, unit.today()).discrepancies)


def validation_of(record: MemberRecord, policy: MasterPolicy, facts: TransactionFacts, today: dt.date) -> Validation:
    """Whether what is stored of a record is what its transactions give (PRM-160)."""
    timeline = active_timeline(
        record,
        term_expiration=policy.expiration_date,
        multiple_sequences=policy.terms.multiple_premium_sequences,
    )
    versions = {one.transaction_id: one.version for one in record.transactions if one.version is not None}
    placed = [PlacedOn(one.account, one.start, one.end or OPEN_END) for one in record.placements]
    derived = rows_of(timeline, facts.accounts, versions)
    return validate(timeline, record.rows, derived, facts.accounts, placed, record.effective_date, today)


def apply_events(
    unit: UnitOfWork, member: Loaded[MemberRecord], events: Sequence[object], facts: TransactionFacts
) -> Loaded[MemberRecord]:
    """Append decided events, let parked messages follow when a lock ended, and publish ANYB (PRM-114, PRM-115)."""
    if not events:
        return member
    before = member.state
    happened = list(events)
    after = unit.append(MEMBER_RECORD, member.identifier, events)
    if before.is_roll_on_pending and not after.state.is_roll_on_pending:
        for parked in before.parked:
            followed = unpark(after.state, parked.request.transaction_id or "", facts)
            after = unit.append(MEMBER_RECORD, member.identifier, followed)
            happened += followed
        close_tasks(unit, overdue_roll_on(member.identifier), "the roll-on was decided")
    return publish(unit, after, facts, changed_since(before, happened), happened)


def publish(
    unit: UnitOfWork,
    member: Loaded[MemberRecord],
    facts: TransactionFacts,
    since: dt.date = dt.date.min,
    events: Sequence[object] = (),
) -> Loaded[MemberRecord]:
    """Compare what is invoiced with what should be, on every account of the facts, and say what changed (PRM-123)."""
    published = unpublished(unit, member.state, facts, since, events)
    return unit.append(MEMBER_RECORD, member.identifier, published) if published else member


def unpublished(
    unit: UnitOfWork,
    record: MemberRecord,
    facts: TransactionFacts,
    since: dt.date = dt.date.min,
    events: Sequence[object] = (),
) -> Sequence[object]:
    """What `publish` would say; nothing is written."""
    concerned = record.accounts
    invoiced: dict[str, list[InvoicedAmount]] = {}
    billed: dict[str, tuple[Period, ...]] = {}
    for number in concerned & facts.accounts.keys():
        invoiced[number] = invoiced_amounts(unit, number, [record.number], since).get(record.number, [])
        billed[number] = unit.load(ACCOUNT, number).state.billed_periods()
    return publish_anyb(record, facts, invoiced, billed, events, since=since)


def invoiced_amounts(
    unit: UnitOfWork, account: str, members: Sequence[str], since: dt.date = dt.date.min
) -> dict[str, list[InvoicedAmount]]:
    """What live invoices of the account carry for these members, by member."""
    found: dict[str, list[InvoicedAmount]] = {}
    for row in unit.port(ItemRegister).invoiced(account, members, since):
        key = ChargeKey(
            row.member,
            account,
            ItemKey(row.coverage, row.plan, row.coverage_class, row.tier, row.sub_group),
            row.sequence_root,
            Frequency(row.modality),
            row.modal_start,
        )
        found.setdefault(row.member, []).append(InvoicedAmount(key, row.charge, row.waiver, row.billing_start))
    return found


def transaction_result(record: MemberRecord, transaction_id: str | None, version: int) -> dict[str, object]:
    """What a policy system is told: the transaction's status and version, the record's lock, what is not billed yet."""
    transaction = next((one for one in record.transactions if one.transaction_id == transaction_id), None)
    return {
        "member_record": record.number,
        "transaction_id": transaction_id,
        "status": transaction.status.value if transaction else "PARKED",
        "premium_version": transaction.version if transaction else None,
        "roll_on_pending": record.is_roll_on_pending,
        "backed_off": [one.transaction_id for one in record.backed_off],
        "anyb": [
            {
                "account": one.account,
                "amount": {"amount": format_amount(one.total, record.currency), "currency": record.currency},
                "held": record.is_roll_on_pending,
            }
            for one in record.anyb
        ],
        "version": version,
    }


def dead_letter(
    unit: UnitOfWork,
    command: Command,
    key: str,
    reasons: tuple[Reason, ...],
    *,
    waiting: bool = False,
    kind: DeadLetterKind = DeadLetterKind.MEMBER_TRANSACTION,
    source: str | None = None,
) -> Outcome:
    """Keep a message for later; the sender learns the dead letter's number and the reasons.

    `source` is the client it came from, if that is not the one that asks now.
    """
    if isinstance(unit, ReprocessingUnit):
        raise StillFailingError(reasons)
    number = f"DL-{unit.next_number('dead_letter'):08d}"
    event = MemberTransactionDeadLettered(
        dead_letter=number,
        kind=kind,
        key=key,
        command=type(command).__name__,
        payload=json.dumps(command.model_dump(mode="json", exclude_unset=True), sort_keys=True),
        reasons=reasons,
        source=source or unit.principal.client,
        waiting=waiting,
        received_at=unit.now,
    )
    unit.append(DEAD_LETTER, number, [event])
    return Outcome(
        {
            "member_record": key,
            "status": "WAITING" if waiting else "DEAD_LETTERED",
            "dead_letter": number,
            "reasons": [{"code": one.code, "message": one.message, "hint": one.hint} for one in reasons],
        }
    )


# --- Handlers --------------------------------------------------------------------------------------------------------


def _require_class(policy: MasterPolicy, code: str | None, day: dt.date | None) -> None:
    """Refuse a class that the policy does not have on the day (MEM-022)."""
    if code and day and not policy.is_class_valid(code, day):
        raise refuse("CLASS_UNKNOWN", "the class is not valid on the effective date", pointer="/member_class")


@handles(ApplyNewBusiness)
def apply_new_business(command: ApplyNewBusiness, unit: UnitOfWork) -> Outcome:
    policy = load_policy(unit, command.master_policy)
    state = policy.state
    if command.member_record is not None:
        unit.lock(f"member:{command.member_record}")
        unit.expect_main(MEMBER_RECORD, unit.load(MEMBER_RECORD, command.member_record))
    _require_class(state, command.member_class, command.effective_date)
    request = _request(
        command,
        TransactionType.NEW_BUSINESS,
        unit,
        amounts=premium_amounts(command.amounts, state.currency),
        modality=command.modality,
        payroll_frequency=command.payroll_frequency,
        member_class=command.member_class,
        location=command.location,
        division=command.division,
        member=NewMember(
            command.customer or command.member_record or "", command.first_name, command.last_name, command.employee_id
        ),
    )
    outcome = process(command, unit, request, state)
    member = unit.load(MEMBER_RECORD, command.member_record or "")
    if member.state.exists and command.effective_date is not None:
        for placement in member.state.placements:
            account = unit.load(ACCOUNT, placement.account)
            events = earliest_effective_date_events(unit, account.state, command.effective_date)
            if events:
                unit.append(ACCOUNT, placement.account, events)
                tell_next_due_date(unit, placement.account)
    return outcome


_ALL_POLICIES = "premium.apply_to_all_policies"

#: What Policy and Enrolment may send before the New Business of the record has come through (MEM-085).
_BEFORE_NEW_BUSINESS = frozenset(
    {
        TransactionType.AMENDMENT,
        TransactionType.CANCELLATION,
        TransactionType.RESCIND_CANCELLATION,
        TransactionType.REINSTATEMENT,
        TransactionType.RENEWAL,
    }
)


def _kept_for_later(command: TransactionMembers, unit: UnitOfWork, kind: TransactionType) -> Outcome | None:
    """The dead letter of a message for a record that is not there yet; None when the record may be looked at.

    Behind an earlier message of the record it waits (MEM-093). Decision: an incomplete message and one that a person or
    another system sends are refused instead, since they name a record that somebody has seen.
    """
    number = command.member_record
    if number is None:
        return None
    unit.lock(f"member:{number}")
    if unit.load(MEMBER_RECORD, number).state.exists:
        return None
    if unit.port(PendingLetters).pending(number):
        reason = Reason("WAITING", "an earlier message of the record waits", "decide the earlier dead letter first")
        return dead_letter(unit, command, number, (reason,), waiting=True)
    complete = command.transaction_id is not None and command.effective_date is not None
    if not complete or kind not in _BEFORE_NEW_BUSINESS or command.origin not in (Origin.POLICY, Origin.ENROLLMENT):
        return None
    unknown = Problem("MEMBER_RECORD_UNKNOWN", "no New Business was processed for the member record", "/member_record")
    return dead_letter(unit, command, number, reasons_of((unknown,)))


def _refuse_nameless(
    command: TransactionMembers, unit: UnitOfWork, kind: str | None, amounts: Sequence[AmountPart] = (), **stated: Any
) -> None:
    """Refuse a message that names no record or no type with everything it lacks; its amounts are not read (PRM-003)."""
    if command.member_record is not None and kind is not None:
        return
    keys = [ItemKey(one.coverage, one.plan, one.coverage_class, one.tier, one.sub_group) for one in amounts]
    present = tuple(PremiumAmount(key, None if one.removed else 0) for key, one in zip(keys, amounts, strict=True))
    request = _request(command, TransactionType.NEW_BUSINESS, unit, amounts=present, **stated)
    refuse_if_any(form_problems(replace(request, type=kind)))


def _of_record(
    command: TransactionMembers,
    unit: UnitOfWork,
    kind: TransactionType,
    amounts: Sequence[AmountPart] = (),
    decisions: Sequence[RollOnDecisionPart] = (),
    further_accounts: Iterable[str] = (),
    *,
    main: bool = True,
    **stated: Any,
) -> Outcome:
    """Decide a transaction of a record; with `main` it is the one whose version may be expected (PLT-020)."""
    _refuse_nameless(command, unit, kind.value, amounts, **stated)
    kept = _kept_for_later(command, unit, kind)
    if kept is not None:
        return kept
    member, policy = load_member(unit, command.member_record)
    if main:
        unit.expect_main(MEMBER_RECORD, member)
    _require_class(policy.state, stated.get("member_class"), command.effective_date)
    request = _request(
        command,
        kind,
        unit,
        amounts=premium_amounts(amounts, member.state.currency),
        decisions=_decisions(decisions, member.state.currency),
        **stated,
    )
    return process(command, unit, request, policy.state, further_accounts)


@handles(ApplyAmendment)
def apply_amendment(command: ApplyAmendment, unit: UnitOfWork) -> Outcome:
    return _of_record(
        command,
        unit,
        TransactionType.AMENDMENT,
        command.amounts,
        command.roll_on_decisions,
        kinds=command.kinds,
        payroll_frequency=command.payroll_frequency,
        member_class=command.member_class,
        location=command.location,
        division=command.division,
        nonforfeiture=command.nonforfeiture,
        reason=command.reason,
        roll_on_mode=command.roll_on_mode,
    )


@handles(StopBilling)
def stop_billing(command: StopBilling, unit: UnitOfWork) -> Outcome:
    return _of_record(
        command,
        unit,
        TransactionType.AMENDMENT,
        kinds=(AmendmentKind.STOP_BILLING,),
        nonforfeiture=command.nonforfeiture,
    )


@handles(ResumeBilling)
def resume_billing(command: ResumeBilling, unit: UnitOfWork) -> Outcome:
    return _of_record(
        command,
        unit,
        TransactionType.AMENDMENT,
        (),
        command.roll_on_decisions,
        kinds=(AmendmentKind.RESUME_BILLING,),
        reason=command.reason,
        roll_on_mode=command.roll_on_mode,
    )


@handles(ApplyCancellation)
def apply_cancellation(command: ApplyCancellation, unit: UnitOfWork) -> Outcome:
    return _of_record(command, unit, TransactionType.CANCELLATION, reason=command.reason)


@handles(RescindCancellation)
def rescind_cancellation(command: RescindCancellation, unit: UnitOfWork) -> Outcome:
    return _of_record(command, unit, TransactionType.RESCIND_CANCELLATION)


@handles(ApplyReinstatement)
def apply_reinstatement(command: ApplyReinstatement, unit: UnitOfWork) -> Outcome:
    return _of_record(
        command,
        unit,
        TransactionType.REINSTATEMENT,
        command.amounts,
        command.roll_on_decisions,
        roll_on_mode=command.roll_on_mode,
    )


@handles(ApplyRenewal)
def apply_renewal(command: ApplyRenewal, unit: UnitOfWork) -> Outcome:
    return _of_record(command, unit, TransactionType.RENEWAL, command.amounts)


@handles(ApplyPremiumWaiver)
def apply_premium_waiver(command: ApplyPremiumWaiver, unit: UnitOfWork) -> Outcome:
    until = command.end_date
    if command.last_waived_day is not None:
        until = command.last_waived_day + dt.timedelta(days=1)
    if command.end_date not in (None, until):
        raise refuse("WAIVER_DATES_INVALID", "the last waived day is not the day before the end", pointer="/end_date")
    stated: dict[str, Any] = {
        "waiver_id": command.waiver_id,
        "waiver_source": command.source,
        "until": until,
        "expiration": command.expiration_date,
        "coverages": command.coverages,
        "out_of_scope": command.classification == "OUT_OF_SCOPE",
    }
    known = unit.load(MEMBER_RECORD, command.member_record or "").state.receipt(command.transaction_id or "")
    outcome = _of_record(command, unit, TransactionType.WAIVER_ADD, **stated)
    if "dead_letter" in outcome.result:
        return outcome  # all or none: the others follow when the message is processed again
    member, _ = load_member(unit, command.member_record)
    if known is None:
        close_tasks(unit, misaligned_waiver(member.identifier, command.transaction_id or ""), "the waiver was accepted")
    if command.classification == "OUT_OF_SCOPE":
        if known is None:
            _raise_out_of_scope(unit, member.state, command.transaction_id or "")
        return Outcome({**outcome.result, "status": "OUT_OF_SCOPE"})
    others: list[dict[str, object]] = []
    problems: list[Problem] = []
    if _reaches_all_policies(command, unit):
        for other in unit.port(Directory).members_of_customer(member.state.customer_number):
            if other == member.identifier or not _waivable(unit, other, command):
                continue
            further = command.model_copy(
                update={"member_record": other, "transaction_id": f"{command.transaction_id}/{other}"}
            )
            if command.waiver_id is not None:
                stated["waiver_id"] = f"{command.waiver_id}/{other}"
            try:
                others.append(dict(_of_record(further, unit, TransactionType.WAIVER_ADD, main=False, **stated).result))
            except Refusal as refusal:
                problems += [replace(one, entity=one.entity or other) for one in refusal.problems]
    refuse_if_any(problems)
    return Outcome({**outcome.result, "applied_to": others})


def _raise_out_of_scope(unit: UnitOfWork, record: MemberRecord, transaction_id: str) -> None:
    """A waiver request that is none of billing's ends with a task for a person (PRM-093)."""
    raise_task(
        unit,
        TaskType.WAIVER_OUT_OF_SCOPE,
        cause=f"waiver:{record.number}/{transaction_id}",
        subject=record.number,
        account=record.placements[-1].account,
        code="OUT_OF_SCOPE",
        reason="a waiver request was classified as out of scope",
        links={"transaction": transaction_id},
    )


def _reaches_all_policies(command: ApplyPremiumWaiver, unit: UnitOfWork) -> bool:
    """What the message says, else the parameter (PRM-094)."""
    if command.apply_to_all_policies is not None:
        return command.apply_to_all_policies
    return parameters_in_force(unit, (_ALL_POLICIES,), {}, unit.today())[_ALL_POLICIES] is True


def _waivable(unit: UnitOfWork, member_record: str, command: ApplyPremiumWaiver) -> bool:
    """Whether another record of the customer is in force and its master policy allows the source (PRM-094)."""
    member, policy = load_member(unit, member_record)
    day = command.effective_date
    in_force = day is not None and any(one.holds(day) for one in member.state.placements)
    return in_force and with_terms_in_force(unit, policy.state).terms.premium_waiver_source is command.source


@handles(EndPremiumWaiver)
def end_premium_waiver(command: EndPremiumWaiver, unit: UnitOfWork) -> Outcome:
    return _of_record(
        command,
        unit,
        TransactionType.WAIVER_REMOVE,
        waiver_id=command.waiver_id,
        waiver_source=command.source or _granted_by(command, unit),
    )


def _granted_by(command: EndPremiumWaiver, unit: UnitOfWork) -> WaiverSource | None:
    """Who granted the waiver, for a message that does not say who ends it.

    decision: PRM-091 lets the owning source end a waiver, and a message that names no other speaks for it.
    """
    if "origin" in command.model_fields_set or command.member_record is None:
        return None
    transactions = unit.load(MEMBER_RECORD, command.member_record).state.transactions
    granted = (one for one in transactions if one.type is TransactionType.WAIVER_ADD)
    return next((one.waiver_source for one in granted if one.waiver_id == command.waiver_id), None)


@handles(InstructRollOn)
def instruct_roll_on(command: InstructRollOn, unit: UnitOfWork) -> Outcome:
    member, policy = load_member(unit, command.member_record)
    unit.expect_main(MEMBER_RECORD, member)
    facts = facts_of(unit, policy.state, member.identifier)
    member = unit.load(MEMBER_RECORD, member.identifier)
    events = instruct(member.state, _decisions(command.decisions, member.state.currency, "/decisions"), facts)
    after = apply_events(unit, member, events, facts)
    named = [one.transaction_id for one in command.decisions]
    successors = [after.state.successor(one) for one in named]
    told = transaction_result(after.state, named[0], after.version)
    made = [one.version for one in successors if one is not None and one.version is not None]
    return Outcome(
        {
            **told,
            "premium_version": max(made, default=after.state.latest_version),
            "decisions": [_decided(after.state, one) for one in named],
        }
    )


def _decided(record: MemberRecord, transaction_id: str) -> dict[str, object]:
    """What became of a backed-off transaction: its status, and the transaction in its place with its version."""
    original, successor = record.transaction(transaction_id), record.successor(transaction_id)
    return {
        "transaction_id": transaction_id,
        "status": original.status.value if original else None,
        "rolled_on_as": successor.transaction_id if successor else None,
        "premium_version": successor.version if successor else None,
    }


@handles(MoveMemberToIndividualDirect)
def move_member(command: MoveMemberToIndividualDirect, unit: UnitOfWork) -> Outcome:
    _refuse_nameless(command, unit, command.type, command.amounts)
    assert command.type is not None
    account = None
    if command.account is not None:
        account = unit.port(Directory).resolve_account(command.account)
        if account is None:
            raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer="/account")
    if account is not None:
        unit.lock(f"account:{account}")
        receiving = unit.load(ACCOUNT, account)
        _make_individual_direct(unit, receiving, command)
    return _of_record(
        command,
        unit,
        TransactionType(command.type),
        command.amounts,
        (),
        (account,) if account else (),
        account=account,
        modality=command.modality,
    )


def _make_individual_direct(
    unit: UnitOfWork, receiving: Loaded[Account], command: MoveMemberToIndividualDirect
) -> None:
    """An empty receiving account becomes individual direct, invoiced from the transition date (MEM-118, MEM-073)."""
    account = receiving.state
    member, _ = load_member(unit, command.member_record)
    unit.expect_main(MEMBER_RECORD, member)
    reasons = [
        reason
        for reason, wrong in (
            ("STATUS", not account.active),
            ("OWNER", account.owner != member.state.customer_number),
            ("BILL_TYPE", account.bill_type not in (None, BillType.INDIVIDUAL_DIRECT)),
            ("CURRENCY", account.currency != member.state.currency),
            ("SEASONAL_NOT_ALLOWED", bool(account.seasonal_gaps)),
        )
        if wrong
    ]
    if reasons:
        raise refuse(
            "ACCOUNT_NOT_ELIGIBLE",
            "the receiving account is not one of the member for individual direct billing",
            pointer="/account",
            reasons=reasons,
        )
    events: list[object] = []
    if account.bill_type is None:
        events.append(
            BillTypeAssigned(number=account.number, bill_type=BillType.INDIVIDUAL_DIRECT, allocation_mode=None)
        )
    policy = member.state.master_policy
    if policy not in account.master_policies:
        effective = command.effective_date or unit.today()
        events.append(
            MasterPolicyAssociated(number=account.number, master_policy=policy, setup_ref="", effective_date=effective)
        )
    if command.effective_date is not None:
        events += earliest_effective_date_events(unit, account, command.effective_date, moved_member=True)
    if events:
        unit.append(ACCOUNT, account.number, events)
        tell_next_due_date(unit, account.number)


@handles(ReturnMemberToGroup)
def return_member(command: ReturnMemberToGroup, unit: UnitOfWork) -> Outcome:
    return _of_record(command, unit, TransactionType.MOVED_TO_LIST_BILL, command.amounts)


@handles(ApplyEmploymentChange)
def apply_employment_change(command: ApplyEmploymentChange, unit: UnitOfWork) -> Outcome:
    return _of_record(
        command,
        unit,
        TransactionType.EMPLOYMENT_CHANGE,
        location=command.location,
        division=command.division,
    )
