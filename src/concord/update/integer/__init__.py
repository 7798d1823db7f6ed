"""Updates as integers of fixed length: what sealed sums are made of. numpy only.

`scales` says how many values there are and what one step of each tensor is worth; `quantise` turns
a member's values into integers; `flu` is the file.
"""

from concord.update.integer.flu import FluHeader, Mode, check_file, open_file
from concord.update.integer.quantise import quantise
from concord.update.integer.scales import Scale, ScaleTable, next_scales

__all__ = [
    "FluHeader",
    "Mode",
    "Scale",
    "ScaleTable",
    "check_file",
    "next_scales",
    "open_file",
    "quantise",
]
