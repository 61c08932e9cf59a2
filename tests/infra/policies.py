"""What must hold of all that Terraform makes and its own asserts cannot see; each says what does not."""

import re
from collections.abc import Iterator

from functions.settings import Settings
from jobs.capacity_study.pricing import memory_gib
from jobs.capacity_study.service_profile import FUNCTIONS
from tests.infra.access import ACCESS
from tests.infra.expected import LEFT_ALONE
from tests.infra.grants import grants
from tests.infra.module import Made, strings

FUNCTION_SECONDS = 8
"""What the function takes for one event at the most."""


def dead_letters_are_wired(made: Made) -> Iterator[str]:
    topics = {each.values["id"]: each.values["name"] for each in made.all("google_pubsub_topic")}
    subscriptions = made.all("google_pubsub_subscription")
    held = grants(made)
    for each in subscriptions:
        for policy in each.values["dead_letter_policy"]:
            name, topic = each.values["name"], policy["dead_letter_topic"]
            if policy["max_delivery_attempts"] < 20:
                yield f"{name} gives an event up after {policy['max_delivery_attempts']} attempts"
            if ("Pub/Sub", "roles/pubsub.subscriber", f"subscription {name}", "") not in held:
                yield f"Pub/Sub cannot take dead letters out of {name}"
            if ("Pub/Sub", "roles/pubsub.publisher", f"topic {topics.get(topic)}", "") not in held:
                yield f"Pub/Sub cannot publish dead letters to {topics.get(topic)}"
            if not any(other.values["topic"] == topic for other in subscriptions):
                yield f"nobody reads {topics.get(topic)}"


def subscriptions_wait_long_enough(made: Made) -> Iterator[str]:
    for each in made.all("google_pubsub_subscription"):
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
        if values["message_retention_duration"] != "604800s":
            yield f"{values['name']} keeps what was not delivered for {values['message_retention_duration']}"


def functions_read_what_they_are_told(made: Made) -> Iterator[str]:
    known = _variables_of_a_function()
    told: set[str] = set()
    for name, function in made.of("google_cloudfunctions2_function").items():
        variables = set(function["service_config"][0]["environment_variables"])
        told |= variables
        yield from (f"{name} is told {each}, which it does not read" for each in sorted(variables - known))
        yield from (f"{name} is told {each}: {LEFT_ALONE[each]}" for each in variables & set(LEFT_ALONE))
    yield from (
        f"{each} is neither set nor left alone for a reason" for each in known - told - set(LEFT_ALONE)
    )


def functions_are_as_recommended(made: Made) -> Iterator[str]:
    for name, function in made.of("google_cloudfunctions2_function").items():
        runtime, config = function["build_config"][0]["runtime"], function["service_config"][0]
        target = function["build_config"][0]["entry_point"]
        wanted = ("python313", "1", 80, f"{memory_gib(FUNCTIONS[target]) * 1024:.0f}Mi")
        given = (
            runtime,
            config["available_cpu"],
            config["max_instance_request_concurrency"],
            config["available_memory"],
        )
        if given != wanted:
            yield f"{name} has {given}, docs/scaling.md recommends {wanted}"


def alerts_watch_what_there_is(made: Made) -> Iterator[str]:
    policies = made.of("google_monitoring_alert_policy") | made.of(
        "google_monitoring_alert_policy", "refused_release"
    )
    wanted = {"dead letters", "not in BigQuery", "oldest event not predicted", "5xx", "slow answers"}
    wanted |= {"failed job", ""}
    if set(policies) != wanted:
        yield f"alerts are {sorted(policies)}"
    there = {each.values["name"] for each in made.all("google_pubsub_subscription")}
    there |= set(made.of("google_cloudfunctions2_function")) | set(made.of("google_cloud_run_v2_job"))
    watched: set[str] = set()
    for name, policy in policies.items():
        if not policy["notification_channels"] or not policy["documentation"]:
            yield f"the alert {name!r} tells nobody what to do"
        for text in strings(policy["conditions"]):
            for label in re.findall(
                r"(?:subscription_id|service_name|job_name)=(?:one_of\()?((?:\"[^\"]+\",?)+)", text
            ):
                watched |= set(re.findall('"([^"]+)"', label))
    yield from (f"an alert watches {each}, which is not there" for each in sorted(watched - there))
    yield from (f"no alert watches {each}" for each in sorted(there - watched - {"predictions-smoke"}))


def _variables_of_a_function() -> set[str]:
    """Those that it looks for in its environment."""
    asked = set()

    class Environment(dict[str, str]):
        def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
            asked.add(name)
            return super().get(name, default)

    Settings.read(
        Environment(MODEL_URI="m", PREDICTIONS_TOPIC="p", DEAD_LETTER_TOPIC="d"),
        streaming=True,
    )
    return asked


POLICIES = (
    *ACCESS,
    dead_letters_are_wired,
    subscriptions_wait_long_enough,
    functions_read_what_they_are_told,
    functions_are_as_recommended,
    alerts_watch_what_there_is,
)
