-- The tables of `python -m jobs collect`. Event times (published) are UTC; ride times are local time in New York.

create table if not exists predictions (
  ride_id varchar, model_version varchar, predicted_duration double, published timestamp,
  primary key (ride_id, model_version)
);

create table if not exists ride_ended (
  ride_id varchar primary key,
  PULocationID integer, DOLocationID integer, trip_distance double,
  pickup_datetime timestamp, dropoff_datetime timestamp, published timestamp
);

create table if not exists bad_events (
  digest varchar primary key, kind varchar, reason varchar, data blob, published timestamp
);

-- One row per ride and model version that predicted it; whatever has not arrived yet is null.
create or replace view rides_of_the_stream as
select
  ride_id, PULocationID, DOLocationID, trip_distance, pickup_datetime, dropoff_datetime,
  predicted_duration, model_version, coalesce(ride_ended.published, predictions.published) as published
from ride_ended full join predictions using (ride_id);
