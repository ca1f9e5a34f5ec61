/** The check of stage 07: spans say what failed and whose fault it was, and a record that nobody can handle is put aside. */
import { randomHex } from "../../shared/random-hex.ts";
import {
  childrenOf,
  describe,
  findSpans,
  inTrace,
  isBelow,
  oneSpan,
  spanTree,
  verdict,
  type CheckItem,
  type StageCheck,
} from "../check/index.ts";
import type { NewRecord, SeenRecord, SeenSpan, System } from "../system/index.ts";
import { refuseCommits } from "./held-commits.ts";

const TOPIC = "order.created";
const DEAD_LETTERS = "order.created.dlq";
const SEND = `send ${DEAD_LETTERS}`;
const RETRIES = 2;
/** More than anybody should make. */
const TRIES_MAX = 10;
/** Longer than all tries of one record take, pauses included. */
const GIVEN_UP_WITHIN_MS = 8_000;
/** PostgreSQL's integer ends before it, and nothing else has these digits. */
const TOO_MANY = 4_711_471_147;
/** SQLSTATE: numeric value out of range; raised by a function. */
const OUT_OF_RANGE = "22003";
const RAISED = "P0001";
/** A record that is tried for ever would be in the way of the next item. */
const OWN = { fresh: true } as const;
const STATUS_AND_TYPE = ["http.response.status_code", "error.type"];

