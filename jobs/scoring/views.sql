-- The views for analysts. They read the schema `files`, which holds the Parquet files unchanged: predictions
-- and rejected rows of months with one run (`_single_run`) and with several (`_many_runs`), and tables.
-- An empty `shape` gives a view all its columns, even if no file has them.

create macro predictions_in(files) as table
with shape as (
  select
    null::varchar as taxi_type, null::integer as year, null::integer as month,
    null::varchar as ride_id, null::timestamp as pickup_datetime,
    null::timestamp as lpep_pickup_datetime, null::timestamp as tpep_pickup_datetime,
    null::integer as PULocationID, null::integer as DOLocationID,
    null::double as actual_duration, null::double as predicted_duration, null::double as diff,
    null::varchar as model_version
  where false
)
select
  * exclude (lpep_pickup_datetime, tpep_pickup_datetime)
  replace (coalesce(lpep_pickup_datetime, tpep_pickup_datetime, pickup_datetime) as pickup_datetime)
from (from shape union all by name from query_table(files));

create view predictions as
from predictions_in('files.predictions_single_run') union all by name from predictions_in('files.predictions_many_runs');

create view rides as
with newest as (
  from predictions_in('files.predictions_many_runs')
  where predicted_duration is not null
  qualify 1 = row_number() over (
    -- The ride's id holds the month already; with these columns here, a filter on a month reads only its files.
    partition by taxi_type, year, month, ride_id
    order by
      try_cast(regexp_extract(model_version, '^[0-9]+$') as bigint) desc nulls last,
      model_version desc nulls last,
      predicted_duration
  )
  union all by name
  from predictions_in('files.predictions_single_run') where predicted_duration is not null
)
select
  taxi_type, year, month, ride_id, pickup_datetime,
  PULocationID, pickup.Zone as pickup_zone, pickup.Borough as pickup_borough,
  DOLocationID, dropoff.Zone as dropoff_zone, dropoff.Borough as dropoff_borough,
  actual_duration, predicted_duration, diff, model_version
from newest
left join zones as pickup on pickup.LocationID = PULocationID
left join zones as dropoff on dropoff.LocationID = DOLocationID;

-- New York time from a time with or without a zone, or from text, which TLC also writes with the month first;
-- null if the text is not a valid time.
create macro local_time(value) as
  case typeof(value)
    when 'VARCHAR' then coalesce(
      try_cast(try_cast(value as timestamptz) as timestamp),
      try_strptime(value::varchar, ['%m/%d/%Y %I:%M:%S %p', '%m/%d/%Y %I:%M %p'])
    )
    else try_cast(value as timestamp)
  end;

create macro rejected_in(files) as table
with shape as (
  select
    null::varchar as taxi_type, null::integer as year, null::integer as month,
    null::varchar as ride_id, null::timestamp as pickup_datetime, null::timestamp as dropoff_datetime,
    null::timestamp as lpep_pickup_datetime, null::timestamp as tpep_pickup_datetime,
    null::timestamp as lpep_dropoff_datetime, null::timestamp as tpep_dropoff_datetime,
    null::timestamp as Trip_Pickup_DateTime, null::timestamp as Trip_Dropoff_DateTime,
    null::integer as PULocationID, null::integer as DOLocationID,
    null::double as trip_distance, null::double as trip_miles,
    null::varchar as reason
  where false
)
select
  taxi_type, year, month, ride_id,
  coalesce(
    local_time(lpep_pickup_datetime), local_time(tpep_pickup_datetime), local_time(pickup_datetime),
    local_time(Trip_Pickup_DateTime)
  ) as pickup_datetime,
  coalesce(
    local_time(lpep_dropoff_datetime), local_time(tpep_dropoff_datetime), local_time(dropoff_datetime),
    local_time(Trip_Dropoff_DateTime)
  ) as dropoff_datetime,
  PULocationID, DOLocationID, coalesce(trip_distance, trip_miles) as trip_distance, reason
from (from shape union all by name from query_table(files));

create view rejected as
from rejected_in('files.rejected_single_run')
union all by name
-- All versions of a model reject nearly the same rides, except that one version may predict an impossible value.
select distinct *
from rejected_in('files.rejected_many_runs')
anti join (
  from predictions_in('files.predictions_many_runs') where predicted_duration is not null
) using (taxi_type, year, month, ride_id);

create view tables as
with shape as (select null::varchar as input, null::varchar as model_version where false)
from shape union all by name from files.tables;
