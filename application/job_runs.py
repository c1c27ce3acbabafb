"""How a job runs: item after item, each a command of its own, with its progress kept so that any process can go on.

A job is a command and a selection: its items are accounts or member records, in order of their numbers, read a page at
a time. The command of an item carries a key made of run, item and step, so that an item taken twice (the process died
behind its commit and before its progress was saved) is done once. Progress is saved at least every second and behind
every failure; a run left by a dead process goes on behind its last saved item. A failing item stops nothing but itself,
and a command of the job's own may record what it means; the same technical failure many times in a row pauses the run.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Protocol
from uuid import UUID

from application.clock import Clock, UuidSource
from application.command import Command, CommandAnswer, CommandRequest, CommandType, Principal
from application.dispatch import CommandRefused, Guard
from application.jobs import ControlAction, JobRun, JobType, RunRequest, RunState
from application.patience import Executor, execute_patiently
from application.unit_of_work import UnitOfWork
from domain.errors import refuse
from domain.platform.parameters import PARAMETERS
from domain.platform.privileges import SYSTEM_PRIVILEGE, Role

_logger: Final = logging.getLogger(__name__)

#: Accounts read at a time.
PAGE: Final = 1_000
#: Seconds after which progress is saved at the latest; the rulebook allows ten (PLT-055).
SAVE_EVERY: Final = 1.0
#: How many failures a run names; all of them are counted.
FAILURES_NAMED: Final = 100
#: Commands of one item at most: periods caught up in one run.
STEPS: Final = 1_200

#: How often a job that insists tries an item, and the seconds before it does so again.
ATTEMPTS: Final = 3
PAUSE: Final = 0.5

#: How far ahead of today a run date may lie.
FURTHEST: Final = dt.timedelta(days=366)

_ABORT_AFTER = PARAMETERS["job.abort_after_same_failures"].default

ENDED: Final = frozenset({RunState.COMPLETED, RunState.COMPLETED_WITH_EXCEPTIONS, RunState.CANCELLED, RunState.FAILED})


class Work(StrEnum):
    """What a job goes through, each in ascending order."""

    ACTIVE_ACCOUNTS = "ACTIVE_ACCOUNTS"
    #: Accounts whose next invoice could not be generated and is tried again (CAL-079).
    FAILED_GENERATIONS = "FAILED_GENERATIONS"
    #: Member records with an undecided roll-on, of certain accounts if the run names some (PRM-117).
    LOCKED_RECORDS = "LOCKED_RECORDS"


class Starts(StrEnum):
    """When the schedule starts a job."""

    BY_HAND = "BY_HAND"
    #: At a time of day in the platform's time zone.
    DAILY = "DAILY"
    #: At the execution time of each billing calendar, in the time zone of each account on it.
    AT_CALENDAR_TIMES = "AT_CALENDAR_TIMES"
    #: When a retry of a failed generation is due.
    AT_RETRIES = "AT_RETRIES"


@dataclass(frozen=True, slots=True)
class Beside:
    """A second command of each item, given in the same run and repeated like the first.

    Neither stands in the way of the other: it is given whatever became of the first, and when it is refused the item
    has failed, but what the first did stands and nothing is recorded of it by `on_failure`.
    """

    command: str
    payload: Callable[[StoredRun, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """A job: the command of its items, the refusals that only mean "not in this run", and when it is scheduled.

    `payload` makes the command's payload of run and item. `starts_at` is the time of day of a DAILY job in the
    platform's time zone (PLT-052), unless parameter `start_parameter` says another. `repeats`: the command of an item
    is given again until its result names what it `skipped`. `privilege` is the one the command needs. `on_failure` is
    the command that records a failed item: it gets the payload with the failure's `code` and `detail`.

    `by_hand`: operators may start it; otherwise its runs follow commands. `insists`: no item may be left out. One that
    fails is tried again at once, and a failure that cannot be recorded either ends the work on the run, which is taken
    up again from there.
    """

    type: JobType
    command: str
    payload: Callable[[StoredRun, str], Mapping[str, Any]]
    privilege: str = SYSTEM_PRIVILEGE
    skips: frozenset[str] = frozenset()
    starts: Starts = Starts.BY_HAND
    starts_at: dt.time | None = None
    start_parameter: str | None = None
    repeats: bool = False
    work: Work = Work.ACTIVE_ACCOUNTS
    on_failure: str | None = None
    by_hand: bool = True
    insists: bool = False
    beside: Beside | None = None


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run with its selection, as it is kept.

    `groups` are (calendar, time zone) of the accounts it takes, the calendar empty for those without one; None: all.
    `fence` is the number under which this process works on it; 0: no process has taken it up (PLT-053).
    """

    progress: JobRun
    accounts: tuple[str, ...]
    excluded: frozenset[str]
    groups: tuple[tuple[str, str], ...] | None = None
    fence: int = 0

    @property
    def named(self) -> bool:
        """Whether a user asked for each of its accounts by name."""
        return bool(self.accounts)