export const check: StageCheck = {
  hints: [
    "What goes wrong in handle arrives in one place: around it is where it is decided that the record is given up, and from there nothing is thrown on. What is thrown on, kafkajs tries again.",
    "A dead letter is the message itself: `key: message.key, value: message.value`, Buffers as they are, and `headers: { ...message.headers, … }` with yours behind them.",
    "In the catch: `failSpan(span, describe(error))`, then `await sendRecords(DEAD_LETTERS, [letter], () => producer.send({ topic: DEAD_LETTERS, messages: [letter] }))`, inside processRecord, with a producer that is connected.",
  ],
  items: [
    {
      title: "a span that failed says of what kind and what went wrong, and no other does",
      anchor: "#what-a-failed-span-says",
      async judge(trial) {
        const system = await trial.system();
        await system.request("gateway", "GET", `/orders/${crypto.randomUUID()}`);
        await system.request("gateway", "POST", "/orders", { body: orderOf(TOO_MANY) });
        const { id } = await system.placeOrder();
        const spans = await system.spansWhen((seen) => hasConfirmed(seen));
        const failed = spans.filter(({ status }) => status === "ERROR");
        const untyped = failed.find(({ attributes }) => !isType(attributes["error.type"]));
        const unfailed = spans.find(
          ({ status, attributes }) => status !== "ERROR" && "error.type" in attributes,
        );
        const statement = failed.find(({ attributes }) => "db.query.text" in attributes);
        const server = findSpans(failed, { service: "orders", kind: "SERVER" })[0];
        const mute = [statement, server].find((span) => span?.statusText === "");
        const wrong = failed.find(({ attributes: { "error.type": type, ...others } }) => {
          const status = others["http.response.status_code"];
          return status !== undefined && type !== String(status);
        });
        return verdict(
          {
            did: `GET /orders/… of an order that is not there, POST /orders with more than PostgreSQL's integer holds, and an order that is placed (${id})`,
            saw: spanTree(spans, ["error.type"]),
          },
          [
            [statement !== undefined && server !== undefined, "spans that failed: status ERROR"],
            [
              untyped === undefined,
              `error.type on each of them, a word without blanks: ${untyped && describe(untyped)} has ${JSON.stringify(untyped?.attributes["error.type"]) ?? "none"}`,
            ],
            [
              unfailed === undefined,
              `no error.type where the status is not ERROR: ${unfailed && describe(unfailed)}`,
            ],
            [
              wrong === undefined,
              `where there is an answer its status is the error.type: ${wrong && describe(wrong, STATUS_AND_TYPE)}`,
            ],
            [
              statement?.attributes["error.type"] === OUT_OF_RANGE,
              `of a statement that PostgreSQL refused the SQLSTATE is: ${OUT_OF_RANGE}`,
            ],
            [
              mute === undefined,
              `a text that says what went wrong, where something was thrown: ${mute && describe(mute)}`,
            ],
          ],
        );
      },
    },
    {
      title: "a 404 is an error of whoever asked, and none of whoever answered",
      anchor: "#whose-fault-it-is",
      async judge(trial) {
        const system = await trial.system();
        const paths = [`/orders/${crypto.randomUUID()}`, "/orders/4711"];
        const answers = [];
        for (const path of paths) answers.push(await system.request("gateway", "GET", path));
        const hasAll = (seen: readonly SeenSpan[]) =>
          findSpans(seen, { kind: "SERVER" }).length >= 2 * paths.length &&
          findSpans(seen, { kind: "CLIENT", name: "GET" }).length >= paths.length;
        const spans = await system.spansWhen(hasAll);
        const servers = findSpans(spans, { kind: "SERVER" });
        const calls = findSpans(spans, { service: "gateway", kind: "CLIENT" });
        const statuses = answers.map(({ status }) => status);
        return verdict(
          {
            did: "GET at the gateway of an order that is not there, and of one whose id is none",
            saw: `answers: ${statuses.join(", ")}\n${spanTree(spans, STATUS_AND_TYPE)}`,
          },
          [
            [statuses[0] === 404, "404 for the first"],
            [
              statuses[1] !== undefined && statuses[1] >= 400 && statuses[1] < 500,
              "a 4xx for the second: it is the customer's mistake, and PostgreSQL need not be asked",
            ],
            [servers.length >= 2 * paths.length, "SERVER spans of gateway and orders"],
            [
              servers.every(({ status }) => status === "UNSET"),
              "no SERVER span with an error: a service that says that there is no such order does its work",
            ],
            [
              calls.length > 0 && calls.every(({ status }) => status === "ERROR"),
              "an error on the gateway's CLIENT spans: they did not get what they asked for",
            ],
            [
              calls.every((span) => {
                const { "error.type": type, "http.response.status_code": code } = span.attributes;
                return type === String(code);
              }),
              "their error.type is the status",
            ],
          ],
        );
      },
    },
    {
      title: "a service that does not answer is no fault of the customer: 502",
      anchor: "#whose-fault-it-is",
      async judge(trial) {
        const system = await trial.system();
        // Bun's fetch asks again by itself where a connection that it had already used is cut.
        system.disturb("gateway", { cut: true, times: TRIES_MAX });
        const { status } = await system.request("gateway", "GET", "/orders");
        const spans = await system.spansWhen(
          (seen) => findSpans(seen, { service: "gateway" }).length > 1,
        );
        const call = oneSpan(spans, { service: "gateway", kind: "CLIENT" });
        const server = oneSpan(spans, { service: "gateway", kind: "SERVER" });
        const type = call?.attributes["error.type"];
        return verdict(
          {
            did: "GET /orders at the gateway; the connection to the orders service is cut before it answers",
            saw: `answer: ${status}\n${spanTree(spans, STATUS_AND_TYPE)}`,
          },
          [
            [status === 502, "502: the gateway is well, and so is the request"],
            [
              server?.status === "ERROR" && server.attributes["error.type"] === "502",
              'an error on the SERVER span, with error.type "502"',
            ],
            [
              call?.status === "ERROR" && isType(type) && !/^\d+$/.test(type),
              "an error on the CLIENT span, whose error.type is what happened: there is no status",
            ],
            [call?.statusText !== "", "a text on the CLIENT span: what was thrown says why"],
          ],
        );
      },
    },
    {
      title: "what PostgreSQL says of values is on no span, and in no answer",
      anchor: "#no-values",
      async judge(trial) {
        const system = await trial.system();
        const customer = `zwetschge-${crypto.randomUUID()}`;
        await refuseCommits(system, customer);
        const answers = [
          await system.request("gateway", "POST", "/orders", { body: orderOf(TOO_MANY) }),
          await system.request("gateway", "POST", "/orders", { body: orderOf(1, customer) }),
        ];
        const failed = (seen: readonly SeenSpan[]) =>
          findSpans(seen, { service: "gateway", kind: "SERVER" }).length >= answers.length;
        const spans = await system.spansWhen(failed);
        const values = [String(TOO_MANY), customer];
        const telling = spans.find((span) => values.some((value) => textsOf(span).includes(value)));
        const types = spans
          .filter(({ status, attributes }) => status === "ERROR" && "db.query.text" in attributes)
          .map(({ attributes }) => attributes["error.type"]);
        const told = answers.find(({ text }) => values.some((value) => text.includes(value)));
        return verdict(
          {
            did: `two orders that PostgreSQL refuses, and quotes: a quantity of ${TOO_MANY}, and a customer for whom a trigger raises an error`,
            saw: [
              spanTree(spans, ["error.type"]),
              ...answers.map(({ status, text }) => `answer: ${status} ${text}`),
            ].join("\n"),
          },
          [
            [types.length > 0, "spans of statements that failed"],
            [
              telling === undefined,
              `no value in a span's texts, attributes or events: ${telling && describe(telling)}; PostgreSQL's message quotes them, its code does not`,
            ],
            [
              types.includes(OUT_OF_RANGE) && types.includes(RAISED),
              `the SQLSTATE as error.type: ${OUT_OF_RANGE} and ${RAISED}`,
            ],
            [
              answers.every(({ status }) => status === 500),
              "500 for both: PostgreSQL's refusal is nothing that the customer can read",
            ],
            [told === undefined, "an answer without PostgreSQL's words"],
          ],
        );
      },
    },
    {
      title: "a failure that a retry makes good is an event, and no error",
      anchor: "#an-error-that-is-none",
      async judge(trial) {
        const system = await trial.system();
        system.disturb("worker", { status: 503, times: RETRIES });
        const { id } = await system.placeOrder();
        const isConfirmed = await system.confirmed(id);
        const spans = await system.spansWhen(
          (seen) => findSpans(seen, { service: "worker", kind: "CONSUMER" }).length > 0,
        );
        const handled = findSpans(spans, { service: "worker", kind: "CONSUMER" });
        const [span] = handled;
        const tries = findSpans(spans, { service: "worker", kind: "CLIENT", name: "PATCH" });
        const hops = system.hops().filter(({ from }) => from === "worker");
        const parents = hops.map(({ headers }) => {
          const header = headers.find(([name]) => name.toLowerCase() === "traceparent");
          return header?.[1].split("-")[2];
        });
        const events = span ? eventsIn(spans, span) : [];
        return verdict(
          {
            did: `POST /orders at the gateway; the worker's first ${RETRIES} requests are answered 503`,
            saw: `${spanTree(findSpans(spans, { service: "worker" }), ["error.type"])}\n${eventsText(events)}`,
          },
          [
            [isConfirmed, "the order is confirmed, by the third try"],
            [handled.length === 1, "one CONSUMER span for the one record"],
            [tries.length === RETRIES + 1, `${RETRIES + 1} CLIENT spans of the worker, one a try`],
            [
              tries.filter(({ attributes }) => attributes["error.type"] === "503").length ===
                RETRIES,
              `an error on the first ${RETRIES} of them, error.type 503: these requests did fail`,
            ],
            [
              span?.status === "UNSET" && !("error.type" in span.attributes),
              "no error on the CONSUMER span: the record has been handled",
            ],
            [
              events.length === RETRIES,
              `${RETRIES} events with an error.type on the CONSUMER span, one for each retry`,
            ],
            [
              new Set(parents).size === hops.length &&
                parents.every((id) => tries.some(({ spanId }) => spanId === id)),
              "in each try's traceparent the try's own span",
            ],
          ],
        );
      },
    },
    {
      title:
        "what fails each time is an error in the end, and what cannot get better is tried once",
      anchor: "#given-up",
      async judge(trial) {
        const system = await trial.system(OWN);
        const missing = crypto.randomUUID();
        await system.produce(TOPIC, recordOf(missing));
        await deadLetters(system, (all) => all.some(isOf(missing)));
        system.disturb("worker", { status: 503, times: 10 * TRIES_MAX });
        const { id } = await system.placeOrder();
        const letters = await deadLetters(system, (all) => all.some(isOf(id)));
        const spans = await system.spansWhen(
          (seen) => findSpans(seen, { service: "worker", kind: "CONSUMER" }).length > 1,
        );
        const triesOf = (of: string) =>
          system.hops().filter(({ from, path }) => from === "worker" && path.includes(of)).length;
        const handled = findSpans(spans, { service: "worker", kind: "CONSUMER" });
        const events = handled.flatMap((span) => eventsIn(spans, span));
        const lettersOf = (of: string) => letters.filter(isOf(of)).length;
        return verdict(
          {
            did: "a record of an order that is not there; then POST /orders, and each request of the worker is answered 503",
            saw: [
              spanTree(handled, ["error.type"]),
              `requests for the order that is not there: ${triesOf(missing)}, dead letters: ${lettersOf(missing)}`,
              `requests for the other: ${triesOf(id)}, dead letters: ${lettersOf(id)}, ${eventsText(events)}`,
            ].join("\n"),
          },
          [
            [
              lettersOf(missing) === 1 && lettersOf(id) === 1,
              `one record for each of the two in ${DEAD_LETTERS}, when it is given up`,
            ],
            [
              triesOf(missing) === 1,
              "one request for the order that is not there: a 404 is a 404 the next time, too",
            ],
            [
              triesOf(id) > 1 && triesOf(id) <= TRIES_MAX,
              `some tries for the other, ${TRIES_MAX} at most, and then no more`,
            ],
            [handled.length === 2, "one CONSUMER span for each of the two records"],
            [
              handled.every(
                ({ status, attributes }) => status === "ERROR" && isType(attributes["error.type"]),
              ),
              "both with an error and its error.type: they were given up",
            ],
            [handled.every(({ statusText }) => statusText !== ""), "a text that says why"],
            [
              events.length === triesOf(id) - 1,
              "an event for each retry, and none for the last try: nothing was tried after it",
            ],
          ],
        );
      },
    },
    ...deadLetterItems("#given-up"),
    {
      title: "a record that nobody can handle does not hold up those behind it",
      anchor: "#a-record-that-is-tried-for-ever",
      async judge(trial) {
        const system = await trial.system(OWN);
        const { id } = await system.placeOrder();
        await system.confirmed(id);
        await system.rows("UPDATE orders SET status = 'pending'");
        const poison = poisonous();
        // In one partition, one behind the other.
        await system.produce(TOPIC, { ...poison, partition: 0 }, { ...recordOf(id), partition: 0 });
        const isConfirmed = await system.confirmed(id);
        const isDone = await system.consumed();
        const handled = findSpans(system.spans(), { service: "worker", kind: "CONSUMER" });
        const offsets = Map.groupBy(handled, ({ attributes }) =>
          ["messaging.destination.partition.id", "messaging.kafka.offset"]
            .map((key) => attributes[key])
            .join("/"),
        );
        return verdict(
          {
            did: "two records in one partition: the first is no JSON, the second of an order that is pending",
            saw: [
              `the order: ${isConfirmed ? "confirmed" : "pending"}`,
              ...[...offsets].map(
                ([place, spans]) => `partition/offset ${place}: handled ${spans.length} times`,
              ),
            ].join("\n"),
          },
          [
            [
              isConfirmed,
              "the order of the second record is confirmed: what the first one throws is not thrown on to kafkajs, which would try it again for ever",
            ],
            [isDone, "the group has committed both records"],
            [
              [...offsets.values()].every((spans) => spans.length === 1),
              "each record handled once",
            ],
          ],
        );
      },
    },
  ],
};

