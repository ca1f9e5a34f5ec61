/** The check of the end: the shipping service's spans, headers and records against what they must be. */
import {
  childrenOf,
  describe,
  findSpans,
  inTrace,
  isBelow,
  oneSpan,
  spanTree,
  verdict,
  type StageCheck,
} from "../check/index.ts";
import type { SeenRecord, SeenSpan, System } from "../system/index.ts";

const SHIPPING = "shipping";
const PARCELS = "parcel.packed";
/** Nothing that the programs make up: where it turns up, a value got out. */
const CUSTOMER = "Zwetschge 4711";
/** After the record is there. */
const SPANS_TIMEOUT_MS = 2_000;
const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT_ID = "00f067aa0ba902b7";

export const check: StageCheck = {
  hints: [
    "Go through shipping.ts from above: what comes in (a record, a request), what goes out (a request, statements, a record). Each of these has been in a stage.",
    "startTelemetry first; traceRequests() before the routes; processRecord around the handling; tracedFetch and traceSql in place of fetch and sql.",
    "No stage sent a record without an outbox: a PRODUCER span `send parcel.packed` around producer.send, whose own context is injected into the record's headers.",
  ],
  items: [
    {
      title: "a record's handling is a CONSUMER span below the record's creation, and linked to it",
      anchor: "#what-the-check-looks-at",
      async judge(trial) {
        const { did, spans } = await anOrder(await trial.system());
        const create = oneSpan(spans, { service: "orders", kind: "PRODUCER" });
        const handled = findSpans(spans, { service: SHIPPING, kind: "CONSUMER" });
        const [span] = handled;
        const saw = spanTree(spans, ["messaging.consumer.group.name", "messaging.operation.type"]);
        return verdict({ did, saw }, [
          [
            findSpans(spans, { service: SHIPPING }).length > 0,
            'spans of a process whose service.name is "shipping"',
          ],
          [handled.length === 1, "one CONSUMER span of shipping for the one record"],
          [span?.name === "process order.created", "its name: process order.created"],
          [
            span !== undefined && span.parentSpanId === create?.spanId,
            "its parent: the orders service's PRODUCER span, as the record's headers say",
          ],
          [
            span?.links.some(({ spanId }) => spanId === create?.spanId) === true,
            "a link to that span as well",
          ],
          [
            span?.attributes["messaging.consumer.group.name"] === SHIPPING &&
              span.attributes["messaging.system"] === "kafka" &&
              span.attributes["messaging.destination.name"] === "order.created" &&
              span.attributes["messaging.operation.type"] === "process",
            "messaging.system, .destination.name, .operation.type=process and .consumer.group.name=shipping on it",
          ],
        ]);
      },
    },
    {
      title: "shipping asks the orders service below that span, and the header says so",
      anchor: "#what-the-check-looks-at",
      async judge(trial) {
        const system = await trial.system();
        const { did, spans } = await anOrder(system);
        const hop = system.hops().find(({ from }) => from === SHIPPING);
        const traceparent = hop?.headers.find(
          ([name]) => name.toLowerCase() === "traceparent",
        )?.[1];
        const call = oneSpan(spans, { service: SHIPPING, kind: "CLIENT", name: "GET" });
        const handled = oneSpan(spans, { service: SHIPPING, kind: "CONSUMER" });
        const saw = `${spanTree(spans)}\nshipping's request: ${hop ? `${hop.method} ${hop.path}, traceparent: ${traceparent ?? "none"}` : "none"}`;
        return verdict({ did, saw }, [
          [call !== undefined, "one CLIENT span of shipping, named GET and not by its URL"],
          [isBelow(spans, call, handled), "it is below the CONSUMER span"],
          [
            traceparent?.split("-")[2] === call?.spanId && traceparent !== undefined,
            `a traceparent with that span's id: ${call?.spanId}`,
          ],
          [
            call !== undefined && childrenOf(spans, call).some(({ kind }) => kind === "SERVER"),
            "the orders service's SERVER span below it",
          ],
          [
            call?.attributes["http.response.status_code"] === 200 &&
              typeof call.attributes["url.full"] === "string",
            "http.response.status_code and url.full on it",
          ],
        ]);
      },
    },
    {
      title: "each of its statements is a span, with its text and without its values",
      anchor: "#what-the-check-looks-at",
      async judge(trial) {
        const { did, spans } = await anOrder(await trial.system());
        const insert = oneSpan(spans, { service: SHIPPING, kind: "CLIENT", name: /^INSERT\b/i });
        const handled = oneSpan(spans, { service: SHIPPING, kind: "CONSUMER" });
        const text = String(insert?.attributes["db.query.text"] ?? "");
        const spilled = spans.find((span) => JSON.stringify(textsOf(span)).includes(CUSTOMER));
        const saw = spanTree(findSpans(spans, { service: SHIPPING }), ["db.query.text"]);
        return verdict({ did, saw }, [
          [insert !== undefined, "one CLIENT span of shipping for its INSERT"],
          [isBelow(spans, insert, handled), "it is below the CONSUMER span"],
          [
            /parcels/i.test(insert?.name ?? "") && !/\$|'|VALUES/i.test(insert?.name ?? ""),
            "named by what it does and to which table: INSERT parcels",
          ],
          [/\$1/.test(text), "db.query.text with $1 where a value stands"],
          [
            spilled === undefined,
            `no value anywhere: ${spilled ? describe(spilled) : ""} shows the customer`,
          ],
        ]);
      },
    },
    {
      title: "the record it sends carries its PRODUCER span",
      anchor: "#what-the-check-looks-at",
      async judge(trial) {
        const system = await trial.system();
        const { did, id, spans } = await anOrder(system);
        const record = await parcelOf(system, id);
        const header = record?.headers["traceparent"]?.toString();
        const produced = oneSpan(spans, { service: SHIPPING, kind: "PRODUCER" });
        const handled = oneSpan(spans, { service: SHIPPING, kind: "CONSUMER" });
        const saw = `${spanTree(findSpans(spans, { service: SHIPPING }))}\nthe record in ${PARCELS}: ${record ? `traceparent: ${header ?? "none"}` : "none"}`;
        return verdict({ did, saw }, [
          [record !== undefined, `a record of the order in ${PARCELS}`],
          [produced !== undefined, "one PRODUCER span of shipping"],
          [
            produced?.name === `send ${PARCELS}` || produced?.name === `create ${PARCELS}`,
            `its name: send ${PARCELS}`,
          ],
          [isBelow(spans, produced, handled), "it is below the CONSUMER span"],
          [
            header?.split("-")[2] === produced?.spanId && header !== undefined,
            `a header traceparent with that span's id: ${produced?.spanId}`,
          ],
          [header?.split("-")[1] === handled?.traceId, "and with the trace of the order"],
        ]);
      },
    },
    {
      title: "a request to it is a SERVER span below its caller's, named by its route",
      anchor: "#what-the-check-looks-at",
      async judge(trial) {
        const system = await trial.system();
        const { id } = await anOrder(system);
        const headers = { traceparent: `00-${TRACE_ID}-${PARENT_ID}-01` };
        const found = await system.request("shipping", "GET", `/parcels/${id}`, { headers });
        const other = await system.request("shipping", "GET", `/parcels/${crypto.randomUUID()}`);
        const spans = await system.spansWhen((all) => serversOf(all).length >= 2, SPANS_TIMEOUT_MS);
        const [server] = inTrace(serversOf(spans), TRACE_ID);
        const missing = serversOf(spans).find(
          ({ attributes }) => attributes["http.response.status_code"] === 404,
        );
        const select = oneSpan(inTrace(spans, TRACE_ID), { kind: "CLIENT", name: /^SELECT\b/i });
        return verdict(
          {
            did: `GET /parcels/<id> at shipping with traceparent 00-${TRACE_ID}-${PARENT_ID}-01 (${found.status}), and of an order that is not there (${other.status})`,
            saw: spanTree(serversOf(spans), ["http.route", "http.response.status_code"]),
          },
          [
            [server !== undefined, "a SERVER span of shipping in the caller's trace"],
            [server?.parentSpanId === PARENT_ID, "its parent is the caller's span"],
            [
              server?.name === "GET /parcels/:id" &&
                server.attributes["http.route"] === "/parcels/:id",
              "its name is method and route, GET /parcels/:id, and http.route is the route",
            ],
            [isBelow(spans, select, server), "the SELECT below it"],
            [
              missing?.status === "UNSET",
              "the 404 is a SERVER span, too, and no error: it is the caller's mistake",
            ],
          ],
        );
      },
    },
    {
      title: "what fails is an error, once, and what comes after it is handled",
      anchor: "#what-the-check-looks-at",
      async judge(trial) {
        const system = await trial.system();
        system.disturb("shipping", { status: 503, times: 1 });
        const { id } = await system.placeOrder({ customer: CUSTOMER });
        const parcel = await parcelOf(system, id);
        const spans = await system.spansWhen((all) => produced(all).length > 0, SPANS_TIMEOUT_MS);
        const failed = findSpans(spans, { service: SHIPPING }).filter(
          ({ status }) => status === "ERROR",
        );
        const call = failed.find(({ kind }) => kind === "CLIENT");
        const untyped = failed.find(({ attributes }) => !attributes["error.type"]);
        return verdict(
          {
            did: "POST /orders at the gateway; shipping's first request to orders is answered 503",
            saw: spanTree(findSpans(spans, { service: SHIPPING }), ["error.type"]),
          },
          [
            [
              call?.attributes["error.type"] === "503",
              'the CLIENT span of that request is an ERROR with error.type "503"',
            ],
            [untyped === undefined, "error.type on each span that is an ERROR"],
            [parcel !== undefined, "the parcel all the same: the record is handled again"],
          ],
        );
      },
    },
    {
      title: "it ends in time, and sends what is left first",
      anchor: "#what-the-check-looks-at",
      async judge(trial) {
        const system = await trial.system({ env: { all: { OTEL_BSP_SCHEDULE_DELAY: "60000" } } });
        const { id } = await system.placeOrder({ customer: CUSTOMER });
        await parcelOf(system, id);
        await system.consumed();
        const [end] = await system.stop("shipping");
        const spans = await system.spansWhen((all) => produced(all).length > 0, SPANS_TIMEOUT_MS);
        return verdict(
          {
            did: "POST /orders at the gateway, then SIGTERM to shipping before a batch was due",
            saw: `${spanTree(findSpans(spans, { service: SHIPPING }))}\nshipping.ts ended after ${Math.round(end?.ms ?? 0)} ms`,
          },
          [
            [end?.signal !== "SIGKILL", "shipping.ts ends within 5 s of SIGTERM"],
            [findSpans(spans, { service: SHIPPING }).length > 0, "its spans: shutdown sends them"],
          ],
        );
      },
    },
  ],
};

