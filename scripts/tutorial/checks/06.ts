/** The check of stage 06: no order is lost on its way to Kafka, and its trace goes on behind it. */
import { randomHex } from "../../shared/random-hex.ts";
import {
  ancestorsOf,
  findSpans,
  inTrace,
  isBelow,
  oneSpan,
  spanTree,
  traceCount,
  verdict,
  type StageCheck,
} from "../check/index.ts";
import type { Answer, SeenRecord, SeenSpan, System } from "../system/index.ts";
import { holdCommits, refuseCommits } from "./held-commits.ts";

const TOPIC = "order.created";
const CREATE = `create ${TOPIC}`;
const SEND = `send ${TOPIC}`;
const PROCESS = `process ${TOPIC}`;
/** How long nothing must come before it is said that nothing does. */
const NOTHING_MS = 1_500;
/** The worker is away so long. */
const AWAY_MS = 1_500;
const TIMER_TOLERANCE_MS = 20;
const NS_PER_MS = 1_000_000n;
const TOGETHER = 4;
const PRODUCED = 12;
const PARTITIONS = 3;

export const check: StageCheck = {
  hints: [
    "What processRecord does is createRecord the other way round: extract instead of inject, and the span that the headers name becomes the parent of one of your own.",
    "A TextMapGetter<IHeaders> whose get gives `headers[name]?.toString()`. Extract with it from message.headers ?? {}, into ROOT_CONTEXT: nothing else is to be found there.",
    "`const creation = propagation.extract(ROOT_CONTEXT, message.headers ?? {}, fromBuffers)`, then inSpan with the name, `handle`, `{ kind: SpanKind.CONSUMER, attributes, links: linkTo(creation) }` and, as its last argument, `creation`.",
  ],
  items: [
    {
      title: "an order whose process is killed right after COMMIT is not lost",
      anchor: "#the-outbox",
      async judge(trial) {
        const system = await trial.system();
        const customer = `killed-${crypto.randomUUID()}`;
        const held = await holdCommits(system);
        const posted = placed(system, { customer });
        const isHeld = await held.waitFor(1);
        await system.kill("orders");
        await held.release();
        await posted;
        const stored = await system.rowsWhen<{ id: string }>(
          `SELECT id FROM orders WHERE customer = '${customer}'`,
          (rows) => rows.length > 0,
        );
        await system.start("orders");
        const id = stored[0]?.id ?? "";
        const records = await system.recordsWhen(TOPIC, (all) => all.some(isOf(id)));
        const isConfirmed = await system.confirmed(id, NOTHING_MS);
        return verdict(
          {
            did: "POST /orders; PostgreSQL was slow at its COMMIT, and before orders.ts heard of it, it was ended by kill -9 and started again",
            saw: [
              `the order in PostgreSQL: ${stored.length > 0 ? (isConfirmed ? "confirmed" : "pending") : "not there"}`,
              `records of it in ${TOPIC}: ${records.filter(isOf(id)).length}`,
            ].join("\n"),
          },
          [
            [isHeld && stored.length > 0, "a transaction that stores the order, and a COMMIT"],
            [
              records.some(isOf(id)),
              "a record of it once orders.ts runs again: the event is in the table outbox since the order's own transaction, and the relay finds it there",
            ],
            [isConfirmed, "the worker gets it, and confirms the order"],
          ],
        );
      },
    },
    {
      title: "nobody is told of an order that was rolled back",
      anchor: "#the-outbox",
      async judge(trial) {
        const system = await trial.system();
        const customer = `refused-${crypto.randomUUID()}`;
        await refuseCommits(system, customer);
        await placed(system, { customer });
        const ofIt = (record: SeenRecord) => record.value.includes(customer);
        const records = await system.recordsWhen(TOPIC, (all) => all.some(ofIt), NOTHING_MS);
        const stored = await system.rows(`SELECT FROM orders WHERE customer = '${customer}'`);
        return verdict(
          {
            did: "POST /orders, and PostgreSQL refused the COMMIT",
            saw: `orders in PostgreSQL: ${stored.length}, records of it in ${TOPIC}: ${records.filter(ofIt).length}`,
          },
          [
            [stored.length === 0, "no order: all statements in one transaction"],
            [
              !records.some(ofIt),
              "no record either: the INSERT into the outbox is a statement of the order's transaction, with the `query` that transaction gives",
            ],
          ],
        );
      },
    },
    {
      title: "an event is created in a PRODUCER span, and the record's headers carry that span",
      anchor: "#created-sent-handled",
      async judge(trial) {
        const system = await trial.system();
        const traceId = randomHex(16);
        const headers = {
          traceparent: `00-${traceId}-${randomHex(8)}-01`,
          tracestate: "shop=1",
          baggage: "tenant=north",
        };
        const { id } = await system.placeOrder({ headers });
        const spans = await spansOfOrders(system, [id]);
        const record = (await system.records(TOPIC)).find(isOf(id));
        const create = oneSpan(spans, { service: "orders", kind: "PRODUCER" });
        const of = attributesText(create, "messaging.");
        const server = oneSpan(inTrace(spans, create?.traceId), {
          service: "orders",
          kind: "SERVER",
          name: "POST /orders",
        });
        const traceparent = headerOf(record, "traceparent");
        return verdict(
          {
            did: "POST /orders at the gateway, with traceparent, tracestate and baggage",
            saw: linesOf(spanTree(spans), of, `headers of the record: ${headersText(record)}`),
          },
          [
            [create !== undefined, "one PRODUCER span of the orders service"],
            [create?.name === CREATE, `its name: ${CREATE}`],
            [
              isBelow(spans, create, server),
              "it is below the orders service's span of the request",
            ],
            [hasWords(create, "create"), wordsText("create")],
            [record !== undefined, `a record of the order in ${TOPIC}`],
            [traceparent !== undefined, "a header traceparent on it: the relay sends the headers"],
            [
              traceparent === `00-${create?.traceId}-${create?.spanId}-01`,
              `traceparent: 00-${create?.traceId}-${create?.spanId}-01, which is the PRODUCER span: inject inside it`,
            ],
            [
              create?.traceId === traceId && headerOf(record, "tracestate") === "shop=1",
              "the caller's trace, and its tracestate on the record",
            ],
            [
              headerOf(record, "baggage")?.includes("tenant=north"),
              "the caller's baggage on the record",
            ],
          ],
        );
      },
    },
    {
      title: "one record alone is sent in its order's trace, with a link to its creation",
      anchor: "#parent-or-link",
      async judge(trial) {
        const system = await trial.system();
        const { id } = await system.placeOrder();
        const spans = await spansOfOrders(system, [id]);
        const create = oneSpan(spans, { service: "orders", kind: "PRODUCER" });
        const sends = findSpans(spans, { service: "orders", name: SEND });
        const [send] = sends;
        return verdict(
          {
            did: "POST /orders at the gateway",
            saw: linesOf(treeWithLinks(spans), attributesText(send, "messaging.")),
          },
          [
            [sends.length === 1, `one span ${SEND} of the orders service`],
            [send?.kind === "CLIENT", "its kind is CLIENT: the record has a PRODUCER span already"],
            [hasWords(send, "send"), wordsText("send")],
            [linksTo(send, create), "a link to the PRODUCER span that the record's headers name"],
            [
              send?.traceId === create?.traceId,
              "it belongs to that trace: there is one record, so there is one place",
            ],
          ],
        );
      },
    },
    {
      title: "records that are sent together have one span, a link each, and no parent",
      anchor: "#parent-or-link",
      async judge(trial) {
        const system = await trial.system();
        const spans = await placedTogether(system, TOGETHER);
        const creates = findSpans(spans, { service: "orders", kind: "PRODUCER" });
        const sends = findSpans(spans, SENDS);
        const linked = sends.flatMap(({ links }) => links);
        const strangers = linked.filter((link) => !creates.some((span) => isSame(span, link)));
        const batches = sends.filter(isBatch);
        const lonely = creates.filter((span) => !linked.some((link) => isSame(span, link)));
        return verdict(
          {
            did: `${TOGETHER} orders at once, whose COMMITs went through at the same moment`,
            saw: [
              `PRODUCER spans: ${creates.map(({ spanId }) => spanId).join(", ") || "none"}`,
              ...sends.map((send) => {
                const links = send.links.map(({ spanId }) => spanId).join(", ") || "none";
                const parent = send.parentSpanId ?? "none";
                return `${SEND}: message_count ${countOf(send)}, parent ${parent}, links ${links}`;
              }),
            ].join("\n"),
          },
          [
            [sends.length > 0, `a span ${SEND}`],
            [creates.length === TOGETHER, `${TOGETHER} PRODUCER spans, one an order`],
            [lonely.length === 0, "a link to each of them: what was sent can be found from there"],
            [strangers.length === 0, "links to PRODUCER spans alone"],
            [
              linked.length === TOGETHER && traceCount(creates) === TOGETHER,
              "one link a record, in as many traces",
            ],
            [batches.length > 0, "records that wait together go in one send"],
            [
              batches.every(({ parentSpanId }) => parentSpanId === undefined),
              "no parent: of several orders none is the one whose sending this is",
            ],
            [
              batches.every((span) => countOf(span) === span.links.length),
              "messaging.batch.message_count: how many it sends",
            ],
          ],
        );
      },
    },
    {
      title: "a record is handled in a CONSUMER span below its creation, and linked to it",
      anchor: "#headers-are-buffers",
      async judge(trial) {
        const system = await trial.system();
        const { id } = await system.placeOrder();
        const spans = await spansOfOrders(system, [id]);
        const record = (await system.records(TOPIC)).find(isOf(id));
        const create = oneSpan(spans, { service: "orders", kind: "PRODUCER" });
        const processes = findSpans(spans, { service: "worker", kind: "CONSUMER" });
        const [span] = processes;
        const patch = oneSpan(spans, { service: "worker", kind: "CLIENT" });
        const of = attributesText(span, "messaging.");
        return verdict(
          {
            did: "POST /orders at the gateway",
            saw: linesOf(treeWithLinks(spans), of, `headers of the record: ${headersText(record)}`),
          },
          [
            [processes.length === 1, "one CONSUMER span of the worker for the one record"],
            [
              span?.parentSpanId !== undefined,
              "it has a parent: extract from the record's headers, which are Buffers, with a getter that makes text of them",
            ],
            [
              span?.parentSpanId === create?.spanId,
              "its parent is the PRODUCER span, as the record's headers say",
            ],
            [span?.name === PROCESS, `its name: ${PROCESS}`],
            [linksTo(span, create), "a link to the PRODUCER span as well"],
            [hasWords(span, "process"), wordsText("process")],
            [
              span?.attributes["messaging.consumer.group.name"] === "worker",
              "messaging.consumer.group.name: worker",
            ],
            [
              String(span?.attributes["messaging.destination.partition.id"]) ===
                String(record?.partition) &&
                String(span?.attributes["messaging.kafka.offset"]) === record?.offset,
              `where the record lies: messaging.destination.partition.id ${record?.partition}, messaging.kafka.offset ${record?.offset}`,
            ],
            [
              span?.attributes["messaging.kafka.message.key"] === id,
              `messaging.kafka.message.key: ${id}`,
            ],
            [isBelow(spans, patch, span), "the worker's PATCH is below it"],
          ],
        );
      },
    },
    {
      title: "records that come together are each handled in their own trace",
      anchor: "#headers-are-buffers",
      async judge(trial) {
        const system = await trial.system();
        const origins = Array.from({ length: PRODUCED }, (_, index) => ({
          id: crypto.randomUUID(),
          traceId: randomHex(16),
          spanId: randomHex(8),
          partition: index % PARTITIONS,
        }));
        await system.produce(
          TOPIC,
          ...origins.map(({ id, traceId, spanId, partition }) => ({
            key: id,
            value: JSON.stringify({ id }),
            headers: { traceparent: `00-${traceId}-${spanId}-01` },
            partition,
          })),
        );
        const spans = await system.spansWhen((seen) =>
          origins.every((origin) => handlingsOf(seen, origin).length > 0),
        );
        const wrong = origins.find((origin) => {
          const [first, ...more] = handlingsOf(spans, origin);
          return first?.parentSpanId !== origin.spanId || more.length > 0;
        });
        const astray = origins.find(({ id, traceId }) => {
          const call = callFor(system, spans, id);
          return call?.traceId !== traceId || handlerOf(spans, call)?.traceId !== traceId;
        });
        const shown = wrong ?? astray ?? origins[0];
        return verdict(
          {
            did: `${PRODUCED} records in one request, over ${PARTITIONS} partitions, each with a traceparent of its own`,
            saw: [
              `CONSUMER spans in their traces: ${origins.flatMap((origin) => handlingsOf(spans, origin)).length}`,
              `of one with the header 00-${shown?.traceId}-${shown?.spanId}-01:`,
              spanTree(inTrace(spans, shown?.traceId)),
            ].join("\n"),
          },
          [
            [
              wrong === undefined,
              "one CONSUMER span for each, whose parent is the span in its own record's headers",
            ],
            [
              astray === undefined,
              "the worker's PATCH for each order in that order's trace, below its CONSUMER span",
            ],
          ],
        );
      },
    },
    {
      title: "a record whose headers name no span begins a trace of its own",
      anchor: "#a-context-that-nobody-asked-for",
      async judge(trial) {
        const system = await trial.system();
        const spanId = randomHex(8);
        const traceId = randomHex(16);
        const records = [
          { id: crypto.randomUUID(), headers: { traceparent: `00-${traceId}-${spanId}-01` } },
          { id: crypto.randomUUID() },
          {
            id: crypto.randomUUID(),
            headers: { traceparent: `00-${randomHex(16)}-${randomHex(7)}-01` },
          },
        ];
        await system.produce(
          TOPIC,
          ...records.map(({ id, headers }) => ({
            key: id,
            value: JSON.stringify({ id }),
            partition: 0,
            ...(headers && { headers }),
          })),
        );
        const handlings = (spans: readonly SeenSpan[]) =>
          records.map(({ id }) => handlerOf(spans, callFor(system, spans, id)));
        const spans = await system.spansWhen((seen) => handlings(seen).every(Boolean));
        const [withHeaders, without, broken] = handlings(spans);
        const anew = [without, broken];
        return verdict(
          {
            did: "three records: one with a traceparent, one without headers, one whose traceparent is two digits short",
            saw: treeWithLinks(findSpans(spans, { service: "worker" })),
          },
          [
            [
              withHeaders?.parentSpanId === spanId,
              "the first below the span that its headers name",
            ],
            [
              anew.every((span) => span !== undefined),
              "the other two in a CONSUMER span each, too",
            ],
            [
              anew.every((span) => span?.parentSpanId === undefined),
              "these two are roots: extract from ROOT_CONTEXT, since what is active in a handler is whatever was when `run` was called",
            ],
            [
              anew.every((span) => span?.links.length === 0),
              "no link on them: there is no span to link to",
            ],
            [
              without?.traceId !== broken?.traceId,
              "a trace for each of the two, and not one for both",
            ],
          ],
        );
      },
    },
    {
      title: "a worker that comes later is still in the order's trace",
      anchor: "#ten-seconds-later",
      async judge(trial) {
        const system = await trial.system();
        await system.stop("worker");
        const { id } = await system.placeOrder();
        await system.recordsWhen(TOPIC, (records) => records.some(isOf(id)));
        await Bun.sleep(AWAY_MS);
        await system.start("worker");
        const spans = await spansOfOrders(system, [id]);
        const create = oneSpan(spans, { service: "orders", kind: "PRODUCER" });
        const span = oneSpan(spans, { service: "worker", kind: "CONSUMER" });
        const laterMs = create && span ? Number((span.startNs - create.endNs) / NS_PER_MS) : 0;
        return verdict(
          {
            did: `POST /orders while no worker ran; it was started ${AWAY_MS} ms later`,
            saw: `${spanTree(spans)}\nfrom the record's creation to its handling: ${laterMs} ms`,
          },
          [
            [span !== undefined, "one CONSUMER span of the worker"],
            [
              span?.traceId === create?.traceId && span?.parentSpanId === create?.spanId,
              "it is below the PRODUCER span: headers do not grow old",
            ],
            [
              laterMs >= AWAY_MS - TIMER_TOLERANCE_MS,
              "it begins when the worker gets the record, and not before",
            ],
          ],
        );
      },
    },
  ],
};