/**
 * What becomes of a record that cannot be handled; stage 10 asks the same of the layer.
 * @param anchor of the paragraph to read
 */
export function deadLetterItems(anchor: string): readonly CheckItem[] {
  return [
    {
      title: "a dead letter has key, value and headers as they came, and says why and whence",
      anchor,
      async judge(trial) {
        const system = await trial.system(OWN);
        const poison = poisonous();
        await system.produce(TOPIC, poison);
        const isIt = ({ bytes }: SeenRecord) => bytes.equals(poison.value);
        const letters = await deadLetters(system, (all) =>
          all.some(({ key }) => key === poison.key),
        );
        const original = (await system.records(TOPIC)).findLast(isIt);
        const letter = letters.find(({ key }) => key === poison.key) ?? letters.find(isIt);
        const lost = Object.entries(poison.headers).find(
          ([name, value]) => !letter?.headers[name]?.equals(Buffer.from(value)),
        );
        const has = (name: string) => letter?.headers[name]?.toString();
        return verdict(
          {
            did: `a record whose value is no JSON: key ${poison.key}, ${poison.value.length} bytes that are no text, headers ${Object.keys(poison.headers).join(", ")}`,
            saw: letter
              ? `in ${DEAD_LETTERS}: key ${letter.key}, value ${letter.bytes.toString("hex")}\n${Object.entries(letter.headers).map(headerText).join("\n")}`
              : `nothing of it in ${DEAD_LETTERS}`,
          },
          [
            [letter !== undefined, `the record in ${DEAD_LETTERS}`],
            [letter?.key === poison.key, `its key: ${poison.key}`],
            [
              letter?.bytes.equals(poison.value),
              `its value, byte by byte: ${poison.value.toString("hex")}`,
            ],
            [lost === undefined, `its headers, byte by byte: ${lost && headerText(lost)}`],
            [
              has("dlq-topic") === TOPIC &&
                has("dlq-partition") === String(original?.partition) &&
                has("dlq-offset") === original?.offset,
              `whence it is: dlq-topic ${TOPIC}, dlq-partition ${original?.partition}, dlq-offset ${original?.offset}`,
            ],
            [Boolean(has("dlq-error")), "why it is here: dlq-error"],
            [
              !String(has("dlq-error")).includes(SECRET),
              `a reason that does not quote the value: ${SECRET} is in it`,
            ],
          ],
        );
      },
    },
    {
      title: "a dead letter is sent below its record's handling, and linked to its creation",
      anchor,
      async judge(trial) {
        const system = await trial.system(OWN);
        const poison = poisonous();
        await system.produce(TOPIC, poison);
        const spans = await system.spansWhen(
          (seen) =>
            findSpans(seen, { name: SEND }).length > 0 &&
            findSpans(seen, { service: "worker", kind: "CONSUMER" }).length > 0,
        );
        const handled = oneSpan(spans, { service: "worker", kind: "CONSUMER" });
        const send = oneSpan(spans, { service: "worker", name: SEND });
        const telling = spans.find((span) => textsOf(span).includes(SECRET));
        const [, traceId, spanId] = poison.headers.traceparent.split("-");
        return verdict(
          {
            did: `a record whose value is no JSON, with traceparent ${poison.headers.traceparent}`,
            saw: `${spanTree(spans, ["error.type"])}\nlinks of ${SEND}: ${send?.links.map((link) => `${link.traceId}-${link.spanId}`).join(", ") || "none"}`,
          },
          [
            [
              handled?.parentSpanId === spanId && handled?.status === "ERROR",
              "one CONSUMER span with an error, below the span that the headers name",
            ],
            [send !== undefined, `one span ${SEND}`],
            [send?.kind === "CLIENT", "its kind is CLIENT: the record was created long ago"],
            [
              isBelow(spans, send, handled) && inTrace(spans, traceId).includes(send as SeenSpan),
              "it is below the CONSUMER span: what is done with a record is part of its handling",
            ],
            [
              send?.links.some((link) => link.traceId === traceId && link.spanId === spanId),
              "a link to the record's creation",
            ],
            [
              telling === undefined,
              `no value of the record on a span: ${telling && describe(telling)}`,
            ],
          ],
        );
      },
    },
  ];
}

