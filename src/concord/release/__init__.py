"""What the members publish: the package, its papers, its proofs, and what a stranger checks."""
