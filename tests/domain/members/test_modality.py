"""Default modality, modality of a move, modality by ancestry (MEM-108 to MEM-115)."""

import pytest

from domain.calendar.frequency import Frequency
from domain.errors import Refusal
from domain.members.modality import (
    ModalityChoice,
    Party,
    ProductGroup,
    default_transition_modality,
    derived_modality,
    modality_by_ancestry,
    placed_modality,
)
from domain.premium.account_terms import AccountTerms
from tests.domain.members.story import direct_account, group_account, individual_account, with_gaps

F = Frequency
EVERY = tuple(Frequency)


@pytest.mark.rule("MEM-E17", "MEM-108", "MEM-109")
@pytest.mark.parametrize(
    ("terms", "payroll", "allowed", "expected"),
    [
        (group_account("G"), F.BIWEEKLY, EVERY, F.MONTHLY),
        (group_account("G"), F.BIWEEKLY, (F.BIWEEKLY, F.QUARTERLY), F.BIWEEKLY),
        (individual_account("G"), F.WEEKLY, EVERY, F.WEEKLY),
        (direct_account("ID"), F.SEMI_MONTHLY, EVERY, F.SEMI_MONTHLY),
    ],
)
def test_e17_the_default_modality(
    terms: AccountTerms, payroll: Frequency, allowed: tuple[Frequency, ...], expected: Frequency
) -> None:
    assert default_transition_modality(terms, payroll, allowed, EVERY) is expected


@pytest.mark.rule("MEM-108", "PRM-073")
def test_an_invoicing_frequency_is_not_stored_with_the_record() -> None:
    assert derived_modality(group_account("G"), F.WEEKLY, EVERY) == ModalityChoice(None, True)
    assert derived_modality(individual_account("G"), F.WEEKLY, EVERY) == ModalityChoice(F.WEEKLY)


@pytest.mark.rule("MEM-110", "MEM-111")
def test_no_derivable_value_gives_no_default_and_one_not_offered_is_not_preselected() -> None:
    offered = (F.WEEKLY, F.MONTHLY)
    assert default_transition_modality(individual_account("G"), None, EVERY, offered) is None
    quarterly = group_account("G", frequency=F.QUARTERLY)
    assert default_transition_modality(quarterly, None, EVERY, offered) is None
    with pytest.raises(Refusal, match="MODALITY_UNRESOLVED"):
        placed_modality(individual_account("G"), None, EVERY)


@pytest.mark.rule("MEM-112")
def test_a_seasonal_account_locks_the_modality() -> None:
    group, individual = (with_gaps(one, 6, 7) for one in (group_account("G"), individual_account("G")))
    assert derived_modality(group, F.WEEKLY, (F.WEEKLY,)) == ModalityChoice(None, True)
    assert derived_modality(individual, F.WEEKLY, EVERY) == ModalityChoice(F.MONTHLY)


PARTIES = {
    "insured": Party("insured", ("g-other",), "location"),
    "location": Party("location", (), "sponsor"),
    "sponsor": Party("sponsor", ("g-own",)),
}
OWN = ProductGroup("g-own", "MP-1", "MASTER_POLICY", F.QUARTERLY)
OTHER = ProductGroup("g-other", "MP-2", "COVERAGE", F.WEEKLY)


@pytest.mark.rule("MEM-E18", "MEM-113", "MEM-114", "MEM-115")
def test_e18_the_first_ancestor_linked_to_this_policys_group_gives_the_modality() -> None:
    assert modality_by_ancestry("MP-1", "insured", PARTIES, [OWN, OTHER]) is F.QUARTERLY
    with pytest.raises(Refusal, match="MODALITY_UNRESOLVED"):
        modality_by_ancestry("MP-1", "insured", PARTIES, [OTHER])


@pytest.mark.rule("MEM-114")
def test_of_several_groups_of_a_party_the_lowest_level_wins_then_the_lowest_id() -> None:
    groups = [
        ProductGroup("b", "MP-1", "COVERAGE", F.WEEKLY),
        ProductGroup("a", "MP-1", "MASTER_POLICY", F.ANNUAL),
        ProductGroup("c", "MP-1", "COVERAGE", F.MONTHLY),
    ]
    parties = {"insured": Party("insured", ("a", "b", "c"))}
    assert modality_by_ancestry("MP-1", "insured", parties, groups) is F.WEEKLY
