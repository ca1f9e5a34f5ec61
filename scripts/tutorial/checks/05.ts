/** The check of stage 05: each statement is a span, also BEGIN and COMMIT, without values; and no N+1. */
import {
  describe,
  findSpans,
  inTrace,
  isBelow,
  msOf,
  spanTree,
  verdict,
  type StageCheck,
} from "../check/index.ts";
import type { SeenSpan, System } from "../system/index.ts";

/** More than the pool has by far: with 12 a `release` that was missing went unseen. */
const AT_ONCE = 50;
const SLOW_MS = 300;
const TIMER_TOLERANCE_MS = 15;
/** A batch goes out after 100 ms; a stage that is not done is not to be waited for in each item. */
const WAIT_MS = 2_500;
const CUSTOMER = "customer-of-the-check";
const ITEM = "item-of-the-check";
const ITEMS = [
  { item: ITEM, quantity: 48_211_377 },
  { item: `${ITEM}-2`, quantity: 48_211_378 },
];
/** Of an order with two items. */
const STATEMENTS = ["BEGIN", "COMMIT", "INSERT order_items", "INSERT order_items", "INSERT orders"];

export const check: StageCheck = {
  hints: [
    "Place five orders, ask for GET /orders at the gateway, and count the statements below it. Then place five more, and count again.",
    "One statement can bring orders and items: a subquery that makes one value of many rows (json_agg), or a second statement for the items of all ten: WHERE order_id IN (SELECT …).",
    "`SELECT id, customer, status, (SELECT json_agg(json_build_object('item', item, 'quantity', quantity)) FROM order_items WHERE order_id = id) AS items FROM orders ORDER BY created_at DESC LIMIT 10`, by `query`.",
  ],
  items: [
    {
      title: "each statement of a request is a CLIENT span below it",
      anchor: "#a-span-around-a-statement",
      async judge(trial) {
        const system = await trial.system();
        await place(system);
        const spans = await system.spansWhen(
          (all) => statementsIn(all, "POST /orders").length >= 3,
        );
        const statements = statementsIn(spans, "POST /orders");
        const inserts = statements.filter(({ attributes }) => /^insert/i.test(textOf(attributes)));
        const [first] = inserts.filter(({ attributes }) => / orders\b/.test(textOf(attributes)));
        const long = statements.find(({ name }) => name.length > 40);
        return verdict(
          {
            did: "POST /orders at orders, an order of two items",
            saw: spanTree(
              spans.filter(({ service }) => service === "orders"),
              ["db.query.text"],
            ),
          },
          [
            [
              first !== undefined,
              "a CLIENT span of orders for the INSERT into orders, with db.query.text",
            ],
            [inserts.length === 3, "one for each of the two INSERTs into order_items, too"],
            [
              long === undefined,
              `its name to be short, and the same for all of its kind: INSERT orders`,
            ],
            [
              inserts
                .map(({ name }) => name)
                .sort()
                .join() === "INSERT order_items,INSERT order_items,INSERT orders",
              "names of what is done and the table: INSERT orders, INSERT order_items",
            ],
            [
              first?.attributes["db.system.name"] === "postgresql" &&
                first.attributes["db.query.summary"] === first.name &&
                typeof first.attributes["db.namespace"] === "string",
              "db.system.name postgresql, db.namespace, and the name in db.query.summary as well",
            ],
          ],
        );
      },
    },
    {
      title: "BEGIN and COMMIT are spans, as PostgreSQL got them",
      anchor: "#begin-and-commit",
      async judge(trial) {
        const system = await trial.system();
        const before = (await system.statements()).length;
        await system.confirmed(await place(system));
        const spans = await system.spansWhen(
          (all) => statementsIn(all).length > STATEMENTS.length,
          WAIT_MS,
        );
        const got = (await system.statements()).slice(before).map(withoutBlanks);
        const made = statementsIn(spans);
        const texts = made.map(({ attributes }) => withoutBlanks(textOf(attributes)));
        const has = (word: RegExp) => made.some(({ attributes }) => word.test(textOf(attributes)));
        const unseen = got.find((text) => !texts.includes(text));
        return verdict(
          {
            did: "POST /orders at orders, an order of two items, and the worker's PATCH of it",
            saw: `PostgreSQL got: ${got.join("; ") || "nothing"}\nspans: ${made.map(({ name }) => name).join(", ") || "none"}`,
          },
          [
            [
              has(/^begin/i),
              "a span BEGIN: a statement like any other, on the connection that was reserved",
            ],
            [has(/^commit/i), "a span COMMIT, which is where a transaction may wait longest"],
            [
              made.length === got.length && unseen === undefined,
              `a span for each statement that PostgreSQL got, with the same text${unseen ? `: ${unseen}` : ""}`,
            ],
          ],
        );
      },
    },
    {
      title: "no value is on any span",
      anchor: "#text-without-values",
      async judge(trial) {
        const system = await trial.system();
        const body = { customer: CUSTOMER, items: ITEMS };
        const { id } = (await system.request("gateway", "POST", "/orders", { body })).json() as {
          id: string;
        };
        await system.confirmed(id);
        await system.request("gateway", "GET", "/orders");
        await system.request("orders", "GET", `/orders/${id}`);
        const spans = await system.spansWhen(
          (all) =>
            statementsIn(all, "GET /orders/:id").length > 0 &&
            statementsIn(all, "PATCH /orders/:id").length > 0,
          WAIT_MS,
        );
        const statements = spans.filter(({ attributes }) => "db.query.text" in attributes);
        const values = [CUSTOMER, ITEM, "48211377", "48211378"];
        const told = spans.flatMap((span) => {
          const [where] = valuesOn(span, [
            ...values,
            ...(statements.includes(span) ? [id, "confirmed"] : []),
          ]);
          return where === undefined ? [] : [`${describe(span)}: ${where}`];
        });
        return verdict(
          {
            did: `POST /orders of ${CUSTOMER} at the gateway, then the list and the order`,
            saw:
              told.join("\n") ||
              statements.map(({ attributes }) => textOf(attributes)).join("\n") ||
              "no statement's span",
          },
          [
            [statements.length > 5, "spans of the statements, with db.query.text"],
            [
              told.length === 0,
              "$1 where a value stands: what is on a span can be read by everybody who may see traces",
            ],
            [
              statements.some(({ attributes }) => textOf(attributes).includes("$1")),
              "the text as PostgreSQL gets it, with $1 for the first value",
            ],
          ],
        );
      },
    },
    {
      title:
        "a statement that fails is an error, with PostgreSQL's code, and its transaction is rolled back",
      anchor: "#a-statement-that-fails",
      async judge(trial) {
        const system = await trial.system();
        // PostgreSQL keeps no text with a NUL in it.
        const body = { customer: CUSTOMER, items: [{ item: "\0", quantity: 1 }] };
        const { status } = await system.request("orders", "POST", "/orders", { body });
        const spans = await system.spansWhen(
          (all) => statementsIn(all, "POST /orders").length >= 4,
          WAIT_MS,
        );
        const statements = statementsIn(spans, "POST /orders");
        const failed = statements.filter((span) => span.status === "ERROR");
        const isOpen = await system.rows(
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()",
        );
        return verdict(
          {
            did: "POST /orders at orders, with an item that PostgreSQL refuses to store",
            saw: [
              `it answered ${status}`,
              spanTree(findSpans(spans, { service: "orders" }), ["db.response.status_code"]),
              `connections with a transaction that is still open: ${isOpen.length}`,
            ].join("\n"),
          },
          [
            [statements.length > 0, "spans of the statements"],
            [
              failed.length === 1,
              "the status ERROR on the span of the INSERT that failed, and on no other statement",
            ],
            [
              String(failed[0]?.attributes["db.response.status_code"]) === "22021",
              "db.response.status_code 22021 on it, PostgreSQL's own code",
            ],
            [
              statements.some(({ attributes }) => /^rollback/i.test(textOf(attributes))),
              "a span ROLLBACK",
            ],
            [isOpen.length === 0, "no connection whose transaction is still open"],
          ],
        );
      },
    },
    {
      title: "a slow COMMIT, and a wait for a lock, are seen at the statement that takes the time",
      anchor: "#a-slow-commit",
      async judge(trial) {
        const system = await trial.system();
        const id = await withSlowCommit(system, () => place(system));
        const placed = await system.spansWhen(
          (all) => statementsIn(all, "POST /orders").some(isSlow),
          WAIT_MS,
        );
        await withOrderLocked(system, id, () =>
          system.request("orders", "PATCH", `/orders/${id}`, { body: { status: "sent" } }),
        );
        const all = await system.spansWhen(
          (seen) => statementsIn(seen, "PATCH /orders/:id").some(isSlow),
          WAIT_MS,
        );
        const [commit] = statementsIn(placed, "POST /orders").filter(isSlow);
        const [update] = statementsIn(all, "PATCH /orders/:id").filter(isSlow);
        const shown = [
          ...statementsIn(all, "POST /orders"),
          ...statementsIn(all, "PATCH /orders/:id"),
        ];
        return verdict(
          {
            did: `POST /orders at orders, and PostgreSQL takes ${SLOW_MS} ms to check it at COMMIT; then PATCH /orders/<id>, which another transaction holds for ${SLOW_MS} ms`,
            saw:
              shown.map((span) => `${describe(span)} ${msOf(span)} ms`).join("\n") ||
              "no statement's span",
          },
          [
            [
              commit !== undefined && /^commit/i.test(textOf(commit.attributes)),
              `a span COMMIT of ${SLOW_MS} ms: it ends when PostgreSQL has answered`,
            ],
            [update !== undefined, `a span UPDATE orders of ${SLOW_MS} ms`],
          ],
        );
      },
    },
    {
      title: `the statements of ${AT_ONCE} orders at once are each below their own`,
      anchor: "#whose-statement-it-is",
      async judge(trial) {
        const system = await trial.system();
        await Promise.all(Array.from({ length: AT_ONCE }, () => place(system)));
        const isWhole = (all: readonly SeenSpan[]) => (request: SeenSpan) =>
          namesBelow(all, request).join() === STATEMENTS.join();
        const spans = await system.spansWhen(
          (all) => ordersIn(all).length === AT_ONCE && ordersIn(all).every(isWhole(all)),
          WAIT_MS,
        );
        const mixed = ordersIn(spans).find((request) => !isWhole(spans)(request));
        return verdict(
          {
            did: `${AT_ONCE} POST /orders at orders, at the same time`,
            saw: mixed
              ? spanTree(inTrace(spans, mixed.traceId))
              : `${ordersIn(spans).length} requests with their own statements`,
          },
          [
            [ordersIn(spans).length === AT_ONCE, `${AT_ONCE} SERVER spans of orders`],
            [
              mixed === undefined,
              `below each ${STATEMENTS.join(", ")}, and nothing else of a database`,
            ],
          ],
        );
      },
    },
    {
      title: "the list is read with as many statements for many orders as for few",
      anchor: "#exercise",
      async judge(trial) {
        const system = await trial.system();
        await system.rows("DELETE FROM order_items");
        await system.rows("DELETE FROM orders");
        for (let order = 0; order < 2; order++) await place(system);
        const few = await listing(system);
        for (let order = 0; order < 10; order++) await place(system);
        const many = await listing(system);
        const counts = [few.made.length, many.made.length] as const;
        const items = many.orders.flatMap((order) => order.items ?? []);
        const firstItems = many.orders.map(({ items }) =>
          items
            ?.map(({ item }) => item)
            .sort()
            .join(),
        );
        return verdict(
          {
            did: "GET /orders at orders, first with 2 orders and then with 12",
            saw: [
              `with 2 orders: ${counts[0]} statements, and PostgreSQL got ${few.got} statements`,
              `with 12 orders: ${counts[1]} statements, and PostgreSQL got ${many.got} statements`,
              ...new Set(many.made.map(({ attributes }) => `  ${textOf(attributes)}`)),
              `the answer: ${many.orders.length} orders with ${items.length} items`,
            ].join("\n"),
          },
          [
            [counts[0] > 0, "a span for each statement of the list: query, and not sql"],
            [
              many.got === counts[1] && few.got === counts[0],
              "as many spans as PostgreSQL got statements",
            ],
            [
              counts[0] === counts[1] && many.got === few.got,
              "as many statements with 12 orders as with 2: the items of all orders come at once",
            ],
            [
              many.orders.length === 10 &&
                firstItems.every(
                  (names) =>
                    names ===
                    ITEMS.map(({ item }) => item)
                      .sort()
                      .join(),
                ) &&
                items.every(({ quantity }) => ITEMS.some((one) => one.quantity === quantity)),
              "the same answer as before: the newest ten, each with its items, each item with name and quantity",
            ],
          ],
        );
      },
    },
  ],
};