/** Bun's parser quotes it where it says what it did not expect. */
const SECRET = "zwetschge4711";

/** A record with a value that is neither JSON nor text, and headers of all sorts. */
function poisonous() {
  return {
    key: `poison-${crypto.randomUUID()}`,
    value: Buffer.concat([Buffer.from(`${SECRET} `), Buffer.from([0xff, 0x00, 0xfe])]),
    headers: {
      traceparent: `00-${randomHex(16)}-${randomHex(8)}-01`,
      tracestate: "shop=1",
      "x-shop": Buffer.from([0xff, 0x01]),
    },
  } satisfies NewRecord;
}

function recordOf(id: string): NewRecord {
  return { key: id, value: JSON.stringify({ id }) };
}

function orderOf(quantity: number, customer = "customer-1") {
  return { customer, items: [{ item: "tea", quantity }] };
}

async function deadLetters(
  system: System,
  condition: (records: readonly SeenRecord[]) => boolean,
): Promise<readonly SeenRecord[]> {
  return await system.recordsWhen(DEAD_LETTERS, condition, GIVEN_UP_WITHIN_MS);
}

function isOf(id: string): (record: SeenRecord) => boolean {
  return ({ value }) => value.includes(id);
}

function hasConfirmed(spans: readonly SeenSpan[]): boolean {
  return (
    findSpans(spans, { service: "worker", kind: "CONSUMER" }).length > 0 &&
    findSpans(spans, { service: "gateway", kind: "SERVER" }).length > 2
  );
}

