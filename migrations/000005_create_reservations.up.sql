-- Who holds how much of which item. The primary key is what makes reserve and release idempotent:
-- the same call again finds its row and moves no stock.
-- A new table; stock reserved so far without an order stays as it is in inventory.items.
create table inventory.reservations (
  order_id varchar not null,
  item_id varchar not null references inventory.items (item_id),
  quantity integer not null constraint reservations_quantity_check check (quantity > 0),
  -- A released row stays: a reserve that arrives after its order's release must be refused.
  status varchar not null
    constraint reservations_status_check check (status in ('reserved', 'released')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (order_id, item_id)
);
