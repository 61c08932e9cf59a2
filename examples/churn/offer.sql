-- Whom to send an offer: of the last month that was scored, who opted in to mail and is likely to leave,
-- those first who rode most before they began to stay away.
with newest as (
    select *
    from tables
    -- The predictions of an older model stand beside those of the newer one.
    qualify input = max(input) over () and row_number() over (
        partition by input, customer_id order by try_cast(model_version as integer) desc nulls last
    ) = 1
)
select customer_id, city, plan, rides_previous_month, rides_last_month, round(predicted_churn, 2) as churn
from newest
where opted_in_to_mail and predicted_churn > 0.5
order by rides_previous_month desc, predicted_churn desc, customer_id
