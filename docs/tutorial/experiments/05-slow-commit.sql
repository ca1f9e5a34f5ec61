-- A constraint that is checked at COMMIT, and takes 300 ms for it.
CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END';

CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT OR UPDATE ON orders
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION take_time();
