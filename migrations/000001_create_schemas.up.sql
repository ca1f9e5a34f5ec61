-- One schema a service: orders and inventory share a database, not tables.
-- There are no rows yet.
create schema orders;
create schema inventory;
