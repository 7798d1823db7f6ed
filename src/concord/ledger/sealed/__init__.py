"""Sealed rounds, for whoever computes them: coordinator, verifier, and members their own part.

`book` gathers what the log says of keys and rounds; `instance` binds a cohort's sum to its round;
`tables` and `values` say what the integers stand for; `coverage` which vocabulary rows are left
out; `rounds` makes sums, and of sums a base. No torch, no secret, no clock.
"""
