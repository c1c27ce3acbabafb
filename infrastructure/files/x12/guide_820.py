"""The payment order and remittance advice (820) as a grammar: the guide 005010X218 and the plain standard 005010.

The guide closes its code lists; the plain standard leaves them to the partners, so there only the dictionary's types
and lengths are checked, parties may come in any order, and summary and individual remittance share one loop. In both, a
line without an amount paid (RMR04) is refused: the standard allows it, but money cannot be placed by it.
"""

from __future__ import annotations

from collections.abc import Mapping

from infrastructure.files.x12.checking import Use
from infrastructure.files.x12.grammar import UNLIMITED, Loop

GUIDE = "005010X218"
STANDARD = "005010"

_PREVIOUS = "52 53 80 81 86 BJ H1 H6 RU WO"
_CURRENT = "20 52 53 AA AX H1 H6 IA J3"


def _adjustment(loop: str, at: int, reasons: str | None) -> Loop:
    codes: Mapping[int, str] = {2: reasons} if reasons else {}
    return Loop(loop, at, (Use("ADX", at, "adjustment", required=(1, 2), codes=codes),), most=UNLIMITED)


def _line(loop: str, lines: str | None, references: str | None, current: str | None, *, summary: bool) -> Loop:
    """An RMR loop; `lines`, `references`, `current` are the guide's codes, None in the plain standard."""
    strict = lines is not None
    period = {1: "582 AAG", 5: "RD8"} if strict else {5: "D8 RD8"}
    reference: Mapping[int, str] = {1: references} if references else {}
    item = Loop(
        "IT1",
        1900,
        (
            Use("IT1", 1900, "summary line item", required=(1,)),
            Loop(
                "SAC",
                2020,
                (Use("SAC", 2020, "charge", required=(1, 5) if strict else (1,), codes={1: "C"} if strict else {}),),
                most=4 if strict else UNLIMITED,
            ),
            Loop(
                "SLN",
                2040,
                (Use("SLN", 2040, "member count", required=(1, 3), codes={3: "O"} if strict else {}),),
                most=3 if strict else UNLIMITED,
            ),
        ),
        most=1 if strict else UNLIMITED,
    )
    actions: Mapping[int, str] = {3: "PA PI PO PP"} if strict and summary else {}
    return Loop(
        loop,
        1500,
        (
            Use(
                "RMR", 1500, "remittance detail", required=(1, 2, 4), codes={**({1: lines} if lines else {}), **actions}
            ),
            Use("REF", 1700, "reference", UNLIMITED, required=(1, 2), codes=reference),
            Use("DTM", 1800, "coverage period", 1 if strict else UNLIMITED, required=(1,), codes=period),
            *((item,) if summary else ()),
            _adjustment("2320", 2100, current),
        ),
        most=UNLIMITED,
        needed=True,
    )


def _party(loop: str, at: int, name: str, roles: str, identifiers: str, *parts: Use, most: int, needed: bool) -> Loop:
    """A party of the guide, with the segments only this one has."""
    return Loop(
        loop,
        at,
        (
            Use("N1", 700, name, key=1, required=(1,), codes={1: roles, 3: identifiers}),
            Use("N2", 800, "additional name", required=(1,)),
            Use("N3", 900, "address", required=(1,)),
            Use("N4", 1000, "city, state, postal code", required=(1,)),
            *parts,
        ),
        most=most,
        needed=needed,
    )


def _contact() -> Use:
    numbers = "EM EX FX TE"
    codes = {1: "IC", 3: "EM FX TE", 5: numbers, 7: numbers}
    return Use("PER", 1200, "contact", UNLIMITED, required=(1, 2, 3, 4), codes=codes)


def _payment(*, strict: bool) -> Use:
    codes = {
        1: "C D I P U X",
        3: "C",
        4: "ACH BOP CHK FWT NON SWT",
        5: "CCP CTX",
        6: "01 02 04",
        8: "ALC DA",
        12: "01 02 04",
        14: "DA SG",
    }
    needed = (1, 2, 3, 4, 10, 16) if strict else (1, 2, 3, 4)
    return Use("BPR", 200, "payment", needed=True, required=needed, codes=codes if strict else {3: "C D"})


