"""Policies about access and secrets; each yields its violations."""

import re
from collections.abc import Iterator

from tests.infra.expected import GRANTS
from tests.infra.grants import grants
from tests.infra.module import AppliedState, strings


def grants_are_exactly_those_needed(state: AppliedState) -> Iterator[str]:
    found = grants(state)
    yield from (f"not needed: {grant}" for grant in sorted(found - GRANTS))
    yield from (f"not granted: {grant}" for grant in sorted(GRANTS - found))


def nothing_is_public(state: AppliedState) -> Iterator[str]:
    for each in state.resources:
        if {"allUsers", "allAuthenticatedUsers", "0.0.0.0/0"} & set(strings(each.values)):
            yield f"{each.type}.{each.name} is public"
        if each.values.get("invoker_iam_disabled"):
            yield f"{each.type}.{each.name} does not check the caller's identity"


def no_iam_policy_is_replaced(state: AppliedState) -> Iterator[str]:
    for each in state.resources:
        if each.type.endswith(("_iam_binding", "_iam_policy")):
            yield f"{each.type}.{each.name} would remove grants made elsewhere"


def each_workload_has_its_own_account(state: AppliedState) -> Iterator[str]:
    functions = state.of("google_cloudfunctions2_function")
    used = [each["service_config"][0]["service_account_email"] for each in functions.values()]
    if len(set(used)) < len(used):
        yield "two functions share an account"
    for account in state.all("google_service_account"):
        if not any(
            text in (account.values["email"], account.values["id"])
            for resource in state.resources
            if not resource.type.endswith(("_iam_member", "google_service_account"))
            for text in strings(resource.values)
        ):
            yield f"nothing runs as {account.key}"


def no_secret_is_in_the_state(state: AppliedState) -> Iterator[str]:
    for each in state.resources:
        if each.type in ("google_secret_manager_secret_version", "google_service_account_key"):
            yield f"{each.type} would be in the state"
        if each.values.get("password") or each.values.get("root_password"):
            yield f"{each.type}.{each.name} has a password in the state"
        for variable in _variables(each.values):
            if re.search("PASSWORD|TOKEN|SECRET|KEY", variable["name"]) and variable["value"]:
                yield f"{variable['name']} is a value, not a reference to a secret"


def _variables(values: object) -> Iterator[dict[str, str]]:
    if isinstance(values, dict):
        for name, value in values.items():
            if name == "env" and isinstance(value, list):
                yield from value
            elif name == "environment_variables" and isinstance(value, dict):
                yield from ({"name": key, "value": text} for key, text in value.items())
            else:
                yield from _variables(value)
    elif isinstance(values, list):
        for each in values:
            yield from _variables(each)


ACCESS = (
    grants_are_exactly_those_needed,
    nothing_is_public,
    no_iam_policy_is_replaced,
    each_workload_has_its_own_account,
    no_secret_is_in_the_state,
)
