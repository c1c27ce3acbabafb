"""The data element dictionary: what each element of a segment is, and whether a text is a value of it.

As in the standard, a segment is a list of data element numbers and an element has a type and a least and greatest
length: ID a code, AN text, N0 a whole number, R a decimal, DT a date, TM a time, B a fixed text. Lengths of numbers do
not count sign and point. `C...` are composites of simple elements. Syntax notes say which elements need each other:
P all or none, R at least one, C the first needs all others, L the first needs one of the others, E at most one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from application.files.defects import DefectCode
from infrastructure.files.text import clock_time, compact_date


@dataclass(frozen=True, slots=True)
class Element:
    """A simple data element."""

    kind: str
    least: int
    most: int
    name: str


_TABLE = """
19   AN 2 30  city name
26   ID 2 3   country code
28   N0 1 9   group control number
61   AN 1 30  free-form information
65   R  1 8   height
66   ID 1 2   identification code qualifier
67   AN 2 80  identification code
81   R  1 10  weight
93   AN 1 60  name
96   N0 1 10  number of included segments
97   N0 1 6   number of transaction sets included
98   ID 2 3   entity identifier code
100  ID 3 3   currency code
107  ID 1 2   payment method code
116  ID 3 15  postal code
118  R  1 9   rate
124  AN 2 15  application's code
127  AN 1 50  reference identification
128  ID 2 3   reference identification qualifier
142  AN 2 15  application sender's code
143  ID 3 3   transaction set identifier code
156  ID 2 2   state or province code
166  AN 1 55  address information
212  R  1 17  unit price
234  AN 1 48  product or service id
235  ID 2 2   product or service id qualifier
248  ID 1 1   allowance or charge indicator
280  R  4 10  exchange rate
305  ID 1 2   transaction handling code
306  ID 1 2   action code
309  ID 1 2   location qualifier
310  AN 1 30  location identifier
329  AN 4 9   transaction set control number
331  ID 2 2   method of handling code
332  R  1 6   percent
337  TM 4 8   time
350  AN 1 20  assigned identification
352  AN 1 80  description
353  ID 2 2   transaction set purpose code
355  ID 2 2   unit of measurement code
358  R  1 15  quantity invoiced
364  AN 1 256 communication number
365  ID 2 2   communication number qualifier
366  ID 2 2   contact function code
373  DT 8 8   date
374  ID 3 3   date or time qualifier
378  ID 1 1   allowance or charge percent qualifier
380  R  1 15  quantity
426  ID 2 2   adjustment reason code
443  AN 1 20  contact inquiry reference
447  AN 1 4   loop identifier code
449  ID 1 3   release
455  ID 1 2   responsible agency code
478  ID 1 1   credit or debit flag code
479  ID 2 2   functional identifier code
480  AN 1 12  version, release or industry identifier code
481  ID 1 2   trace type code
482  ID 2 2   payment action code
506  ID 2 2   depository identification number qualifier
507  AN 3 12  depository identification number
508  AN 1 35  account number
509  AN 10 10 originating company identifier
510  AN 9 9   originating company supplemental code
522  ID 1 3   amount qualifier code
554  N0 1 6   assigned number
559  ID 2 2   agency qualifier code
569  ID 1 3   account number qualifier
584  ID 2 2   employment status code
591  ID 3 3   payment method code
594  ID 1 1   frequency code
609  N0 1 9   count
610  N2 1 15  amount
623  ID 2 2   time code
639  ID 2 2   basis of unit price code
640  ID 2 2   transaction type code
649  R  1 10  multiplier
659  ID 1 2   basis of verification code
662  ID 1 1   relationship code
669  ID 3 3   currency market or exchange code
673  ID 2 2   quantity qualifier
706  ID 2 2   entity relationship code
756  ID 1 2   report transmission code
770  AN 1 20  option number
782  R  1 18  monetary amount
786  ID 2 2   security level code
812  ID 1 10  payment format code
819  ID 2 3   language code
875  ID 3 3   maintenance type code
954  R  1 10  percentage as decimal
1018 R  1 15  exponent
1035 AN 1 60  last or organisation name
1036 AN 1 35  first name
1037 AN 1 25  middle name
1038 AN 1 10  name prefix
1039 AN 1 10  name suffix
1048 ID 1 3   business function code
1065 ID 1 1   entity type qualifier
1066 ID 1 2   citizenship status code
1067 ID 1 1   marital status code
1068 ID 1 1   gender code
1069 ID 2 2   individual relationship code
1073 ID 1 1   yes or no response code
1109 ID 1 1   race or ethnicity code
1137 AN 1 15  medical code value
1138 ID 1 1   payer responsibility sequence code
1143 ID 1 1   coordination of benefits code
1146 ID 1 1   disability type code
1149 ID 4 6   occupation code
1154 ID 1 1   work intensity code
1161 ID 1 2   product option code
1165 ID 1 1   confidentiality code
1176 ID 2 3   employment class code
1201 ID 1 1   information status code
1203 ID 2 3   maintenance reason code
1204 AN 1 50  plan coverage description
1205 ID 2 3   insurance line code
1207 ID 3 3   coverage level code
1209 ID 1 1   drug house code
1211 ID 2 3   maintenance cause code
1212 ID 1 1   health-related code
1213 ID 1 1   current health condition code
1214 AN 1 5   salary grade
1215 ID 1 1   identification card type code
1216 ID 1 1   benefit status code
1218 ID 1 1   medicare plan code
1219 ID 1 2   qualifying event code
1220 ID 1 1   student status code
1250 ID 2 3   date time period format qualifier
1251 AN 1 35  date time period
1270 ID 1 3   code list qualifier code
1271 AN 1 30  industry code
1300 ID 4 4   service, promotion, allowance or charge code
1301 AN 1 10  agency service code
1303 ID 1 2   use of language indicator
1365 ID 1 2   service type code
1470 N0 1 9   number
1476 ID 1 1   language proficiency indicator
1701 ID 1 1   medicare eligibility reason code
1705 AN 1 35  implementation convention reference
1715 ID 1 3   country subdivision code
I12  N0 9 9   interchange control number
I16  N0 1 5   number of included functional groups
I08  AN 6 6   interchange date
I09  TM 4 4   interchange time
I17  ID 1 1   interchange acknowledgement code
I18  ID 3 3   interchange note code
"""


def _dictionary() -> dict[str, Element]:
    rows = (line.split(None, 4) for line in _TABLE.strip().splitlines())
    return {number: Element(kind, int(least), int(most), name) for number, kind, least, most, name in rows}


ELEMENTS = _dictionary()


@dataclass(frozen=True, slots=True)
class Layout:
    """A segment's data element numbers in order, and its syntax notes. `+` behind a composite: it may repeat."""

    elements: tuple[str, ...]
    notes: tuple[str, ...] = ()


