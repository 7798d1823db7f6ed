"""Codecs: one float32 tensor to bytes and back. Bytes from outside are checked to the last bit.

fp32   4 B/value      exact
bf16   2              round half to even
int8   1.016          blocks of 256, uniform, signed
int4   0.516          the same with 15 levels
log8, log4            never negative, relative error bounded, nothing but 0 becomes 0
sparse                64 of 4,096 values, 4 levels, Rice-coded places: 0.019; feeds errors back
sparse_down           256 of 4,096 values, 16 levels: 0.074; feeds errors back
"""

from __future__ import annotations

from collections.abc import Mapping

from concord.update.codecs.blockwise import Logarithmic, Uniform
from concord.update.codecs.interface import LIMIT, WINDOW, Codec
from concord.update.codecs.plain import Bf16, Fp32
from concord.update.codecs.sparse import Sparse

__all__ = ["CODECS", "LIMIT", "WINDOW", "Codec", "CodecName"]

CodecName = str

CODECS: Mapping[CodecName, Codec] = {
    "fp32": Fp32(),
    "bf16": Bf16(),
    "int8": Uniform(bits=8),
    "int4": Uniform(bits=4),
    "log8": Logarithmic(bits=8),
    "log4": Logarithmic(bits=4),
    "sparse": Sparse(kept=64, bits=2, rice=5),
    "sparse_down": Sparse(kept=256, bits=4, rice=3),
}
