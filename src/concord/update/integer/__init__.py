"""Updates as integers of fixed length: what sealed sums are made of. numpy only.

`scales` says how many values there are and what one step of each tensor is worth; `quantise` turns
a member's tensors into integers, `mean` sums of integers into the mean; `flu` is the file.
"""

from concord.update.integer.flu import FluHeader, Mode, check_file, open_file, read_file
from concord.update.integer.mean import mean_divisor, mean_tensors
from concord.update.integer.quantise import quantise, quantise_update
from concord.update.integer.scales import Scale, ScaleTable, first_scales, next_scales

__all__ = [
    "FluHeader",
    "Mode",
    "Scale",
    "ScaleTable",
    "check_file",
    "first_scales",
    "mean_divisor",
    "mean_tensors",
    "next_scales",
    "open_file",
    "quantise",
    "quantise_update",
    "read_file",
]