#: Components of the composites, by composite number.
COMPOSITES = {
    "C001": ("355", "1018", "649") * 5,
    "C040": ("128", "127", "128", "127", "128", "127"),
    "C052": ("1218", "1701", "1701", "1701"),
    "C056": ("1109", "1270", "1271"),
}

_SEGMENTS = """
ACT 508 93 66 67 569 508 352 107 1216 | P0304 C0506 C0705
ADX 782 426 128 127 | P0304
AMT 522 782 478
BGN 353 127 373 337 623 127 640 306 786 | C0504
BPR 305 782 478 591 812 506 507 569 508 509 510 506 507 569 508 373 1048 506 507 569 508 | P0607 C0809 P1213 C1415
COB 1138 127 1143 1365
CUR 98 100 280 98 100 669
DMG 1250 1251 1068 1067 C056+ 1066 26 659 380 1270 1271 | P0102 P1011 C1105
DSB 1146 380 1149 1154 1161 782 235 1137 | P0708
DTM 374 373 337 623 1250 1251 | R020305 C0403 P0506
DTP 374 1250 1251
EC  1176 1176 1176 954 1201 1149
ENT 554 98 66 67 98 66 67 128 127 | P020304 P050607 P0809
GE  97 28
GS  479 142 124 373 337 28 455 480
HD  875 1203 1205 1204 1207 609 609 1209 1073 1211 1073
HLH 1212 65 81 81 352 1213 352
ICM 594 782 380 310 1214 100
IDC 1204 1215 380 306
IEA I16 I12
INS 1073 1069 875 1203 1216 C052 1219 584 1220 1073 1250 1251 1165 19 156 26 1470 | P1112
IT1 350 358 355 212 639 235 234 | P020304 P0607
LE  447
LS  447
LUI 66 67 352 1303 1476 | P0102 L040203
LX  554
N1  98 93 66 67 706 98 | R0203 P0304
N2  93 93
N3  166 166
N4  19 156 116 26 309 310 1715 | E0207 C0605 C0704
NM1 98 1065 1035 1036 1037 1038 1039 66 67 706 98 1035 | P0809 C1110 C1203
PER 366 93 365 364 365 364 365 364 443 | P0304 P0506 P0708
PLA 306 98 373 337 1203
QTY 673 380 C001 61 | E0204 R0204
RDM 756 93 364 C040 C040
REF 128 127 352 C040 | R0203
RMR 128 127 482 782 782 782 426 782 | P0102 P0708
SAC 248 1300 559 1301 610 378 332 118 355 380 380 331 127 770 352 819 | R0203 P0304 P0607 P0910 C1110 C1413 C1615
SE  96 329
SLN 350 350 662 380 C001 212 639 662 | P0405 C0706 C0806
ST  143 329 1705
TA1 I12 I08 I09 I17 I18
TRN 481 127 509 127
"""


def _layouts() -> dict[str, Layout]:
    layouts = {}
    for row in _SEGMENTS.strip().splitlines():
        identifier, *elements = row.partition("|")[0].split()
        layouts[identifier] = Layout(tuple(elements), tuple(row.partition("|")[2].split()))
    return layouts


LAYOUTS = _layouts()

#: Segments whose codes say something of a person and are not quoted in a message (PLT-016, PLT-092).
PRIVATE_SEGMENTS = frozenset({"NM1", "N3", "N4", "PER", "DMG", "ICM", "HLH", "DSB", "LUI", "EC", "ACT", "COB"})
_DECIMAL = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\Z")
_WHOLE = re.compile(r"-?[0-9]+\Z")


def flaw(element: Element, value: str) -> tuple[DefectCode, str] | None:
    """What keeps `value` (not empty) from being a value of the element, without quoting it; None when nothing does."""
    kind = element.kind
    size = len(value)
    if kind == "R":
        if not _DECIMAL.match(value):
            return DefectCode.NUMBER_INVALID, "is not a decimal number"
        size = sum(map(str.isdigit, value))
    elif kind in ("N0", "N2"):
        if not _WHOLE.match(value):
            return DefectCode.NUMBER_INVALID, "is not a whole number"
        size = len(value.lstrip("-"))
    if not element.least <= size <= element.most:
        allowed = f"{element.least}" if element.least == element.most else f"{element.least} to {element.most}"
        return DefectCode.ELEMENT_LENGTH, f"has {size} character{'' if size == 1 else 's'}, allowed are {allowed}"
    if kind == "DT" and compact_date(value) is None:
        return DefectCode.DATE_INVALID, "is not a date CCYYMMDD"
    if kind == "TM" and clock_time(value) is None:
        return DefectCode.TIME_INVALID, "is not a time HHMM or HHMMSS"
    return None
