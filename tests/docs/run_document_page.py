"""The tables of docs/run-document.md, made from the run document's own model.

python tests/docs/run_document_page.py      refresh the page after a change of the document
"""

from __future__ import annotations

from doclab import read_page
from fields_page import FieldsPage

from concord.charter import run, run_sections

PAGE = FieldsPage("docs/run-document.md", "run", run.RunDocument, [run, run_sections])

if __name__ == "__main__":
    page_ = read_page(PAGE.name)
    page_.path.write_text(PAGE.render(page_), encoding="utf-8")
