-- One row per ride event and model version: the first prediction. docs/reliability.md explains why there can be more.
SELECT
  JSON_VALUE(attributes, '$.ride_id') AS ride_id,
  JSON_VALUE(attributes, '$.model') AS model,
  JSON_VALUE(attributes, '$.version') AS model_version,
  SAFE_CAST(JSON_VALUE(data, '$.prediction.ride_duration') AS FLOAT64) AS predicted_duration,
  JSON_VALUE(attributes, '$.event_id') AS event_id,
  publish_time,
  data
FROM `${project}.${dataset}.predictions`
WHERE JSON_VALUE(attributes, '$.event_id') IS NOT NULL
QUALIFY ROW_NUMBER() OVER (PARTITION BY JSON_VALUE(attributes, '$.event_id') ORDER BY publish_time) = 1
