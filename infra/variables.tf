variable "project_id" {
  description = "Google Cloud project; dev and prod have one each."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be a project ID such as ridecast-dev, not a project's name or number."
  }
}

variable "region" {
  description = "Region in which everything runs and is stored."
  type        = string
  nullable    = false
  default     = "us-central1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a region such as us-central1, not a zone or a multi-region."
  }
}

variable "environment" {
  description = "dev or prod; a label on every resource that supports labels."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["dev", "prod"], var.environment)
    error_message = "environment must be dev or prod."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete resources with data: buckets with objects, tables, the database, the MLflow server."
  type        = bool
  nullable    = false
  default     = true
}

variable "source_archive" {
  description = "Zip file of the functions' source, as written by `make archive`. The path is relative to infra/, so that it is the same on every machine."
  type        = string
  nullable    = false

  validation {
    condition     = endswith(var.source_archive, ".zip") && fileexists(var.source_archive)
    error_message = "source_archive must be an existing zip file: run `make archive` and give ../ followed by the path that it prints."
  }
}

variable "jobs_image" {
  description = "Container image of the jobs and of the MLflow server. If empty, everything that needs it is left out, for the first apply in an empty project."
  type        = string
  nullable    = false
  default     = ""

  validation {
    condition     = var.jobs_image == "" || can(regex("^[a-z0-9-]+-docker\\.pkg\\.dev/.+(:|@sha256:)[\\w.-]+$", var.jobs_image))
    error_message = "jobs_image must be an image in Artifact Registry with a tag or digest, such as us-central1-docker.pkg.dev/P/ridecast/jobs:1."
  }
}

variable "models" {
  description = "Models by their name in the registry. Each gets two functions, a subscription to the ride events and its jobs. docs/scaling.md recommends settings."
  type = map(object({
    cpu             = optional(number, 1)
    memory_mib      = optional(number, 512)
    concurrency     = optional(number, 80)
    min_instances   = optional(number, 0)
    max_instances   = optional(number, 10)
    target          = optional(string, "duration")
    remote_function = optional(string, "")
    scored_taxis    = optional(set(string), [])
  }))
  nullable = false
  default = {
    "ride-duration" = { remote_function = "predict_duration", scored_taxis = ["green"] }
  }

  validation {
    condition     = contains(keys(var.models), "ride-duration")
    error_message = "models must contain ride-duration, because the smoke test of a deployment uses it."
  }
  validation {
    condition     = alltrue([for name in keys(var.models) : can(regex("^[a-z][a-z0-9-]{1,15}[a-z0-9]$", name))])
    error_message = "A model's name must have 3 to 17 lower-case letters, digits and hyphens: service accounts are named after it, and their names have at most 30 characters."
  }
  validation {
    condition     = alltrue([for model in values(var.models) : model.memory_mib >= 512])
    error_message = "memory_mib must be 512 or more: a function needs 130 MB under load, and 512 is the minimum of Cloud Run's second generation."
  }
  validation {
    condition     = alltrue([for model in values(var.models) : model.concurrency >= 1 && model.concurrency <= 1000 && (model.cpu >= 1 || model.concurrency == 1)])
    error_message = "concurrency must be 1 to 1000, and 1 if cpu is less than 1: Cloud Run allows no more."
  }
  validation {
    condition     = alltrue([for model in values(var.models) : model.min_instances >= 0 && model.max_instances >= 1 && model.min_instances <= model.max_instances])
    error_message = "min_instances must be at least 0 and at most max_instances, which must be at least 1."
  }
  validation {
    condition     = alltrue([for model in values(var.models) : length(setsubtract(model.scored_taxis, ["green", "yellow"])) == 0])
    error_message = "scored_taxis may contain green and yellow."
  }
  validation {
    condition     = alltrue([for model in values(var.models) : can(regex("^[a-z_]+$", model.target))])
    error_message = "target must be a column name without predicted_, such as duration or fare."
  }
  validation {
    condition     = alltrue([for model in values(var.models) : model.remote_function == "" || can(regex("^[A-Za-z_][A-Za-z0-9_]*$", model.remote_function))])
    error_message = "remote_function must be a valid BigQuery routine name such as predict_duration, or empty for none."
  }
}

