"""Personal data that has a pattern: found, counted, masked. Names and addresses have none."""

from concord.data.personal.scan import SCANNER, Scanner, Treated, known_jurisdictions

__all__ = ["SCANNER", "Scanner", "Treated", "known_jurisdictions"]
