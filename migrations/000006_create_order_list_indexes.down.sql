-- Only the indexes go; no row is touched.
drop index orders.orders_status_created_at_id_idx;
drop index orders.orders_customer_id_created_at_id_idx;
drop index orders.orders_created_at_id_idx;