def _with_dates(run: StoredRun, account: str) -> Mapping[str, Any]:
    """The account, and what its day of the run follows from (PLT-051)."""
    started, run_date = run.progress.started_at, run.progress.run_date
    return {
        "account": account,
        "run_started": int(started.timestamp()) if started else None,
        "run_date": run_date.isoformat() if run_date else None,
        "named": run.named,
    }


def _installments(run: StoredRun, account: str) -> Mapping[str, Any]:
    """The same day for the account's installments, which are billed in the same run (CAL-136)."""
    return {name: value for name, value in _with_dates(run, account).items() if name != "named"}


#: An account closed since the run was begun is not to be billed by it.
_NOT_IN_THIS_RUN: Final = frozenset(
    {"ACCOUNT_NOT_ACTIVE", "HOLD_ACTIVE", "PROCESS_CONFLICT", "CAPABILITY_NOT_AVAILABLE", "NO_INVOICE_REQUIRED"}
)

INVOICE_GENERATION: Final = JobDefinition(
    JobType("InvoiceGeneration", "Generate the invoices that are due, account by account"),
    command="GenerateScheduledInvoice",
    payload=_with_dates,
    skips=_NOT_IN_THIS_RUN,
    starts=Starts.AT_CALENDAR_TIMES,
    repeats=True,
    on_failure="RecordGenerationFailure",
    beside=Beside("BillScheduledInstallments", _installments),
)

INVOICE_GENERATION_RETRY: Final = JobDefinition(
    JobType("InvoiceGenerationRetry", "Generate again the invoices that could not be generated, account by account"),
    command="GenerateScheduledInvoice",
    payload=_with_dates,
    skips=_NOT_IN_THIS_RUN,
    starts=Starts.AT_RETRIES,
    repeats=True,
    work=Work.FAILED_GENERATIONS,
    on_failure="RecordGenerationFailure",
)

#: An account without members has nothing to work out, which the command refuses as a request for nothing.
ANYB_RECALCULATION: Final = JobDefinition(
    JobType("AnybRecalculation", "Work out anew what is not billed yet, account by account", "anyb.recalculate"),
    command="RecalculateAnyb",
    payload=lambda run, account: {"accounts": [account]},
    privilege="anyb.recalculate",
    skips=frozenset({"REQUEST_INVALID"}),
    starts=Starts.DAILY,
    starts_at=dt.time(2, 0),
    start_parameter="premium.anyb_job_time",
)

WAIVER_EXPIRATION: Final = JobDefinition(
    JobType("WaiverExpiration", "Record the end of waivers whose last day has passed, account by account"),
    command="ExpirePremiumWaivers",
    payload=lambda run, account: {"account": account},
    privilege="waiver.manage",
    skips=frozenset({"REQUEST_INVALID"}),
    starts=Starts.DAILY,
    starts_at=dt.time(0, 30),
    start_parameter="premium.waiver_expiration_job_time",
    on_failure="RecordWaiverExpirationFailure",
)

