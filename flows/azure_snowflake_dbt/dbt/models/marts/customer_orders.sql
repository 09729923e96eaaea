select
    customer_id,
    count(*) as orders,
    min(order_date) as first_order_date,
    max(order_date) as last_order_date,
    coalesce(sum(total), 0) as revenue
from {{ ref('stg_orders') }}
group by customer_id
