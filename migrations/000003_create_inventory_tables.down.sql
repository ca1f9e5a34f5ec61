-- All stock is lost, the ten items and any added since.
drop table inventory.items;