variable "log_level" {
  description = "Log level of the functions. INFO writes a line per event, which the dashboard counts; WARNING saves that cost."
  type        = string
  nullable    = false
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING, ERROR or CRITICAL."
  }
}

variable "trips" {
  description = "URI of a month of trips; {taxi_type}, {year:04d} and {month:02d} are filled in."
  type        = string
  nullable    = false
  default     = "https://d37ci6vzurychx.cloudfront.net/trip-data/{taxi_type}_tripdata_{year:04d}-{month:02d}.parquet"

  validation {
    condition     = can(regex("^(gs|https)://.*\\{year.*\\{month", var.trips))
    error_message = "trips must be a gs:// or https:// URI that contains {year:04d} and {month:02d}."
  }
}

variable "scored_months_back" {
  description = "How many months back the monthly job scores. TLC publishes a month about two months after its end."
  type        = number
  nullable    = false
  default     = 3

  validation {
    condition     = var.scored_months_back >= 1 && floor(var.scored_months_back) == var.scored_months_back
    error_message = "scored_months_back must be an integer of at least 1."
  }
}

variable "mlflow_uri" {
  description = "URL of an existing MLflow server that ridecast-sync may use: on Cloud Run with its identity, elsewhere without a token. If empty, a server and its database are created."
  type        = string
  nullable    = false
  default     = ""

  validation {
    condition     = var.mlflow_uri == "" || can(regex("^https://[^/]+", var.mlflow_uri))
    error_message = "mlflow_uri must begin with https://, or be empty to create a server."
  }
}

variable "database_tier" {
  description = "Machine type of MLflow's database."
  type        = string
  nullable    = false
  default     = "db-f1-micro"

  validation {
    condition     = startswith(var.database_tier, "db-")
    error_message = "database_tier must be a Cloud SQL machine type such as db-f1-micro or db-custom-1-3840."
  }
}

variable "archive_days" {
  description = "Days for which ride events are kept in the archive bucket."
  type        = number
  nullable    = false
  default     = 90

  validation {
    condition     = var.archive_days >= 7
    error_message = "archive_days must be 7 or more: Pub/Sub itself keeps undelivered messages for 7 days."
  }
}

variable "alert_emails" {
  description = "E-mail addresses that are notified when an alert opens."
  type        = set(string)
  nullable    = false
  default     = []

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "alert_emails must be e-mail addresses."
  }
  validation {
    condition     = var.environment != "prod" || length(var.alert_emails) > 0
    error_message = "prod needs alert_emails, or nobody hears of its alerts: set them in env/prod.tfvars."
  }
}

variable "access" {
  description = "IAM members by role: callers call the HTTP functions, publishers send ride events, analysts read the predictions, data_scientists train, promote and use MLflow."
  type = object({
    callers         = optional(set(string), [])
    publishers      = optional(set(string), [])
    analysts        = optional(set(string), [])
    data_scientists = optional(set(string), [])
  })
  nullable = false
  default  = {}

  validation {
    condition     = alltrue([for member in flatten([for members in values(var.access) : tolist(members)]) : can(regex("^(user|group|serviceAccount|principal|principalSet|domain):.+$", member))])
    error_message = "access must contain IAM members such as group:analysts@example.com; allUsers and allAuthenticatedUsers are not allowed."
  }
}

variable "repository" {
  description = "Repository connected to Cloud Build, as projects/P/locations/R/connections/C/repositories/N. If empty, there are no triggers."
  type        = string
  nullable    = false
  default     = ""

  validation {
    condition     = var.repository == "" || can(regex("^projects/[^/]+/locations/[^/]+/connections/[^/]+/repositories/[^/]+$", var.repository))
    error_message = "repository must be projects/P/locations/R/connections/C/repositories/N, as `gcloud builds repositories list` shows it, or empty."
  }
}
