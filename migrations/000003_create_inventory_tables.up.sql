-- Stock, one row an item, with the ten items everything starts with. A new table.
-- The checks are the last line of defence: no race can sell what is not there.
create table inventory.items (
  item_id varchar primary key,
  name varchar not null,
  available integer not null default 0 constraint items_available_check check (available >= 0),
  reserved integer not null default 0 constraint items_reserved_check check (reserved >= 0)
);

insert into inventory.items (item_id, name, available) values
  ('ITEM-001', 'Wireless Mouse', 100),
  ('ITEM-002', 'Mechanical Keyboard', 50),
  ('ITEM-003', 'USB-C Hub', 200),
  ('ITEM-004', 'Monitor Stand', 75),
  ('ITEM-005', 'Webcam HD', 30),
  ('ITEM-006', 'Headset Pro', 150),
  ('ITEM-007', 'Mouse Pad XL', 300),
  ('ITEM-008', 'Cable Management Kit', 120),
  ('ITEM-009', 'Laptop Stand', 80),
  ('ITEM-010', 'Desk Lamp LED', 60);
