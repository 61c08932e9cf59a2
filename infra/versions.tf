terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source = "hashicorp/google"
      # One major: this was checked against its schema. The lock file, which `make deploy` writes, says which minor.
      version = ">= 6.50.0, < 7.0.0"
    }
  }

  # infra/deploy and cloudbuild.yaml say which bucket and prefix: dev and prod have one each.
  backend "gcs" {}
}

provider "google" {
  project        = var.project_id
  region         = var.region
  default_labels = { app = "ridecast", environment = var.environment }
}
