"""The implementation guide 005010X220A1 (834 benefit enrolment and maintenance) as a grammar.

Code lists are those of the guide, which are closed: a code outside them is a defect, because its meaning for a person's
cover would be guessed. What partners agree beyond the guide is given as agreed codes (`ReadingLimits.agreed_codes`).
"""

from __future__ import annotations

from infrastructure.files.x12.checking import Use
from infrastructure.files.x12.grammar import UNLIMITED, Loop

VERSION = "005010X220A1"

#: Date qualifiers at member level: eligibility 356-357, employment 336-337, maintenance effective 303, and others.
_MEMBER_DATES = "050 286 296 297 300 301 303 336 337 338 339 340 341 350 351 356 357 383 385 386 393 394 473 474"
_COVERAGE_DATES = "300 303 343 348 349 543 695"
_AMOUNTS = "B9 C1 D2 EBA FK P3 R"
_RELATIONSHIPS = "01 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 23 24 25 26 31 38 53 60 D2 G8 G9"
_REASONS = (
    "01 02 03 04 05 06 07 08 09 10 11 14 15 16 17 18 20 21 22 25 26 27 28 29 31 32 33 37 38 39 40 41 43 59 "
    "AA AB AC AD AE AF AG AH AI AJ AL EC XN XT"
)
_TIME_ZONES = (
    "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 AD AS AT CD CS CT ED ES ET GM HD HS HT LT "
    "MD MS MT ND NS NT PD PS PT TD TS TT UT"
)
_NUMBERS = "AP BN CP EM EX FX HP TE WP"
_LINES = "AG AH AJ AK DCP DEN EPO FAC HE HLT HMO LTC LTD MM MOD PDG POS PPO PRA STD UR VIS"
_LEVELS = "CHD DEP E1D E2D E3D E5D E6D E7D E8D E9D ECH EMP ESP FAM IND SPC SPO TWO"
_CLASSES = "01 02 03 04 05 06 07 08 09 10 11 12 17 18 19 20 21 22 23"


def _contacts(at: int, function: str, most: int = 1, numbers: str = _NUMBERS) -> Use:
    return Use(
        "PER",
        at,
        "communication numbers",
        most=most,
        required=(1, 3, 4),
        codes={1: function, 3: numbers, 5: numbers, 7: numbers},
    )


def _street(at: int = 500, *, needed: bool = False, most: int = 1) -> Use:
    return Use("N3", at, "street address", most=most, needed=needed, required=(1,))


def _city(at: int = 600, *, needed: bool = False, locations: str | None = None) -> Use:
    codes = {5: locations} if locations else {}
    return Use("N4", at, "city, state, postal code", needed=needed, required=(1,), codes=codes)


def _name(
    name: str, roles: str, types: str, required: tuple[int, ...], identifiers: str = "34 ZZ", at: int = 300
) -> Use:
    codes = {1: roles, 2: types, **({8: identifiers} if identifiers else {})}
    return Use("NM1", at, name, key=1, required=(1, 2, *required), codes=codes)


def _demographics(required: tuple[int, ...] = ()) -> Use:
    return Use(
        "DMG",
        800,
        "demographics",
        required=required,
        codes={1: "D8", 3: "F M U", 4: "B D I M R S U W X", 6: "1 2 3 4 5 6 7", 10: "REC"},
    )


def _organisation(loop: str, at: int, name: str, roles: str, identifiers: str, *, named: bool = False) -> Loop:
    use = Use(
        "N1",
        700,
        name,
        key=1,
        required=(1, 2, 3, 4) if named else (1, 3, 4),
        codes={1: roles, 3: identifiers},
    )
    if loop != "1000C":
        return Loop(loop, at, (use,), needed=True)
    account = Loop("1100C", 3600, (Use("ACT", 1200, "broker account", required=(1,)),))
    return Loop(loop, at, (use, account), most=2)


_MEMBER_NAME = Loop(
    "2100A",
    300,
    (
        _name("member name", "IL 74", "1", (3,)),
        _contacts(400, "IP"),
        _street(),
        _city(locations="60 CY"),
        _demographics((1, 2, 3)),
        Use("EC", 1000, "employment class", UNLIMITED, required=(1,), codes={1: _CLASSES, 2: _CLASSES, 3: _CLASSES}),
        Use("ICM", 1100, "member income", required=(1, 2), codes={1: "1 2 3 4 6 7 8 9 B C H Q S U"}),
        Use("AMT", 1200, "member amounts", 7, required=(1, 2), codes={1: _AMOUNTS}, extensible=True),
        Use("HLH", 1300, "health information", required=(1,), codes={1: "N S T U X"}),
        Use("LUI", 1500, "member language", UNLIMITED, codes={1: "LD LE", 4: "5 6 7 8"}),
    ),
    needed=True,
)

