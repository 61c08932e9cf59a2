variable "project_id" {
  description = "The Google Cloud project; dev and prod have one each."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be a project's id, such as ridecast-dev: not its name and not its number."
  }
}

variable "region" {
  description = "Where everything runs and is stored."
  type        = string
  nullable    = false
  default     = "us-central1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a region, such as us-central1: not a zone and not a multi-region."
  }
}

variable "environment" {
  description = "dev or prod; a label on all that can bear one."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["dev", "prod"], var.environment)
    error_message = "environment must be dev or prod."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete what holds data: buckets with objects, tables, the database, the MLflow server."
  type        = bool
  nullable    = false
  default     = true
}

variable "source_archive" {
  description = "The functions' source as a zip file, as `make archive` writes it. A path from infra/, which is the same on each machine."
  type        = string
  nullable    = false

  validation {
    condition     = endswith(var.source_archive, ".zip") && fileexists(var.source_archive)
    error_message = "source_archive must be a zip file that exists: run `make archive` and give ../ and the path that it prints."
  }
}

variable "jobs_image" {
  description = "Container image of the jobs and of the MLflow server. Empty leaves out all that needs it, for the first apply in an empty project."
  type        = string
  nullable    = false
  default     = ""

  validation {
    condition     = var.jobs_image == "" || can(regex("^[a-z0-9-]+-docker\\.pkg\\.dev/.+(:|@sha256:)[\\w.-]+$", var.jobs_image))
    error_message = "jobs_image must be an image in Artifact Registry with a tag or digest, such as us-central1-docker.pkg.dev/P/ridecast/jobs:1."
  }
}

variable "models" {
  description = "Each becomes two functions, a subscription to the ride events and its jobs; the key is its name in the registry. Settings as docs/scaling.md recommends them."
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
    error_message = "models must have ride-duration: it is the one that deployments are tried with."
  }
  validation {
    condition     = alltrue([for name in keys(var.models) : can(regex("^[a-z][a-z0-9-]{1,15}[a-z0-9]$", name))])
    error_message = "A model's name must have 3 to 17 small letters, digits and hyphens: accounts are named after it, and Google allows them 30."
  }
  validation {
    condition     = alltrue([for model in values(var.models) : model.memory_mib >= 512])
    error_message = "memory_mib must be 512 or more: a function needs 130 MB under load, and Cloud Run's second generation gives no less."
  }
  validation {
    condition     = alltrue([for model in values(var.models) : model.concurrency >= 1 && model.concurrency <= 1000 && (model.cpu >= 1 || model.concurrency == 1)])
    error_message = "concurrency must be 1 to 1000, and 1 where cpu is less than 1: Cloud Run allows no more."
  }
  validation {
    condition     = alltrue([for model in values(var.models) : model.min_instances >= 0 && model.max_instances >= 1 && model.min_instances <= model.max_instances])
    error_message = "min_instances must be 0 or more and no more than max_instances, which must be 1 or more."
  }
  validation {
    condition     = alltrue([for model in values(var.models) : length(setsubtract(model.scored_taxis, ["green", "yellow"])) == 0])
    error_message = "scored_taxis may hold green and yellow."
  }
  validation {
    condition     = alltrue([for model in values(var.models) : can(regex("^[a-z_]+$", model.target))])
    error_message = "target must be a column's name without predicted_, such as duration or fare."
  }
  validation {
    condition     = alltrue([for model in values(var.models) : model.remote_function == "" || can(regex("^[A-Za-z_][A-Za-z0-9_]*$", model.remote_function))])
    error_message = "remote_function must be a name as BigQuery has them, such as predict_duration, or empty for none."
  }
}

variable "log_level" {
  description = "Of the functions. INFO writes a line for each event, which the dashboard counts; WARNING saves what that costs."
  type        = string
  nullable    = false
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING, ERROR or CRITICAL."
  }
}

variable "trips" {
  description = "Where a month of trips is; {taxi_type}, {year:04d} and {month:02d} are filled in."
  type        = string
  nullable    = false
  default     = "https://d37ci6vzurychx.cloudfront.net/trip-data/{taxi_type}_tripdata_{year:04d}-{month:02d}.parquet"

  validation {
    condition     = can(regex("^(gs|https)://.*\\{year.*\\{month", var.trips))
    error_message = "trips must be a gs:// or https:// address with {year:04d} and {month:02d} in it."
  }
}

variable "scored_months_back" {
  description = "How many months before its run the monthly job scores. TLC publishes a month about two months after its end."
  type        = number
  nullable    = false
  default     = 3

  validation {
    condition     = var.scored_months_back >= 1 && floor(var.scored_months_back) == var.scored_months_back
    error_message = "scored_months_back must be a whole number, 1 or more."
  }
}

variable "mlflow_uri" {
  description = "Address of an MLflow server that exists already and lets the account ridecast-sync in: on Cloud Run by its identity, elsewhere without a token. Empty makes one, with its database."
  type        = string
  nullable    = false
  default     = ""

  validation {
    condition     = var.mlflow_uri == "" || can(regex("^https://[^/]+", var.mlflow_uri))
    error_message = "mlflow_uri must begin with https://, or be empty for a server of its own."
  }
}

variable "database_tier" {
  description = "Machine type of MLflow's database."
  type        = string
  nullable    = false
  default     = "db-f1-micro"

  validation {
    condition     = startswith(var.database_tier, "db-")
    error_message = "database_tier must be a machine type of Cloud SQL, such as db-f1-micro or db-custom-1-3840."
  }
}

variable "archive_days" {
  description = "How long ride events are kept in the archive bucket."
  type        = number
  nullable    = false
  default     = 90

  validation {
    condition     = var.archive_days >= 7
    error_message = "archive_days must be 7 or more: Pub/Sub itself keeps what was not delivered for 7 days."
  }
}

variable "alert_emails" {
  description = "Who is told when an alert opens."
  type        = set(string)
  nullable    = false
  default     = []

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "alert_emails must be e-mail addresses."
  }
}

variable "access" {
  description = "Who may do what, as IAM members: callers ask the HTTP functions, publishers send ride events, analysts read the predictions, data_scientists train, promote and see MLflow."
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
    error_message = "access must hold IAM members such as group:analysts@example.com; nothing here is for allUsers or allAuthenticatedUsers."
  }
}

variable "repository" {
  description = "A repository that is connected to Cloud Build, as projects/P/locations/R/connections/C/repositories/N. Empty makes no triggers."
  type        = string
  nullable    = false
  default     = ""

  validation {
    condition     = var.repository == "" || can(regex("^projects/[^/]+/locations/[^/]+/connections/[^/]+/repositories/[^/]+$", var.repository))
    error_message = "repository must be projects/P/locations/R/connections/C/repositories/N, as `gcloud builds repositories list` shows it, or empty."
  }
}
