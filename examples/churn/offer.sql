-- Customers who get an offer: in the last scored month, those who opted in to mail and are likely to leave.
-- Those who used to ride most come first.
with newest as (
    select *
    from tables
    -- The predictions of older models are kept, so take the newest model's.
    qualify input = max(input) over () and row_number() over (
        partition by input, customer_id order by try_cast(model_version as integer) desc nulls last
    ) = 1
)
select customer_id, city, plan, rides_previous_month, rides_last_month, round(predicted_churn, 2) as churn
from newest
where opted_in_to_mail and predicted_churn > 0.5
order by rides_previous_month desc, predicted_churn desc, customer_id
