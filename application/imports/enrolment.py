"""From an enrolment file to policy transactions: new business, amendments, cancellations, reinstatements.

    INS 021 addition       -> ApplyNewBusiness on the earliest day of its coverages, ApplyAmendment for later ones
    INS 001 change         -> ApplyAmendment a date: coverages added or changed with their premium, ended ones removed
    INS 024 cancellation   -> ApplyCancellation on the day behind the last covered day
    INS 025 reinstatement  -> ApplyReinstatement
    INS 030 audit, a file that verifies or replaces a full list, a dependant with a premium of its own -> for a person

The premium of a coverage is the amount the file gives (P3), else that of the rate table the import was given; a
coverage without either is never guessed: the whole instruction goes to a person. The record's number is the sender's
own for the member; where that looks like a social security number, a number derived from it with a secret takes its
place, so that events never carry it. Transaction ids name the file and the place in it: the same file gives the same
ids.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from application.files.enrolment import (
    CoverageInstruction,
    EnrolmentFile,
    EnrolmentInstruction,
    EnrolmentTransaction,
    FileAction,
    Maintenance,
    TransactionPurpose,
)
from application.imports.steps import Step, noted, queued
from domain.money import format_amount

_DAY: Final = dt.timedelta(days=1)
_SOCIAL_SECURITY: Final = re.compile(r"\d{3}-?\d{2}-?\d{4}", re.ASCII)
_ENDING: Final = (Maintenance.DELETION, Maintenance.CANCELLATION)

_NEW_BUSINESS: Final = "ApplyNewBusiness"
_AMENDMENT: Final = "ApplyAmendment"
_CANCELLATION: Final = "ApplyCancellation"
_REINSTATEMENT: Final = "ApplyReinstatement"


@dataclass(frozen=True, slots=True)
class EnrolmentTerms:
    """What partners agreed beyond the file.

    `policies` maps the sender's group numbers to master policies (a number not named is the master policy's own);
    `annual` gives annual premiums as decimal text by `LINE:PLAN`, by plan, or by insurance line. `premium_period` says
    what an amount of the file is for. `take_test` takes interchanges marked as tests, for a sandbox.
    """

    policies: Mapping[str, str] = field(default_factory=dict)
    annual: Mapping[str, str] = field(default_factory=dict)
    premium_period: Literal["MONTH", "YEAR"] = "MONTH"
    currency: str = "USD"
    take_test: bool = False


Pseudonym = Callable[[str], str]


def enrolment_steps(file: EnrolmentFile, terms: EnrolmentTerms, pseudonym: Pseudonym) -> Iterator[Step]:
    """The steps of a file, in its order. `pseudonym` derives a stable number from an identifier."""
    for transaction in file.transactions:
        for instruction in transaction.instructions:
            yield from _Instruction(file, transaction, instruction, terms, pseudonym).steps()


class _UndecidedError(Exception):
    """The instruction is for a person; the code says why."""

    def __init__(self, code: str, **known: Any) -> None:
        super().__init__(code)
        self.code = code
        self.known = known


@dataclass(frozen=True, slots=True)
class _Instruction:
    """One person's instruction with what surrounds it."""

    file: EnrolmentFile
    transaction: EnrolmentTransaction
    instruction: EnrolmentInstruction
    terms: EnrolmentTerms
    pseudonym: Pseudonym

    def steps(self) -> Iterator[Step]:
        place, action = self.instruction.place, f"INS {self.instruction.maintenance.value}"
        without_effect = self._without_effect()
        if without_effect is not None:
            yield noted(action, place, without_effect)
            return
        try:
            # Decided as a whole before the first step is given: half an instruction is worse than none.
            yield from list(self._decided())
        except _UndecidedError as undecided:
            yield queued(action, place, undecided.code, **undecided.known)

    def _without_effect(self) -> str | None:
        if self.transaction.envelope.test and not self.terms.take_test:
            return "TEST_INTERCHANGE"
        if self.transaction.purpose is TransactionPurpose.INFORMATION_COPY:
            return "INFORMATION_COPY"
        if not self.instruction.subscriber and all(one.premium is None for one in self.instruction.coverages):
            return "COVERED_WITH_SUBSCRIBER"
        return None

    def _decided(self) -> Iterator[Step]:
        if self.transaction.action is not FileAction.CHANGE or self.instruction.maintenance is Maintenance.AUDIT:
            raise _UndecidedError("FULL_LIST_NOT_APPLIED")
        if not self.instruction.subscriber:
            raise _UndecidedError("DEPENDANT_WITH_PREMIUM")
        if self.instruction.maintenance is Maintenance.CHANGE and not self.instruction.coverages:
            yield noted("INS 001", self.instruction.place, "NO_COVERAGE_CHANGED")
            return
        for policy, coverages in self._by_policy().items():
            yield from self._of_policy(policy, coverages)

    def _of_policy(self, policy: str, coverages: Sequence[CoverageInstruction]) -> Iterator[Step]:
        match self.instruction.maintenance:
            case Maintenance.ADDITION:
                if not coverages:
                    raise _UndecidedError("COVERAGE_MISSING")
                first, *later = sorted(self._by_date(coverages).items())
                yield self._step(_NEW_BUSINESS, policy, first[0], self._holder(policy), amounts=self._amounts(first[1]))
                for day, some in later:
                    yield self._step(_AMENDMENT, policy, day, amounts=self._amounts(some))
            case Maintenance.CHANGE:
                for day, some in sorted(self._by_date(coverages).items()):
                    yield self._step(_AMENDMENT, policy, day, amounts=self._amounts(some))
            case Maintenance.CANCELLATION:
                members = {"reason": self.instruction.reason} if self.instruction.reason else {}
                yield self._step(_CANCELLATION, policy, self._ends(coverages), members)
            case Maintenance.REINSTATEMENT:
                days = [self._begins(one) for one in coverages]
                priced = [one for one in coverages if self._annual(one) is not None]
                day = min(days) if days else self._stated()
                yield self._step(_REINSTATEMENT, policy, day, amounts=self._amounts(priced))
            case other:
                raise _UndecidedError("MAINTENANCE_NOT_APPLICABLE", maintenance=other.value)

    def _step(
        self,
        command: str,
        policy: str,
        day: dt.date,
        members: Mapping[str, Any] | None = None,
        *,
        amounts: Sequence[Mapping[str, Any]] = (),
    ) -> Step:
        place = self.instruction.place
        payload: dict[str, Any] = {
            "transaction_id": f"F{self.file.identity.sha256[:16]}-{place.number}-{policy}-{day:%Y%m%d}"[:100],
            "member_record": self._record(policy),
            "effective_date": day.isoformat(),
            **(members or {}),
        }
        if amounts:
            payload["amounts"] = list(amounts)
        return Step(command, place, payload=payload)

    # Who

    def _by_policy(self) -> dict[str, list[CoverageInstruction]]:
        """Coverages by master policy; an instruction without coverages is of the member's own policy."""
        general = self.instruction.policy_number or self.transaction.master_policy_number
        found: dict[str, list[CoverageInstruction]] = {}
        for coverage in self.instruction.coverages:
            found.setdefault(self._policy(coverage.policy_number or general), []).append(coverage)
        return found or {self._policy(general): []}

    def _policy(self, number: str | None) -> str:
        if not number:
            raise _UndecidedError("MASTER_POLICY_NOT_NAMED")
        return self.terms.policies.get(number, number)

    def _record(self, policy: str) -> str:
        number = self.instruction.reference("23") or self.instruction.subscriber_number.value
        if _SOCIAL_SECURITY.fullmatch(number):
            number = self.pseudonym(number)
        return f"{policy}-{number}"[:100]

    def _holder(self, policy: str) -> dict[str, Any]:
        name = self.instruction.person.name
        members = {
            "master_policy": policy,
            "customer": f"P-{self._record(policy)}"[:100],
            "first_name": name.first[:100],
            "last_name": name.last[:100],
        }
        return {member: value for member, value in members.items() if value}

    # When

    def _by_date(self, coverages: Sequence[CoverageInstruction]) -> dict[dt.date, list[CoverageInstruction]]:
        found: dict[dt.date, list[CoverageInstruction]] = {}
        for coverage in coverages:
            day = self._ends([coverage]) if coverage.maintenance in _ENDING else self._begins(coverage)
            found.setdefault(day, []).append(coverage)
        return found

    def _begins(self, coverage: CoverageInstruction) -> dt.date:
        if self.instruction.maintenance is Maintenance.CHANGE and coverage.maintenance_effective is not None:
            return coverage.maintenance_effective
        return coverage.benefit_begin or coverage.maintenance_effective or self._stated()

    def _stated(self) -> dt.date:
        """A date of the member or of the whole transaction, where the coverage has none."""
        day = self.instruction.date("303") or self.instruction.eligibility_begin or self.transaction.effective_date
        if day is None:
            raise _UndecidedError("DATE_MISSING")
        return day

    def _ends(self, coverages: Sequence[CoverageInstruction]) -> dt.date:
        """The first day that is not covered: the file names the last covered one."""
        stated = [one.benefit_end for one in coverages if one.benefit_end is not None]
        last = max(stated) if stated else self.instruction.eligibility_end
        if last is None:
            raise _UndecidedError("DATE_MISSING")
        return last + _DAY

    # How much

    def _amounts(self, coverages: Sequence[CoverageInstruction]) -> list[dict[str, Any]]:
        return [self._amount(coverage) for coverage in coverages]

    def _amount(self, coverage: CoverageInstruction) -> dict[str, Any]:
        key = {"coverage": coverage.insurance_line, "plan": coverage.plan[:100], "tier": coverage.level}
        if coverage.maintenance in _ENDING:
            return {**key, "removed": True}
        amount = self._annual(coverage)
        if amount is None:
            raise _UndecidedError("PREMIUM_MISSING", coverage=coverage.insurance_line, plan=coverage.plan)
        return {**key, **amount}

    def _annual(self, coverage: CoverageInstruction) -> dict[str, str] | None:
        if coverage.premium is not None:
            period = "monthly_amount" if self.terms.premium_period == "MONTH" else "annual_amount"
            return {period: format_amount(coverage.premium, self.terms.currency)}
        line, plan = coverage.insurance_line, coverage.plan
        for name in (f"{line}:{plan}", plan, line):
            if name and name in self.terms.annual:
                return {"annual_amount": self.terms.annual[name]}
        return None
