-- The orders as they are in the latest snapshot.
select
    id as order_id,
    customer_id,
    ordered_at,
    cast(ordered_at as date) as order_date,
    status,
    total,
    note
from {{ source('shop', 'orders') }}
where _logical_date = (select max(_logical_date) from {{ source('shop', 'orders') }})