const SENDS = { service: "orders", name: SEND } as const;

/** Places an order whose answer does not matter: who is killed gives none. */
async function placed(system: System, order: { customer: string }): Promise<Answer | undefined> {
  const items = [{ item: "tea", quantity: 1 }];
  return await system
    .request("gateway", "POST", "/orders", { body: { ...order, items } })
    .catch(() => undefined);
}

/** @returns spans of orders whose COMMITs go through together, so that their events lie in the outbox together */
async function placedTogether(system: System, count: number): Promise<readonly SeenSpan[]> {
  const held = await holdCommits(system);
  const orders = Array.from({ length: count }, () => system.placeOrder());
  const settled = Promise.allSettled(orders);
  await held.waitFor(count);
  // Without an outbox there is nothing to be together in.
  await held.releaseTogether().catch(() => held.release());
  const placedOnes = await settled;
  const ids = placedOnes.flatMap((one) => (one.status === "fulfilled" ? [one.value.id] : []));
  return await spansOfOrders(system, ids);
}

/** The worker's CONSUMER spans in a trace. */
function handlingsOf(spans: readonly SeenSpan[], { traceId }: Pick<Place, "traceId">): SeenSpan[] {
  return findSpans(inTrace(spans, traceId), { service: "worker", kind: "CONSUMER" });
}

