"""Every kind of statement that the log may hold: typed bodies, bound to federation, run and round.

`statement.py` is the frame that all share; the bodies lie beside it by what they are about.
"""
