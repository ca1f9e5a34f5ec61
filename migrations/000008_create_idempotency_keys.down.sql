-- The keys are lost: a request that is repeated after this makes another order.
drop table orders.idempotency_keys;
