-- The order list reads newest first, a page at a time, by (created_at, id): one index for each
-- filter, so that a page costs the same however many orders there are.
-- Existing rows are read, not changed; inserts into orders.orders wait while the indexes are built.
--
-- orders_customer_id_idx of 000002 stays: the second index here could serve its look-ups as well,
-- but the schema we promise names it.
create index orders_created_at_id_idx on orders.orders (created_at desc, id desc);
create index orders_customer_id_created_at_id_idx
  on orders.orders (customer_id, created_at desc, id desc);
create index orders_status_created_at_id_idx on orders.orders (status, created_at desc, id desc);
