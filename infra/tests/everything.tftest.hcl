# The whole system with a mock provider and every option on, so that everything is planned.
mock_provider "google" {}

variables {
  project_id     = "ridecast-test"
  environment    = "prod"
  source_archive = "tests/source.zip"
  jobs_image     = "us-central1-docker.pkg.dev/ridecast-test/ridecast/jobs:1"
  alert_emails   = ["duty@example.com"]
  repository     = "projects/ridecast-test/locations/us-central1/connections/github/repositories/ridecast"
  models = {
    "ride-duration" = { remote_function = "predict_duration", scored_taxis = ["green", "yellow"] }
    "ride-fare"     = { target = "fare", min_instances = 1, max_instances = 3 }
  }
  access = {
    callers         = ["group:apps@example.com"]
    publishers      = ["serviceAccount:app@example.iam.gserviceaccount.com"]
    analysts        = ["group:analysts@example.com"]
    data_scientists = ["group:science@example.com"]
  }
}

run "everything" {
  command = apply

  assert {
    condition = alltrue([for push in google_pubsub_subscription.push :
      push.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.main["ride-events-dead-letter"].id && push.dead_letter_policy[0].max_delivery_attempts >= 20
    ])
    error_message = "Dead letters go to their topic, and not before 20 attempts: a short outage would flood it."
  }
  assert {
    condition     = google_pubsub_subscription.pull["ride-events-dead-letter"].topic == google_pubsub_topic.main["ride-events-dead-letter"].id
    error_message = "The dead-letter topic needs a subscription, or its messages are lost."
  }
  assert {
    condition     = google_pubsub_topic_iam_member.main["Pub/Sub publishes dead letters"].topic == google_pubsub_topic.main["ride-events-dead-letter"].id && startswith(google_pubsub_topic_iam_member.main["Pub/Sub publishes dead letters"].member, "serviceAccount:service-")
    error_message = "Pub/Sub may publish dead letters."
  }
  assert {
    condition = alltrue([for push in google_pubsub_subscription.push :
      google_pubsub_subscription_iam_member.dead_letter[push.name].subscription == push.id && google_pubsub_subscription_iam_member.dead_letter[push.name].role == "roles/pubsub.subscriber"
    ])
    error_message = "Pub/Sub may take dead letters out of each subscription that has the policy."
  }
  assert {
    condition     = alltrue([for push in google_pubsub_subscription.push : push.ack_deadline_seconds >= 10 && push.ack_deadline_seconds <= 600])
    error_message = "Pub/Sub has deadlines of 10 to 600 seconds, and the function takes up to 8."
  }
  assert {
    condition = alltrue([for name, push in google_pubsub_subscription.push :
      push.push_config[0].push_endpoint == google_cloudfunctions2_function.main["${name}-predict-event"].service_config[0].uri &&
      push.push_config[0].oidc_token[0].service_account_email == google_service_account.main["${name}-push"].email
    ])
    error_message = "Each model's events go to its function, as its own account."
  }
  assert {
    condition     = alltrue([for subscription in concat(values(google_pubsub_subscription.push), values(google_pubsub_subscription.pull), values(google_pubsub_subscription.bigquery), [google_pubsub_subscription.archive]) : subscription.message_retention_duration == (endswith(subscription.name, "dead-letter") ? "2678400s" : "604800s") && subscription.expiration_policy[0].ttl == ""])
    error_message = "What is not delivered waits for seven days, dead letters for 31, and no subscription expires."
  }
  assert {
    condition     = alltrue([for bucket in google_storage_bucket.main : bucket.public_access_prevention == "enforced" && bucket.uniform_bucket_level_access && !bucket.force_destroy])
    error_message = "No bucket can be made public, and none with objects in it can be deleted."
  }
  assert {
    condition     = google_storage_bucket.main["models"].versioning[0].enabled
    error_message = "Models that were replaced or deleted can be restored."
  }
  assert {
    condition     = google_sql_database_instance.mlflow[0].deletion_protection && google_cloud_run_v2_service.mlflow[0].deletion_protection && alltrue([for table in google_bigquery_table.stream : table.deletion_protection]) && !google_bigquery_dataset.main.delete_contents_on_destroy
    error_message = "Resources with data are protected from deletion unless the variable says otherwise."
  }
  assert {
    condition     = alltrue([for name in ["predictions", "source"] : anytrue([for rule in google_storage_bucket.main[name].lifecycle_rule : alltrue([for condition in rule.condition : condition.days_since_noncurrent_time == 90])])])
    error_message = "Versions of deleted objects are removed eventually, although nothing is newer."
  }
  assert {
    condition     = google_sql_database.mlflow[0].deletion_policy == "ABANDON"
    error_message = "PostgreSQL does not drop a database in use: it goes with its instance."
  }
  assert {
    condition     = google_sql_database_instance.mlflow[0].settings[0].connector_enforcement == "REQUIRED" && length(google_sql_database_instance.mlflow[0].settings[0].ip_configuration[0].authorized_networks) == 0
    error_message = "No network may reach the database, only the connector."
  }
  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.main : function.build_config[0].runtime == "python313" && length(function.event_trigger) == 0])
    error_message = "Functions run on Python 3.13 and have no trigger: the subscription pushes."
  }
  assert {
    condition     = google_cloudfunctions2_function.main["ride-duration-predict-event"].service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY"
    error_message = "Only Pub/Sub of this project reaches the function for events."
  }
  assert {
    condition     = google_cloudfunctions2_function.main["ride-fare-predict"].service_config[0].environment_variables["MODEL_URI"] == "gs://ridecast-test-models/releases/ride-fare/champion.json"
    error_message = "Each model's functions follow its own release pointer."
  }
  assert {
    condition     = google_cloud_scheduler_job.main["score-ride-duration-green"].schedule == "0 3 2 * *" && google_cloud_scheduler_job.main["score-ride-duration-green"].time_zone == "America/New_York"
    error_message = "Months are scored at 3 a.m. New York time on each month's second day."
  }
  assert {
    condition     = google_cloudbuild_trigger.main["plan"].service_account == google_service_account.main["ridecast-plan"].id && google_cloudbuild_trigger.main["plan"].substitutions["_APPLY"] == "false" && length(google_cloudbuild_trigger.main["plan"].repository_event_config[0].push) == 0
    error_message = "A pull request runs as the account that can change nothing, and does not apply."
  }
}
