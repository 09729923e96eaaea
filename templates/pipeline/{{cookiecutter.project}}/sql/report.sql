SELECT status, orders, total FROM daily_sales WHERE day = %(day)s ORDER BY status
