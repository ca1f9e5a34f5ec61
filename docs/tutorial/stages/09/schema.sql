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

-- #region outbox
-- Events that are to go to Kafka: written in the transaction of what they tell of.
CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key text NOT NULL,
  value text NOT NULL,
  headers jsonb NOT NULL
);
-- #endregion outbox
