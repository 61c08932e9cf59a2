output "predict_url" {
  description = "The HTTP function of ride-duration."
  value       = google_cloudfunctions2_function.main["ride-duration-predict"].service_config[0].uri
}

output "predict_event_url" {
  description = "The Pub/Sub function of ride-duration; only Pub/Sub of this project reaches it."
  value       = google_cloudfunctions2_function.main["ride-duration-predict-event"].service_config[0].uri
}

output "function_urls" {
  description = "Of all functions, by name."
  value       = { for name, function in google_cloudfunctions2_function.main : name => function.service_config[0].uri }
}

output "ride_events_topic" {
  description = "Where ride events are published, as projects/P/topics/T."
  value       = google_pubsub_topic.main["ride-events"].id
}

output "ride_ended_topic" {
  description = "Where ends of rides are published."
  value       = google_pubsub_topic.main["ride-ended"].id
}

output "predictions_topic" {
  description = "Where prediction events come out."
  value       = google_pubsub_topic.main["predictions"].id
}

output "dead_letter_topic" {
  description = "Where events go that cannot be predicted."
  value       = google_pubsub_topic.main["ride-events-dead-letter"].id
}

output "smoke_subscription" {
  description = "Pull subscription on which the smoke test waits for its own prediction."
  value       = google_pubsub_subscription.pull["predictions-smoke"].id
}

output "dead_letter_subscription" {
  description = "Pull subscription with the dead letters, for `python -m jobs redrive`."
  value       = google_pubsub_subscription.pull["ride-events-dead-letter"].id
}

output "model_bucket" {
  description = "MODEL_BUCKET without gs://: models and release pointers."
  value       = google_storage_bucket.main["models"].name
}

output "source_bucket" {
  description = "Source archives of the functions, and sources of builds."
  value       = google_storage_bucket.main["source"].name
}

output "predictions_bucket" {
  description = "Months of predictions, a folder for each model."
  value       = google_storage_bucket.main["predictions"].name
}

output "archive_bucket" {
  description = "Every ride event as it came, in Avro."
  value       = google_storage_bucket.main["archive"].name
}

output "mlflow_url" {
  description = "MLFLOW_TRACKING_URI for jobs; empty until there is an image to run the server."
  value       = local.mlflow_uri
}

output "jobs_image_repository" {
  description = "Where images of the jobs are pushed to, without the tag."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.main.repository_id}/jobs"
}

output "bigquery_dataset" {
  description = "As PROJECT.DATASET, with predictions, views, scores and the remote function."
  value       = "${var.project_id}.${google_bigquery_dataset.main.dataset_id}"
}