REMITTANCE_GUIDE = Loop(
    "820",
    0,
    (
        Use("ST", 100, "transaction set", required=(1, 2, 3)),
        _payment(strict=True),
        Use("TRN", 350, "trace number", needed=True, required=(1, 2), codes={1: "1 3"}),
        Use("CUR", 400, "currency", required=(1, 2), codes={1: "2B PR"}),
        Use("REF", 500, "receiver's key", UNLIMITED, required=(1, 2), codes={1: "14 17 18 2F 38 72 LB"}),
        Use("DTM", 600, "dates", 4, required=(1,), codes={1: "009 035 582 097", 5: "RD8"}),
        _party(
            "1000A",
            700,
            "receiver",
            "PE",
            "1 9 EQ FI XV",
            Use("RDM", 1300, "remittance delivery", required=(1,), codes={1: "BM EM FT FX IA OL"}),
            most=1,
            needed=True,
        ),
        _party("1000B", 1500, "payer", "PR", "1 24 75 9 EQ FI PI", _contact(), most=1, needed=True),
        _party(
            "1000C",
            2300,
            "intermediary bank",
            "04 0B 8W AK BE BK C1 C2 IAT MJ RB Z6 ZB ZL",
            "31 57 94 A3 A4 A6 CF G PA",
            _contact(),
            most=14,
            needed=False,
        ),
        Loop(
            "2000A",
            3000,
            (
                Use(
                    "ENT",
                    100,
                    "organisation",
                    key=2,
                    required=(1, 2, 3, 4),
                    codes={2: "2L AG NH RGA UN", 3: "1 24 9 FI"},
                ),
                _adjustment("2200", 800, f"{_PREVIOUS} WW"),
                _line("2300A", "11 1L CT IK", "14 17 18 2F 38 E9 LB LU ZZ", _CURRENT, summary=True),
            ),
            handed_over=True,
        ),
        Loop(
            "2000B",
            4000,
            (
                Use("ENT", 100, "individual", key=2, required=(1, 2, 3, 4), codes={2: "2J", 3: "34 EI II"}),
                Loop(
                    "2100B",
                    200,
                    (
                        Use(
                            "NM1",
                            200,
                            "individual name",
                            required=(1, 2),
                            codes={1: "DO EY IL QE", 2: "1", 8: "34 EI N"},
                        ),
                    ),
                    most=UNLIMITED,
                ),
                _adjustment("2200", 800, _PREVIOUS),
                _line("2300B", "11 9J AZ B7 CT ID IG IK KW", "14 18 2F 38 E9 LU ZZ", _CURRENT, summary=False),
            ),
            most=UNLIMITED,
            handed_over=True,
        ),
    ),
)

REMITTANCE_STANDARD = Loop(
    "820",
    0,
    (
        Use("ST", 100, "transaction set", required=(1, 2)),
        _payment(strict=False),
        Use("TRN", 350, "trace number", needed=True, required=(1, 2)),
        Use("CUR", 400, "currency", required=(1, 2)),
        Use("REF", 500, "reference", UNLIMITED, required=(1, 2)),
        Use("DTM", 600, "dates", UNLIMITED, required=(1,), codes={5: "D8 RD8"}),
        Loop(
            "1000",
            700,
            (
                Use("N1", 700, "party", required=(1,)),
                Use("N2", 800, "additional name", UNLIMITED, required=(1,)),
                Use("N3", 900, "address", UNLIMITED, required=(1,)),
                Use("N4", 1000, "city, state, postal code", required=(1,)),
                Use("PER", 1200, "contact", UNLIMITED, required=(1,)),
                Use("RDM", 1300, "remittance delivery", required=(1,)),
            ),
            most=UNLIMITED,
            needed=True,
        ),
        Loop(
            "2000",
            3000,
            (
                Use("ENT", 100, "entity", required=(1,)),
                Loop("2100", 200, (Use("NM1", 200, "name", required=(1, 2)),), most=UNLIMITED),
                _adjustment("2200", 800, None),
                _line("2300A", None, None, None, summary=True),
            ),
            most=UNLIMITED,
            handed_over=True,
        ),
    ),
)
