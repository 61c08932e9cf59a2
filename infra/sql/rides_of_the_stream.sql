-- Ends of rides joined with predictions: one row per ride and model version that predicted it; whatever has not
-- arrived yet is null. The columns are those of the view of `python -m jobs collect`, for `python -m jobs report
-- --stream`. Event times (published) are UTC; ride times are local time in New York.
--
-- BigQuery subscriptions with metadata write the tables `predictions` and `ride_ended`: publish_time, and the
-- event in `data`, as STRING or JSON. Duplicates count once; of several events about a ride the latest counts.

with predicted as (
  select
    json_value(data, '$.prediction.ride_id') as ride_id,
    json_value(data, '$.version') as model_version,
    safe_cast(json_value(data, '$.prediction.ride_duration') as float64) as predicted_duration,
    publish_time
  from `${project}.${dataset}.predictions`
),

newest_predicted as (
  select *
  from predicted
  where ride_id is not null and model_version is not null and predicted_duration is not null
  qualify row_number() over (partition by ride_id, model_version order by publish_time desc) = 1
),

parsed as (
  select
    json_value(data, '$.ride_id') as ride_id,
    safe_cast(json_value(data, '$.ride.PULocationID') as float64) as pickup_zone,
    safe_cast(json_value(data, '$.ride.DOLocationID') as float64) as dropoff_zone,
    safe_cast(
      trim(coalesce(json_value(data, '$.ride.trip_distance'), json_value(data, '$.ride.trip_miles'))) as float64
    ) as miles,
    -- TLC's own names; a drop-off may also be in the ride, as in a TLC record.
    coalesce(
      json_value(data, '$.ride.pickup_datetime'),
      json_value(data, '$.ride.lpep_pickup_datetime'),
      json_value(data, '$.ride.tpep_pickup_datetime')
    ) as pickup,
    coalesce(
      json_value(data, '$.dropoff_datetime'),
      json_value(data, '$.ride.dropoff_datetime'),
      json_value(data, '$.ride.lpep_dropoff_datetime'),
      json_value(data, '$.ride.tpep_dropoff_datetime')
    ) as dropoff,
    publish_time
  from `${project}.${dataset}.ride_ended`
),

ended as (
  select
    ride_id,
    safe_cast(pickup_zone as int64) as PULocationID,
    safe_cast(dropoff_zone as int64) as DOLocationID,
    -- An impossible distance counts as 0, not recorded, as on every interface.
    if(miles > 0 and miles <= 100, miles, 0) as trip_distance,
    -- Converts times with an offset to New York time; times without one already are.
    case
      when regexp_contains(pickup, r'(Z|[+-]\d\d:?\d\d)$')
        then datetime(safe_cast(pickup as timestamp), 'America/New_York')
      when pickup like '%/%' then safe.parse_datetime('%m/%d/%Y %I:%M:%S %p', pickup)
      else safe_cast(pickup as datetime)
    end as pickup_datetime,
    case
      when regexp_contains(dropoff, r'(Z|[+-]\d\d:?\d\d)$')
        then datetime(safe_cast(dropoff as timestamp), 'America/New_York')
      when dropoff like '%/%' then safe.parse_datetime('%m/%d/%Y %I:%M:%S %p', dropoff)
      else safe_cast(dropoff as datetime)
    end as dropoff_datetime,
    publish_time
  from parsed
  where
    ride_id is not null
    and pickup_zone between 1 and 265 and pickup_zone = trunc(pickup_zone)
    and dropoff_zone between 1 and 265 and dropoff_zone = trunc(dropoff_zone)
    and miles is not null and not is_nan(miles)
),

newest_ended as (
  select *
  from ended
  where pickup_datetime is not null and dropoff_datetime is not null
  qualify row_number() over (partition by ride_id order by publish_time desc) = 1
)

select
  coalesce(newest_ended.ride_id, newest_predicted.ride_id) as ride_id,
  PULocationID, DOLocationID, trip_distance, pickup_datetime, dropoff_datetime,
  predicted_duration, model_version,
  datetime(coalesce(newest_ended.publish_time, newest_predicted.publish_time)) as published
from newest_ended
full join newest_predicted on newest_ended.ride_id = newest_predicted.ride_id
