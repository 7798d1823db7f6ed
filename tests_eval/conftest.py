"""Tests of gates by evaluation libraries; they use the small networks of the release's tests."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "release"), str(TESTS / "cli")]
