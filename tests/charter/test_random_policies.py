"""Whatever a member writes: behind a charter it permits no more than its own file, and never errs
to a yes. `make bench-policy` asks ten thousand times."""

from random import Random

import pytest

from concord.charter.bundle import bundle_from, member_policy
from concord.charter.paths import LAW
from concord.charter.template import default_charter
from concord.testing.random_policies import (
    charter_forbids,
    own_file_permits,
    random_policy,
    random_request,
)

FILES = default_charter("Atlas", members=5).files
CHARTER = bundle_from({path: data for path, data in FILES.items() if not path.startswith(LAW)})
POLICIES, REQUESTS = 8, 15


@pytest.mark.parametrize("seed", range(3))
def test_a_policy_behind_the_charter_is_its_own_file_less_what_the_charter_forbids(seed):
    random = Random(f"narrow {seed}")
    allowed = forbidden = 0
    for _ in range(POLICIES):
        text = random_policy(random)
        policy = member_policy(CHARTER, text)
        for _ in range(REQUESTS):
            asked = random_request(random)
            verdict = policy.decide(asked.request, asked.entities)
            own = own_file_permits(text, CHARTER.schema, asked)
            forbids = charter_forbids(asked)
            assert not (verdict.allowed and not own), text
            assert not (verdict.allowed and forbids), text
            if verdict.faults:
                assert not verdict.allowed
            else:
                assert verdict.allowed == (own and not forbids)
            assert forbids <= set(verdict.rule_ids) or verdict.faults
            allowed += verdict.allowed
            forbidden += bool(own and forbids)
    assert allowed, "or else nothing was tried"
    assert forbidden
