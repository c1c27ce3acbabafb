"""Takes partner files in: reads them whole, keeps their steps, and takes the steps one by one.

Receiving a file is one transaction: either all its steps are kept or the file is refused with every defect. The steps
are then taken in order by a background thread; a file whose process died is gone on with at its first step not done.
A step's command carries a key made of the file and its number, so that a step taken twice has one effect.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

from application.clock import Clock
from application.command import CommandAnswer, CommandRequest, Principal
from application.dispatch import CommandRefused
from application.files.bank import BankStatementFile
from application.files.content import FileContent
from application.files.defects import FileDefect, FileRefused
from application.files.enrolment import EnrolmentFile
from application.imports.enrolment import EnrolmentTerms, Pseudonym, enrolment_steps
from application.imports.money import advice_steps, bank_steps
from application.imports.steps import ADVICE, RECEIPT, Step, StepState
from application.patience import Executor, execute_patiently
from application.uploads import FileCase, FileKind, FileReceipt, FileState, Upload
from domain.errors import refuse
from domain.platform.privileges import Role

_logger: Final = logging.getLogger(__name__)

_MIB: Final = 1024 * 1024

ENROLMENT: Final = FileKind("ENROLMENT", "X12 834 benefit enrolment and maintenance", "policytxn.submit", 20 * _MIB)
REMITTANCE: Final = FileKind("REMITTANCE", "X12 820 payment advice", "receipts.import", 200 * _MIB)
BANK_STATEMENT: Final = FileKind("BANK_STATEMENT", "BAI2, camt.053 or camt.054", "receipts.import", 200 * _MIB)

KINDS: Final[Mapping[str, FileKind]] = MappingProxyType(
    {kind.name: kind for kind in (ENROLMENT, REMITTANCE, BANK_STATEMENT)}
)

#: Privileges that the steps' commands need; who sends the file needs that of its kind.
_PRIVILEGES: Final = frozenset({"policytxn.submit", "payment.apply"})
#: Cases of a file that a receipt names; all of them are counted and kept.
NAMED: Final = 1_000


@dataclass(frozen=True, slots=True)
class TakenFile:
    """A file as it is kept."""

    sha256: str
    kind: str
    format: str
    name: str
    size: int
    state: FileState
    received_at: dt.datetime
    received_by: str
    scope: tuple[str, ...] | None
    defects: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class NumberedStep:
    """A kept step."""

    sha256: str
    number: int
    step: Step
    result: Mapping[str, Any]


class ClaimedFile(Protocol):
    """A file whose steps this process alone takes."""

    @property
    def file(self) -> TakenFile: ...

    def open_steps(self, *, again: bool) -> Iterator[NumberedStep]:
        """Steps not done, in order, read a page at a time; with `again` those that failed too."""
        ...

    def settle(
        self,
        step: NumberedStep,
        state: StepState,
        *,
        code: str | None = None,
        result: Mapping[str, Any] | None = None,
        reopening: NumberedStep | None = None,
    ) -> None:
        """Keep what became of a step, of this file or of another one that this one's step was matched with.

        With `reopening` another step is to be taken again, in the same transaction."""
        ...


class ImportStore(Protocol):
    """Keeps files and their steps."""

    def find(self, sha256: str) -> TakenFile | None: ...

    def keep(self, file: TakenFile, steps: Iterable[Step]) -> bool:
        """Keep a file with its steps in one transaction; False when it was kept before. A bank line that another file
        brought is kept as a note (ARO-022)."""
        ...

    def report(self, sha256: str, named: int) -> Mapping[str, Any]:
        """Counts of a file's steps by state, and the first `named` ones a person should look at."""
        ...

    def cases(
        self, kinds: Collection[str], received_by: str, kind: str | None, after: tuple[str, int] | None, limit: int
    ) -> Sequence[FileCase]:
        """Steps a person should look at, by receipt of the file and place in it, of these kinds or from this sender; of
        one kind only, if it is named."""
        ...

    def unfinished(self) -> list[str]:
        """Files with steps to be taken."""
        ...

    def claim(self, sha256: str) -> AbstractContextManager[ClaimedFile | None]:
        """Take the file for this process; None when another one has it."""
        ...

    def matching(self, match_key: str, action: str, state: StepState) -> NumberedStep | None:
        """The first step of any file with this key."""
        ...

    def pseudonym(self) -> Pseudonym:
        """Derives stable numbers from identifiers."""
        ...


class References(Protocol):
    """Looks numbers of ours up."""

    def account(self, word: str) -> str | None: ...

    def account_of_invoice(self, word: str) -> str | None: ...


