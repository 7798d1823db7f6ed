"""Personal data that has a pattern: found, counted, masked. Names and addresses have none."""

from concord.data.personal.rule import PersonalDataRule, Treatment
from concord.data.personal.scan import SCANNER, Scanner, Treated, known_jurisdictions

__all__ = [
    "SCANNER",
    "PersonalDataRule",
    "Scanner",
    "Treated",
    "Treatment",
    "known_jurisdictions",
]
