# What is left out when optional variables are empty.
mock_provider "google" {}

variables {
  project_id     = "ridecast-test"
  environment    = "dev"
  source_archive = "tests/source.zip"
}

run "empty_project" {
  command = plan

  assert {
    condition     = length(google_cloud_run_v2_job.main) + length(google_cloud_scheduler_job.main) + length(google_cloud_run_v2_service.mlflow) == 0
    error_message = "Without an image, nothing that needs it is created."
  }
  assert {
    condition     = length(google_cloudbuild_trigger.main) + length(google_project_iam_member.deployer) + length(google_storage_bucket_iam_member.state) == 0
    error_message = "Without a repository, there are no triggers."
  }
  assert {
    condition     = toset(keys(google_cloudfunctions2_function.main)) == toset(["ride-duration-predict", "ride-duration-predict-event"])
    error_message = "Each model has its two functions from the first apply on."
  }
  assert {
    condition     = length(google_sql_database_instance.mlflow) == 1 && length(google_secret_manager_secret.mlflow) == 1
    error_message = "The database and the secret for its password exist before the server."
  }
}

run "existing_mlflow" {
  command = plan

  variables {
    mlflow_uri = "https://mlflow.example.com"
  }

  assert {
    condition     = length(google_sql_database_instance.mlflow) + length(google_secret_manager_secret.mlflow) + length(google_cloud_run_v2_service.mlflow) == 0
    error_message = "If a server exists, none is created."
  }
  assert {
    condition     = output.mlflow_url == "https://mlflow.example.com"
    error_message = "Jobs use the existing server."
  }
}

run "development" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.main : bucket.force_destroy]) && !google_sql_database_instance.mlflow[0].deletion_protection
    error_message = "Without protection everything can be torn down."
  }
}