PAYROLL_HORIZON: Final = JobDefinition(
    JobType("PayrollHorizon", "Work out deduction dates up to the horizon of the day, account by account"),
    command="ExtendPayrollCalendars",
    payload=lambda run, account: {"account": account},
    starts=Starts.DAILY,
    starts_at=dt.time(1, 0),
)

ROLL_ON_AGEING: Final = JobDefinition(
    JobType("RollOnAgeing", "Remind of roll-ons that have been undecided for too long, record by record"),
    command="RemindRollOn",
    payload=lambda run, record: {"member_record": record},
    starts=Starts.DAILY,
    starts_at=dt.time(1, 0),
    work=Work.LOCKED_RECORDS,
)

JOBS: Final[Mapping[str, JobDefinition]] = MappingProxyType(
    {
        definition.type.name: definition
        for definition in (
            INVOICE_GENERATION,
            INVOICE_GENERATION_RETRY,
            ANYB_RECALCULATION,
            WAIVER_EXPIRATION,
            PAYROLL_HORIZON,
            ROLL_ON_AGEING,
        )
    }
)


class RunTakenOverError(Exception):
    """Another process has taken the run up; what this one wanted to commit is refused (PLT-053)."""


class ClaimedRun(Protocol):
    """A run that this process alone works on; the claim ends with the process, whatever ends it."""

    @property
    def stored(self) -> StoredRun: ...

    def save(self, progress: JobRun) -> ControlAction | None:
        """Keep the progress; what an operator has asked for meanwhile. Raises RunTakenOverError."""
        ...


class RunFences(Protocol):
    """Which process a run belongs to, as the transaction of an item's command sees it."""

    def holds(self, run_id: UUID, fence: int) -> bool:
        """Whether the run is still worked on under this number, and will be until the transaction has ended."""
        ...


class RunStore(Protocol):
    """Keeps runs."""

    def create(self, run: StoredRun, *, started_by: str, scheduled_for: dt.datetime | None = None) -> bool:
        """Keep a new run; False when a run of the job is active, or was started for this scheduled time."""
        ...

    def find(self, run_id: UUID) -> JobRun | None: ...

    def recent(self, job: str | None, state: RunState | None, before: UUID | None, limit: int) -> list[JobRun]:
        """Runs, the latest first, of a job and in a state if they are named, begun before a run if one is given."""
        ...

    def control(self, run_id: UUID, action: ControlAction, now: dt.datetime) -> bool:
        """Note what an operator asks for; at once where no process works on the run. False when its state does not
        allow it."""
        ...

    def unfinished(self) -> list[UUID]:
        """Runs to be worked on, oldest first: scheduled ones, and those whose process may have died."""
        ...

    def reopen(self, run_id: UUID) -> bool:
        """Have a run that has ended be worked on again from where it stands; False when it has not ended."""
        ...

    def claim(self, run_id: UUID) -> AbstractContextManager[ClaimedRun | None]:
        """Take the run for this process; None when another one has it, or there is nothing left to do."""
        ...


class Accounts(Protocol):
    """The accounts jobs go through, and what else they do."""

    def items(self, work: Work, run: StoredRun, after: str, limit: int) -> list[str]:
        """What a run goes through behind `after`, in ascending order, accounts of the run's exclusion left out."""
        ...

    def latest_retry(self, now: dt.datetime) -> dt.datetime | None:
        """The latest instant, not after `now`, at which a failed generation is to be tried again (CAL-079)."""
        ...

    def calendar_times(self) -> Mapping[tuple[str, str], dt.time]:
        """The time of day at which accounts are billed, by (calendar, time zone) of all active accounts (CAL-001)."""
        ...

    def resolve(self, number: str) -> str | None:
        """The account of a number or legacy number."""
        ...


Starter = Callable[[UUID], None]