/** Until the worker has confirmed all, and the span of that has come; or what came in time. */
async function spansOfOrders(system: System, ids: readonly string[]): Promise<readonly SeenSpan[]> {
  return await system.spansWhen((spans) => {
    const handled = ids.map((id) => callFor(system, spans, id));
    const isSent = findSpans(spans, SENDS).length > 0;
    return isSent && handled.every((call) => call && handlerOf(spans, call));
  });
}

/** The worker's CLIENT span of its request about an order: the one that the request's header names. */
function callFor(system: System, spans: readonly SeenSpan[], id: string): SeenSpan | undefined {
  const hop = system.hops().find(({ from, path }) => from === "worker" && path.includes(id));
  const traceparent = hop?.headers.find(([name]) => name.toLowerCase() === "traceparent")?.[1];
  const [, traceId, spanId] = traceparent?.split("-") ?? [];
  return spans.find((span) => span.traceId === traceId && span.spanId === spanId);
}

/** The CONSUMER span above one. */
function handlerOf(spans: readonly SeenSpan[], call: SeenSpan | undefined): SeenSpan | undefined {
  return call && ancestorsOf(spans, call).find(({ kind }) => kind === "CONSUMER");
}

function isOf(id: string): (record: SeenRecord) => boolean {
  return ({ value }) => id !== "" && value.includes(id);
}

