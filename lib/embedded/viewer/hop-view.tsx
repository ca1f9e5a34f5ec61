/** The header that crossed: what was sent, part by part, who sent it, and who became its child. */
import { duration } from "./format.ts";
import {
  hopsOf,
  mismatchOf,
  readBaggage,
  readTraceparent,
  readTraceState,
  type Hop,
} from "./hops.ts";
import type { Span } from "./model.ts";
import { Service } from "./service.tsx";
import { select, toggle, type TraceState } from "./trace-state.ts";

/** All hops of the chosen span; nothing where it has none. */
export function Hops({ state, span }: { state: TraceState; span: Span }) {
  const hops = hopsOf(span, state.trace.value);
  if (hops.length === 0) return null;
  return (
    <section class="hops">
      <h3>What crossed</h3>
      {hops.map((hop, index) => (
        <HopView key={index} state={state} hop={hop} />
      ))}
    </section>
  );
}

function HopView({ state, hop }: { state: TraceState; hop: Hop }) {
  const { sender, receiver } = hop;
  const mismatch = mismatchOf(hop, state.trace.value);
  return (
    <div class="hop">
      <p>
        <Place state={state} span={sender} what="sent by" />
        <br />
        {receiver ? (
          <Place state={state} span={receiver} what="received by" />
        ) : (
          <span class="faint">Nobody here says that it received it.</span>
        )}
      </p>
      <p class="faint">
        {hop.carrier === "kafka" ? "In the record's headers" : "In the request's headers"},{" "}
        {hop.isRecorded
          ? "as it was sent:"
          : "put together from the span's ids (it does not say itself):"}
      </p>
      <TraceparentHeader hop={hop} traceId={state.trace.value.traceId} />
      {sender.traceState && (
        <dl class="attributes">
          {readTraceState(sender.traceState).map(([key, value], index) => (
            <div key={index}>
              <dt>tracestate {key}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
      {hop.baggage && <BaggageHeader header={hop.baggage} />}
      {hop.carrier === "kafka" && <KafkaWay state={state} hop={hop} />}
      {mismatch && (
        <p class="told warn" role="note">
          {mismatch}
        </p>
      )}
      {receiver && (
        <p>
          <button
            type="button"
            aria-pressed={state.lost.value.has(receiver.id)}
            onClick={() => toggle(state.lost, receiver.id)}
          >
            What if it had been lost?
          </button>
        </p>
      )}
    </div>
  );
}

/** The header as it is, and what each of its four parts says; the parts have the same colours in both. */
function TraceparentHeader({ hop, traceId }: { hop: Hop; traceId: string }) {
  const parts = readTraceparent(hop.traceparent);
  if (!parts) {
    return (
      <p class="header-bytes">
        <code>traceparent: {hop.traceparent}</code>
      </p>
    );
  }
  const { sender } = hop;
  const isSampled = (Number.parseInt(parts.flags, 16) & 1) === 1;
  return (
    <>
      <p class="header-bytes">
        <code>
          traceparent: <span class="part-0">{parts.version}</span>-
          <span class="part-1">{parts.traceId}</span>-<span class="part-2">{parts.parentId}</span>-
          <span class="part-3">{parts.flags}</span>
        </code>
      </p>
      <dl class="attributes">
        <div>
          <dt class="part-0">version</dt>
          <dd>{parts.version}</dd>
        </div>
        <div>
          <dt class="part-1">trace id</dt>
          <dd>{parts.traceId === traceId ? "this trace" : `another: ${parts.traceId}`}</dd>
        </div>
        <div>
          <dt class="part-2">parent id</dt>
          <dd>
            {parts.parentId === sender.id
              ? `the span that sent it, ${sender.name}`
              : parts.parentId}
          </dd>
        </div>
        <div>
          <dt class="part-3">flags</dt>
          <dd>{isSampled ? "sampled: it is kept" : "not sampled"}</dd>
        </div>
      </dl>
    </>
  );
}

function BaggageHeader({ header }: { header: string }) {
  return (
    <>
      <p class="header-bytes">
        <code>baggage: {header}</code>
      </p>
      <dl class="attributes">
        {readBaggage(header).map(({ key, value, properties }, index) => (
          <div key={index}>
            <dt>baggage {key}</dt>
            <dd>
              {value}
              {properties && <span class="faint"> ({properties})</span>}
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}

/** Where a record was between its creation and its handling. */
function KafkaWay({ state, hop }: { state: TraceState; hop: Hop }) {
  const { sender, receiver, stored, sent } = hop;
  const createdNs = sender.start + sender.duration;
  return (
    <ol class="way">
      <li>created by {sender.name}, whose id the record carries</li>
      {stored && (
        <li>
          <Choose state={state} span={stored} /> kept it, with its headers, in the outbox
        </li>
      )}
      {sent && (
        <li>
          <Choose state={state} span={sent} /> handed it to the broker{" "}
          {duration(sent.start - createdNs)} later
        </li>
      )}
      {receiver && (
        <li>
          <Choose state={state} span={receiver} /> began {duration(receiver.start - createdNs)}{" "}
          after it was created
        </li>
      )}
    </ol>
  );
}

function Place({ state, span, what }: { state: TraceState; span: Span; what: string }) {
  return (
    <>
      <span class="faint">{what} </span>
      <Service name={span.service} /> <Choose state={state} span={span} />
    </>
  );
}

function Choose({ state, span }: { state: TraceState; span: Span }) {
  if (state.selected.value === span) return <b>{span.name}</b>;
  return (
    <button type="button" class="plain link" onClick={() => select(state, span)}>
      {span.name}
    </button>
  );
}
