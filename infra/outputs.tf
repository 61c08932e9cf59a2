output "predict_url" {
  description = "URL of the HTTP function of ride-duration."
  value       = google_cloudfunctions2_function.main["ride-duration-predict"].service_config[0].uri
}

output "predict_event_url" {
  description = "URL of the Pub/Sub function of ride-duration; only this project's Pub/Sub can reach it."
  value       = google_cloudfunctions2_function.main["ride-duration-predict-event"].service_config[0].uri
}

output "function_urls" {
  description = "URLs of all functions, by name."
  value       = { for name, function in google_cloudfunctions2_function.main : name => function.service_config[0].uri }
}

output "ride_events_topic" {
  description = "Topic for ride events, as projects/P/topics/T."
  value       = google_pubsub_topic.main["ride-events"].id
}

output "ride_ended_topic" {
  description = "Topic for ride-ended events."
  value       = google_pubsub_topic.main["ride-ended"].id
}

output "predictions_topic" {
  description = "Topic of prediction events."
  value       = google_pubsub_topic.main["predictions"].id
}

output "dead_letter_topic" {
  description = "Topic of events that cannot be predicted."
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
  description = "Bucket of models and release pointers: MODEL_BUCKET without gs://."
  value       = google_storage_bucket.main["models"].name
}

output "source_bucket" {
  description = "Bucket of the functions' source archives and of build sources."
  value       = google_storage_bucket.main["source"].name
}

output "predictions_bucket" {
  description = "Bucket of monthly predictions, with a folder for each model."
  value       = google_storage_bucket.main["predictions"].name
}

output "archive_bucket" {
  description = "Bucket of all ride events as received, in Avro."
  value       = google_storage_bucket.main["archive"].name
}

output "mlflow_url" {
  description = "MLFLOW_TRACKING_URI for jobs; empty until there is an image to run the server."
  value       = local.mlflow_uri
}

output "jobs_image_repository" {
  description = "Image name to push the jobs' images to, without the tag."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.main.repository_id}/jobs"
}

output "bigquery_dataset" {
  description = "Dataset of predictions, views, scores and the remote function, as PROJECT.DATASET."
  value       = "${var.project_id}.${google_bigquery_dataset.main.dataset_id}"
}

output "mlflow_database" {
  description = "Cloud SQL instance of the MLflow server; empty if another server is used."
  value       = local.mlflow_here ? google_sql_database_instance.mlflow[0].name : ""
}
