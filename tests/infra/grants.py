"""Who may do what, read from what Terraform makes."""

from typing import NamedTuple

from tests.infra.module import Made, Values


class Grant(NamedTuple):
    who: str
    role: str
    on: str
    only: str = ""
    """The condition's title."""


def grants(made: Made) -> set[Grant]:
    """All of them, by the names of accounts and of what they are on.

    Where a provider decides a name, a mocked one is a random text, and the same one wherever it is used.
    """
    names = _names(made)
    found = set()
    for resource in made.resources:
        if resource.type.endswith("_iam_member"):
            values = resource.values
            condition = values.get("condition") or []
            title = condition[0]["title"] if condition else ""
            found.add(Grant(_who(values["member"], names), values["role"], _on(values, names), title))
    return found


def _names(made: Made) -> dict[str, str]:
    names = {}
    for account in made.all("google_service_account"):
        for attribute in ("email", "name", "id"):
            names[account.values[attribute]] = account.values["account_id"]
    for kind in ("google_pubsub_topic", "google_pubsub_subscription"):
        for each in made.all(kind):
            names[each.values["id"]] = each.values["name"]
    for each in made.all("google_secret_manager_secret"):
        names[each.values["id"]] = each.values["secret_id"]
    for each in made.all("google_artifact_registry_repository"):
        names[each.values["name"]] = each.values["repository_id"]
    for each in made.all("google_bigquery_connection"):
        names[each.values["cloud_resource"][0]["service_account_id"]] = "BigQuery's connection"
    return names


def _who(member: str, names: dict[str, str]) -> str:
    if "@gcp-sa-pubsub." in member:
        return "Pub/Sub"
    kind, _, name = member.partition(":")
    return names.get(name, f"{kind}:{name}")


def _on(values: Values, names: dict[str, str]) -> str:
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
