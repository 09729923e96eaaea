-- Fails the run if it gives a row: each order that was loaded counts once.
SELECT staged, counted
FROM (SELECT count(*) AS staged FROM staging_orders WHERE day = %(day)s) AS staging,
     (SELECT coalesce(sum(orders), 0) AS counted FROM daily_sales WHERE day = %(day)s) AS sales
WHERE staged <> counted
