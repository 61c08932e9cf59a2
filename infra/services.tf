resource "google_project_service" "main" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "bigqueryconnection.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "sqladmin.googleapis.com",
    "storage.googleapis.com",
  ])

  service = each.key
  # Other resources in the project may use them.
  disable_on_destroy = false
}

# Without depends_on: with it, one more API would leave the number unknown until the apply and replace every grant that
# contains it. The project exists, and infra/deploy enables the API that this reads.
data "google_project" "main" {
  project_id = var.project_id
}
