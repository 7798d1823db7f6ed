"""What the shared model is compared with: each member alone, one pooled model, sovereign builds.

A comparison reads the text of all members in one place. That is what a federation exists to avoid:
it is for researchers, who hold all the text, and for demonstrations on public text.
"""
