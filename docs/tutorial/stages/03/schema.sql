-- What the tutorial's database holds: orders and their items.
CREATE TABLE orders (
  id uuid PRIMARY KEY,
  customer text NOT NULL,
  status text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE order_items (
  order_id uuid NOT NULL REFERENCES orders,
  item text NOT NULL,
  quantity integer NOT NULL
);
