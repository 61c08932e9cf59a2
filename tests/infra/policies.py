"""Policies that Terraform's own asserts cannot express; each yields its violations."""

import re
from collections.abc import Iterator

from functions.settings import FunctionSettings
from jobs.capacity_study.pricing import memory_gib
from jobs.capacity_study.service_profile import FUNCTIONS
from tests.infra.access import ACCESS
from tests.infra.expected import UNSET
from tests.infra.grants import grants
from tests.infra.module import AppliedState, strings

FUNCTION_SECONDS = 8
"""Longest time that the function takes for one event."""


def dead_letters_are_wired(state: AppliedState) -> Iterator[str]:
    topics = {each.values["id"]: each.values["name"] for each in state.all("google_pubsub_topic")}
    subscriptions = state.all("google_pubsub_subscription")
    granted = grants(state)
    for each in subscriptions:
        for policy in each.values["dead_letter_policy"]:
            name, topic = each.values["name"], policy["dead_letter_topic"]
            if policy["max_delivery_attempts"] < 20:
                yield f"{name} gives an event up after {policy['max_delivery_attempts']} attempts"
            if ("Pub/Sub", "roles/pubsub.subscriber", f"subscription {name}", "") not in granted:
                yield f"Pub/Sub cannot take dead letters out of {name}"
            if ("Pub/Sub", "roles/pubsub.publisher", f"topic {topics.get(topic)}", "") not in granted:
                yield f"Pub/Sub cannot publish dead letters to {topics.get(topic)}"
            if not any(other.values["topic"] == topic for other in subscriptions):
                yield f"nobody reads {topics.get(topic)}"


def subscriptions_wait_long_enough(state: AppliedState) -> Iterator[str]:
    for each in state.all("google_pubsub_subscription"):
        values = each.values
        if values["push_config"]:
            if not FUNCTION_SECONDS < values["ack_deadline_seconds"] <= 600:
                yield f"{values['name']} waits {values['ack_deadline_seconds']} s for an answer"
            if not values["push_config"][0]["oidc_token"]:
                yield f"{values['name']} pushes without a token"
            if not values["retry_policy"]:
                yield f"{values['name']} tries again at once"
        for config in values["cloud_storage_config"]:
            if int(config["max_duration"].rstrip("s")) > (values["ack_deadline_seconds"] or 10):
                yield f"{values['name']} writes a file for longer than its deadline"
        if values["bigquery_config"] and not values["dead_letter_policy"]:
            yield f"{values['name']} tries what BigQuery never takes for seven days"
        longest = "2678400s" if values["name"].endswith("dead-letter") else "604800s"
        if values["message_retention_duration"] != longest:
            yield f"{values['name']} keeps what was not delivered for {values['message_retention_duration']}"


def functions_read_the_variables_they_get(state: AppliedState) -> Iterator[str]:
    known = _variables_of_a_function()
    used: set[str] = set()
    for name, function in state.of("google_cloudfunctions2_function").items():
        variables = set(function["service_config"][0]["environment_variables"])
        used |= variables
        yield from (f"{name} gets {each}, which it does not read" for each in sorted(variables - known))
        yield from (f"{name} gets {each}: {UNSET[each]}" for each in variables & set(UNSET))
    yield from (
        f"{each} is neither set nor listed as unset for a reason" for each in known - used - set(UNSET)
    )


def functions_are_as_recommended(state: AppliedState) -> Iterator[str]:
    for name, function in state.of("google_cloudfunctions2_function").items():
        runtime, config = function["build_config"][0]["runtime"], function["service_config"][0]
        target = function["build_config"][0]["entry_point"]
        expected = ("python313", "1", 80, f"{memory_gib(FUNCTIONS[target]) * 1024:.0f}Mi")
        actual = (
            runtime,
            config["available_cpu"],
            config["max_instance_request_concurrency"],
            config["available_memory"],
        )
        if actual != expected:
            yield f"{name} has {actual}, docs/scaling.md recommends {expected}"


def alerts_cover_all_resources(state: AppliedState) -> Iterator[str]:
    policies = state.of("google_monitoring_alert_policy") | state.of(
        "google_monitoring_alert_policy", "refused_release"
    )
    expected = {"dead letters", "not in BigQuery", "oldest event not predicted", "5xx", "slow answers"}
    expected |= {"failed job", ""}
    if set(policies) != expected:
        yield f"alerts are {sorted(policies)}"
    existing = {each.values["name"] for each in state.all("google_pubsub_subscription")}
    existing |= set(state.of("google_cloudfunctions2_function")) | set(state.of("google_cloud_run_v2_job"))
    watched: set[str] = set()
    for name, policy in policies.items():
        if not policy["notification_channels"] or not policy["documentation"]:
            yield f"the alert {name!r} notifies nobody or does not say what to do"
        for text in strings(policy["conditions"]):
            for label in re.findall(
                r"(?:subscription_id|service_name|job_name)=(?:one_of\()?((?:\"[^\"]+\",?)+)", text
            ):
                watched |= set(re.findall('"([^"]+)"', label))
    yield from (f"an alert watches {each}, which does not exist" for each in sorted(watched - existing))
    yield from (f"no alert watches {each}" for each in sorted(existing - watched - {"predictions-smoke"}))


def _variables_of_a_function() -> set[str]:
    """The environment variables that a function reads."""
    names = set()

    class Environment(dict[str, str]):
        def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
            names.add(name)
            return super().get(name, default)

    FunctionSettings.read(
        Environment(MODEL_URI="m", PREDICTIONS_TOPIC="p", DEAD_LETTER_TOPIC="d"),
        streaming=True,
    )
    return names


POLICIES = (
    *ACCESS,
    dead_letters_are_wired,
    subscriptions_wait_long_enough,
    functions_read_the_variables_they_get,
    functions_are_as_recommended,
    alerts_cover_all_resources,
)