class Items(Protocol):
    """What a job goes through that has something of its own to go through."""

    def behind(self, run: StoredRun, after: str) -> Iterator[str]:
        """The items behind one of them, in order; those behind the empty text are all."""
        ...

    def count(self, run: StoredRun) -> int:
        """About how many items there are."""
        ...


class ItemFailed(Exception):
    """The command of an item was accepted, and what it tells is that the item failed: the code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class JobRuns:
    """The port `JobRunner`: starts runs, tells of them, and works on them.

    `starter` gets a run's id when it is to be worked on: in a thread of this process, or by a message to a worker.
    """

    def __init__(
        self,
        store: RunStore,
        accounts: Accounts,
        executor: Executor,
        clock: Clock,
        ids: UuidSource,
        starter: Starter,
        *,
        definitions: Mapping[str, JobDefinition] = JOBS,
        items: Mapping[str, Items] | None = None,
        abort_after: int | None = None,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._executor = executor
        self._clock = clock
        self._ids = ids
        self._starter = starter
        self.definitions = definitions
        self._items = dict(items or {})
        self._abort_after = abort_after or int(str(_ABORT_AFTER))

    # Starting, telling

    def jobs(self) -> Mapping[str, JobType]:
        """The jobs that may be run by hand, by name."""
        return {name: definition.type for name, definition in self.definitions.items() if definition.by_hand}

    def start(self, request: RunRequest, principal: Principal) -> JobRun:
        """Start a run (PLT-051). Raises Refusal: REQUEST_INVALID, RUN_ALREADY_ACTIVE, BILLING_ACCOUNT_NOT_FOUND."""
        if request.run_date is not None and request.run_date - self._clock.now().date() > FURTHEST:
            # decision: a mistyped year must not bill accounts far ahead.
            raise refuse("REQUEST_INVALID", f"a run date at most {FURTHEST.days} days ahead", pointer="/run_date")
        excluded = frozenset(self._resolved(request.excluded_accounts))
        included = tuple(sorted(set(self._resolved(request.accounts)) - excluded))
        run = self._new(request.job, request.run_date, "MANUAL")
        if request.accounts and not included:
            # Everything named is excluded: a run of nothing, not of everything.
            run = replace(run, state=RunState.COMPLETED, ended_at=self._clock.now())
        if not self._store.create(StoredRun(run, included, excluded), started_by=principal.identifier):
            self.resume()
            raise refuse("RUN_ALREADY_ACTIVE", f"a run of {request.job} is active")
        if run.state is RunState.SCHEDULED:
            self._starter(run.run_id)
        return run

    def start_scheduled(
        self, job: str, at: dt.datetime, groups: tuple[tuple[str, str], ...] | None = None
    ) -> JobRun | None:
        """Start the run of a scheduled time; None when it was started before, or another run is active."""
        run = self._new(job, None, "SCHEDULE")
        stored = StoredRun(run, (), frozenset(), groups)
        if not self._store.create(stored, started_by="scheduler", scheduled_for=at):
            return None
        self._starter(run.run_id)
        return run

    def follow(self, job: str, run_id: UUID, started_by: str, *, at_once: bool = False) -> None:
        """Have a run of this id, the command's that it follows, however often it is asked for.

        One that has ended is gone on with: what it follows is not done, whoever ended it. With `at_once` it is worked
        on by this call, unless another process does so already.
        """
        run = replace(self._new(job, None, "COMMAND"), run_id=run_id)
        created = self._store.create(StoredRun(run, (), frozenset()), started_by=started_by)
        if not created:
            created = self._store.reopen(run_id)
        if at_once:
            self.work(run_id)
        elif created:
            self._starter(run_id)

    def run(self, run_id: UUID) -> JobRun | None:
        """A run with its progress; None when there is none of this id."""
        return self._store.find(run_id)

    def control(self, run_id: UUID, action: ControlAction) -> JobRun | None:
        """Pause a run, go on with it, or cancel it (PLT-051); None when there is none of this id.

        A run that is worked on stops behind its present item. Raises Refusal: STATE_INVALID.
        """
        if self._store.find(run_id) is None:
            return None
        if not self._store.control(run_id, action, self._clock.now()):
            state = self._store.find(run_id)
            raise refuse("STATE_INVALID", "the run's state does not allow it", state=state.state.value if state else "")
        if action is ControlAction.RESUME:
            self._starter(run_id)
        return self._store.find(run_id)

    def recent(self, job: str | None, state: RunState | None, before: UUID | None, limit: int) -> list[JobRun]:
        """Runs, the latest first."""
        return self._store.recent(job, state, before, limit)

    def resume(self) -> None:
        """Take up what was left: runs not begun, and runs whose process died (PLT-055)."""
        for run_id in self._store.unfinished():
            self._starter(run_id)

    def _new(self, job: str, run_date: dt.date | None, trigger: str) -> JobRun:
        return JobRun(self._ids.new(), job, RunState.SCHEDULED, run_date, trigger, started_at=self._clock.now())

    def _resolved(self, numbers: Sequence[str]) -> list[str]:
        found = []
        for index, number in enumerate(numbers):
            account = self._accounts.resolve(number)
            if account is None:
                raise refuse(
                    "BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer=f"/accounts/{index}", entity=number
                )
            found.append(account)
        return found

    # Working

    def work(self, run_id: UUID, *, stopping: Callable[[], bool] = lambda: False) -> None:
        """Work on a run until it ends, it is paused, or this process is `stopping`. Does nothing if another one does.

        Idempotent: a message about a run may arrive any number of times.
        """
        with self._store.claim(run_id) as claimed:
            if claimed is None:
                return
            try:
                _Work(self, claimed).through(stopping)
            except RunTakenOverError:
                _logger.warning("run %s was taken up by another process", run_id)

    def definition(self, job: str) -> JobDefinition | None:
        return self.definitions.get(job)

    def selection(self, run: StoredRun, after: str) -> Iterator[str]:
        """What the run goes through behind `after`, a page at a time."""
        definition = self.definitions[run.progress.job]
        if run.accounts and definition.work is not Work.LOCKED_RECORDS:
            yield from (account for account in run.accounts if account > after)
            return
        own = self._items.get(run.progress.job)
        if own is not None:
            yield from own.behind(run, after)
            return
        while page := self._accounts.items(definition.work, run, after, PAGE):
            yield from page
            after = page[-1]

    def selected(self, run: StoredRun) -> int:
        """How many items a run that begins has."""
        own = self._items.get(run.progress.job)
        return sum(1 for _ in self.selection(run, "")) if own is None else own.count(run)

    def latest_retry(self, now: dt.datetime) -> dt.datetime | None:
        """The instant since which a retry of a failed generation waits for a run (CAL-079)."""
        return self._accounts.latest_retry(now)

    def calendar_times(self) -> Mapping[tuple[str, str], dt.time]:
        """The time of day at which accounts are billed, by (calendar, time zone) (CAL-001)."""
        return self._accounts.calendar_times()

    def record_failure(self, definition: JobDefinition, run: StoredRun, account: str, code: str, detail: str) -> None:
        """Let the job's own command record that an item failed, in a transaction of its own (INV-043).

        What cannot be recorded is logged; the next run finds the item as it was. A job that insists goes no further.
        """
        if definition.on_failure is None:
            return
        request = CommandRequest(
            definition.on_failure,
            {**definition.payload(run, account), "code": code, "detail": detail[:500]},
            _principal(definition, run),
            "JOB",
            idempotency_key=key_of(run.progress.run_id, account, "failed"),
        )
        try:
            execute_patiently(self._executor, request)
        except RunTakenOverError:
            raise
        except Exception:
            if definition.insists:
                raise
            _logger.exception("job %s: the failure of %s could not be recorded", run.progress.job, account)

    def execute(self, definition: JobDefinition, stored: StoredRun, account: str) -> tuple[int, str | None]:
        """Do one item: how many commands had effect, and why it was skipped, if it was.

        Raises CommandRefused, ItemFailed.
        """
        effective, skipped = 0, None
        failure: Exception | None = None
        try:
            effective, skipped = self._repeated(definition, definition.command, definition.payload, stored, account)
        except Exception as error:
            if definition.beside is None or isinstance(error, RunTakenOverError):
                raise
            failure = error
        if definition.beside is not None:
            try:
                command, payload = definition.beside.command, definition.beside.payload
                effective += self._repeated(definition, command, payload, stored, account)[0]
            except CommandRefused as refused:
                failure = failure or ItemFailed(refused.code)
            except RunTakenOverError:
                raise
            except Exception:
                _logger.exception("job %s: %s of %s failed", stored.progress.job, command, account)
                failure = failure or ItemFailed("INTERNAL_ERROR")
        if failure is not None:
            raise failure
        return effective, skipped

    def _repeated(
        self,
        definition: JobDefinition,
        command: str,
        payload_of: Callable[[StoredRun, str], Mapping[str, Any]],
        stored: StoredRun,
        account: str,
    ) -> tuple[int, str | None]:
        """Give one command of an item, again and again where the job repeats it."""
        principal = _principal(definition, stored)
        payload = payload_of(stored, account)
        first = command == definition.command
        effective = 0
        for step in range(STEPS if definition.repeats else 1):
            key = key_of(stored.progress.run_id, account, str(step) if first else f"{command}-{step}")
            request = CommandRequest(command, payload, principal, "JOB", idempotency_key=key)
            try:
                answer = self._answer(definition, request)
            except CommandRefused as refused:
                if refused.code in definition.skips:
                    return effective, refused.code
                raise
            if "skipped" in answer.result:
                return effective, str(answer.result["skipped"])
            if "failed" in answer.result:
                raise ItemFailed(str(answer.result["failed"]))
            effective += 1
        return effective, None

    def answer_of(self, run_id: UUID, item: str) -> CommandAnswer:
        """What the command of an item was answered that a run has done; it is sent again, under the same key."""
        run = self._store.find(run_id)
        if run is None:
            raise LookupError(f"no run {run_id}")
        definition = self.definitions[run.job]
        payload = definition.payload(StoredRun(run, (), frozenset()), item)
        key = key_of(run_id, item, "0")
        return self._answer(
            definition,
            CommandRequest(definition.command, payload, _principal(definition), "JOB", idempotency_key=key),
        )

    def _answer(self, definition: JobDefinition, request: CommandRequest) -> CommandAnswer:
        """The answer of an item's command; a job that insists asks again for one that failed."""
        for attempts_left in range(ATTEMPTS - 1 if definition.insists else 0, -1, -1):
            try:
                return execute_patiently(self._executor, request)
            except Exception as error:
                if not attempts_left or isinstance(error, RunTakenOverError):
                    raise
                time.sleep(PAUSE)
        raise AssertionError("unreachable")

    def now(self) -> dt.datetime:
        return self._clock.now()

    @property
    def abort_after(self) -> int:
        return self._abort_after