_COVERAGE = Loop(
    "2300",
    2600,
    (
        Use(
            "HD",
            2600,
            "health coverage",
            required=(1, 3),
            codes={1: "001 002 021 024 025 026 030 032", 3: _LINES, 5: _LEVELS, 9: "N Y"},
            extensible=True,
        ),
        Use(
            "DTP",
            2700,
            "coverage dates",
            6,
            True,
            required=(1, 2, 3),
            codes={1: _COVERAGE_DATES, 2: "D8 RD8"},
            extensible=True,
        ),
        Use("AMT", 2800, "coverage amounts", 9, required=(1, 2), codes={1: _AMOUNTS}, extensible=True),
        Use(
            "REF",
            2900,
            "coverage policy number",
            14,
            key=1,
            required=(1, 2),
            codes={1: "17 1L 9V CE E8 M7 PID RB X9 XM XX1 XX2 ZX ZZ"},
            extensible=True,
        ),
        Use("REF", 2900, "prior coverage months", key=1, required=(1, 2), codes={1: "QQ"}),
        Use("IDC", 3000, "identification card", 3, required=(1, 2), codes={2: "D H P", 4: "1 2 RX"}),
        Loop(
            "2310",
            3100,
            (
                Use("LX", 3100, "provider", required=(1,)),
                Use(
                    "NM1",
                    3200,
                    "provider name",
                    needed=True,
                    key=1,
                    required=(1, 2, 10),
                    codes={1: "1X 3D 80 FA OD P3 QA QN Y2", 2: "1 2", 8: "34 FI SV XX", 10: "25 26 72"},
                ),
                _street(3500, most=2),
                _city(3600),
                _contacts(3700, "IC", 2),
                Use(
                    "PLA",
                    3950,
                    "provider change reason",
                    required=(1, 2, 3, 5),
                    codes={1: "2", 2: "1P", 5: "14 22 46 AA AB AC AD AE AF AG AH AI AJ"},
                ),
            ),
            most=30,
        ),
        Loop(
            "2320",
            4000,
            (
                Use(
                    "COB",
                    4000,
                    "coordination of benefits",
                    required=(1, 3),
                    codes={1: "P S T U", 3: "1 5 6", 4: "1 35 48 50 54 89 90 A4 AG AL BB"},
                ),
                Use("REF", 4050, "coordination references", 4, key=1, required=(1, 2), codes={1: "60 6P SY ZZ"}),
                Use("DTP", 4070, "coordination dates", 2, key=1, required=(1, 2, 3), codes={1: "344 345", 2: "D8"}),
                Loop(
                    "2330",
                    4510,
                    (
                        _name("other insurer", "36 GW IN", "2", (), "FI NI XV", at=4100),
                        _street(4300),
                        _city(4400),
                        Use("PER", 4500, "other insurer's contact", required=(1, 3, 4), codes={1: "CN", 3: "TE"}),
                    ),
                    most=3,
                ),
            ),
            most=5,
        ),
    ),
    most=99,
)

