-- Orders and their lines. New tables; there are no rows yet.
-- Money is a whole number of cents.
create table orders.orders (
  id uuid primary key,
  customer_id varchar not null,
  status varchar not null,
  total bigint not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

create index orders_customer_id_idx on orders.orders (customer_id);

-- An item may stand on several lines of one order, so (order_id, item_id) is not unique.
create table orders.order_items (
  id uuid primary key,
  order_id uuid not null references orders.orders (id) on delete cascade,
  item_id varchar not null,
  quantity integer not null,
  price bigint not null
);

create index order_items_order_id_idx on orders.order_items (order_id);