_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")


def key_of(run_id: UUID, item: str, step: str) -> str:
    """The idempotency key of an item's command; an item that does not fit into one is named by its digest."""
    named = item if _PLAIN_KEY.fullmatch(item) else hashlib.blake2b(item.encode(), digest_size=16).hexdigest()
    return f"job:{run_id}:{named}:{step}"


def _principal(definition: JobDefinition, run: StoredRun | None = None) -> Principal:
    """Who issues a job's commands (PLT-029); the session names the run and the number it is worked on under."""
    name = f"job:{definition.type.name}"
    session = f"{run.progress.run_id}:{run.fence}" if run is not None and run.fence else None
    privileges, roles = frozenset({definition.privilege, SYSTEM_PRIVILEGE}), frozenset({Role.SYSTEM.value})
    return Principal("JOB", name, "jobs", privileges, roles=roles, session=session)


class FenceGuard(Guard):
    """Refuses what a process still wants to commit of a run that another one has taken up (PLT-053)."""

    def accept(self, kind: CommandType, command: Command, unit: UnitOfWork) -> None:
        principal = unit.principal
        if principal.kind != "JOB" or principal.session is None:
            return
        run_id, _, fence = principal.session.partition(":")
        if not unit.port(RunFences).holds(UUID(run_id), int(fence)):
            raise RunTakenOverError(f"run {run_id} is not worked on under number {fence} any more")


