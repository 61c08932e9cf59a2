terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source = "hashicorp/google"
      # One major version, because this configuration was checked against its schema; the lock file pins the rest.
      version = ">= 6.50.0, < 7.0.0"
    }
  }

  # infra/deploy and cloudbuild.yaml set the bucket and prefix, which differ between dev and prod.
  backend "gcs" {}
}

provider "google" {
  project        = var.project_id
  region         = var.region
  default_labels = { app = "ridecast", environment = var.environment }
}
