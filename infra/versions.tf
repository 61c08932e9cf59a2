terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50.0, < 8.0.0"
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
