resource "google_bigquery_dataset" "main" {
  dataset_id                 = "ridecast"
  location                   = var.region
  description                = "Predictions from the stream and from monthly scoring."
  delete_contents_on_destroy = !var.deletion_protection

  depends_on = [google_project_service.main]
}

# Messages as Pub/Sub writes them. The body stays a string, so no message is refused because of its content.
resource "google_bigquery_table" "stream" {
  for_each = {
    predictions = "Prediction events as received; a redelivered ride event leaves two."
    ride_ended  = "Ride-ended events as received."
  }

  dataset_id          = google_bigquery_dataset.main.dataset_id
  table_id            = each.key
  description         = each.value
  deletion_protection = var.deletion_protection

  time_partitioning {
    type  = "DAY"
    field = "publish_time"
  }

  schema = jsonencode([
    { name = "subscription_name", type = "STRING", mode = "NULLABLE" },
    { name = "message_id", type = "STRING", mode = "NULLABLE" },
    { name = "publish_time", type = "TIMESTAMP", mode = "NULLABLE" },
    { name = "attributes", type = "JSON", mode = "NULLABLE" },
    { name = "data", type = "STRING", mode = "NULLABLE" },
  ])
}

resource "google_bigquery_table_iam_member" "pubsub" {
  for_each = { for pair in setproduct(keys(google_bigquery_table.stream), ["roles/bigquery.dataEditor", "roles/bigquery.metadataViewer"]) :
    "Pub/Sub has ${pair[1]} on ${pair[0]}" => { table = pair[0], role = pair[1] }
  }

  dataset_id = google_bigquery_dataset.main.dataset_id
  table_id   = google_bigquery_table.stream[each.value.table].table_id
  role       = each.value.role
  member     = local.pubsub_agent

  depends_on = [google_pubsub_topic.main] # Pub/Sub's service agent exists once there is a topic
}

# One view per file in sql/, named after it.
resource "google_bigquery_table" "view" {
  for_each = fileset("${path.module}/sql", "*.sql")

  dataset_id          = google_bigquery_dataset.main.dataset_id
  table_id            = trimsuffix(each.key, ".sql")
  deletion_protection = false # a view holds no data

  view {
    query          = templatefile("${path.module}/sql/${each.key}", { project = var.project_id, dataset = google_bigquery_dataset.main.dataset_id })
    use_legacy_sql = false
  }

  depends_on = [google_bigquery_table.stream]
}

# An external table over the output of `python -m jobs score`; its folders rejected/ and input=… do not match. Only with a
# connection may Parquet columns be declared here, and only declared columns let the table exist before the first file.
resource "google_bigquery_table" "scores" {
  for_each = { for model, settings in var.models : model => settings if length(settings.scored_taxis) > 0 }

  dataset_id          = google_bigquery_dataset.main.dataset_id
  table_id            = "scores_${replace(each.key, "-", "_")}"
  description         = "Months of trips with their predictions, one row per trip and model version."
  deletion_protection = false # the data is in the bucket

  external_data_configuration {
    source_format = "PARQUET"
    source_uris   = ["${local.scores[each.key]}/taxi_type=*"]
    connection_id = google_bigquery_connection.main.name
    autodetect    = false

    hive_partitioning_options {
      mode              = "CUSTOM"
      source_uri_prefix = "${local.scores[each.key]}/{taxi_type:STRING}/{year:INTEGER}/{month:INTEGER}"
    }
  }

  schema = jsonencode([
    { name = "ride_id", type = "STRING", mode = "NULLABLE" },
    { name = "lpep_pickup_datetime", type = "DATETIME", mode = "NULLABLE" },
    { name = "tpep_pickup_datetime", type = "DATETIME", mode = "NULLABLE" },
    { name = "PULocationID", type = "INTEGER", mode = "NULLABLE" },
    { name = "DOLocationID", type = "INTEGER", mode = "NULLABLE" },
    { name = "actual_${each.value.target}", type = "FLOAT", mode = "NULLABLE" },
    { name = "predicted_${each.value.target}", type = "FLOAT", mode = "NULLABLE" },
    { name = "diff", type = "FLOAT", mode = "NULLABLE" },
    { name = "model_version", type = "STRING", mode = "NULLABLE" },
  ])
  ignore_auto_generated_schema = true # BigQuery adds taxi_type, year and month

  depends_on = [google_storage_bucket_iam_member.main]
}

# The service account with which BigQuery calls the HTTP functions and reads the scores.
resource "google_bigquery_connection" "main" {
  connection_id = "ridecast"
  location      = var.region
  description   = "Calls the HTTP functions for remote functions, and reads the scores."
  cloud_resource {}

  depends_on = [google_project_service.main]
}

resource "google_bigquery_routine" "predict" {
  for_each = { for model, settings in var.models : model => settings.remote_function if settings.remote_function != "" }

  dataset_id      = google_bigquery_dataset.main.dataset_id
  routine_id      = each.value
  routine_type    = "SCALAR_FUNCTION"
  definition_body = ""
  return_type     = jsonencode({ typeKind = "FLOAT64" })
  description     = "Prediction of ${each.key}; pickup_datetime is local time in New York and may be NULL."

  dynamic "arguments" {
    for_each = [["PULocationID", "INT64"], ["DOLocationID", "INT64"], ["trip_distance", "FLOAT64"], ["pickup_datetime", "DATETIME"]]
    content {
      name      = arguments.value[0]
      data_type = jsonencode({ typeKind = arguments.value[1] })
    }
  }

  remote_function_options {
    connection        = google_bigquery_connection.main.name
    endpoint          = google_cloudfunctions2_function.main["${each.key}-predict"].service_config[0].uri
    max_batching_rows = "1000" # 80 kB; the function accepts up to 1 MiB
  }

  depends_on = [google_cloud_run_v2_service_iam_member.main]
}

resource "google_bigquery_dataset_iam_member" "analysts" {
  for_each = var.access.analysts

  dataset_id = google_bigquery_dataset.main.dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = each.key
}

# Running a query needs this role in addition to read access; the project pays for it.
resource "google_project_iam_member" "analysts" {
  for_each = var.access.analysts

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = each.key
}

resource "google_bigquery_connection_iam_member" "analysts" {
  for_each = var.access.analysts

  connection_id = google_bigquery_connection.main.connection_id
  location      = var.region
  role          = "roles/bigquery.connectionUser"
  member        = each.key
}