interface Listed {
  readonly orders: readonly {
    readonly items?: readonly { readonly item: string; readonly quantity: number }[];
  }[];
  /** Spans of its statements. */
  readonly made: readonly SeenSpan[];
  /** How many statements PostgreSQL had for it. */
  readonly got: number;
}

async function listing(system: System): Promise<Listed> {
  // The worker's requests are over then.
  await system.consumed();
  await system.forget();
  const before = (await system.statements()).length;
  const answer = await system.request("orders", "GET", "/orders");
  await system.spansWhen((all) => statementsIn(all, "GET /orders").length > 0, WAIT_MS);
  const got = (await system.statements()).slice(before).length;
  const spans = await system.spansWhen(
    (all) => statementsIn(all, "GET /orders").length >= got,
    WAIT_MS,
  );
  const orders = answer.status === 200 ? answer.json() : [];
  return {
    orders: Array.isArray(orders) ? orders : [],
    made: statementsIn(spans, "GET /orders"),
    got,
  };
}

/** Places an order at orders itself. @returns its id */
async function place(system: System): Promise<string> {
  const body = { customer: CUSTOMER, items: ITEMS };
  const answer = await system.request("orders", "POST", "/orders", { body });
  return String(Object(answer.status === 201 ? answer.json() : {})["id"] ?? "");
}

