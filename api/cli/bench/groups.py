"""Groups to measure on: one account, and any number of members with the same coverages.

The first member is enrolled by the command; the others are copies of its events under numbers of their own, appended in
bulk through units of work, so that log, hash chains and read models are exactly as if each had been enrolled.
"""

from __future__ import annotations

import datetime as dt
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from api.settings import Settings
from api.wiring import System, open_system
from application.clock import MovableClock
from application.command import CommandAnswer, CommandRequest, Principal
from application.dispatch import AuditRecord, CommandContext, fingerprint_of
from domain.members.record import MEMBER_RECORD
from domain.platform.privileges import PRIVILEGES
from infrastructure.event_store.codec import canonical, typed_decoder

#: Members appended in one unit of work.
PORTION: Final = 1_000
START: Final = dt.date(2024, 12, 20)

_EVERYTHING: Final = Principal("MACHINE", "bench", "bench", frozenset(PRIVILEGES))
_numbers = itertools.count(1)


@contextmanager
def durable_system() -> Iterator[System]:
    """A sandbox on an embedded database on disk, with every setting of durability on, that goes when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="rollon-bench-"))
    base = Settings(sandbox=True, data_directory=folder)
    try:
        with open_system(replace(base, rates=replace(base.rates, enabled=False))) as system:
            assert isinstance(system.clock, MovableClock)
            system.clock.set_now(dt.datetime.combine(START, dt.time(12), dt.UTC))
            yield system
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def send(system: System, command: str, /, **payload: Any) -> CommandAnswer:
    """Execute a command."""
    return system.dispatcher.execute(
        CommandRequest(command, payload, _EVERYTHING, "API", idempotency_key=f"bench-{uuid4()}")
    )


@dataclass(frozen=True, slots=True)
class Group:
    """An account that bills a policy with members."""

    account: str
    policy: str
    members: tuple[str, ...]


def group(system: System, members: int, coverages: int) -> Group:
    """A group with so many members, each with so many coverages, billed monthly from 2025-01-01."""
    number = next(_numbers)
    account, policy = _account(system, number)
    first = f"M{number:03}-0000000"
    send(
        system,
        "ApplyNewBusiness",
        transaction_id=f"NB-{first}",
        member_record=first,
        master_policy=policy,
        customer=f"P-{first}",
        first_name="Ada",
        last_name="Miller",
        effective_date="2025-01-01",
        amounts=[{"coverage": f"COVER{index}", "annual_amount": "1200.00"} for index in range(coverages)],
    )
    others = [f"M{number:03}-{index:07}" for index in range(1, members)]
    _copy(system, first, others)
    return Group(account, policy, (first, *others))


def new_account(system: System) -> str:
    """An account of a sponsor of its own, without members."""
    return _account(system, next(_numbers))[0]


def events_of(system: System, member: str) -> list[Any]:
    """The domain events of a member record, in order."""
    return [recorded.event for recorded in system.log.streams([MEMBER_RECORD.stream(member)])]


def copier(events: Sequence[Any], original: str) -> Callable[[str], list[Any]]:
    """Makes the events of other member records from those of one."""
    kinds = {type(event): typed_decoder(type(event)) for event in events}
    texts = [(kinds[type(event)], canonical(event)) for event in events]

    def copy(record: str) -> list[Any]:
        return [decode(text.replace(original.encode(), record.encode())) for decode, text in texts]

    return copy


def unit_context(system: System) -> CommandContext:
    """A command's context for a unit of work that is filled by hand."""
    request = CommandRequest("Bulk", {}, _EVERYTHING, "JOB", idempotency_key=f"bench-{uuid4()}")
    return CommandContext(request, system.ids.new(), system.ids.new(), fingerprint_of(request), system.clock.now())


def finish(unit: Any, context: CommandContext) -> None:
    """Commit a unit of work that was filled by hand."""
    request = context.request
    audit = AuditRecord(
        command_id=context.command_id,
        command=request.name,
        principal=request.principal,
        channel=request.channel,
        idempotency_key=request.idempotency_key,
        fingerprint=context.fingerprint,
        accepted=True,
        replayed=False,
        dry_run=False,
        layer=None,
        codes=(),
        positions={},
        correlation_id=context.correlation_id,
        recorded_at=context.now,
        duration=0,
    )
    unit.complete(CommandAnswer(str(context.command_id), {}, (), None), audit, commit=True)


def _copy(system: System, first: str, others: Sequence[str]) -> None:
    copy = copier(events_of(system, first), first)
    for start in range(0, len(others), PORTION):
        context = unit_context(system)
        with system.units.begin(context) as unit:
            for other in others[start : start + PORTION]:
                unit.append(MEMBER_RECORD, other, copy(other))
            finish(unit, context)


def _account(system: System, number: int) -> tuple[str, str]:
    sponsor, policy = f"C-{number}", f"MP-{number}"
    if _is_empty(system):
        send(
            system,
            "CreateBillingCalendar",
            name="US",
            weekend_days=[6, 7],
            holidays=[],
            working_weekends=[],
            execution_time="06:00",
        )
        send(system, "SetDefaultBillingCalendar", name="US")
        send(system, "DefineGenerationRule", calendar="US", number_of_days_ahead=15)
    send(
        system,
        "CreateBillingCustomer",
        reference=sponsor,
        kind="ORGANIZATION",
        role="GROUP_SPONSOR",
        legal_name="Northwind Mills",
        legal_identification=f"98-{number}",
        email="benefits@northwind.example",
        address={"line1": "1 Mill Lane", "city": "Austin", "state": "TX", "postal_code": "78701", "country": "US"},
    )
    send(
        system,
        "CreateMasterPolicyProduct",
        master_policy=policy,
        sponsor=sponsor,
        product="GROUP-LIFE",
        line_of_business="LIFE",
        bill_type="LIST_BILL",
        currency="USD",
        effective_date="2025-01-01",
    )
    account = send(
        system,
        "CreateBillingAccount",
        owner=sponsor,
        currency="USD",
        schedule={"frequency": "MONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [1]},
        in_single_bill_setup=True,
        activate=True,
    ).result["account"]
    setup = send(
        system,
        "StartBillingSetup",
        master_policy=policy,
        bill_type="LIST_BILL",
        allocation_mode="TRUE_GROUP",
        setup_type="SINGLE_BILL",
        account=account,
    ).result["setup_ref"]
    send(system, "SaveBillingSetup", setup_ref=setup, entries=[{"account": account}])
    send(system, "IssueBillingSetup", setup_ref=setup)
    return str(account), policy


def _is_empty(system: System) -> bool:
    """Whether nothing was written yet: the calendar is to be made."""
    return not system.log.head().position
