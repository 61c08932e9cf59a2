"""The applied state satisfies every policy."""

from collections.abc import Callable, Iterator

import pytest

from tests.infra.module import AppliedState
from tests.infra.policies import POLICIES


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
def test_it_holds(state: AppliedState, policy: Callable[[AppliedState], Iterator[str]]) -> None:
    assert list(policy(state)) == []
