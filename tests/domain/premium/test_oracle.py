"""The domain's charges against the naive day-by-day calculation, on random histories."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import Refusal
from domain.premium.charges import Charge, charges
from domain.premium.timeline import build_timeline
from tests.domain.premium.oracle import BlockedError, PlainCharge, charges_by_day
from tests.domain.premium.random_histories import Case, random_case


def plain(charge: Charge) -> PlainCharge:
    """The domain's charge in the oracle's terms."""
    return PlainCharge(
        charge.account,
        charge.item,
        charge.sequence,
        charge.modality.value,
        charge.period_start,
        charge.covered_from,
        charge.covered_to,
        charge.days,
        charge.whole,
        charge.gross,
        charge.net,
    )


def sort_key(charge: PlainCharge) -> tuple[object, ...]:
    return (charge.account, charge.modality, charge.period_start, charge.item, charge.sequence)


def both_ways(case: Case) -> list[tuple[list[PlainCharge] | str, list[PlainCharge] | str]]:
    """The charges of every account by the domain and by the oracle; "blocked" where the calculation stops."""
    timeline = build_timeline(case.transactions, case.terms)
    found = []
    for terms, naive in case.accounts:
        domain: list[PlainCharge] | str
        oracle: list[PlainCharge] | str
        try:
            domain = sorted((plain(one) for one in charges(timeline, terms, case.first, case.end)), key=sort_key)
        except Refusal as refusal:
            domain = "blocked" if refusal.code == "MODAL_CALCULATION_BLOCKED" else refusal.code
        try:
            oracle = sorted(
                charges_by_day(
                    case.transactions,
                    naive,
                    case.terms.anchor,
                    case.first,
                    case.end - (case.end.resolution),
                    case.terms.term_expiration,
                    case.terms.multiple_sequences,
                ),
                key=sort_key,
            )
        except BlockedError:
            oracle = "blocked"
        found.append((domain, oracle))
    return found


@pytest.mark.rule("PRM-022", "PRM-023", "PRM-024", "PRM-026", "PRM-028", "PRM-029", "PRM-030", "PRM-051", "PRM-053")
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(seed=st.integers(min_value=0, max_value=2**48))
def test_charges_agree_with_a_day_by_day_calculation(seed: int) -> None:
    for domain, oracle in both_ways(random_case(random.Random(seed))):
        assert domain == oracle