/** What a deferred constraint checks it checks at COMMIT. Not the names of the page: the lines may be in the schema still. */
async function withSlowCommit<T>(system: System, work: () => Promise<T>): Promise<T> {
  await system.rows(`CREATE FUNCTION check_takes_time() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(${SLOW_MS / 1000}); RETURN NULL; END'`);
  try {
    await system.rows(`CREATE CONSTRAINT TRIGGER check_slow_commit AFTER INSERT ON orders
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_takes_time()`);
    return await work();
  } finally {
    await system.rows("DROP FUNCTION check_takes_time() CASCADE");
  }
}

/** Does something while another transaction holds the order. */
async function withOrderLocked(
  system: System,
  id: string,
  work: () => Promise<unknown>,
): Promise<void> {
  let working: Promise<unknown> | undefined;
  await system.rows("BEGIN");
  try {
    await system.rows("SELECT FROM orders WHERE id::text = $1 FOR UPDATE", [id]);
    working = work();
    await Bun.sleep(SLOW_MS + TIMER_TOLERANCE_MS);
  } finally {
    await system.rows("COMMIT");
  }
  await working;
}

/**
 * @param name of requests at orders. @default any
 * @returns the spans of statements below them, in the order of their starts
 */
function statementsIn(spans: readonly SeenSpan[], name: string | RegExp = /^/): SeenSpan[] {
  const requests = findSpans(spans, { service: "orders", kind: "SERVER", name });
  return findSpans(spans, { service: "orders", kind: "CLIENT" })
    .filter(({ attributes }) => "db.query.text" in attributes)
    .filter((span) => requests.some((request) => isBelow(spans, span, request)))
    .toSorted((a, b) => Number(a.startNs - b.startNs || a.endNs - b.endNs));
}

