-- Without CASCADE: the later migrations' downs have emptied both schemas, and whatever else
-- somebody put there stops this file instead of being dropped with it.
drop schema inventory;
drop schema orders;
