-- Events in hand are due at once again: they may be published twice, which does no harm.
alter table orders.outbox drop column due_at;
