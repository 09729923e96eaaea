SELECT orders.*, product_id, unit_price, quantity, discount
FROM orders JOIN order_details USING (order_id)
ORDER BY order_id, product_id
