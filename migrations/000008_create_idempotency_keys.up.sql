-- The Idempotency-Key of each POST /orders that had one, written in the order's own transaction: the
-- key is there exactly when the order is. The primary key is what makes two at once one order: the
-- second waits for the first one's transaction.
-- A new table; orders that exist already have no key.
create table orders.idempotency_keys (
  key varchar primary key,
  -- SHA-256 of what was ordered, in hexadecimal: the same key with another order is a mistake.
  fingerprint varchar not null,
  -- No foreign key: it would be checked before the order is there, and orders are never deleted.
  order_id uuid not null,
  created_at timestamptz not null default now()
);

-- The clean-up finds what is old by this, without reading the rest.
create index idempotency_keys_created_at_idx on orders.idempotency_keys (created_at);
