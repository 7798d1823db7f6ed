"""What is true: members, charter in force, runs, votes, halts; a pure fold over the log.

`model.py` is the state, `apply.py` the fold; beside them one file per kind of event.
"""
