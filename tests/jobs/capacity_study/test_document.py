from itertools import pairwise

import pytest

from jobs.capacity_study.document import MIN_RATIO, limit_labels
from jobs.capacity_study.quotas import bottlenecks
from jobs.capacity_study.scenarios import SCALES_CONFIG
from jobs.capacity_study.service_profile import FUNCTIONS


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_two_labels_of_limits_lie_over_each_other(function: str) -> None:
    limits = bottlenecks(FUNCTIONS[function], SCALES_CONFIG)
    labels = limit_labels(limits)
    assert ", ".join(label for _, label in labels) == ", ".join(limit.label for limit in limits)
    assert all(later >= MIN_RATIO * rate for (rate, _), (later, _) in pairwise(labels))
    assert {rate for rate, _ in labels} <= {limit.rate for limit in limits}
