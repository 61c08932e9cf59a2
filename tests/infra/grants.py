"""Reads the IAM grants from the applied state."""

from typing import NamedTuple

from tests.infra.module import AppliedState, Values


class Grant(NamedTuple):
    member: str
    role: str
    resource: str
    condition: str = ""
    """The condition's title."""


def grants(state: AppliedState) -> set[Grant]:
    """All IAM grants, with readable names of members and resources.

    The mock provider makes up random strings for names that Google would assign, but uses them consistently.
    """
    names = _names(state)
    found = set()
    for resource in state.resources:
        if resource.type.endswith("_iam_member"):
            values = resource.values
            condition = values.get("condition") or []
            title = condition[0]["title"] if condition else ""
            found.add(
                Grant(_member(values["member"], names), values["role"], _resource(values, names), title)
            )
    return found


def _names(state: AppliedState) -> dict[str, str]:
    names = {}
    for account in state.all("google_service_account"):
        for attribute in ("email", "name", "id"):
            names[account.values[attribute]] = account.values["account_id"]
    for kind in ("google_pubsub_topic", "google_pubsub_subscription"):
        for each in state.all(kind):
            names[each.values["id"]] = each.values["name"]
    for each in state.all("google_secret_manager_secret"):
        names[each.values["id"]] = each.values["secret_id"]
    for each in state.all("google_artifact_registry_repository"):
        names[each.values["name"]] = each.values["repository_id"]
    for each in state.all("google_bigquery_connection"):
        names[each.values["cloud_resource"][0]["service_account_id"]] = "BigQuery's connection"
    return names


def _member(member: str, names: dict[str, str]) -> str:
    if "@gcp-sa-pubsub." in member:
        return "Pub/Sub"
    kind, _, name = member.partition(":")
    return names.get(name, f"{kind}:{name}")


def _resource(values: Values, names: dict[str, str]) -> str:
    for attribute, kind in (
        ("service_account_id", "account"),
        ("bucket", "bucket"),
        ("topic", "topic"),
        ("subscription", "subscription"),
        ("table_id", "table"),
        ("secret_id", "secret"),
        ("repository", "repository"),
        ("connection_id", "connection"),
        ("dataset_id", "dataset"),
        ("name", "service"),
    ):
        if value := values.get(attribute):
            return f"{kind} {names.get(value, value)}".replace("ridecast-test-", "")
    return "project"
