"""Policies about who may do what, and what nobody may see; each says what does not hold."""

import re
from collections.abc import Iterator

from tests.infra.expected import GRANTS
from tests.infra.grants import grants
from tests.infra.module import Made, strings


def granted_is_what_is_needed(made: Made) -> Iterator[str]:
    found = grants(made)
    yield from (f"not needed: {grant}" for grant in sorted(found - GRANTS))
    yield from (f"not granted: {grant}" for grant in sorted(GRANTS - found))


def nothing_is_public(made: Made) -> Iterator[str]:
    for each in made.resources:
        if {"allUsers", "allAuthenticatedUsers", "0.0.0.0/0"} & set(strings(each.values)):
            yield f"{each.type}.{each.name} is for everybody"
        if each.values.get("invoker_iam_disabled"):
            yield f"{each.type}.{each.name} does not ask who calls"


def policies_are_added_to_not_replaced(made: Made) -> Iterator[str]:
    for each in made.resources:
        if each.type.endswith(("_iam_binding", "_iam_policy")):
            yield f"{each.type}.{each.name} would take away what others granted"


def each_program_has_its_own_account(made: Made) -> Iterator[str]:
    functions = made.of("google_cloudfunctions2_function")
    used = [each["service_config"][0]["service_account_email"] for each in functions.values()]
    if len(set(used)) < len(used):
        yield "two functions share an account"
    for account in made.all("google_service_account"):
        if not any(
            text in (account.values["email"], account.values["id"])
            for resource in made.resources
            if not resource.type.endswith(("_iam_member", "google_service_account"))
            for text in strings(resource.values)
        ):
            yield f"nothing runs as {account.key}"


def no_secret_is_written_down(made: Made) -> Iterator[str]:
    for each in made.resources:
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
    granted_is_what_is_needed,
    nothing_is_public,
    policies_are_added_to_not_replaced,
    each_program_has_its_own_account,
    no_secret_is_written_down,
)
