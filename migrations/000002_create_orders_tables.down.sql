-- Every order and every order line is lost.
drop table orders.order_items;
drop table orders.orders;