function headerOf(record: SeenRecord | undefined, name: string): string | undefined {
  return record?.headers[name]?.toString();
}

function headersText(record: SeenRecord | undefined): string {
  const all = Object.entries(record?.headers ?? {}).map(([name, value]) => `${name}: ${value}`);
  return record ? all.join(", ") || "none" : "there is no record";
}

/** Whether a span says what it is about, in the conventions' words. */
function hasWords(span: SeenSpan | undefined, operation: string): boolean {
  return (
    span?.attributes["messaging.system"] === "kafka" &&
    span.attributes["messaging.destination.name"] === TOPIC &&
    span.attributes["messaging.operation.type"] === operation
  );
}

function wordsText(operation: string): string {
  return `messaging.system kafka, messaging.destination.name ${TOPIC} and messaging.operation.type ${operation} on it`;
}

type Place = Pick<SeenSpan, "traceId" | "spanId">;

function isSame(a: Place, b: Place): boolean {
  return a.traceId === b.traceId && a.spanId === b.spanId;
}

function linksTo(span: SeenSpan | undefined, target: SeenSpan | undefined): boolean {
  return target !== undefined && span?.links.some((link) => isSame(link, target)) === true;
}

function countOf({ attributes }: SeenSpan): unknown {
  return attributes["messaging.batch.message_count"];
}

