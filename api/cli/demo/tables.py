"""What the service answers at the end of the story, as tables. Each row points to its events: stream and positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from api.cli.demo.service import Client

_EVENTS = "history(first: 200) { nodes { position } }"

_QUERY = f"""
query ($account: String!, $position: Position) {{
  invoices(account: $account, first: 50, minPosition: $position) {{ nodes {{
    number periodStart periodEnd issueDate dueDate status live lines totalBilled {{ amount }} totalDue {{ amount }}
    remainingDue {{ amount }} {_EVENTS} }} }}
  payments(account: $account, first: 50) {{ nodes {{
    record method reference effectiveDate status amount {{ amount }} allocated {{ amount }} unapplied {{ amount }}
    {_EVENTS} }} }}
  accountAnyb(account: $account, first: 50) {{ total {{ amount }} members {{ nodes {{ memberRecord }} }} }}
  accountBalances(account: $account) {{
    totalBilled {{ amount }} totalPaid {{ amount }} remainingDue {{ amount }} openCredit {{ amount }}
    writtenOff {{ amount }} unapplied {{ amount }} memberUnapplied {{ amount }} memberOverpayment {{ amount }}
    anyb {{ amount }} accountBalance {{ amount }} accountBalanceWithAnyb {{ amount }} position }}
  accountPaidToDate(account: $account) {{ masterPolicy paidToDate paidThrough strategy }}
  memberRecords(account: $account, first: 50) {{ nodes {{ number badges effectiveDate {_EVENTS} }} }}
}}
"""

_ANYB = """
query ($member: String!, $account: String!) { explainAnyb(memberRecord: $member, account: $account) {
  item { amount { amount } } invoices transactions { transactionId effectiveDate } events { position } } }
"""

_BALANCES = (
    ("total billed", "totalBilled"),
    ("total paid", "totalPaid"),
    ("remaining due", "remainingDue"),
    ("open credit", "openCredit"),
    ("written off", "writtenOff"),
    ("unapplied", "unapplied"),
    ("amendments not yet billed (ANYB)", "anyb"),
    ("account balance", "accountBalance"),
    ("account balance with ANYB", "accountBalanceWithAnyb"),
)


def answers(client: Client, account: str, position: int) -> dict[str, Any]:
    """Everything the tables and the checks need, from one position of the log."""
    return client.query(_QUERY, account=account, position=position)


def show(
    console: Console, client: Client, account: str, found: dict[str, Any], cases: Sequence[tuple[str, dict[str, Any]]]
) -> None:
    """Print all tables."""
    console.print(_invoices(found))
    console.print(_payments(found))
    console.print(_members(found))
    console.print(_anyb(client, account, found))
    console.print(_balances(account, found))
    if cases:
        console.print(_cases(cases))


def pointer(stream: str, positions: Sequence[int]) -> str:
    """Where the events of a row are: the stream, and their positions in the log."""
    if not positions:
        return stream
    first, last = min(positions), max(positions)
    return f"{stream} @ {first}" if first == last else f"{stream} @ {first}..{last} ({len(positions)})"


def _positions(row: dict[str, Any]) -> list[int]:
    return [int(node["position"]) for node in row["history"]["nodes"]]


def _table(title: str, *columns: str, amounts: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in amounts else "left", overflow="fold")
    return table


def _fill(table: Table, rows: Sequence[dict[str, Any]], cells: Callable[[dict[str, Any]], Sequence[str]]) -> Table:
    for row in rows:
        table.add_row(*cells(row))
    return table


def _invoices(found: dict[str, Any]) -> Table:
    amounts = ("billed", "total due", "open")
    table = _table("Invoices", "number", "period", "due", *amounts, "status", "events", amounts=amounts)
    return _fill(
        table,
        found["invoices"]["nodes"],
        lambda row: (
            row["number"],
            f"{row['periodStart']} to {row['periodEnd']}",
            row["dueDate"],
            row["totalBilled"]["amount"],
            row["totalDue"]["amount"],
            row["remainingDue"]["amount"],
            row["status"],
            pointer(f"invoice:{row['number']}", _positions(row)),
        ),
    )


def _payments(found: dict[str, Any]) -> Table:
    amounts = ("amount", "allocated", "unapplied")
    table = _table("Payments", "record", "reference", "of", *amounts, "status", "events", amounts=amounts)
    return _fill(
        table,
        found["payments"]["nodes"],
        lambda row: (
            row["record"],
            row["reference"] or "",
            row["effectiveDate"],
            row["amount"]["amount"],
            row["allocated"]["amount"],
            row["unapplied"]["amount"],
            row["status"],
            pointer(f"payment:{row['record']}", _positions(row)),
        ),
    )


def _members(found: dict[str, Any]) -> Table:
    return _fill(
        _table("Members", "record", "since", "badges", "events"),
        found["memberRecords"]["nodes"],
        lambda row: (
            row["number"],
            row["effectiveDate"],
            ", ".join(row["badges"]),
            pointer(f"member:{row['number']}", _positions(row)),
        ),
    )


def _anyb(client: Client, account: str, found: dict[str, Any]) -> Table:
    total = found["accountAnyb"]["total"]["amount"]
    table = _table(
        f"Amendments not yet billed: {total}", "record", "amount", "because of", "events", amounts=("amount",)
    )
    for member in found["accountAnyb"]["members"]["nodes"]:
        record = member["memberRecord"]
        for one in client.query(_ANYB, member=record, account=account)["explainAnyb"]:
            because = ", ".join(
                f"{cause['transactionId']} from {cause['effectiveDate']}" for cause in one["transactions"]
            )
            positions = [int(event["position"]) for event in one["events"]]
            table.add_row(record, one["item"]["amount"]["amount"], because, pointer(f"member:{record}", positions))
    return table


def _balances(account: str, found: dict[str, Any]) -> Table:
    table = _table(f"Balances of {account}", "figure", "value", "events", amounts=("value",))
    balances = found["accountBalances"]
    for label, name in _BALANCES:
        table.add_row(label, balances[name]["amount"], "")
    for row in found["accountPaidToDate"]:
        through = f" (covered through {row['paidThrough']})" if row["paidThrough"] else ""
        table.add_row(f"paid-to-date of {row['masterPolicy']}", f"{row['paidToDate']}{through}", "")
    table.add_row("as of", "", pointer(f"account:{account}", [int(balances["position"])]))
    return table


def _cases(cases: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    table = _table("Left for a person", "file", "line", "segment", "what", "state", "why")
    for name, case in cases:
        table.add_row(name, str(case["line"]), str(case["segment"]), case["action"], case["state"], case["code"])
    return table
