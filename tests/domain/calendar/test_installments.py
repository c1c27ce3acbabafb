"""Installments: dates, splits, deposits, billing, discards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar.installment_schedules import (
    INSTALLMENT_SCHEDULES,
    InstallmentDueDaysSet,
    InstallmentSchedule,
    InstallmentState,
    bill,
    billable,
    by_due_date,
    due_for_billing,
    generate,
    has_products_from,
    replacements,
    set_due_days,
    supersede,
    total,
)
from domain.calendar.installments import (
    Anniversary,
    BillableItem,
    ComponentType,
    DueDayEntry,
    GivenComponent,
    ItemPart,
    PlanPurchase,
    ServicePeriod,
    anniversary_date,
    anniversary_dates,
    billed_to_dates,
    component_problems,
    has_installments,
    imported_billed_to_dates,
    schedule_purchase,
    single_due_date,
    split_amount,
)
from domain.calendar.payment_plans import DueDayType, PaymentPlan, PlanType
from domain.errors import Refusal
from tests.domain.calendar.builders import LAW, D, codes, dates, pointers

ACCOUNT = "FB000000018"
PLAN = PaymentPlan(
    code="MONTHLY-3",
    uri="urn:plan:monthly-3",
    description="Three",
    type=PlanType.MONTHLY,
    frequency=PlanType.MONTHLY,
    max_installments=3,
    due_day_type=DueDayType.DAY_OF_MONTH,
    effective_date=D("2025-01-01"),
)
UNLIMITED = replace(PLAN, max_installments=None)
PERIOD = ServicePeriod(D("2025-01-15"), D("2026-01-15"))


def entry(day: int, kind: DueDayType = DueDayType.DAY_OF_MONTH) -> DueDayEntry:
    return DueDayEntry(PlanType.MONTHLY, kind, day)


def purchase(**changes: object) -> PlanPurchase:
    """A NET of 1000.00 on one account with due day 31, bought on 2025-02-10 (CAL-E22)."""
    plain = PlanPurchase(
        plan=PLAN,
        transaction_date=D("2025-02-10"),
        service_periods=(PERIOD,),
        items=(BillableItem("NET", ACCOUNT, 100000),),
        account_entries={ACCOUNT: (entry(31),)},
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def refused(decision: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as refusal:
        decision()
    return refusal.value.code


def generated(bought: PlanPurchase, state: InstallmentSchedule | None = None) -> InstallmentSchedule:
    state = state or InstallmentSchedule()
    (schedule,) = schedule_purchase(bought)
    events = generate(
        state,
        schedule,
        product="P1",
        plan_code=PLAN.code,
        plan_uri=PLAN.uri,
        plan_type=PLAN.type,
        period=PERIOD,
        transaction_date=bought.transaction_date,
    )
    return INSTALLMENT_SCHEDULES.fold(events, state)


def shown(state: InstallmentSchedule) -> list[tuple[str, int]]:
    return [(str(item.component.due_date), item.component.amount) for item in state.current]


@pytest.mark.rule("CAL-128", "CAL-129", "CAL-130", "CAL-134", "CAL-135", "CAL-E22")
def test_a_purchase_is_split_over_the_earliest_anniversaries_the_plan_allows() -> None:
    state = generated(purchase())
    assert shown(state) == [("2025-02-28", 33334), ("2025-03-31", 33333), ("2025-04-30", 33333)]
    assert [item.component.billed_to_date for item in state.current] == dates("2025-03-31", "04-30", "2026-01-15")
    assert {item.state for item in state.current} == {InstallmentState.UNBILLED}
    assert {item.component.type for item in state.current} == {ComponentType.INSTALLMENT}


@pytest.mark.rule("CAL-128", "CAL-129", "CAL-E22")
def test_without_a_maximum_every_anniversary_is_an_installment() -> None:
    (schedule,) = schedule_purchase(purchase(plan=UNLIMITED))
    assert len(schedule.components) == 11
    assert (schedule.components[0].due_date, schedule.components[-1].due_date) == (D("2025-02-28"), D("2025-12-31"))


@pytest.mark.rule("CAL-130", "CAL-E22")
@pytest.mark.parametrize(
    ("amount", "count", "parts"),
    [
        (20000, 3, (6666, 6667, 6667)),
        (100000, 3, (33334, 33333, 33333)),
        (5, 9, (5, 0, 0, 0, 0, 0, 0, 0, 0)),
        (7, 4, (1, 2, 2, 2)),
        (1, 2, (0, 1)),
        (0, 3, (0, 0, 0)),
        (999, 1, (999,)),
        (-100000, 3, (-33334, -33333, -33333)),
        (-5, 9, (-5, 0, 0, 0, 0, 0, 0, 0, 0)),
    ],
)
def test_an_item_is_split_half_up_with_the_difference_on_the_first(
    amount: int, count: int, parts: tuple[int, ...]
) -> None:
    assert split_amount(amount, count) == parts


@pytest.mark.rule("CAL-126", "CAL-127", "CAL-128", "CAL-E23")
def test_the_refusals_and_precedence_of_the_example() -> None:
    assert refused(lambda: schedule_purchase(purchase(transaction_date=D("2026-01-05")))) == "bil0002"
    assert refused(lambda: schedule_purchase(purchase(due_day_in_request=True))) == "bil0040"
    assert refused(lambda: schedule_purchase(purchase(account_entries={}))) == "bil0041"
    (schedule,) = schedule_purchase(
        purchase(transaction_date=D("2025-01-15"), product_due_day=entry(20), account_entries={ACCOUNT: (entry(5),)})
    )
    assert (schedule.due_day, schedule.components[0].due_date) == (20, D("2025-01-20"))
    (twelve,) = schedule_purchase(
        purchase(
            plan=UNLIMITED,
            transaction_date=D("2025-01-15"),
            account_entries={ACCOUNT: (entry(15),)},
            items=(BillableItem("NET", ACCOUNT, 120000), BillableItem("TAX", ACCOUNT, 6000)),
        )
    )
    assert [item.amount for item in twelve.components] == [10500] * 12
    assert (twelve.components[0].due_date, twelve.components[-1].due_date) == (D("2025-01-15"), D("2025-12-15"))
    assert twelve.components[4].parts == (ItemPart("NET", 10000), ItemPart("TAX", 500))


@pytest.mark.rule("CAL-126")
def test_the_first_failing_check_is_returned() -> None:
    everything: dict[str, object] = {
        "plan": None,
        "service_periods": (),
        "due_day_in_request": True,
        "account_entries": {},
        "transaction_date": D("2026-02-01"),
    }
    repairs: list[tuple[str, dict[str, object]]] = [
        ("ENTITY_NOT_FOUND", {"plan": replace(PLAN, expiration_date=D("2026-01-01"))}),
        ("PLAN_NOT_AVAILABLE", {"plan": PLAN}),
        ("SERVICE_PERIOD_COUNT_INVALID", {"service_periods": (PERIOD,)}),
        ("bil0040", {"due_day_in_request": False}),
        ("bil0041", {"account_entries": {ACCOUNT: (entry(31),)}}),
        ("bil0002", {"transaction_date": D("2025-02-10")}),
    ]
    for code, repair in repairs:
        bought = purchase(**everything)
        assert refused(lambda bought=bought: schedule_purchase(bought)) == code
        everything = {**everything, **repair}
    assert len(schedule_purchase(purchase(**everything))) == 1
    two = (PERIOD, ServicePeriod(D("2026-01-15"), D("2027-01-15")))
    assert refused(lambda: schedule_purchase(purchase(service_periods=two))) == "SERVICE_PERIOD_COUNT_INVALID"


@pytest.mark.rule("CAL-126", "CAL-127", "CAL-124")
def test_exactly_one_fitting_account_entry_gives_the_due_day() -> None:
    weekly = entry(5, DueDayType.DAY_OF_WEEK)
    two = purchase(account_entries={ACCOUNT: (entry(5), entry(20))})
    assert refused(lambda: schedule_purchase(two)) == "bil0041"
    only_weekly = purchase(account_entries={ACCOUNT: (weekly,)})
    assert refused(lambda: schedule_purchase(only_weekly)) == "bil0041"
    (schedule,) = schedule_purchase(purchase(account_entries={ACCOUNT: (weekly, entry(20))}))
    assert schedule.due_day == 20
    (product,) = schedule_purchase(purchase(product_due_day=entry(12), account_entries={}))
    assert product.due_day == 12
    (fallen_back,) = schedule_purchase(purchase(product_due_day=weekly))
    assert fallen_back.due_day == 31


@pytest.mark.rule("CAL-125")
def test_a_purchase_without_plan_has_one_due_date_and_no_installments() -> None:
    assert has_installments(PLAN.uri)
    assert not has_installments(None)
    assert single_due_date(D("2025-03-01"), D("2025-02-10")) == D("2025-03-01")
    assert single_due_date(D("2025-03-01"), D("2025-03-10")) == D("2025-03-10")


@pytest.mark.rule("CAL-128")
def test_anniversaries_lie_from_the_later_start_to_before_the_end() -> None:
    period = ServicePeriod(D("2024-01-31"), D("2024-04-30"))
    assert list(anniversary_dates(31, period, D("2024-01-01"))) == dates("2024-01-31", "02-29", "03-31")
    assert list(anniversary_dates(31, period, D("2024-02-29"))) == dates("2024-02-29", "03-31")
    assert list(anniversary_dates(29, period, D("2024-01-01"))) == dates("2024-02-29", "03-29", "04-29")
    assert anniversary_dates(15, period, D("2024-05-01")) == ()


@pytest.mark.rule("CAL-131")
def test_items_on_different_accounts_give_a_schedule_each_with_its_own_due_day() -> None:
    other = "FB000000026"
    schedules = schedule_purchase(
        purchase(
            items=(BillableItem("NET", ACCOUNT, 100000), BillableItem("TAX", other, 20000)),
            account_entries={ACCOUNT: (entry(31),), other: (entry(5),)},
        )
    )
    assert [(item.account, item.due_day) for item in schedules] == [(ACCOUNT, 31), (other, 5)]
    assert [component.due_date for component in schedules[1].components] == dates("2025-03-05", "04-05", "05-05")
    assert [component.amount for component in schedules[1].components] == [6666, 6667, 6667]


@pytest.mark.rule("CAL-132")
def test_given_components_need_type_due_date_amount_and_the_right_sum() -> None:
    good = [
        GivenComponent("DEPOSIT", D("2025-02-10"), 20000),
        GivenComponent("INSTALLMENT", D("2025-02-28"), 80000),
    ]
    assert component_problems(good, 100000) == []
    assert codes(component_problems(good, 99999)) == ["INSTALLMENT_SUM_MISMATCH"]
    bad = [GivenComponent("FEE", None, 20000), GivenComponent(None, D("2025-02-28"), None)]
    found = component_problems(bad, 100000)
    assert codes(found) == [
        "INSTALLMENT_TYPE_INVALID",
        "INSTALLMENT_DUE_DATE_MISSING",
        "INSTALLMENT_TYPE_INVALID",
        "REQUEST_INVALID",
        "INSTALLMENT_SUM_MISMATCH",
    ]
    assert pointers(found)[:3] == ["/installments/0/type", "/installments/0/due_date", "/installments/1/type"]


@pytest.mark.rule("CAL-133")
def test_a_deposit_comes_first_in_proportion_from_the_items_and_outside_the_count() -> None:
    (schedule,) = schedule_purchase(
        purchase(
            items=(
                BillableItem("TAX", ACCOUNT, 3333),
                BillableItem("NET", ACCOUNT, 66667),
                BillableItem("FEE", ACCOUNT, 30000),
            ),
            deposit=10000,
        )
    )
    deposit, *rest = schedule.components
    assert (deposit.type, deposit.due_date, deposit.billed_to_date) == (ComponentType.DEPOSIT, D("2025-02-10"), None)
    assert deposit.parts == (ItemPart("FEE", 3000), ItemPart("NET", 6667), ItemPart("TAX", 333))
    assert [component.type for component in rest] == [ComponentType.INSTALLMENT] * 3
    assert [component.amount for component in rest] == [30000, 30000, 30000]
    assert [part.amount for part in rest[0].parts] == [9000, 20000, 1000]
    (early,) = schedule_purchase(purchase(transaction_date=D("2025-01-10"), deposit=10000))
    assert early.components[0].due_date == D("2025-01-15")


@pytest.mark.rule("CAL-133")
@pytest.mark.parametrize("deposit", [0, -1, 100000, 100001])
def test_a_deposit_lies_between_zero_and_the_total(deposit: int) -> None:
    assert refused(lambda: schedule_purchase(purchase(deposit=deposit))) == "DEPOSIT_OUT_OF_RANGE"
    assert schedule_purchase(purchase(deposit=99999))


@pytest.mark.rule("CAL-133")
def test_a_deposit_is_for_a_purchase_on_one_account() -> None:
    other = "FB000000026"
    bought = purchase(
        items=(BillableItem("NET", ACCOUNT, 100000), BillableItem("TAX", other, 20000)),
        account_entries={ACCOUNT: (entry(31),), other: (entry(5),)},
        deposit=100,
    )
    assert refused(lambda: schedule_purchase(bought)) == "DEPOSIT_OUT_OF_RANGE"


@pytest.mark.rule("CAL-134")
def test_each_installment_bills_to_the_next_one_and_the_last_to_the_end_of_the_service() -> None:
    assert list(billed_to_dates(dates("2025-02-28", "03-31"), D("2026-01-15"))) == dates("2025-03-31", "2026-01-15")
    assert list(billed_to_dates(dates("2025-02-28"), D("2026-01-15"))) == dates("2026-01-15")
    assert list(imported_billed_to_dates(4, D("2024-01-31"), D("2025-01-31"))) == dates(
        "2024-02-29", "03-31", "04-30", "2025-01-31"
    )
    assert list(imported_billed_to_dates(1, D("2024-01-31"), D("2025-01-31"))) == dates("2025-01-31")


@pytest.mark.rule("CAL-135", "CAL-136", "CAL-137", "CAL-E24")
def test_an_installment_is_billed_once_and_replaced_when_its_invoice_is_discarded() -> None:
    state = generated(purchase())
    state = INSTALLMENT_SCHEDULES.fold(bill(state, ACCOUNT, [1], "INV-1"), state)
    assert state.by_number[1].state is InstallmentState.BILLED
    state = INSTALLMENT_SCHEDULES.fold(supersede(state, ACCOUNT, "INV-1"), state)
    superseded, replacement = state.by_number[1], state.by_number[4]
    assert (superseded.state, superseded.superseded, superseded.invoice) == (InstallmentState.BILLED, True, "INV-1")
    assert (replacement.state, replacement.replaces, replacement.invoice) == (InstallmentState.UNBILLED, 1, None)
    assert replacement.component == replace(superseded.component, number=4)
    assert (replacement.component.due_date, replacement.component.amount) == (D("2025-02-28"), 33334)
    assert replacement.component.billed_to_date == D("2025-03-31")
    assert [item.component.number for item in state.current] == [4, 2, 3]
    assert total(state.current) == total(state.by_number.values()) == 100000
    assert refused(lambda: bill(state, ACCOUNT, [1], "INV-2")) == "INSTALLMENT_STATE_INVALID"
    assert supersede(state, ACCOUNT, "INV-1") == []
    assert bill(state, ACCOUNT, [4], "INV-2")


@pytest.mark.rule("CAL-135")
def test_no_installment_is_billed_twice_and_unknown_ones_are_not_found() -> None:
    state = generated(purchase())
    state = INSTALLMENT_SCHEDULES.fold(bill(state, ACCOUNT, [1, 2, 1], "INV-1"), state)
    with pytest.raises(Refusal) as refusal:
        bill(state, ACCOUNT, [1, 2, 3], "INV-2")
    assert [problem.entity for problem in refusal.value.problems] == ["1", "2"]
    assert refused(lambda: bill(state, ACCOUNT, [1, 9], "INV-2")) == "ENTITY_NOT_FOUND"


@pytest.mark.rule("CAL-136")
def test_installments_are_due_for_billing_by_the_lead_time_of_the_calendar() -> None:
    state = generated(purchase())

    def due(days_ahead: int | None, day: str) -> list[int]:
        return [item.component.number for item in due_for_billing(state, days_ahead, D(day))]

    assert due(None, "2025-02-27") == []
    assert due(None, "2025-02-28") == [1]
    assert due(10, "2025-02-18") == [1]
    assert due(31, "2025-02-28") == [1, 2]
    state = INSTALLMENT_SCHEDULES.fold(bill(state, ACCOUNT, [3], "INV-1"), state)
    assert due(None, "2025-12-31") == [1, 2]


@pytest.mark.rule("CAL-137")
def test_numbers_of_a_second_purchase_and_of_replacements_are_new() -> None:
    state = generated(purchase(), generated(purchase()))
    state = INSTALLMENT_SCHEDULES.fold(bill(state, ACCOUNT, [1, 4], "INV-1"), state)
    state = INSTALLMENT_SCHEDULES.fold(supersede(state, ACCOUNT, "INV-1"), state)
    assert sorted(state.by_number) == list(range(1, 9))
    assert [state.by_number[number].replaces for number in (7, 8)] == [1, 4]
    assert total(state.current) == 200000


@pytest.mark.rule("CAL-135", "CAL-136")
def test_what_may_be_billed_is_told_by_due_date_and_what_is_due_together_goes_together() -> None:
    state = generated(purchase(), generated(purchase(deposit=10000, transaction_date=D("2025-02-28"))))
    assert [one.component.number for one in billable(state, [7, 2, 5, 2, 1])] == [1, 2, 5, 7]
    together = [[one.component.number for one in group] for group in by_due_date(state.by_number.values())]
    assert together == [[1, 2, 5], [3, 6], [4, 7]]
    assert [str(one.component.type) for one in next(by_due_date(state.current))] == ["DEPOSIT"] + ["INSTALLMENT"] * 2


@pytest.mark.rule("CAL-131", "CAL-137")
def test_a_replacement_belongs_to_the_schedule_and_stands_for_the_installment_it_replaces() -> None:
    state = generated(purchase(transaction_date=D("2025-04-30")), generated(purchase()))
    state = INSTALLMENT_SCHEDULES.fold(bill(state, ACCOUNT, [2, 4], "INV-1"), state)
    assert replacements(state, "INV-1") == ()
    state = INSTALLMENT_SCHEDULES.fold(supersede(state, ACCOUNT, "INV-1"), state)
    assert [(one.component.number, one.schedule) for one in replacements(state, "INV-1")] == [(7, 1), (8, 2)]
    assert [state.replaced_by(number) for number in (2, 4, 7)] == [7, 8, None]
    assert [(one.number, one.first, one.last, one.transaction_date) for one in state.schedules] == [
        (1, 1, 3, D("2025-02-10")),
        (2, 4, 6, D("2025-04-30")),
    ]
    state = INSTALLMENT_SCHEDULES.fold(bill(state, ACCOUNT, [7], "INV-2"), state)
    state = INSTALLMENT_SCHEDULES.fold(supersede(state, ACCOUNT, "INV-2"), state)
    assert [one.component.number for one in replacements(state, "INV-1")] == [7, 8]
    assert [one.component.number for one in replacements(state, "INV-2")] == [9]


@pytest.mark.rule("ACC-025")
def test_a_product_is_there_until_its_service_is_over_and_all_of_it_is_billed() -> None:
    assert not has_products_from(InstallmentSchedule(), D("2025-01-01"))
    state = generated(purchase())
    assert has_products_from(state, D("2026-01-15"))
    state = INSTALLMENT_SCHEDULES.fold(bill(state, ACCOUNT, [1, 2, 3], "INV-1"), state)
    assert has_products_from(state, D("2026-01-14"))
    assert not has_products_from(state, D("2026-01-15"))


@pytest.mark.rule("CAL-124")
def test_due_day_entries_of_an_account_are_set_and_checked() -> None:
    state = InstallmentSchedule()
    events = set_due_days(state, ACCOUNT, [entry(31), entry(7, DueDayType.DAY_OF_WEEK)])
    assert [type(event) for event in events] == [InstallmentDueDaysSet]
    state = INSTALLMENT_SCHEDULES.fold(events, state)
    assert [item.value for item in state.entries] == [31, 7]
    assert set_due_days(state, ACCOUNT, state.entries) == []
    assert set_due_days(state, ACCOUNT, [entry(1), entry(1, DueDayType.DAY_OF_WEEK)])
    with pytest.raises(Refusal) as refusal:
        set_due_days(state, ACCOUNT, [entry(31), entry(32), entry(0), entry(8, DueDayType.DAY_OF_WEEK)])
    assert codes(refusal.value.problems) == ["DUE_DAYS_INVALID"] * 3
    assert pointers(refusal.value.problems) == ["/entries/1/value", "/entries/2/value", "/entries/3/value"]


@pytest.mark.rule("CAL-138", "CAL-E24")
@pytest.mark.parametrize(
    ("entries", "plan_type", "day", "expected"),
    [
        ((entry(31),), PlanType.MONTHLY, "2025-02-28", Anniversary(D("2025-03-31"))),
        ((entry(31),), PlanType.MONTHLY, "2025-02-27", Anniversary(D("2025-02-28"))),
        ((entry(15),), PlanType.MONTHLY, "2025-12-15", Anniversary(D("2026-01-15"))),
        ((), PlanType.MONTHLY, "2025-02-28", Anniversary(None)),
        ((entry(31),), None, "2025-02-28", Anniversary(None)),
        ((entry(5, DueDayType.DAY_OF_WEEK),), PlanType.MONTHLY, "2025-02-28", Anniversary(None)),
        ((entry(31), entry(15)), PlanType.MONTHLY, "2025-02-28", Anniversary(None, "MULTIPLE_DUE_DAY_ENTRIES")),
    ],
)
def test_the_anniversary_date_of_an_invoice(
    entries: tuple[DueDayEntry, ...], plan_type: PlanType | None, day: str, expected: Anniversary
) -> None:
    assert anniversary_date(entries, plan_type, D(day)) == expected


AMOUNTS = st.integers(0, 10**9)


@pytest.mark.rule("CAL-130")
@LAW
@given(AMOUNTS, st.integers(1, 12))
def test_a_split_adds_up_and_no_part_has_another_sign(amount: int, count: int) -> None:
    for sign in (1, -1):
        parts = split_amount(sign * amount, count)
        others = list(parts[1:])
        assert (len(parts), sum(parts)) == (count, sign * amount)
        assert all(part * sign >= 0 for part in parts)
        rounded = int((Decimal(amount) / count).quantize(Decimal(1), ROUND_HALF_UP))
        share = rounded if amount >= rounded * (count - 1) else amount // count
        assert others == [sign * share] * (count - 1)


@pytest.mark.rule("CAL-128", "CAL-129", "CAL-130", "CAL-131", "CAL-133", "CAL-134")
@LAW
@given(
    st.lists(AMOUNTS, min_size=1, max_size=5),
    st.integers(1, 31),
    st.none() | st.integers(1, 12),
    st.none() | st.fractions(0, 1),
    st.integers(30, 800),
    st.integers(-60, 300),
)
def test_installments_bill_every_item_exactly_and_follow_one_another(
    amounts: list[int], due_day: int, maximum: int | None, share: Fraction | None, length: int, after_start: int
) -> None:
    period = ServicePeriod(D("2025-01-15"), D("2025-01-15") + dt.timedelta(days=length))
    total_amount = sum(amounts)
    deposit = None if share is None else int(total_amount * share)
    if deposit is not None and not 0 < deposit < total_amount:
        deposit = None
    bought = purchase(
        plan=replace(PLAN, max_installments=maximum),
        service_periods=(period,),
        transaction_date=max(period.start + dt.timedelta(days=after_start), D("2025-01-01")),
        items=tuple(BillableItem(f"I{index}", ACCOUNT, amount) for index, amount in enumerate(amounts)),
        account_entries={ACCOUNT: (entry(due_day),)},
        deposit=deposit,
    )
    possible = anniversary_dates(due_day, period, bought.transaction_date)
    if not possible:
        assert refused(lambda: schedule_purchase(bought)) == "bil0002"
        return
    (schedule,) = schedule_purchase(bought)
    installments = [item for item in schedule.components if item.type is ComponentType.INSTALLMENT]
    assert [item.due_date for item in installments] == list(possible[:maximum])
    billed_to = [item.billed_to_date for item in installments]
    assert billed_to == [*(item.due_date for item in installments[1:]), period.end]
    billed = {part.item: 0 for part in installments[0].parts}
    for component in schedule.components:
        for part in component.parts:
            assert part.amount >= 0
            billed[part.item] += part.amount
    assert billed == {item.item: item.amount for item in bought.items}
    if deposit is not None:
        assert schedule.components[0].amount == deposit