function isBatch({ attributes, links }: SeenSpan): boolean {
  return Number(attributes["messaging.batch.message_count"] ?? links.length) > 1;
}

/** The tree, and below it what is linked to what. */
function treeWithLinks(spans: readonly SeenSpan[]): string {
  const nameOf = (link: Place) => {
    const target = spans.find((span) => isSame(span, link));
    return target ? JSON.stringify(target.name) : `a span that is not here (${link.spanId})`;
  };
  const lines = spans
    .filter(({ kind, name }) => kind === "CONSUMER" || name === SEND)
    .map(({ name, links }) => `links of ${name}: ${links.map(nameOf).join(", ") || "none"}`);
  return [spanTree(spans), ...lines].join("\n");
}

/** What a span says of one thing, in one line; "" where there is no span. */
function attributesText(span: SeenSpan | undefined, prefix: string): string {
  const values = Object.entries(span?.attributes ?? {})
    .filter(([key]) => key.startsWith(prefix))
    .map(([key, value]) => `${key} ${JSON.stringify(value)}`);
  return span ? `${span.name}: ${values.join(", ") || `no attribute ${prefix}…`}` : "";
}

function linesOf(...texts: readonly string[]): string {
  return texts.filter(Boolean).join("\n");
}

/** @returns a random id */