function textOf(attributes: SeenSpan["attributes"]): string {
  return String(attributes["db.query.text"] ?? "");
}

/** Bun puts a blank behind each $1. */
function withoutBlanks(text: string): string {
  return text
    .replaceAll(/\s+/g, " ")
    .replaceAll(/(\$\d+) (?=[,)])/g, "$1")
    .replace(/ ?;?$/, "")
    .trim();
}

function isSlow(span: SeenSpan): boolean {
  return msOf(span) >= SLOW_MS - TIMER_TOLERANCE_MS;
}

/** @returns where on a span one of the values stands */
function valuesOn(span: SeenSpan, values: readonly string[]): string[] {
  const places: (readonly [string, unknown])[] = [
    ["its name", span.name],
    ["its status", span.statusText],
    ...Object.entries(span.attributes),
    ...span.events.flatMap(({ attributes }) => Object.entries(attributes)),
  ];
  return places.flatMap(([where, value]) =>
    values.some((one) => String(value).includes(one)) ? [`${where} ${JSON.stringify(value)}`] : [],
  );
}

function ordersIn(all: readonly SeenSpan[]): SeenSpan[] {
  return findSpans(all, { service: "orders", kind: "SERVER", name: "POST /orders" });
}

/** The statements below a request, by their names. */
function namesBelow(all: readonly SeenSpan[], request: SeenSpan): string[] {
  return inTrace(all, request.traceId)
    .filter((span) => "db.query.text" in span.attributes && isBelow(all, span, request))
    .map(({ name }) => name)
    .sort();
}
