"""The invoice list, the rows of an invoice and the invoice queries of partners (queries and screens of 05)."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from psycopg import Connection, Cursor

from tests.scenarios.billing import amend, discard, generate, pay_invoice, regenerate
from tests.scenarios.conftest import World
from tests.scenarios.premiums import invoiced
from tests.scenarios.test_members_employment_and_moves import locations
from tests.scenarios.test_scope_of_reads import asked, seen

_LIST = """query ($a: String!, $status: String, $from: Date, $to: Date, $number: String, $newest: Boolean,
  $recent: Boolean = false, $first: Int = 50, $after: String) {
  invoices(account: $a, status: $status, periodFrom: $from, periodTo: $to, number: $number, newestFirst: $newest,
    recent: $recent, first: $first, after: $after) {
    totalCount pageInfo { endCursor hasNextPage }
    nodes { number periodStart periodEnd issueDate dueDate status totalDue { amount } remainingDue { amount } badges }
  } }"""


def listed(world: World, account: str, **criteria: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = seen(world, _LIST, a=account, **criteria)["invoices"]["nodes"]
    return found


def numbers(world: World, account: str, **criteria: Any) -> list[str]:
    return [one["number"] for one in listed(world, account, **criteria)]


def codes(world: World, text: str, **variables: Any) -> list[str]:
    return [error["extensions"]["code"] for error in asked(world, text, **variables)["errors"]]


@pytest.fixture
def half_year(world: World) -> tuple[str, list[str]]:
    """A list bill account with the invoices of January to June 2025, all issued on 2024-12-16, 100.00 each."""
    world.on("2024-12-16")
    account, policy = world.group()
    world.member(policy, "MR-1")
    return account, invoiced(world, account, 6)


@pytest.mark.rule("INV-230")
def test_a_list_bill_begins_with_the_oldest_invoice_and_its_card_with_the_newest(
    world: World, half_year: tuple[str, list[str]]
) -> None:
    account, issued = half_year
    discard(world, issued[5])
    again = regenerate(world, issued[5])  # the same period, issued later
    history = [*issued, again]
    assert numbers(world, account) == history
    assert numbers(world, account, newest=True) == history[::-1]
    assert numbers(world, account, recent=True) == history[-4:]
    card = "query ($a: String!) { billingAccount(number: $a) { recentInvoices { number } } }"
    shown = seen(world, card, a=account)["billingAccount"]["recentInvoices"]
    assert [one["number"] for one in shown] == history[::-1][:4]
    world.do("SetParameter", name="invoicing.recent_invoices", value=2)
    assert numbers(world, account, recent=True) == history[-2:]
    # Page by page, in either order.
    for newest, whole in ((False, history), (True, history[::-1])):
        found, after = [], None
        for _ in range(4):
            page = seen(world, _LIST, a=account, newest=newest, first=2, after=after)["invoices"]
            found += [one["number"] for one in page["nodes"]]
            after = page["pageInfo"]["endCursor"]
        assert found == whole
        assert not page["pageInfo"]["hasNextPage"]


@pytest.mark.rule("INV-231", "PLT-069")
def test_the_filters_of_the_list_hold_together(world: World, half_year: tuple[str, list[str]]) -> None:
    account, issued = half_year
    pay_invoice(world, account, issued[0], "100.00", "1")
    pay_invoice(world, account, issued[1], "40.00", "2")
    discard(world, issued[5])
    by_status = {status: numbers(world, account, status=status) for status in ("PAID", "PARTIALLY_PAID", "DISCARDED")}
    assert by_status == {"PAID": [issued[0]], "PARTIALLY_PAID": [issued[1]], "DISCARDED": [issued[5]]}
    assert numbers(world, account, status="ISSUED") == issued[2:5]
    # Periods that overlap the range, its days included.
    overlapping = {"from": "2025-02-28", "to": "2025-04-01"}
    assert numbers(world, account, **overlapping) == issued[1:4]
    assert numbers(world, account, **{"from": "2025-03-01", "to": "2025-03-31"}) == [issued[2]]
    assert numbers(world, account, **overlapping, status="ISSUED") == issued[2:4]
    assert numbers(world, account, number=issued[3]) == [issued[3]]
    assert numbers(world, account, number=issued[3][:-1].lower()) == issued
    assert numbers(world, account, number=issued[3], status="PAID") == []
    assert codes(world, _LIST, a=account, status="OPEN") == ["REQUEST_INVALID"]
    assert codes(world, _LIST, a=account, **{"from": "2025-04-01", "to": "2025-03-31"}) == ["DATE_RANGE_INVALID"]


_MONEY = """query ($i: String!) { invoice(number: $i) { payments {
  payment transactionDate allocationDate status allocated { amount } } } }"""
_COVERED = """query ($p: String!) { payment(number: $p) { records { account status invoices {
  invoice issueDate dueDate periodStart periodEnd applied { amount } } } } }"""


@pytest.mark.rule("INV-232", "INV-233")
def test_a_row_shows_the_money_on_it_and_a_payment_the_invoices_it_covers(
    world: World, half_year: tuple[str, list[str]]
) -> None:
    account, (january, february, *_) = half_year
    first = pay_invoice(world, account, january, "30.00", "1")["record"]
    world.on("2025-01-10")
    second = pay_invoice(world, account, january, "50.00", "2")["record"]
    world.on("2025-01-11")
    target = {"kind": "INVOICE", "invoice": february, "amount": "20.00"}
    third = pay_invoice(world, account, february, "5.00", "3")["record"]

    [row] = listed(world, account, number=january)
    assert row == {
        "number": january, "periodStart": "2025-01-01", "periodEnd": "2025-01-31", "issueDate": "2024-12-16",
        "dueDate": "2025-01-01", "status": "PARTIALLY_PAID", "totalDue": {"amount": "100.00"},
        "remainingDue": {"amount": "20.00"}, "badges": ["OVERDUE"],
    }  # fmt: skip
    shown = seen(world, _MONEY, i=january)["invoice"]["payments"]
    assert [(one["payment"], one["transactionDate"], one["status"], one["allocated"]["amount"]) for one in shown] == [
        (second, "2025-01-10", "ALLOCATED", "50.00"), (first, "2024-12-16", "ALLOCATED", "30.00"),
    ]  # fmt: skip
    assert [one["allocationDate"][:10] for one in shown] == ["2025-01-10", "2024-12-16"]

    # An allocation that was taken away disappears, and where there is none the section is empty.
    world.do("UnallocatePayment", record=first, reason="MISAPPLIED", invoices=[january])
    assert [one["payment"] for one in seen(world, _MONEY, i=january)["invoice"]["payments"]] == [second]
    world.do("AllocatePayment", record=first, targets=[target], remainder="KEEP_UNAPPLIED")
    assert seen(world, _MONEY, i=half_year[1][2])["invoice"]["payments"] == []

    [record] = seen(world, _COVERED, p=first)["payment"]["records"]
    assert record["invoices"] == [{
        "invoice": february, "issueDate": "2024-12-16", "dueDate": "2025-02-01", "periodStart": "2025-02-01",
        "periodEnd": "2025-02-28", "applied": {"amount": "20.00"},
    }]  # fmt: skip
    other = world.account("C-1")
    world.do(
        "TransferPayment", record=third, reason="MISAPPLIED", targets=[{"account": other, "amount": "5.00"}],
        confirmations=["UNALLOCATION", "RETAIN_REMAINDER"], roles=("SUP",),
    )  # fmt: skip
    moved = {one["account"]: one for one in seen(world, _COVERED, p=third)["payment"]["records"]}
    assert (moved[account]["status"], moved[account]["invoices"]) == ("TRANSFERRED", [])


_ROWS = """query ($i: String!, $order: ItemOrder! = MEMBER, $products: [String!], $period: Date, $search: String,
  $first: Int = 50, $after: String) {
  invoice(number: $i) { items(order: $order, products: $products, period: $period, search: $search, first: $first,
    after: $after) { totalCount pageInfo { endCursor hasNextPage } nodes {
      memberRecord coverage location masterPolicy kind amount { amount } } } } }"""


def rows(world: World, invoice: str, *columns: str, roles: tuple[str, ...] = ("BOF",), **criteria: Any) -> list[Any]:
    """The wanted columns of the rows of an invoice."""
    found = asked(world, _ROWS, i=invoice, roles=roles, **criteria)
    assert "errors" not in found, found["errors"]
    nodes = found["data"]["invoice"]["items"]["nodes"]
    return [one[columns[0]] if len(columns) == 1 else tuple(one[name] for name in columns) for one in nodes]


def named(world: World, policy: str, record: str, last: str, first: str, **members: Any) -> str:
    world.member(policy, record, last_name=last, first_name=first, **members)
    return record


@pytest.mark.rule("INV-237", "INV-E22")
def test_rows_stand_in_order_of_their_members_by_code_point(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    people = {
        named(world, policy, record, last, first): (last, first)
        for record, last, first in (
            ("MR-1", "Adams", "Bob"), ("MR-2", "ADAMS", "Cy"), ("MR-3", "adams", "Zoe"), ("MR-4", "Adams", "amy"),
        )
    }  # fmt: skip
    invoice = generate(world, account)

    def order(**criteria: Any) -> list[tuple[str, str]]:
        return [people[record] for record in rows(world, invoice, "memberRecord", **criteria)]

    default = [("ADAMS", "Cy"), ("Adams", "Bob"), ("Adams", "amy"), ("adams", "Zoe")]
    assert order() == default
    assert order(order="MEMBER_REVERSED") == [("adams", "Zoe"), ("Adams", "amy"), ("Adams", "Bob"), ("ADAMS", "Cy")]
    assert order(order="MEMBER") == default
    names = "query ($i: String!) { invoice(number: $i) { items { nodes { lastName firstName } } } }"
    shown = seen(world, names, i=invoice)["invoice"]["items"]["nodes"]
    assert [(one["lastName"], one["firstName"]) for one in shown] == default


@pytest.mark.rule("INV-237")
def test_people_of_one_name_stand_by_customer_number_then_record(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for record, customer in (("MR-1", "P-2"), ("MR-2", "P-1"), ("MR-3", "P-10"), ("MR-0", "P-2")):
        named(world, policy, record, "Adams", "Bob", customer=customer)
    invoice = generate(world, account)
    assert rows(world, invoice, "memberRecord") == ["MR-2", "MR-3", "MR-0", "MR-1"]
    assert rows(world, invoice, "memberRecord", order="MEMBER_REVERSED") == ["MR-1", "MR-0", "MR-3", "MR-2"]


@pytest.mark.rule("INV-238")
def test_other_orders_keep_the_order_of_members_inside(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    both = [{"coverage": "VISION", "annual_amount": "120.00"}, {"coverage": "DENTAL", "annual_amount": "240.00"}]
    named(world, policy, "MR-1", "Zola", "Ann", location="L-1", amounts=both)
    named(world, policy, "MR-2", "Adams", "Bob", location="L-2", amounts=both)
    named(world, policy, "MR-3", "Moore", "Cy", location="L-1", amounts=both[:1])
    named(world, policy, "MR-4", "Baker", "Dee", amounts=both[:1])
    invoice = generate(world, account)
    assert rows(world, invoice, "coverage", "memberRecord", order="COVERAGE") == [
        ("DENTAL", "MR-2"), ("DENTAL", "MR-1"),
        ("VISION", "MR-2"), ("VISION", "MR-4"), ("VISION", "MR-3"), ("VISION", "MR-1"),
    ]  # fmt: skip
    by_place = rows(world, invoice, "location", "memberRecord", order="LOCATION")
    assert list(dict.fromkeys(by_place)) == [("L-1", "MR-3"), ("L-1", "MR-1"), ("L-2", "MR-2"), (None, "MR-4")]
    by_policy = rows(world, invoice, "masterPolicy", "memberRecord", order="POLICY")
    assert by_policy == rows(world, invoice, "masterPolicy", "memberRecord")
    assert rows(world, invoice, "coverage", "memberRecord", order="COVERAGE", first=200) == rows(
        world, invoice, "coverage", "memberRecord", order="COVERAGE"
    )


@pytest.mark.parametrize("order", ["MEMBER", "MEMBER_REVERSED", "POLICY", "COVERAGE", "LOCATION", "LINE"])
def test_pages_of_every_order_neither_repeat_nor_omit_and_their_cursors_tell_no_names(world: World, order: str) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    amounts = [{"coverage": coverage, "annual_amount": "120.00"} for coverage in ("VISION", "DENTAL", "LIFE")]
    for number, last in enumerate(("Zola", "Adams", "Moore", "Adams", "Baker")):
        place = {} if number % 2 else {"location": f"L-{number}"}
        named(world, policy, f"MR-{number}", last, "Ann", amounts=amounts, **place)
    invoice = generate(world, account)
    whole = rows(world, invoice, "memberRecord", "coverage", order=order)
    assert len(set(whole)) == 15
    found, after = [], None
    while after is not None or not found:
        page = seen(world, _ROWS, i=invoice, order=order, first=4, after=after)["invoice"]["items"]
        found += [(one["memberRecord"], one["coverage"]) for one in page["nodes"]]
        after = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
        told = base64.urlsafe_b64decode(page["pageInfo"]["endCursor"] + "==").decode()
        assert not any(name in told for name in ("Zola", "Adams", "Moore", "Baker", "Ann"))
    assert found == whole
    for forged in ("999", "99999999999", "x", "-1"):
        nowhere = base64.urlsafe_b64encode(f'{told.rpartition(",")[0]},"{forged}"]'.encode()).decode()
        assert codes(world, _ROWS, i=invoice, order=order, first=4, after=nowhere) == ["CURSOR_INVALID"], forged


@pytest.mark.rule("INV-239", "INV-235")
def test_rows_are_found_by_member_and_product_in_every_period(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    both = [{"coverage": "VISION", "annual_amount": "120.00"}, {"coverage": "DENTAL", "annual_amount": "240.00"}]
    named(world, policy, "MR-1", "Adams", "Bob", employee_id="E-77", amounts=both)
    named(world, policy, "MR-2", "Moore", "Ann", amounts=both[:1])
    generate(world, account)
    amend(world, "MR-1", "2025-01-01", ("DENTAL", "360.00"))
    invoice = generate(world, account)  # February, with the correction of January
    shown = "memberRecord", "coverage", "kind"
    correction, dental = ("MR-1", "DENTAL", "RETRO"), ("MR-1", "DENTAL", "CHARGE")
    visions = [("MR-1", "VISION", "CHARGE"), ("MR-2", "VISION", "CHARGE")]

    about = "query ($i: String!) { invoice(number: $i) { products { product plans } } }"
    offered = seen(world, about, i=invoice)["invoice"]["products"]
    assert [one["product"] for one in offered] == ["DENTAL", "VISION"]
    assert sorted(rows(world, invoice, *shown, products=["DENTAL"])) == sorted([correction, dental])
    assert sorted(rows(world, invoice, *shown, products=["DENTAL", "VISION"])) == sorted([correction, dental, *visions])
    assert rows(world, invoice, *shown, products=["LIFE"]) == []
    for text in ("ADAM", "bob adams", "E-77", "MR-1"):
        assert {one[0] for one in rows(world, invoice, *shown, search=text)} == {"MR-1"}, text
    assert rows(world, invoice, *shown, search="Moore", products=["DENTAL"]) == []
    assert rows(world, invoice, *shown, search="Moore", products=["VISION"]) == [visions[1]]
    assert rows(world, invoice, *shown, search="Nobody") == rows(world, invoice, *shown, search="E-7") == []
    assert codes(world, _ROWS, i=invoice, search=" a ") == ["REQUEST_INVALID"]

    # The invoiced period and the earlier one, collapsed; each expanded into its rows.
    periods = """query ($i: String!, $products: [String!], $search: String) { invoice(number: $i) {
      periods(products: $products, search: $search) { start end invoiced lines amount { amount } } } }"""

    def collapsed(**criteria: Any) -> list[tuple[Any, ...]]:
        found = seen(world, periods, i=invoice, **criteria)["invoice"]["periods"]
        return [(one["start"], one["end"], one["invoiced"], one["lines"], one["amount"]["amount"]) for one in found]

    january, february = ("2025-01-01", "2025-01-31", False), ("2025-02-01", "2025-02-28", True)
    assert collapsed() == [(*february, 3, "50.00"), (*january, 1, "10.00")]
    assert collapsed(products=["VISION"]) == [(*february, 2, "20.00")]
    assert collapsed(search="adams", products=["DENTAL"]) == [(*february, 1, "30.00"), (*january, 1, "10.00")]
    assert rows(world, invoice, *shown, period="2025-01-01") == [correction]
    assert rows(world, invoice, "memberRecord", period="2025-02-01", order="MEMBER_REVERSED") == [
        "MR-2", "MR-1", "MR-1",
    ]  # fmt: skip


@pytest.mark.rule("PLT-086")
def test_names_neither_order_nor_find_rows_for_who_may_not_see_members(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for record, last in (("MR-1", "Zola"), ("MR-2", "Adams")):
        named(world, policy, record, last, "Ann")
    invoice = generate(world, account)
    assert rows(world, invoice, "memberRecord") == ["MR-2", "MR-1"]
    assert rows(world, invoice, "memberRecord", search="Zola") == ["MR-1"]
    # EXT may view invoices, but no members.
    assert rows(world, invoice, "memberRecord", roles=("EXT",)) == ["MR-1", "MR-2"]
    assert rows(world, invoice, "memberRecord", roles=("EXT",), search="Zola") == []
    assert rows(world, invoice, "memberRecord", roles=("EXT",), search="MR-1") == ["MR-1"]
    for name in ("lastName", "firstName"):
        text = f"query ($i: String!) {{ invoice(number: $i) {{ items {{ nodes {{ {name} }} }} }} }}"
        answer = asked(world, text, i=invoice, roles=("EXT",))
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"FORBIDDEN"}
        assert [name for name in ("Zola", "Ann") if name in str(answer)] == []


def in_mode(world: World, mode: str) -> tuple[str, str]:
    """A list bill account of this allocation mode with one member, paid on the first of each month."""
    world.on("2024-12-16")
    world.calendar()
    policy = world.policy(world.sponsor())
    account = world.account("C-1", in_single_bill_setup=True)
    monthly = {"account": account, "payroll_frequency": "MONTHLY"}
    world.do("DefinePayrollCalendar", **monthly, start_date="2025-01-01", payroll_days=[1])
    world.do("ConfirmPayrollCalendar", **monthly)
    world.setup(policy, account, allocation_mode=mode)
    world.member(policy, "MR-1", payroll_frequency="MONTHLY")
    return account, policy


_MARKS = """query ($i: String!) { invoice(number: $i) { badges items { nodes { memberRecord indicators } } } }"""


def marks(world: World, invoice: str) -> tuple[list[str], dict[str, list[str]]]:
    """The badges of an invoice, and by member the indicators of its rows together."""
    found = seen(world, _MARKS, i=invoice)["invoice"]
    by_member: dict[str, set[str]] = {}
    for one in found["items"]["nodes"]:
        by_member.setdefault(one["memberRecord"], set()).update(one["indicators"])
    return found["badges"], {member: sorted(shown) for member, shown in by_member.items()}


@pytest.mark.rule("INV-240")
def test_waived_and_stopped_members_are_marked_on_their_rows(world: World) -> None:
    world.on("2024-12-16")
    account, policy = world.group(premium_waiver_source="CLAIMS")
    for record in ("MR-1", "MR-2", "MR-3"):
        world.member(policy, record)
    january = generate(world, account)
    world.do(
        "ApplyPremiumWaiver", transaction_id="WV-1", member_record="MR-1", source="CLAIMS",
        effective_date="2025-02-01",
    )  # fmt: skip
    world.do(
        "StopBilling", transaction_id="ST-1", member_record="MR-2", effective_date="2025-03-01",
        nonforfeiture="REDUCED_PAID_UP",
    )  # fmt: skip
    february = generate(world, account)
    assert marks(world, january) == ([], {"MR-1": [], "MR-2": [], "MR-3": []})
    assert marks(world, february) == (["PREMIUM_WAIVER"], {"MR-1": ["PREMIUM_WAIVER"], "MR-2": [], "MR-3": []})
    world.on("2025-03-01")
    badges, rows_of = marks(world, february)
    assert badges == ["OVERDUE", "PREMIUM_WAIVER"]
    assert rows_of == {"MR-1": ["PREMIUM_WAIVER"], "MR-2": ["STOP_BILLING"], "MR-3": []}


@pytest.mark.rule("INV-240")
def test_what_members_paid_too_much_is_marked_where_it_was_used(world: World) -> None:
    account, policy = in_mode(world, "INDIVIDUAL")
    world.member(policy, "MR-2", payroll_frequency="MONTHLY")
    january = generate(world, account)
    target = {"kind": "MEMBER", "member_record": "MR-1", "amount": "150.00"}
    world.do(
        "ApplyPayment", account=account, amount="150.00", method="CHECK", check_number="1", check_date="2024-12-16",
        reference="CHK-1", bank_processing=False, allocation="TARGETS", targets=[target],
    )  # fmt: skip
    february = generate(world, account)
    assert marks(world, january) == ([], {"MR-1": [], "MR-2": []})
    assert marks(world, february) == (["OVERPAYMENT_APPLIED"], {"MR-1": ["OVERPAYMENT_APPLIED"], "MR-2": []})


def test_a_longer_list_takes_no_more_queries(
    world: World, half_year: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    account, issued = half_year
    for number, invoice in enumerate(issued):
        pay_invoice(world, account, invoice, "10.00", str(number))
    asked_for: list[str] = []
    execute = Connection.execute, Cursor.execute

    def counting(index: int) -> Any:
        def run(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
            asked_for.append(str(query))
            return execute[index](self, query, *arguments, **options)

        return run

    text = """query ($a: String!, $first: Int!) { invoices(account: $a, first: $first) { nodes { number status badges
      source operator trackingReference payments { payment } statement { totalDue { amount } } } } }"""
    seen(world, text, a=account, first=1)  # what is prepared once
    monkeypatch.setattr(Connection, "execute", counting(0))
    monkeypatch.setattr(Cursor, "execute", counting(1))
    counts = {}
    for first in (1, 6):
        asked_for.clear()
        assert len(seen(world, text, a=account, first=first)["invoices"]["nodes"]) == first
        counts[first] = len(asked_for)
    assert counts[1] == counts[6] > 5


def test_badges_say_overdue_held_regenerated_and_late(world: World, half_year: tuple[str, list[str]]) -> None:
    account, issued = half_year
    march, april = issued[2:4]
    world.on("2025-03-01")
    assert marks(world, march)[0] == []  # due today
    world.on("2025-03-02")
    assert marks(world, march)[0] == ["OVERDUE"]
    pay_invoice(world, account, march, "100.00", "1")
    assert marks(world, march)[0] == []
    world.do("CreateHold", account=account, type="INVOICE", reason="Disputed", effective_date="2025-03-02")
    assert marks(world, april)[0] == ["ON_HOLD"]
    [hold] = seen(world, "query ($a: String!) { holds(account: $a) { holdId } }", a=account)["holds"]
    world.do("ReleaseHold", account=account, hold_id=hold["holdId"])
    assert marks(world, april)[0] == []
    june = issued[5]
    discard(world, june)
    world.on("2025-07-10")
    again = regenerate(world, june)
    assert marks(world, again)[0] == ["REGENERATED", "LATE"]
    world.on("2025-12-01")
    assert marks(world, again)[0] == ["OVERDUE", "REGENERATED", "LATE"]
    assert marks(world, june)[0] == []  # a discarded invoice is never overdue


_RECORD = """query ($i: String!) { invoice(number: $i) { number account billType allocationMode periodStart periodEnd
  issueDate dueDate source operator currency regenerates replacedBy trackingReference lines
  statement { totalDue { amount } } } }"""


@pytest.mark.rule("INV-045")
def test_what_the_invoice_record_stores_is_visible(world: World, half_year: tuple[str, list[str]]) -> None:
    account, issued = half_year
    discard(world, issued[5])
    again = regenerate(world, issued[5])
    found = seen(world, _RECORD, i=again)["invoice"]
    reference = found.pop("trackingReference")
    assert found == {
        "number": again, "account": account, "billType": "LIST_BILL", "allocationMode": "TRUE_GROUP",
        "periodStart": "2025-06-01", "periodEnd": "2025-06-30", "issueDate": "2024-12-16", "dueDate": "2025-06-01",
        "source": "MANUAL", "operator": "ann", "currency": "USD", "regenerates": issued[5], "replacedBy": None,
        "lines": 1, "statement": {"totalDue": {"amount": "600.00"}},
    }  # fmt: skip
    old = seen(world, _RECORD, i=issued[5])["invoice"]
    assert (old["replacedBy"], old["regenerates"]) == (again, None)
    history = "query ($i: String!) { invoice(number: $i) { history { nodes { type correlationId } } } }"
    events = seen(world, history, i=again)["invoice"]["history"]["nodes"]
    assert {one["correlationId"] for one in events if one["type"] == "InvoiceIssued"} == {reference}


@pytest.mark.rule("INV-052")
@pytest.mark.parametrize(
    ("mode", "names"),
    [
        (
            "TRUE_GROUP",
            ["previousBalance", "paymentsReceived", "currentPeriodAmount", "adjustments", "balanceWrittenOff",
             "currentDue", "totalDue", "carriedForward"],
        ),
        (
            "INDIVIDUAL",
            ["outstandingBalance", "currentPeriodAmount", "retroAdded", "retroCredit", "overpaymentAllocated",
             "paymentsAllocatedToInvoices", "totalDue", "carriedForward"],
        ),
    ],
)  # fmt: skip
def test_a_bill_shows_the_amounts_of_its_type_and_mode(world: World, mode: str, names: list[str]) -> None:
    account, _ = in_mode(world, mode)
    invoiced(world, account, 1)
    invoice = generate(world, account)
    text = """query ($i: String!) { invoice(number: $i) { statement { shown { name amount { amount } }
      previousBalance { amount } paymentsReceived { amount } outstandingBalance { amount } } } }"""
    statement = seen(world, text, i=invoice)["invoice"]["statement"]
    shown = {one["name"]: one["amount"]["amount"] for one in statement["shown"]}
    assert list(shown) == names
    assert (shown[names[0]], shown["currentPeriodAmount"], shown["totalDue"]) == ("100.00", "100.00", "200.00")
    hidden = ("previousBalance", "paymentsReceived") if mode == "INDIVIDUAL" else ("outstandingBalance",)
    assert [statement[name] for name in hidden] == [None] * len(hidden)


_SUMMARY = """query ($i: String!) { invoiceSummary(invoice: $i) {
  invoice totalDue { amount } remainingDue { amount } dueDate status trackingReference } }"""


@pytest.mark.rule("INV-241")
def test_the_summary_of_an_invoice_for_partners(world: World, half_year: tuple[str, list[str]]) -> None:
    account, issued = half_year
    pay_invoice(world, account, issued[1], "40.00", "1")
    found = asked(world, _SUMMARY, i=issued[1], roles=("EXT",))["data"]["invoiceSummary"]
    assert found.pop("trackingReference") == seen(world, _RECORD, i=issued[1])["invoice"]["trackingReference"]
    assert found == {
        "invoice": issued[1], "totalDue": {"amount": "200.00"}, "remainingDue": {"amount": "60.00"},
        "dueDate": "2025-02-01", "status": "PARTIALLY_PAID",
    }  # fmt: skip
    references = []
    for invoice, code in (("", "REQUEST_INVALID"), ("INV-99999999", "INVOICE_NOT_FOUND")):
        [error] = asked(world, _SUMMARY, i=invoice, roles=("EXT",))["errors"]
        [problem] = error["extensions"]["problems"]
        assert (problem["code"], problem["pointer"]) == (code, "/invoice")
        references.append(error["extensions"]["reference"])
    assert len(set(references)) == 2
    anonymous = world.client.post("/v1/graphql", json={"query": _SUMMARY, "variables": {"i": issued[1]}})
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "UNAUTHENTICATED")
    assert anonymous.json()["correlation_id"]


_BILLED = """query ($p: String!, $d: [Date!]!) { totalBilled(masterPolicy: $p, dates: $d) {
  date coverage amount { amount } } }"""


def billed(world: World, policy: str, *dates: str) -> list[tuple[str, str, str]]:
    found = asked(world, _BILLED, p=policy, d=list(dates), roles=("EXT",))["data"]["totalBilled"]
    return [(one["date"], one["coverage"], one["amount"]["amount"]) for one in found]


@pytest.mark.rule("INV-242", "INV-E21")
def test_what_was_billed_for_a_policy_over_all_its_accounts(world: World) -> None:
    world.on("2024-12-20")
    accounts, policy = locations(world, "L-1", "L-2")
    world.member(policy, "MR-1", location="L-1", amounts=[{"coverage": "DENTAL", "annual_amount": "5760.00"}])
    world.member(policy, "MR-2", location="L-2", amounts=[{"coverage": "DENTAL", "annual_amount": "2400.00"}])
    _, february = invoiced(world, accounts["L-1"], 2)
    invoiced(world, accounts["L-2"], 2)
    assert billed(world, policy, "2025-02-15") == [("2025-02-15", "DENTAL", "680.00")]
    discard(world, february)  # Dental 480.00
    amend(world, "MR-1", "2025-01-01", ("DENTAL", "5400.00"))  # January is 30.00 less
    amend(world, "MR-1", "2025-02-01", ("DENTAL", "6000.00"), ("VISION", "1440.00"))
    regenerate(world, february)
    assert billed(world, policy, "2025-02-15", "2025-03-01") == [
        ("2025-02-15", "DENTAL", "670.00"), ("2025-02-15", "VISION", "120.00"),
        ("2025-03-01", "DENTAL", "0.00"), ("2025-03-01", "VISION", "0.00"),
    ]  # fmt: skip
    whole = asked(world, _BILLED, p="MR-1", d=["2025-02-15"])
    assert (whole["data"], codes(world, _BILLED, p="MR-1", d=["2025-02-15"])) == (None, ["NOT_A_MASTER_POLICY"])
    assert codes(world, _BILLED, p="MP-9", d=["2025-02-15"]) == ["MASTER_POLICY_NOT_FOUND"]
    assert codes(world, _BILLED, p=policy, d=[]) == ["REQUEST_INVALID"]


@pytest.mark.rule("INV-242")
def test_a_waived_charge_was_billed_with_its_offset(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group(premium_waiver_source="CLAIMS")
    world.member(policy, "MR-1")
    world.member(policy, "MR-2", annual="2400.00")
    world.do(
        "ApplyPremiumWaiver", transaction_id="WV-1", member_record="MR-1", source="CLAIMS",
        effective_date="2025-01-01",
    )  # fmt: skip
    generate(world, account)
    assert billed(world, policy, "2025-01-01", "2025-01-31") == [
        ("2025-01-01", "LIFE", "200.00"), ("2025-01-31", "LIFE", "200.00"),
    ]  # fmt: skip
