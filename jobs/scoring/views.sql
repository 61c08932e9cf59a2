-- The views that an analyst asks. Below them, in the schema `files`, are the Parquet files as they are:
-- predictions and rejected rows of months with one run (`_once`) and with several (`_again`), and tables.
-- A shape without rows gives a view its columns where no file has them.

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
from predictions_in('files.predictions_once') union all by name from predictions_in('files.predictions_again');

create view rides as
with newest as (
  from predictions_in('files.predictions_again')
  where predicted_duration is not null
  qualify 1 = row_number() over (
    -- The file's month is in the ride's id; named here, a month that is asked for is read alone.
    partition by taxi_type, year, month, ride_id
    order by
      try_cast(regexp_extract(model_version, '^[0-9]+$') as bigint) desc nulls last,
      model_version desc nulls last,
      predicted_duration
  )
  union all by name
  from predictions_in('files.predictions_once') where predicted_duration is not null
)
select
  taxi_type, year, month, ride_id, pickup_datetime,
  PULocationID, pickup.Zone as pickup_zone, pickup.Borough as pickup_borough,
  DOLocationID, dropoff.Zone as dropoff_zone, dropoff.Borough as dropoff_borough,
  actual_duration, predicted_duration, diff, model_version
from newest
left join zones as pickup on pickup.LocationID = PULocationID
left join zones as dropoff on dropoff.LocationID = DOLocationID;

-- Of what came as a time, with a zone or without, or as text that may have an offset or be no time at all.
create macro local_time(came) as
  case typeof(came)
    when 'VARCHAR' then try_cast(try_cast(came as timestamptz) as timestamp)
    else try_cast(came as timestamp)
  end;

create macro rejected_in(files) as table
with shape as (
  select
    null::varchar as taxi_type, null::integer as year, null::integer as month,
    null::varchar as ride_id, null::timestamp as pickup_datetime, null::timestamp as dropoff_datetime,
    null::timestamp as lpep_pickup_datetime, null::timestamp as tpep_pickup_datetime,
    null::timestamp as lpep_dropoff_datetime, null::timestamp as tpep_dropoff_datetime,
    null::integer as PULocationID, null::integer as DOLocationID, null::double as trip_distance,
    null::varchar as reason
  where false
)
select
  taxi_type, year, month, ride_id,
  coalesce(
    local_time(lpep_pickup_datetime), local_time(tpep_pickup_datetime), local_time(pickup_datetime)
  ) as pickup_datetime,
  coalesce(
    local_time(lpep_dropoff_datetime), local_time(tpep_dropoff_datetime), local_time(dropoff_datetime)
  ) as dropoff_datetime,
  PULocationID, DOLocationID, trip_distance, reason
from (from shape union all by name from query_table(files));

create view rejected as
from rejected_in('files.rejected_once')
union all by name
-- Every version of a model rejects about the same rides; but a number that cannot be is the fault of one.
select distinct *
from rejected_in('files.rejected_again')
anti join (
  from predictions_in('files.predictions_again') where predicted_duration is not null
) using (taxi_type, year, month, ride_id);

create view tables as
with shape as (select null::varchar as input, null::varchar as model_version where false)
from shape union all by name from files.tables;