class Imports:
    """The port `FileImporter`."""

    def __init__(
        self,
        store: ImportStore,
        read: Callable[[str, bytes], FileContent],
        references: References,
        executor: Executor,
        clock: Clock,
        starter: Callable[[str], None],
        *,
        terms: EnrolmentTerms | None = None,
    ) -> None:
        self._store = store
        self._read = read
        self._references = references
        self._executor = executor
        self._clock = clock
        self._starter = starter
        self._terms = terms or EnrolmentTerms()
        #: Files that a caller takes in itself: they are not started in the background.
        self.held: set[str] = set()

    def kinds(self) -> Mapping[str, FileKind]:
        """The kinds of file that are taken in, by name."""
        return KINDS

    def accept(self, upload: Upload, principal: Principal, terms: EnrolmentTerms | None = None) -> FileReceipt:
        """Take a file in; its steps are taken in the background.

        Raises Refusal: FILE_TYPE_NOT_ALLOWED when the content is of another kind, FILE_REJECTED, FILE_FORMAT_UNKNOWN,
        FILE_CONTROL_TOTAL_MISMATCH, FILE_TOO_LARGE with every defect.
        """
        known = self._store.find(upload.sha256)
        if known is not None and known.state is FileState.AVAILABLE:
            self._start(upload.sha256)
            return self._receipt(known, repeated=True)
        file = TakenFile(
            upload.sha256,
            upload.kind,
            "",
            upload.name,
            upload.size,
            FileState.AVAILABLE,
            self._clock.now(),
            principal.identifier,
            principal.scope,
        )
        try:
            content = self._read(upload.name, upload.content.read())
        except FileRefused as refused:
            defects = tuple(_defect(defect) for defect in refused.defects)
            self._store.keep(replace(file, state=FileState.REJECTED, defects=defects), ())
            raise
        if kind_of(content).name != upload.kind:
            raise refuse("FILE_TYPE_NOT_ALLOWED", f"the content is of kind {kind_of(content).name}", pointer="/kind")
        file = replace(file, format=content.identity.format.value)
        fresh = self._store.keep(file, self.steps(content, terms))
        self._start(upload.sha256)
        return self._receipt(file, repeated=not fresh)

    def steps(self, content: FileContent, terms: EnrolmentTerms | None = None) -> Iterator[Step]:
        """What taking the content in would do."""
        if isinstance(content, EnrolmentFile):
            return enrolment_steps(content, terms or self._terms, self._store.pseudonym())
        if isinstance(content, BankStatementFile):
            return bank_steps(content)
        return advice_steps(content)

    def receipt(self, sha256: str, principal: Principal) -> FileReceipt | None:
        """The receipt of a file by its hash; None when there is none, or not for this caller."""
        file = self._store.find(sha256)
        if file is None:
            return None
        kind = KINDS.get(file.kind)
        if principal.identifier != file.received_by and kind is not None and kind.privilege not in principal.privileges:
            return None
        return self._receipt(file, repeated=False)

    def cases(
        self, principal: Principal, kind: str | None, after: tuple[str, int] | None, limit: int
    ) -> Sequence[FileCase]:
        """What a person should look at, oldest files first; see the port. Whoever has a scope sees what they sent."""
        visible = {
            one.name for one in KINDS.values() if one.privilege in principal.privileges and principal.scope is None
        }
        return self._store.cases(visible, principal.identifier, kind, after, limit)

    def resume(self) -> None:
        """Take up files that were left with steps not taken."""
        for sha256 in self._store.unfinished():
            self._starter(sha256)

    def _start(self, sha256: str) -> None:
        if sha256 not in self.held:
            self._starter(sha256)

    def work(
        self,
        sha256: str,
        *,
        stopping: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda number: None,
        again: bool = False,
    ) -> None:
        """Take the file's open steps; does nothing while another process does. `progress` gets each step's number."""
        with self._store.claim(sha256) as claimed:
            if claimed is None:
                return
            work = _Work(claimed, self._store, self._references, self._executor, self._starter)
            for step in claimed.open_steps(again=again):
                if stopping():
                    return
                work.take(step)
                progress(step.number)

    def _receipt(self, file: TakenFile, *, repeated: bool) -> FileReceipt:
        report: dict[str, Any] = {"format": file.format, **self._store.report(file.sha256, NAMED)}
        if file.defects:
            report["defects"] = list(file.defects)
        return FileReceipt(file.sha256, file.kind, file.size, file.state, file.received_at, repeated, report)


def kind_of(content: FileContent) -> FileKind:
    """The kind of a content."""
    if isinstance(content, EnrolmentFile):
        return ENROLMENT
    return BANK_STATEMENT if isinstance(content, BankStatementFile) else REMITTANCE


def _defect(defect: FileDefect) -> dict[str, Any]:
    return {
        "code": defect.code.value,
        "message": defect.message,
        "line": defect.line,
        "segment": defect.segment_number,
        "element": defect.element or defect.segment_id,
    }


