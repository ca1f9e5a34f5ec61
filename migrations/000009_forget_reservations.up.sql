-- Reservations get an end: what has not changed for long is deleted by the clean-up of the inventory
-- service. Existing rows are read for the index, not changed; reserve and release wait while it is built.
create index reservations_updated_at_idx on inventory.reservations (updated_at);

-- What the deleted rows knew, in one row: orders that were made before this moment may have had a
-- reservation, and a reserve of theirs that finds none must not move stock a second time.
-- A new table, without a row as long as nothing was deleted.
create table inventory.forgotten_reservations (
  -- There is one row at most.
  id boolean primary key default true constraint forgotten_reservations_id_check check (id),
  -- The latest last change among the deleted rows.
  up_to timestamptz not null
);
