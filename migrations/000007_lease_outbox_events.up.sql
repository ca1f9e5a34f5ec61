-- Until when an event is left alone: a relay has it in hand, or its partition cannot be written to
-- now. A relay that dies, or is cut off, leaves nothing locked: its events are due again by themselves.
-- Existing rows are due at once. A constant default rewrites no table.
alter table orders.outbox add column due_at timestamptz not null default '-infinity';
