"""How many cases a fuzz test tries: few in the suite, `make fuzz` tries ten thousand of each."""

import os

FUZZ_CASES = int(os.environ.get("CONCORD_FUZZ_CASES", "2000"))
