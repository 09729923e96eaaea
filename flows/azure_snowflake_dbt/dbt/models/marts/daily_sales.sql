select
    order_date,
    count(*) as orders,
    count(distinct customer_id) as customers,
    coalesce(sum(total), 0) as revenue
from {{ ref('stg_orders') }}
group by order_date
