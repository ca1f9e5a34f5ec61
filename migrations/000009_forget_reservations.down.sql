-- Deleted reservations stay deleted, and nothing tells of them any more: an event that is delivered
-- again after this, of an order that old, reserves its items once more.
drop table inventory.forgotten_reservations;
drop index inventory.reservations_updated_at_idx;
