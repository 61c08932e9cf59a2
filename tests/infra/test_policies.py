"""What must hold of all that is made, read from Terraform's own account of it."""

from collections.abc import Callable, Iterator

import pytest

from tests.infra.module import Made
from tests.infra.policies import POLICIES


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
def test_it_holds(made: Made, policy: Callable[[Made], Iterator[str]]) -> None:
    assert list(policy(made)) == []
