"""Schedules of another system: kept as they come, every cent of every item on them once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar.installment_imports import schedule_given
from domain.calendar.installments import BillableItem, ComponentType, GivenComponent, ItemPart
from domain.errors import Refusal
from tests.domain.calendar.builders import LAW, D, dates
from tests.domain.calendar.test_installments import ACCOUNT, PLAN, entry, purchase

ITEMS = (BillableItem("NET", ACCOUNT, 100000), BillableItem("TAX", ACCOUNT, 6000))


def component(day: str, amount: int | None, kind: str | None = "INSTALLMENT") -> GivenComponent:
    return GivenComponent(kind, D(day), amount)


def codes_of(*components: GivenComponent, **changes: object) -> list[tuple[str, str | None]]:
    with pytest.raises(Refusal) as refusal:
        schedule_given(purchase(items=ITEMS, **changes), components)
    return [(problem.code, problem.pointer) for problem in refusal.value.problems]


@pytest.mark.rule("CAL-134")
def test_without_a_due_day_an_import_is_billed_to_by_months_of_the_term_else_by_due_dates() -> None:
    given_ = (component("2025-03-20", 50000), component("2025-02-10", 6000, "DEPOSIT"), component("2025-09-01", 50000))
    free = schedule_given(purchase(items=ITEMS, account_entries={}), given_)
    assert free.due_day is None
    assert [one.due_date for one in free.components] == dates("2025-02-10", "03-20", "09-01")
    assert [one.billed_to_date for one in free.components] == [None, D("2025-02-15"), D("2026-01-15")]
    kept = schedule_given(purchase(items=ITEMS, account_entries={ACCOUNT: (entry(20),)}), given_)
    assert kept.due_day == 20
    assert [one.billed_to_date for one in kept.components] == [None, D("2025-09-01"), D("2026-01-15")]
    assert kept.components[0].parts == (ItemPart("NET", 5660), ItemPart("TAX", 340))


@pytest.mark.rule("CAL-132")
def test_everything_wrong_with_given_components_is_told_together() -> None:
    bad = (GivenComponent("FEE", None, 100), component("2025-03-01", None), component("2025-04-01", -5))
    assert codes_of(*bad, deposit=5) == [
        ("INSTALLMENT_TYPE_INVALID", "/installments/0/type"),
        ("INSTALLMENT_DUE_DATE_MISSING", "/installments/0/due_date"),
        ("REQUEST_INVALID", "/installments/1/amount"),
        ("INSTALLMENT_SUM_MISMATCH", "/installments"),
        ("REQUEST_INVALID", "/installments/2/amount"),
        ("REQUEST_INVALID", "/deposit_amount"),
    ]
    other = replace(ITEMS[1], account="FB000000026")
    with pytest.raises(Refusal) as refusal:
        schedule_given(purchase(items=(ITEMS[0], other)), [component("2025-03-01", 106000)])
    assert refusal.value.code == "REQUEST_INVALID"


@pytest.mark.rule("CAL-126")
def test_an_import_is_of_a_plan_that_was_available_and_of_one_service_period() -> None:
    whole = component("2025-03-01", 106000)
    assert codes_of(whole, plan=None)[0][0] == "ENTITY_NOT_FOUND"
    assert codes_of(whole, plan=replace(PLAN, expiration_date=D("2025-02-10")))[0][0] == "PLAN_NOT_AVAILABLE"
    assert codes_of(whole, service_periods=())[0][0] == "SERVICE_PERIOD_COUNT_INVALID"
    assert codes_of(whole, due_day_in_request=True)[0][0] == "bil0040"


@LAW
@pytest.mark.rule("CAL-132")
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=6), st.data())
def test_every_component_keeps_its_amount_and_every_item_is_billed_whole(
    amounts: list[int], data: st.DataObject
) -> None:
    total = sum(amounts)
    net = data.draw(st.integers(0, total))
    items = (BillableItem("NET", ACCOUNT, net), BillableItem("TAX", ACCOUNT, total - net))
    components = [component("2025-03-01", amount) for amount in amounts]
    made = schedule_given(purchase(items=items), components).components
    assert sorted(one.amount for one in made) == sorted(amounts)
    assert all(one.type is ComponentType.INSTALLMENT for one in made)
    billed = {
        item.item: sum(part.amount for one in made for part in one.parts if part.item == item.item) for item in items
    }
    assert billed == {"NET": net, "TAX": total - net}
    assert all(part.amount >= 0 for one in made for part in one.parts)
