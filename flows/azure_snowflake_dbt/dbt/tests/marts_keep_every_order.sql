-- No order is lost or counted twice on the way to the marts.
with counts as (
    select
        (select count(*) from {{ ref('stg_orders') }}) as staged,
        (select sum(orders) from {{ ref('daily_sales') }}) as by_day,
        (select sum(orders) from {{ ref('customer_orders') }}) as by_customer
)

select * from counts
where staged <> coalesce(by_day, 0) or staged <> coalesce(by_customer, 0)
