DELETE FROM daily_sales WHERE day = %(day)s;

INSERT INTO daily_sales (day, status, orders, customers, total)
SELECT day, coalesce(status, ''), count(*), count(DISTINCT customer_id), coalesce(sum(total), 0)
FROM staging_orders
WHERE day = %(day)s
GROUP BY day, coalesce(status, '');