/** Places one, and waits until shipping and the worker have done with it, and their spans are there. */
async function anOrder(system: System) {
  const { id } = await system.placeOrder({ customer: CUSTOMER });
  await parcelOf(system, id);
  const spans = await system.spansWhen(
    (all) =>
      produced(all).length > 0 &&
      findSpans(all, { service: SHIPPING, kind: "CONSUMER" }).length > 0,
    SPANS_TIMEOUT_MS,
  );
  const root = oneSpan(spans, { service: "gateway", kind: "SERVER" });
  const did = `POST /orders at the gateway, for the customer ${JSON.stringify(CUSTOMER)}`;
  // All of shipping's, also those that did not find their way into the order's trace.
  const own = spans.filter(
    ({ traceId, service }) => traceId === root?.traceId || service === SHIPPING,
  );
  return { did, id, spans: own };
}

async function parcelOf(system: System, id: string): Promise<SeenRecord | undefined> {
  const isOfOrder = ({ key }: SeenRecord) => key === id;
  const records = await system.recordsWhen(PARCELS, (all) => all.some(isOfOrder));
  return records.find(isOfOrder);
}

function produced(spans: readonly SeenSpan[]): SeenSpan[] {
  return findSpans(spans, { service: SHIPPING, kind: "PRODUCER" });
}

function serversOf(spans: readonly SeenSpan[]): SeenSpan[] {
  return findSpans(spans, { service: SHIPPING, kind: "SERVER" });
}

/** All that a span says. */
function textsOf({ name, statusText, attributes, events }: SeenSpan): unknown[] {
  return [name, statusText, attributes, events];
}
