-- The transactional outbox: an event is a row written in its order's own transaction, and the
-- relay deletes the row once Kafka has acknowledged the record. So the table is a queue, nearly
-- empty, and its row count is what is still to be published.
-- A new table; orders that exist already get no event.
create table orders.outbox (
  -- Also the order of publishing within one key.
  id bigint generated always as identity primary key,
  topic varchar not null,
  key varchar not null,
  -- The record's value, byte for byte: text, since jsonb would reorder keys and drop whitespace.
  payload text not null,
  -- The record's headers, among them the trace context of the span that created the event.
  headers jsonb not null default '{}',
  created_at timestamptz not null default now()
);

create index outbox_key_id_idx on orders.outbox (key, id);
