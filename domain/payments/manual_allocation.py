"""Allocation to targets that somebody named: a user, a draft, a preset, a credit (PAY-063 to PAY-067, PAY-076).

Targets are served in the order given, each on the dues that those before it left. An invoice or a member's part of it
never takes more than its directed due; a member takes any amount, keeping what is over as its overpayment; a master
policy is walked over its items. Gap, mismatch and partial permissions bind rules, not people.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from domain.errors import Problem, Refusal
from domain.payments.allocation import Dues, OpenAccount, WriteOffs
from domain.payments.classification import AccountKind, Bucket, Explanation
from domain.payments.distribution import Distribution
from domain.payments.payment import MemberAmounts
from domain.payments.receiving import NamedInvoice, invoice_reference_problems
from domain.payments.targets import Remainder, Target, TargetKind

_OFFERED: dict[AccountKind, frozenset[TargetKind]] = {
    AccountKind.LIST_BILL_TRUE_GROUP: frozenset((TargetKind.INVOICE,)),
    AccountKind.LIST_BILL_INDIVIDUAL: frozenset((TargetKind.INVOICE, TargetKind.INVOICE_MEMBER, TargetKind.MEMBER)),
    AccountKind.SELF_BILL: frozenset((TargetKind.INVOICE, TargetKind.MASTER_POLICY)),
    AccountKind.FLEXIBILL: frozenset((TargetKind.INVOICE,)),
    AccountKind.INDIVIDUAL_DIRECT: frozenset((TargetKind.INVOICE,)),
}


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What targets are tested against: the account, its kind, its open debt, the invoices and members named.

    `invoices` knows every invoice that a target names, of whatever account; `members` the account's member records, or
    None when no target names one.
    """

    account: str
    kind: AccountKind
    open_account: OpenAccount
    invoices: Mapping[str, NamedInvoice] = field(default_factory=dict)
    members: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Items that targets concern: all of some invoices, and those of some member records on any invoice."""

    invoices: tuple[str, ...]
    members: tuple[str, ...]


def scope_of_targets(targets: Sequence[Target], remainder: Remainder | None, member: str | None = None) -> Scope | None:
    """The items on which targets can be served as if all of the account were known; None: it takes all of it.

    `member`: whose money it is, if it serves one member only (PAY-063). Refusals may tell more than these items show.
    Nor do the items of a scope serve an account with active write-offs: one speaks of all of its invoice (PAY-068).
    """
    if any(target.kind is TargetKind.MASTER_POLICY for target in targets):
        return None
    if remainder is Remainder.DISTRIBUTE and member is None:
        return None
    invoices = {target.invoice for target in targets if target.kind is TargetKind.INVOICE and target.invoice}
    members = {target.member_record for target in targets if target.member_record}
    if member is not None:
        members.add(member)
    return Scope(tuple(sorted(invoices)), tuple(sorted(members)))


def distribute_to_targets(
    amount: int,
    targets: Sequence[Target],
    remainder: Remainder | None,
    facts: TargetFacts,
    *,
    source: Bucket = Bucket.UNAPPLIED,
    member: str | None = None,
    with_unapplied: bool = False,
    member_targets: bool = False,
) -> Distribution:
    """Serve the targets out of `amount`; raises one Refusal with every problem, in the order of PAY-067.

    `source`, `member`: the bucket the money is in; a member's unapplied money serves that member only (PAY-063).
    `with_unapplied`: UNAPPLIED is a target too (PAY-100). `member_targets`: MEMBER is one also where users have none,
    for a cash deduction or a credit on an individual direct account (PAY-121, WRO-098).
    """
    work = _Work(facts, source, member, with_unapplied, member_targets)
    problems: list[Problem] = []
    total = sum(target.amount for target in targets)
    if total > amount:
        problems.append(
            Problem(
                "OVER_ALLOCATED",
                "the targets add up to more than there is to allocate",
                pointer="/targets",
                params={"excess": total - amount, "amount": amount},
            )
        )
    for index, target in enumerate(targets):
        problems.extend(work.serve(target, f"/targets/{index}"))
    left = amount - total
    if left > 0 and remainder is None:
        something_due = any(work.dues.left[row] for row in work.scope())
        choices = [Remainder.DISTRIBUTE, Remainder.KEEP_UNAPPLIED] if something_due else [Remainder.KEEP_UNAPPLIED]
        problems.append(
            Problem(
                "REMAINDER_CHOICE_REQUIRED",
                "say what becomes of the money that no target takes",
                pointer="/remainder",
                params={"amount": left, "choices": [str(choice) for choice in choices]},
            )
        )
    if problems:
        raise Refusal(problems)
    return work.finish(left, remainder)


def execute_preset(
    amount: int,
    targets: Sequence[Target],
    remainder: Remainder,
    facts: TargetFacts,
    *,
    member_targets: bool = False,
) -> Distribution:
    """Serve targets that were fixed earlier: each takes what it may take now, the rest stays unapplied (PAY-076).

    Nothing is refused; what a target can no longer take is TARGET_CHANGED (PAY-033).
    """
    work = _Work(facts, Bucket.UNAPPLIED, None, True, member_targets)
    left, lost = amount, 0
    for target in targets:
        asked = min(target.amount, left)
        served = min(asked, work.capacity(target))
        if served:
            work.place(Target(target.kind, served, target.invoice, target.member_record, target.master_policy))
        lost += asked - served
        left -= asked
    done = work.finish(left, remainder)
    if not lost:
        return done
    return Distribution(
        lines=done.lines,
        overpayments=done.overpayments,
        rest=done.rest + lost,
        explanation=Explanation.TARGET_CHANGED,
        master_policies=done.master_policies,
        reversed_write_offs=done.reversed_write_offs,
    )


def target_warnings(
    amount: int, targets: Sequence[Target], facts: TargetFacts, *, member_targets: bool = False
) -> tuple[str, ...]:
    """Codes of what would be refused about a draft's amounts if it were applied now (PAY-071)."""
    work = _Work(facts, Bucket.UNAPPLIED, None, True, member_targets)
    codes = ["OVER_ALLOCATED"] if sum(target.amount for target in targets) > amount else []
    for index, target in enumerate(targets):
        if target.amount > 0:
            codes += [problem.code for problem in work.serve(target, f"/targets/{index}")]
    return tuple(dict.fromkeys(codes))


