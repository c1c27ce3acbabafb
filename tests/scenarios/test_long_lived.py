"""An account lives for many years: what is stored of its state keeps up with its events."""

from __future__ import annotations

from tests.scenarios.billing import amend, generate, pay
from tests.scenarios.conftest import World


def test_an_account_is_billed_for_five_years(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    for month in range(60):
        generate(world, account)
        if month % 6 == 0:
            year, first = divmod(month, 12)
            amend(world, "MR-1", f"{2025 + year}-{first + 1:02}-01", ("LIFE", f"{1200 + month}.00"))
        pay(world, account, "101.00", str(month))
    assert len(world.check(account).live) == 60
    world.verify()
