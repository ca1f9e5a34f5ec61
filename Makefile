# The original's targets, for those whose fingers know them. Each is a package script: see package.json.
.PHONY: demo build test lint format docker-build docker-up docker-up-all docker-down docker-down-all \
  docker-logs otel-up otel-down all-up all-down migrate-up migrate-down migrate-version migrate-create \
  generate-traffic

demo:
	bun run demo

# There is nothing to compile: Bun runs TypeScript. What a compiler would find, the type check finds.
build:
	bun install --frozen-lockfile
	bun run check

test:
	bun run test

lint:
	bun run lint

format:
	bun run format

docker-build docker-up docker-up-all docker-down docker-down-all docker-logs:
	bun run $(subst docker-,docker:,$@)

otel-up otel-down:
	bun run $(subst otel-,otel:,$@)

all-up all-down:
	bun run $(subst all-,all:,$@)

# Where `make docker-up` has PostgreSQL and Kafka, and where the services then find each other. For
# these targets alone: `make test` brings its own, and takes others from these very variables.
migrate-% run-%: export POSTGRES_URL ?= postgres://orderflow:orderflow@localhost:5432/orderflow
run-%: export KAFKA_BROKERS ?= localhost:9092
# generated: addresses
run-%: export ORDERS_SERVICE_URL ?= http://localhost:8081
run-%: export INVENTORY_SERVICE_URL ?= http://localhost:8082
run-%: export EMAIL_SERVICE_URL ?= http://localhost:8084
# end: addresses

migrate-up migrate-down migrate-version:
	bun run migrate $(subst migrate-,,$@)

# make migrate-create name=add_new_table
migrate-create:
	bun run migrate create $(name)

# make run-orders: a service by its folder's name
run-%:
	bun run services/$*/index.ts

generate-traffic:
	bun run generate-traffic
