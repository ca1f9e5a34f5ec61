-- The record of which order holds what is lost; the sums in inventory.items stay as they are.
drop table inventory.reservations;
