"""The story: four months of a group, told by the files, commands and jobs that really happen.

December   twelve members are enrolled for life and dental; January's invoice
January    an advice and its money pay it; a raise, a termination and a hire come in; February's invoice
February   late news: a raise from January on, a reinstatement, and a raise that lies before one already applied,
           which is backed off and rolled on; part of the money comes, and a credit nobody knows; March's invoice
           carries the differences
March      the rest of the money; April's invoice; all files once more, without effect
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from api.cli.demo.partners import advice_file, bank_file, cover, enrolment_file, instruct
from api.cli.demo.service import POLICY_SYSTEM, Client, DemoError
from application.files.enrolment import Maintenance

START = dt.date(2024, 12, 10)
POLICY = "MP-100"
MEMBERS = 12
LIFE, DENTAL = 4_500, 3_250  # minor units a month

Say = Callable[[str], None]


def _day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


@dataclass
class Story:
    """The story so far."""

    client: Client
    say: Say
    #: The log's last position: what the next query has to have seen.
    position: Callable[[], int]
    account: str = ""
    files: list[tuple[str, str, bytes]] = field(default_factory=list)
    cases: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    received: int = 0

    def tell(self) -> None:
        """All of it."""
        self._set_up()
        self._december()
        self._january()
        self._february()
        self._march()
        self._everything_again()

    def _set_up(self) -> None:
        command = self.client.command
        command(
            "CreateBillingCalendar",
            name="US",
            weekend_days=[6, 7],
            holidays=[],
            working_weekends=[],
            execution_time="06:00",
        )
        command("SetDefaultBillingCalendar", name="US")
        command("DefineGenerationRule", calendar="US", number_of_days_ahead=15)
        command(
            "CreateBillingCustomer",
            reference="C-100",
            kind="ORGANIZATION",
            role="GROUP_SPONSOR",
            legal_name="Northwind Mills",
            legal_identification="98-7654321",
            email="benefits@northwind.example",
            address={"line1": "1 Mill Lane", "city": "Austin", "state": "TX", "postal_code": "78701", "country": "US"},
        )
        command(
            "CreateMasterPolicyProduct",
            roles=POLICY_SYSTEM,
            master_policy=POLICY,
            sponsor="C-100",
            product="GROUP-LIFE",
            line_of_business="LIFE",
            bill_type="LIST_BILL",
            currency="USD",
            effective_date="2025-01-01",
        )
        created = command(
            "CreateBillingAccount",
            owner="C-100",
            currency="USD",
            schedule={"frequency": "MONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [1]},
            in_single_bill_setup=True,
            activate=True,
        )
        self.account = str(created["result"]["account"])
        setup = command(
            "StartBillingSetup",
            master_policy=POLICY,
            bill_type="LIST_BILL",
            allocation_mode="TRUE_GROUP",
            setup_type="SINGLE_BILL",
            account=self.account,
        )["result"]["setup_ref"]
        command("SaveBillingSetup", setup_ref=setup, entries=[{"account": self.account}])
        command("IssueBillingSetup", setup_ref=setup)
        self.say(f"account {self.account} bills policy {POLICY} of Northwind Mills monthly, on the first")

    def _december(self) -> None:
        on = START
        begin = _day("2025-01-01")
        enrolled = [
            instruct(
                Maintenance.ADDITION,
                number,
                cover(Maintenance.ADDITION, "LIF", begin=begin, monthly=LIFE + 50 * number),
                cover(Maintenance.ADDITION, "DEN", begin=begin, monthly=DENTAL),
            )
            for number in range(1, MEMBERS + 1)
        ]
        self._send("ENROLMENT", "enrolment.834", enrolment_file(POLICY, on, 1, enrolled))
        self._bill("2024-12-17")

    def _january(self) -> None:
        self.client.move_clock(_day("2025-01-02"))
        invoice, due = self._newest()
        on = _day("2025-01-02")
        self._send("REMITTANCE", "january.820", advice_file(on, "TRACE-0001", [(invoice, due)]), open_cases=True)
        self._send("BANK_STATEMENT", "january.bai2", bank_file(on, [(due, "TRACE-0001", "GROUP PREMIUM")]))
        self.received += due
        self.client.move_clock(_day("2025-01-10"))
        changes = [
            instruct(
                Maintenance.CHANGE,
                3,
                cover(Maintenance.CHANGE, "LIF", begin=_day("2025-02-01"), monthly=6_000),
            ),
            instruct(Maintenance.CANCELLATION, 5, cover(Maintenance.CANCELLATION, "LIF", last_day=_day("2025-01-31"))),
            instruct(Maintenance.CANCELLATION, 8, cover(Maintenance.CANCELLATION, "LIF", last_day=_day("2025-01-31"))),
            instruct(
                Maintenance.ADDITION,
                MEMBERS + 1,
                cover(Maintenance.ADDITION, "LIF", begin=_day("2025-02-01"), monthly=LIFE),
            ),
        ]
        self._send("ENROLMENT", "january.834", enrolment_file(POLICY, _day("2025-01-10"), 2, changes))
        self._bill("2025-01-17")

    def _february(self) -> None:
        self.client.move_clock(_day("2025-02-05"))
        late = [
            instruct(
                Maintenance.CHANGE,
                2,
                cover(Maintenance.CHANGE, "LIF", begin=_day("2025-01-01"), monthly=5_200),
            ),
            instruct(Maintenance.REINSTATEMENT, 5, cover(Maintenance.REINSTATEMENT, "LIF", begin=_day("2025-02-01"))),
            instruct(
                Maintenance.CHANGE,
                3,
                cover(Maintenance.CHANGE, "LIF", begin=_day("2025-01-16"), monthly=5_500),
            ),
        ]
        self._send("ENROLMENT", "february.834", enrolment_file(POLICY, _day("2025-02-05"), 3, late))
        self._roll_on()
        invoice, due = self._newest()
        part = due - 10_000
        credits = [(part, "", f"PREMIUM {invoice}"), (12_345, "", "WITH KIND REGARDS")]
        self._send("BANK_STATEMENT", "february.bai2", bank_file(_day("2025-02-05"), credits), open_cases=True)
        self.received += part
        self._bill("2025-02-14")

    def _roll_on(self) -> None:
        """The change that lay before one already applied has backed that one off: it is applied again behind it."""
        text = """query ($position: Position) { rollOnPending(minPosition: $position) {
            nodes { memberRecord backedOff { transactionId } } } }"""
        pending = self.client.query(text, position=self.position())
        for record in pending["rollOnPending"]["nodes"]:
            backed_off = [one["transactionId"] for one in record["backedOff"]]
            self.client.command(
                "InstructRollOn",
                roles=POLICY_SYSTEM,
                member_record=record["memberRecord"],
                decisions=[{"transaction_id": one, "action": "ROLL_ON"} for one in backed_off],
            )
            self.say(f"{record['memberRecord']}: {len(backed_off)} change backed off and rolled on")
        if not pending["rollOnPending"]["nodes"]:
            raise DemoError("the out-of-sequence change backed nothing off")

    def _march(self) -> None:
        self.client.move_clock(_day("2025-03-03"))
        due = self._due()
        text = f"ACCOUNT {self.account}"
        self._send("BANK_STATEMENT", "march.bai2", bank_file(_day("2025-03-03"), [(due + 2_500, "", text)]))
        self.received += due + 2_500
        gone = instruct(
            Maintenance.CANCELLATION, 7, cover(Maintenance.CANCELLATION, "LIF", last_day=_day("2025-02-28"))
        )
        self._send("ENROLMENT", "march.834", enrolment_file(POLICY, _day("2025-03-03"), 4, [gone]))

    def _everything_again(self) -> None:
        before = self.position()
        for kind, name, content in self.files:
            receipt = self.client.send_file(kind, name, content)
            if not receipt["repeated"]:
                raise DemoError(f"{name} was taken in twice")
            self.cases += [(name, case) for case in receipt["report"]["cases"]]
        if self.position() != before:
            raise DemoError("a file sent again had an effect")
        self.say(f"all {len(self.files)} files sent once more: no effect")

    # Words of the story

    def _send(self, kind: str, name: str, content: bytes, *, open_cases: bool = False) -> None:
        receipt = self.client.send_file(kind, name, content)
        report = receipt["report"]
        self.files.append((kind, name, content))
        if report["cases"] and not open_cases:
            raise DemoError(f"{name}: {report['cases'][0]}")
        self.say(f"{name}: {report['steps']} steps, {report['done']} done, {len(report['cases'])} for a person")

    def _bill(self, day: str) -> None:
        self.client.move_clock(_day(day))
        run = self.client.run_job("InvoiceGeneration")
        if (run["state"], run["done"]) != ("COMPLETED", 1):
            raise DemoError(f"invoice generation on {day}: {run}")
        invoice, due = self._newest()
        self.say(f"{day}: {invoice} issued, {due / 100:,.2f} due on it")

    def _newest(self) -> tuple[str, int]:
        """Number and remaining due of the newest invoice, minor units."""
        text = """query ($account: String!, $position: Position) { invoices(account: $account, first: 1,
            newestFirst: true, minPosition: $position) { nodes { number remainingDue { amount } } } }"""
        [found] = self._query(text)["invoices"]["nodes"]
        return str(found["number"]), _minor(found["remainingDue"]["amount"])

    def _due(self) -> int:
        text = """query ($account: String!, $position: Position) {
            accountBalances(account: $account, minPosition: $position) { remainingDue { amount } } }"""
        return _minor(self._query(text)["accountBalances"]["remainingDue"]["amount"])

    def _query(self, text: str) -> dict[str, Any]:
        return self.client.query(text, account=self.account, position=self.position())


def _minor(text: str) -> int:
    """Minor units of decimal text with two decimals."""
    return int(text.replace(".", ""))
