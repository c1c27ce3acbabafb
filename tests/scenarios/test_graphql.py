"""What a user sees of a billing cycle over GraphQL."""

from __future__ import annotations

from tests.scenarios.conftest import World

_ACCOUNT = """
query ($account: String!) {
  billingAccount(number: $account) {
    number name status billType allocationMode tags version masterPolicies
    schedule { frequency dueDays }
    balances { dueAndUnpaid { amount currency } totalPaid { amount } accountBalance { amount } anyb { amount } }
    invoices { totalCount pageInfo { hasNextPage } nodes {
      number status periodStart periodEnd remainingDue { amount } statement { totalDue { amount } }
      items { nodes { line memberRecord coverage amount { amount } remainingDue { amount } } }
      payments { payment allocated { amount } }
    } }
    payments { nodes { payment status method allocated { amount } invoices { invoice applied { amount } }
      allocations { nodes { invoice line amount { amount } } } } }
    memberBalances { nodes { memberRecord memberBalance { amount } paid { amount } } }
    history(first: 3) { nodes { type recordedAt actor payload } pageInfo { endCursor hasNextPage } }
  }
  freshness { position lagMs }
}
"""


def test_an_account_with_everything_on_it(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.member(policy, "MR-2", annual="2400.00")
    world.do("GenerateInvoice", account=account, confirmed=True)
    world.do(
        "ApplyPayment", account=account, amount="250.00", method="CHECK", check_number="1", check_date="2024-12-20",
        reference="CHK-1", allocation="RULES",
    )  # fmt: skip
    found = world.query(_ACCOUNT, account=account.lower())["billingAccount"]
    print(found)
    assert found["balances"]["dueAndUnpaid"] == {"amount": "50.00", "currency": "USD"}