_MEMBER = Loop(
    "2000",
    5000,
    (
        Use(
            "INS",
            100,
            "member",
            required=(1, 2, 3, 5),
            codes={
                1: "N Y",
                2: _RELATIONSHIPS,
                3: "001 021 024 025 030",
                4: _REASONS,
                5: "A C S T",
                7: "1 2 3 4 5 6 7 8 9 10 ZZ",
                8: "AC AO AU FT L1 PT RT TE",
                9: "F N P",
                10: "N Y",
                11: "D8",
                13: "R U",
            },
        ),
        Use("REF", 200, "subscriber number", needed=True, key=1, required=(1, 2), codes={1: "0F"}),
        Use("REF", 200, "member policy number", key=1, required=(1, 2), codes={1: "1L"}),
        Use(
            "REF",
            200,
            "supplemental identifier",
            13,
            key=1,
            required=(1, 2),
            codes={1: "17 23 3H 4A 6O ABB D3 DX F6 P5 Q4 QQ ZZ"},
            extensible=True,
        ),
        Use(
            "DTP",
            250,
            "member dates",
            24,
            key=1,
            required=(1, 2, 3),
            codes={1: _MEMBER_DATES, 2: "D8"},
            extensible=True,
        ),
        _MEMBER_NAME,
        Loop("2100B", 300, (_name("incorrect member name", "70", "1", (3,)), _demographics())),
        Loop(
            "2100C",
            300,
            (_name("mailing address", "31", "1", (), ""), _street(needed=True), _city(needed=True)),
        ),
        Loop(
            "2100D",
            300,
            (
                _name("employer", "36", "1 2", (), "24 34"),
                _contacts(400, "EP", numbers="AP BN CP EM EX FX TE"),
                _street(),
                _city(),
            ),
            3,
        ),
        Loop(
            "2100E",
            300,
            (_name("school", "M8", "2", (3,), ""), _contacts(400, "SK", numbers="EM EX FX TE"), _street(), _city()),
            3,
        ),
        Loop("2100F", 300, (_name("custodial parent", "S3", "1", (3, 4)), _contacts(400, "PQ"), _street(), _city())),
        Loop(
            "2100G",
            300,
            (
                _name("responsible person", "6Y 9K E1 EI EXS GB GD J6 LR QD S1 TZ X4", "1", (3,)),
                _contacts(400, "RP"),
                _street(),
                _city(),
            ),
            13,
        ),
        Loop("2100H", 700, (_name("drop-off location", "45", "1", (), ""), _street(), _city())),
        Loop(
            "2200",
            2000,
            (
                Use("DSB", 2000, "disability", required=(1,), codes={1: "1 2 3 4", 7: "DX ZZ"}),
                Use("DTP", 2100, "disability dates", 2, key=1, required=(1, 2, 3), codes={1: "360 361", 2: "D8"}),
            ),
            most=UNLIMITED,
        ),
        _COVERAGE,
        Loop(
            "LS",
            6880,
            (
                Use("LS", 6880, "reporting categories", required=(1,), codes={1: "2700"}),
                Loop(
                    "2700",
                    6881,
                    (
                        Use("LX", 6881, "reporting category", required=(1,)),
                        Loop(
                            "2750",
                            6882,
                            (
                                Use("N1", 6882, "category name", required=(1, 2), codes={1: "75"}),
                                Use(
                                    "REF",
                                    6883,
                                    "category reference",
                                    key=1,
                                    required=(1, 2),
                                    codes={1: "00 17 18 19 26 3L 6M 9V 9X GE LU PID XX1 XX2 YY ZZ"},
                                    extensible=True,
                                ),
                                Use(
                                    "DTP",
                                    6884,
                                    "category date",
                                    key=1,
                                    required=(1, 2, 3),
                                    codes={1: "007", 2: "D8 RD8"},
                                ),
                            ),
                        ),
                    ),
                    most=UNLIMITED,
                ),
                Use("LE", 6885, "end of reporting categories", needed=True, required=(1,), codes={1: "2700"}),
            ),
        ),
    ),
    most=UNLIMITED,
    needed=True,
    handed_over=True,
)

ENROLMENT = Loop(
    "834",
    0,
    (
        Use("ST", 100, "transaction set", required=(1, 2, 3)),
        Use(
            "BGN",
            200,
            "beginning segment",
            needed=True,
            required=(1, 2, 3, 4, 8),
            codes={1: "00 15 22", 5: _TIME_ZONES, 8: "2 4 RX"},
        ),
        Use("REF", 300, "master policy number", key=1, required=(1, 2), codes={1: "38"}),
        Use(
            "DTP",
            400,
            "file effective date",
            UNLIMITED,
            key=1,
            required=(1, 2, 3),
            codes={1: "007 090 091 303 382 388", 2: "D8"},
        ),
        Use("QTY", 600, "control totals", 3, required=(1, 2), codes={1: "DT ET TO"}),
        _organisation("1000A", 700, "sponsor", "P5", "24 94 FI"),
        _organisation("1000B", 1900, "payer", "IN", "94 FI XV"),
        _organisation("1000C", 3100, "broker or administrator", "BO TV", "94 FI XV", named=True),
        _MEMBER,
    ),
)