class _Work:
    """Targets being served one after another on one set of working figures."""

    def __init__(
        self, facts: TargetFacts, source: Bucket, member: str | None, with_unapplied: bool, member_targets: bool
    ) -> None:
        self.facts = facts
        self.source = source
        self.member = member
        self.dues: Dues
        self.write_offs: WriteOffs
        self.dues, self.write_offs = facts.open_account.work()
        self.offered = _OFFERED[facts.kind]
        if with_unapplied:
            self.offered |= {TargetKind.UNAPPLIED}
        if member_targets and facts.kind.member_level:
            self.offered |= {TargetKind.MEMBER}
        self.overpayments: dict[str, int] = {}
        self.warnings: list[Problem] = []
        self.kept = 0
        self.policies: list[str] = []
        self.changed_target = False

    def scope(self) -> Sequence[int]:
        """Rows the source's money may pay: those of its member, else all."""
        items = self.dues.items
        return range(len(items)) if self.member is None else items.rows_of(member=self.member)

    def serve(self, target: Target, where: str) -> list[Problem]:
        """Test a target and, if nothing is wrong with it, place its money."""
        problems = self._problems(target, where)
        if not problems:
            if target.kind is TargetKind.MEMBER:
                self._warn(target, where)
            self.place(target)
        return problems

    def _problems(self, target: Target, where: str) -> list[Problem]:
        if target.kind not in self.offered:
            return [
                Problem(
                    "CAPABILITY_NOT_AVAILABLE",
                    f"this account has no targets of kind {target.kind}",
                    pointer=f"{where}/kind",
                )
            ]
        if target.amount <= 0:
            return [Problem("AMOUNT_INVALID", "the amount must be above zero", pointer=f"{where}/amount")]
        of_member = target.kind in (TargetKind.MEMBER, TargetKind.INVOICE_MEMBER)
        if self.source is not Bucket.UNAPPLIED and not (of_member and target.member_record == self.member):
            return [
                Problem(
                    "SOURCE_NOT_FOR_MEMBER",
                    "a member's unapplied money serves that member only",
                    pointer=where,
                    params={"member_record": self.member},
                )
            ]
        if of_member and not target.member_record:
            return [
                Problem(
                    "MEMBER_RECORD_NOT_FOUND", "the target names no member record", pointer=f"{where}/member_record"
                )
            ]
        unknown_member = (
            target.member_record is not None
            and self.facts.members is not None
            and target.member_record not in self.facts.members
        )
        if unknown_member:
            return [
                Problem(
                    "MEMBER_RECORD_NOT_FOUND",
                    "there is no such member record on the account",
                    pointer=f"{where}/member_record",
                )
            ]
        if target.kind in (TargetKind.INVOICE, TargetKind.INVOICE_MEMBER):
            return self._invoice_problems(target, where)
        return []

    def _invoice_problems(self, target: Target, where: str) -> list[Problem]:
        invoice = self.facts.invoices.get(target.invoice or "")
        pointer = f"{where}/invoice"
        wrong = invoice_reference_problems(target.invoice or "?", self.facts.account, self.facts.invoices, pointer)
        if wrong or invoice is None:
            return wrong
        rows = self._rows(target)
        due = self._directed_due(target)
        if target.amount <= due:
            return []
        items = self.dues.items
        held = sum(items.held[row] for row in rows) if items.held else 0
        if held and target.amount <= due + held:
            return [
                Problem(
                    "ITEM_HELD",
                    "the amount is held for reconciliation",
                    pointer=f"{where}/amount",
                    params={"held": held, "due": due},
                )
            ]
        whole = self.write_offs.directed_due(invoice.number, manual_command=True)
        if whole == 0:
            offset = bool(items.offset) and any(items.offset[row] for row in rows)
            if offset:
                return [Problem("ITEM_RECONCILED", "the invoice was set off against a credit", pointer=pointer)]
            if held:
                return [Problem("ITEM_HELD", "the amount is held for reconciliation", pointer=pointer)]
            return [Problem("INVOICE_SETTLED", "nothing is due on the invoice", pointer=pointer)]
        return [
            Problem(
                "AMOUNT_EXCEEDS_INVOICE_DUE",
                "more than is due there",
                pointer=f"{where}/amount",
                params={"due": due},
            )
        ]

    def _rows(self, target: Target) -> list[int]:
        """The rows a target is about."""
        items = self.dues.items
        if target.kind is TargetKind.INVOICE:
            return self.dues.by_invoice.get(target.invoice or "", [])
        if target.kind is TargetKind.INVOICE_MEMBER:
            rows = self.dues.by_invoice.get(target.invoice or "", [])
            return [row for row in rows if items.members[row] == target.member_record]
        if target.kind is TargetKind.MEMBER:
            return items.rows_of(member=target.member_record)
        return [row for row, policy in enumerate(items.master_policies) if policy == target.master_policy]

    def _directed_due(self, target: Target) -> int:
        rows = self._rows(target) if target.kind is TargetKind.INVOICE_MEMBER else None
        return self.write_offs.directed_due(target.invoice or "", manual_command=True, rows=rows)

    def capacity(self, target: Target) -> int:
        """What a target may take now: its directed due; a member, a policy or unapplied take anything (PAY-065)."""
        if target.kind not in self.offered:
            return 0
        if target.kind not in (TargetKind.INVOICE, TargetKind.INVOICE_MEMBER):
            return target.amount
        invoice = self.facts.invoices.get(target.invoice or "")
        if invoice is None or invoice.discarded or invoice.account != self.facts.account:
            return 0
        return min(target.amount, self._directed_due(target))

    def _warn(self, target: Target, where: str) -> None:
        due = self.dues.due_of(self._rows(target))
        if due != target.amount:
            self.warnings.append(
                Problem(
                    "DIFFERS_FROM_DUE",
                    "the amount is not what the member record owes",
                    pointer=f"{where}/amount",
                    params={"due": due},
                )
            )

    def place(self, target: Target) -> None:
        """Move the target's amount onto its items; what they do not take becomes overpayment or stays."""
        if target.kind is TargetKind.UNAPPLIED:
            self.kept += target.amount
            return
        rows = self._rows(target)
        if target.kind in (TargetKind.INVOICE, TargetKind.INVOICE_MEMBER):
            limited = rows if target.kind is TargetKind.INVOICE_MEMBER else None
            self.write_offs.give_way(target.invoice or "", target.amount, rows=limited)
            self.dues.spread(rows, target.amount)
            return
        if target.kind is TargetKind.MASTER_POLICY:
            rest = self.dues.walk(target.amount, rows, self._give_way)
            if rest:
                self.kept += rest
                self.policies.append(target.master_policy or "")
            return
        rest = self.dues.spread(rows, target.amount)
        for invoice in {self.dues.items.invoices[row] for row in rows if row in self.dues.given}:
            self.write_offs.give_way(invoice, 0)
        if rest:
            member = target.member_record or ""
            self.overpayments[member] = self.overpayments.get(member, 0) + rest

    def _give_way(self, invoice: str, amount: int) -> None:
        self.write_offs.give_way(invoice, amount)

    def finish(self, left: int, remainder: Remainder | None) -> Distribution:
        """Walk or keep what no target took, and close the account of it."""
        if left > 0 and remainder is Remainder.DISTRIBUTE:
            left = self.dues.walk(left, None if self.member is None else self.scope(), self._give_way)
        rest = left + self.kept
        walked = remainder is Remainder.DISTRIBUTE
        return Distribution(
            lines=self.dues.result(),
            overpayments=MemberAmounts(
                tuple(sorted(self.overpayments)),
                tuple(self.overpayments[member] for member in sorted(self.overpayments)),
            ),
            rest=rest,
            explanation=None if not rest else Explanation.EXCESS if walked and left else Explanation.USER_DECISION,
            master_policies=tuple(dict.fromkeys(self.policies)),
            reversed_write_offs=tuple(self.write_offs.reversed),
            warnings=tuple(self.warnings),
        )