@dataclass(slots=True)
class _Work:
    """This process's work on a run it has claimed."""

    runs: JobRuns
    claimed: ClaimedRun
    skipped: dict[str, int] = field(default_factory=dict)
    saved_at: float = 0.0
    same: tuple[str, int] = ("", 0)
    asked: ControlAction | None = None

    def through(self, stopping: Callable[[], bool]) -> None:
        stored = self.claimed.stored
        run = stored.progress
        definition = self.runs.definition(run.job)
        if definition is None:
            self.claimed.save(replace(run, state=RunState.FAILED, ended_at=self.runs.now()))
            return
        self.skipped = dict(run.skipped)
        self.asked = None if run.requested is None else ControlAction(run.requested)
        if run.state is RunState.SCHEDULED:
            run = replace(run, state=RunState.RUNNING, selected=self.runs.selected(stored))
            self._save(run)
        for account in self.runs.selection(stored, run.last_item or ""):
            if self.asked is not None:
                break
            if stopping():
                self._save(run)
                return
            run = self._item(definition, replace(stored, progress=run), account)
            if run.state is RunState.PAUSED:
                self._save(run)
                return
        if self.asked is ControlAction.PAUSE:
            self._save(replace(run, state=RunState.PAUSED))
            return
        state = RunState.COMPLETED_WITH_EXCEPTIONS if run.failed else RunState.COMPLETED
        if self.asked is ControlAction.CANCEL:
            state = RunState.CANCELLED
        self._save(replace(run, state=state, ended_at=self.runs.now()))

    def _item(self, definition: JobDefinition, stored: StoredRun, account: str) -> JobRun:
        run = stored.progress
        try:
            effective, skipped = self.runs.execute(definition, stored, account)
        except ItemFailed as failed:
            self.same = ("", 0)
            return self._failed(run, account, failed.code)
        except CommandRefused as refused:
            self.same = ("", 0)
            self.runs.record_failure(definition, stored, account, refused.code, refused.problems[0].message)
            return self._failed(run, account, refused.code)
        except RunTakenOverError:
            raise
        except Exception as error:
            # Of a technical failure the kind is told; the text may hold data (PLT-016).
            cause = type(error).__name__
            _logger.exception("job %s, run %s: item %s failed", run.job, run.run_id, account)
            self.same = (cause, self.same[1] + 1 if self.same[0] == cause else 1)
            self.runs.record_failure(definition, stored, account, "INTERNAL_ERROR", f"a technical failure: {cause}")
            run = self._failed(run, account, "INTERNAL_ERROR")
            paused = self.same[1] >= self.runs.abort_after and not definition.insists
            return replace(run, state=RunState.PAUSED) if paused else run
        self.same = ("", 0)
        if effective:
            run = replace(run, done=run.done + 1, last_item=account)
        else:
            reason = skipped or "NOTHING_DONE"
            self.skipped[reason] = self.skipped.get(reason, 0) + 1
            run = replace(run, last_item=account)
        if time.monotonic() - self.saved_at >= SAVE_EVERY:
            self._save(run)
        return run

    def _failed(self, run: JobRun, account: str, code: str) -> JobRun:
        failures = (*run.failures, (account, code))[:FAILURES_NAMED]
        run = replace(run, failed=run.failed + 1, last_item=account, failures=failures)
        self._save(run)
        return run

    def _save(self, run: JobRun) -> None:
        self.asked = self.claimed.save(replace(run, skipped=dict(self.skipped)))
        self.saved_at = time.monotonic()