@dataclass(frozen=True, slots=True)
class _Work:
    """Taking the steps of one file."""

    claimed: ClaimedFile
    store: ImportStore
    references: References
    executor: Executor
    starter: Callable[[str], None]

    def take(self, step: NumberedStep) -> None:
        try:
            if step.step.action == RECEIPT:
                self._receipt(step)
            elif step.step.action == ADVICE:
                self._advice(step)
            else:
                told = _result(self._execute(step, step.step.action, step.step.payload))
                kept = "dead_letter" in told  # a message kept for later waits for a person there (MEM-091)
                code = told["reasons"][0]["code"] if kept else None
                self.claimed.settle(step, StepState.QUEUED if kept else StepState.DONE, code=code, result=told)
        except CommandRefused as refused:
            self.claimed.settle(step, StepState.REFUSED, code=refused.code, result=_problems(refused))
        except Exception:
            _logger.exception("file %s: step %s failed", step.sha256, step.number)
            self.claimed.settle(step, StepState.FAILED, code="INTERNAL_ERROR")

    # Money

    def _receipt(self, step: NumberedStep) -> None:
        payload = step.step.payload
        advice = self._matching(step, ADVICE, StepState.WAITING)
        targets = list(advice.step.payload["targets"]) if advice else []
        words = [*(target["invoice"] for target in targets), *(advice.step.payload["words"] if advice else ())]
        accounts = self._accounts([*words, *payload["words"]])
        if len(accounts) != 1:
            code = "ACCOUNT_AMBIGUOUS" if accounts else "ACCOUNT_NOT_IDENTIFIED"
            self.claimed.settle(step, StepState.QUEUED, code=code, result={"accounts": accounts})
            return
        payment = {
            "account": accounts[0],
            "amount": payload["amount"],
            "currency": payload["currency"],
            "effective_date": payload["value_date"],
            "method": "CASH",
            "channel": "EXTERNAL",
            "reference": payload["reference"],
        }
        # Money is registered whatever its advice says; the advice is applied to it afterwards, as a step of its file.
        allocation = {"allocation": "TARGETS", "remainder": "KEEP_UNAPPLIED"} if advice else {"allocation": "RULES"}
        received = _result(self._execute(step, "ApplyPayment", {**payment, **allocation}))
        self.claimed.settle(step, StepState.DONE, result=received, reopening=advice)
        if advice is None:
            # One may have come while the payment was being made.
            advice = self._matching(step, ADVICE, StepState.WAITING)
            if advice is not None:
                self.claimed.settle(advice, StepState.PENDING)
        if advice is not None:
            self.starter(advice.sha256)

    def _advice(self, step: NumberedStep) -> None:
        receipt = self._matching(step, RECEIPT, StepState.DONE)
        if receipt is None:
            self.claimed.settle(step, StepState.WAITING, code="MONEY_NOT_RECEIVED")
            # Money that comes at this moment finds the advice waiting, or is found here.
            receipt = self._matching(step, RECEIPT, StepState.DONE)
        if receipt is not None:
            self._apply_advice(step, receipt.result)

    def _apply_advice(self, advice: NumberedStep, received: Mapping[str, Any]) -> None:
        payload = advice.step.payload
        record = received["records"][0]["record"]
        others = int(payload["other_lines"])
        if not payload["targets"]:
            self.claimed.settle(advice, StepState.QUEUED, code="NO_INVOICE_NAMED", result={"record": record})
            return
        request = {"record": record, "targets": payload["targets"], "remainder": "KEEP_UNAPPLIED"}
        answer = self._execute(advice, "AllocatePayment", request)
        result = {**_result(answer), "other_lines": others}
        state = StepState.QUEUED if others else StepState.DONE
        self.claimed.settle(advice, state, code="LINES_WITHOUT_INVOICE" if others else None, result=result)

    def _matching(self, step: NumberedStep, action: str, state: StepState) -> NumberedStep | None:
        key = step.step.match_key
        return None if key is None else self.store.matching(key, action, state)

    def _accounts(self, words: Sequence[str]) -> list[str]:
        """The accounts that the words name: invoices first, since they say more; then account numbers."""
        for look_up in (self.references.account_of_invoice, self.references.account):
            found = [account for word in dict.fromkeys(words) if (account := look_up(word)) is not None]
            if found:
                return list(dict.fromkeys(found))
        return []

    # Commands

    def _execute(self, step: NumberedStep, command: str, payload: Mapping[str, Any]) -> CommandAnswer:
        file = self.claimed.file
        return execute_patiently(
            self.executor,
            CommandRequest(
                command,
                payload,
                Principal("JOB", "files", "files", _PRIVILEGES, scope=file.scope, roles=frozenset({Role.SYSTEM.value})),
                "FILE",
                idempotency_key=f"file:{step.sha256[:40]}:{step.number}:{command}",
                on_behalf_of=file.received_by,
            ),
        )


def _result(answer: CommandAnswer) -> dict[str, Any]:
    return {**answer.result, "command_id": answer.command_id, "position": answer.position}


def _problems(refused: CommandRefused) -> dict[str, Any]:
    """Codes and places of a refusal; messages may quote what was sent."""
    return {"problems": [{"code": problem.code, "pointer": problem.pointer} for problem in refused.problems]}
