"""The parameters as a user reads them: what each may hold, what goes on a day, and what was ever set."""

from __future__ import annotations

from typing import Any

import pytest

from domain.platform.parameters import PARAMETERS
from tests.scenarios.conftest import World
from tests.scenarios.test_scope_of_reads import asked

_LIST = """
query ($first: Int!, $after: String, $name: String, $room: String, $keys: [ParameterKeyInput!], $on: Date) {
  parameters(first: $first, after: $after, name: $name, room: $room, keys: $keys, on: $on) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { name room type unit lowest highest choices nullable scope default
      inForce { value version keys { key value } } } } }
"""
_SETTINGS = """
query ($name: String!, $after: String) { parameters(name: $name) { nodes { settings(first: 2, after: $after) {
  pageInfo { hasNextPage endCursor }
  nodes { keys { key value } version value previousValue effectiveFrom recordedAt actor } } } } }
"""
_WAITING = "recurring.waiting_days"


def _one(world: World, name: str, **criteria: Any) -> dict[str, Any]:
    [found] = world.query(_LIST, first=50, name=name, **criteria)["parameters"]["nodes"]
    return dict(found)


def _key(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value}


@pytest.fixture
def dated(world: World) -> World:
    """Waiting days set for organisations from April on, then for all, then for organisations from May on."""
    world.on("2025-01-10")
    organisations = {"name": _WAITING, "keys": {"customer_type": "ORGANIZATION"}}
    world.do("SetParameter", **organisations, value=5, effective_from="2025-04-01")
    world.do("SetParameter", name=_WAITING, value=9)
    world.on("2025-01-11")
    world.do("SetParameter", **organisations, value=7, effective_from="2025-05-01")
    return world


@pytest.mark.rule("PLT-110")
def test_the_value_in_force_is_that_of_the_day_and_of_the_most_special_key(dated: World) -> None:
    organisation = [_key("customer_type", "ORGANIZATION")]
    found = _one(dated, _WAITING, keys=organisation)
    assert (found["type"], found["room"], found["scope"]) == ("INTEGER", "07", list(PARAMETERS[_WAITING].keys))
    assert (found["lowest"], found["highest"]) == (PARAMETERS[_WAITING].low, PARAMETERS[_WAITING].high)
    assert found["default"] == 3
    assert _one(dated, _WAITING)["default"] == 14
    for day, keys, value, version, origin in (
        ("2025-01-09", organisation, 3, 0, []),
        ("2025-03-31", organisation, 9, 1, []),
        ("2025-04-01", organisation, 5, 1, organisation),
        ("2025-05-01", organisation, 7, 2, organisation),
        ("2025-05-01", [_key("customer_type", "INDIVIDUAL")], 9, 1, []),
        ("2025-05-01", [], 9, 1, []),
    ):
        in_force = _one(dated, _WAITING, keys=keys, on=day)["inForce"]
        assert in_force == {"value": value, "version": version, "keys": origin}, (day, keys)


@pytest.mark.rule("PLT-110")
def test_every_value_ever_set_is_listed_with_its_day_page_by_page(dated: World) -> None:
    [found] = dated.query(_SETTINGS, name=_WAITING)["parameters"]["nodes"]
    first, second = found["settings"]["nodes"]
    assert (first["value"], first["effectiveFrom"]) == (5, "2025-04-01")
    assert (first["previousValue"], first["keys"]) == (3, [_key("customer_type", "ORGANIZATION")])
    assert (second["value"], second["effectiveFrom"], second["keys"]) == (9, "2025-01-10", [])
    assert found["settings"]["pageInfo"]["hasNextPage"]
    cursor = found["settings"]["pageInfo"]["endCursor"]
    [found] = dated.query(_SETTINGS, name=_WAITING, after=cursor)["parameters"]["nodes"]
    [third] = found["settings"]["nodes"]
    assert (third["value"], third["previousValue"], third["version"]) == (7, 5, 2)
    assert (third["actor"], third["recordedAt"][:10]) == (first["actor"], "2025-01-11")
    assert not found["settings"]["pageInfo"]["hasNextPage"]


def test_the_list_is_all_parameters_once_and_values_of_every_type_come_through(world: World) -> None:
    world.on("2025-01-10")
    order = ["INTERNAL", "BANKING", "CUSTOMER_CREDIT"]
    world.do("SetParameter", name="consumption.category_order", value=order)
    names: list[str] = []
    after = None
    while True:
        page = world.query(_LIST, first=50, after=after)["parameters"]
        assert page["totalCount"] == len(PARAMETERS)
        names += [one["name"] for one in page["nodes"]]
        for one in page["nodes"]:
            wanted = order if one["name"] == "consumption.category_order" else one["default"]
            assert one["inForce"]["value"] == wanted, one["name"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert names == sorted(PARAMETERS)
    found = world.query(_LIST, first=200, room="13", name="platform.t")["parameters"]["nodes"]
    assert [one["name"] for one in found] == ["platform.time_zone"]
    assert world.query(_LIST, first=200, room="07", name="platform.t")["parameters"]["nodes"] == []


def test_parameters_need_their_privilege_and_keys_that_exist(world: World) -> None:
    def codes(*scope: str, roles: tuple[str, ...] = ("BOF",), **criteria: Any) -> list[tuple[str, str | None]]:
        answer = asked(world, _LIST, *scope, roles=roles, first=5, **criteria)
        found = [problem for error in answer["errors"] for problem in error["extensions"]["problems"]]
        return [(problem["code"], problem.get("pointer")) for problem in found]

    assert [code for code, _ in codes(roles=("EXT",))] == ["FORBIDDEN"]
    assert [code for code, _ in codes("C-1")] == ["FORBIDDEN"]
    wrong = [_key("colour", "blue"), _key("bill_type", "BLUE"), _key("mode", "INDIVIDUAL"), _key("mode", "INDIVIDUAL")]
    assert codes(keys=wrong) == [("REQUEST_INVALID", f"/keys/{index}") for index in (0, 1, 3)]
    for role in ("BOF", "AUD", "OPS"):
        assert "errors" not in asked(world, _LIST, roles=(role,), first=5), role
