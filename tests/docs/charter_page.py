"""The tables of docs/charter.md, made from the charter's own model.

python tests/docs/charter_page.py      refresh the page after a change of constitution or rules
"""

from __future__ import annotations

from doclab import read_page
from fields_page import FieldsPage

from concord.charter import constitution, fields, gates, rules

MODULES = [constitution, gates, rules, fields]
PAGE = FieldsPage("docs/charter.md", "charter", constitution.Charter, MODULES)

if __name__ == "__main__":
    page_ = read_page(PAGE.name)
    page_.path.write_text(PAGE.render(page_), encoding="utf-8")
