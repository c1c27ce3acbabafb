"""Which modality the premium of a record has: by default, in a move, and by the ancestry of its item.

On a group account the default comes from the invoicing frequency or the payroll frequency (MEM-108). Where it comes
from the invoicing frequency it is not stored: the account gives it day by day, so that a change of the account's
frequency reaches the record without touching what placed it (PRM-073). A seasonal account locks it (MEM-112).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from domain.accounts.bill_type import AllocationMode, BillType
from domain.calendar.frequency import Frequency
from domain.errors import Problem, refuse
from domain.premium.account_terms import AccountTerms


@dataclass(frozen=True, slots=True)
class ModalityChoice:
    """A derived modality; `from_account` says that the account gives it by day and nothing is stored."""

    modality: Frequency | None
    from_account: bool = False


def derived_modality(
    terms: AccountTerms, payroll_frequency: Frequency | None, allowed: Collection[Frequency]
) -> ModalityChoice | None:
    """The default modality of a record on the account, None when none can be derived (MEM-108 to MEM-110, MEM-112).

    An invoicing frequency counts when it is among the master policy's `allowed_modalities`.
    """
    if terms.bill_type is BillType.LIST_BILL:
        if terms.seasonal_gaps:
            by_account = terms.allocation_mode is AllocationMode.TRUE_GROUP
            return ModalityChoice(None, True) if by_account else ModalityChoice(Frequency.MONTHLY)
        if terms.allocation_mode is AllocationMode.TRUE_GROUP and terms.invoicing.frequency in allowed:
            return ModalityChoice(None, True)
    return None if payroll_frequency is None else ModalityChoice(payroll_frequency)


def placed_modality(
    terms: AccountTerms, payroll_frequency: Frequency | None, allowed: Collection[Frequency]
) -> ModalityChoice:
    """The modality of a first placement or a return. Refuses MODALITY_UNRESOLVED when none can be derived (MEM-110)."""
    choice = derived_modality(terms, payroll_frequency, allowed)
    if choice is None:
        raise refuse(
            "MODALITY_UNRESOLVED",
            "neither invoicing frequency nor payroll frequency gives a modality",
            entity=terms.account,
        )
    return choice


def default_transition_modality(
    terms: AccountTerms,
    payroll_frequency: Frequency | None,
    allowed: Collection[Frequency],
    transition_modalities: Collection[Frequency],
) -> Frequency | None:
    """The modality to preselect in a move to individual direct, None for no default (MEM-108, MEM-111).

    `terms` are those of the account that bills the record before the move.
    """
    choice = derived_modality(terms, payroll_frequency, allowed)
    if choice is None:
        return None
    modality = terms.invoicing.frequency if choice.from_account else choice.modality
    return modality if modality in transition_modalities else None


def transition_problems(modality: Frequency | None, transition_modalities: Collection[Frequency]) -> list[Problem]:
    """Whether the modality chosen for a move to individual direct is one of those offered (MEM-111)."""
    if modality is None or modality in transition_modalities:
        return []
    return [
        Problem(
            "MODALITY_NOT_ALLOWED",
            f"{modality} is not among the modalities of a move",
            "/modality",
            params={"allowed": [one.value for one in transition_modalities]},
        )
    ]


# ------------------------------------------------------------------------------------------- by ancestry (MEM-113)


#: Product levels, lowest first: the group linked to the lowest one wins (MEM-114).
PRODUCT_LEVELS = ("COVERAGE", "CERTIFICATE", "MASTER_POLICY")


@dataclass(frozen=True, slots=True)
class ProductGroup:
    """A billing product group: its modality, and at which level of which master policy's product tree it is linked."""

    group_id: str
    master_policy: str
    level: str
    modality: Frequency


@dataclass(frozen=True, slots=True)
class Party:
    """A party with the product groups to which its invoicing configurations are linked, and its parent in the tree."""

    reference: str
    groups: tuple[str, ...] = ()
    parent: str | None = None


def modality_by_ancestry(
    master_policy: str, insured: str, parties: Mapping[str, Party], groups: Sequence[ProductGroup]
) -> Frequency:
    """The modality of an item's amount, from the main insured up its ancestry: the first hit wins (MEM-113, MEM-114).

    Configurations linked only to groups of another master policy are skipped. Refuses MODALITY_UNRESOLVED when no party
    up to the root has one: never a silent default (MEM-115).
    """
    linked = {one.group_id: one for one in groups if one.master_policy == master_policy}
    reference: str | None = insured
    seen: set[str] = set()
    while reference is not None and reference in parties and reference not in seen:
        seen.add(reference)
        party = parties[reference]
        hits = [linked[one] for one in party.groups if one in linked]
        if hits:
            return min(hits, key=lambda one: (PRODUCT_LEVELS.index(one.level), one.group_id)).modality
        reference = party.parent
    raise refuse(
        "MODALITY_UNRESOLVED",
        "no invoicing configuration up to the root is linked to a product group of the master policy",
        entity=insured,
        master_policy=master_policy,
    )