/** Of few different ones: a word, and no sentence. */
function isType(type: unknown): type is string {
  return typeof type === "string" && /^\S{1,60}$/.test(type);
}

/** Everything on a span in which a value might be, but for what a record or a request is known by. */
function textsOf({ name, statusText, attributes, events }: SeenSpan): string {
  return JSON.stringify([name, statusText, attributes, events]);
}

/** Events that tell of an error, on a span or on one right below it. */
function eventsIn(spans: readonly SeenSpan[], span: SeenSpan): SeenSpan["events"] {
  const around = [span, ...childrenOf(spans, span).filter(({ kind }) => kind === "INTERNAL")];
  return around.flatMap(({ events }) =>
    events.filter(({ attributes }) => "error.type" in attributes),
  );
}

function eventsText(events: SeenSpan["events"]): string {
  const texts = events.map(({ name, attributes }) => `${name} (${attributes["error.type"]})`);
  return `events with an error.type: ${texts.join(", ") || "none"}`;
}

function headerText([name, value]: [string, Buffer | string]): string {
  const bytes = Buffer.from(value);
  const isText = /^[\x20-\x7e]*$/.test(bytes.toString("latin1"));
  return `${name}: ${isText ? bytes.toString() : `0x${bytes.toString("hex")}`}`;
}

/** @returns a random id */
