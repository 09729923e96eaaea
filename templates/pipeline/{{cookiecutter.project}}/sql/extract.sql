-- Asked of the source. The columns of staging_orders, in their order.
COPY (
    SELECT %(day)s, id, customer_id, ordered_at, status, total
    FROM orders
    WHERE ordered_at >= %(day)s AND ordered_at < %(day)s + 1
) TO STDOUT
