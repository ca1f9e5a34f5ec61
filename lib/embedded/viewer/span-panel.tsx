/** The chosen span: what it is, what it says, where it was made, and what it is linked with. */
import type { ComponentChildren } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { conventions, learnConventions } from "./conventions.ts";
import { copies } from "./copies.ts";
import { clockTime, duration, KINDS, took } from "./format.ts";
import { attributeOf, textOf, type Span, type Trace } from "./model.ts";
import { Hops } from "./hop-view.tsx";
import { Service } from "./service.tsx";
import { utc } from "./settings.ts";
import { SpanBytes } from "./span-bytes.tsx";
import { SourceLines } from "./source-lines.tsx";
import { select, type TraceState } from "./trace-state.ts";
import { Why } from "./why.tsx";
import type { Attribute } from "./wire.ts";

/** Longer ones are opened on wish: a value may have megabytes. */
const VALUE_CHARS_SHOWN = 2_000;

/** Beside the spans; below them where there is little room. */
export function SpanPanel({ state }: { state: TraceState }) {
  const span = state.selected.value;
  const trace = state.trace.value;
  if (!span) {
    return (
      <aside class="details" aria-label="Span">
        <p class="note">Choose a span.</p>
      </aside>
    );
  }
  return (
    <aside class="details" aria-label="Span" data-span-id={span.id}>
      <h2>{span.name}</h2>
      <p>
        <Service name={span.service} /> · {KINDS[span.kind] ?? span.kind} · <b>{took(span)}</b>, its
        own {duration(span.self)}
      </p>
      {span.open && (
        <p class="told" role="note">
          {span.open === "silent"
            ? "It has not ended, and nothing is heard of its program any more."
            : "It has not ended yet. What it says may change."}
        </p>
      )}
      <p class="faint">
        {duration(span.start)} after the start, at{" "}
        {clockTime(Number(trace.baseNs / 1000n) + span.start / 1_000, utc.value)}
      </p>
      {span.failed && (
        <p class="error" role="note">
          ✗ {span.message || textOf(attributeOf(span, "error.type") ?? "failed")}
        </p>
      )}
      <SourceLines traceId={trace.traceId} span={span} />
      <Copies span={span} trace={trace} />
      <Hops state={state} span={span} />
      <Why key={span.id} traceId={trace.traceId} spanId={span.id} />
      <Section title="Attributes" count={span.attributes.length}>
        <Attributes attributes={span.attributes} />
      </Section>
      <Logs span={span} />
      <Exemplars exemplars={trace.wire.exemplars.filter((one) => one.span === span.id)} />
      <Events span={span} />
      <Links state={state} span={span} />
      <Section title="Resource" count={span.resource.attributes.length}>
        <Attributes attributes={span.resource.attributes} />
      </Section>
      {!span.open && <SpanBytes key={span.id} traceId={trace.traceId} spanId={span.id} />}
      <Section title="Ids" count={1}>
        <Attributes attributes={idsOf(span, trace)} />
        {span.parent && (
          <button type="button" onClick={() => select(state, span.parent)}>
            To its parent, {span.parent.name}
          </button>
        )}
      </Section>
    </aside>
  );
}

function Logs({ span }: { span: Span }) {
  return (
    <Section title="Log" count={span.logs.length}>
      <ol class="log">
        {span.logs.map((log, index) => (
          <li key={index} class={log.severity >= 17 ? "error" : log.severity >= 13 ? "warn" : ""}>
            <span class="faint">
              {duration(Math.max(0, log.time - span.start))} {log.severityText}
            </span>{" "}
            <Value value={log.body} />
            {log.attributes.length > 0 && <Attributes attributes={log.attributes} />}
          </li>
        ))}
      </ol>
    </Section>
  );
}

/** What was measured while it was the active span. */
function Exemplars({ exemplars }: { exemplars: Trace["wire"]["exemplars"] }) {
  return (
    <Section title="Measured here" count={exemplars.length}>
      <ul class="links">
        {exemplars.map(({ metric, unit, value, attributes }, index) => (
          <li key={index}>
            <a href={`/metrics-view?${new URLSearchParams({ name: metric })}`}>{metric}</a> {value}{" "}
            {unit}
            <Attributes attributes={attributes} />
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Events({ span }: { span: Span }) {
  return (
    <Section title="Events" count={span.events.length}>
      <ol class="log">
        {span.events.map((event, index) => (
          <li key={index}>
            <span class="faint">{duration(Math.max(0, event.time - span.start))}</span>{" "}
            <b>{event.name}</b>
            <Attributes attributes={event.attributes} />
          </li>
        ))}
      </ol>
    </Section>
  );
}

/** Both ways: what it links to, and what links to it. */
function Links({ state, span }: { state: TraceState; span: Span }) {
  const linkedFrom = state.trace.value.wire.linkedFrom.filter(({ to }) => to === span.id);
  return (
    <>
      <Section title="Links" count={span.links.length}>
        <ul class="links">
          {span.links.map((link) => (
            <li key={link.traceId + link.spanId}>
              <SpanLink state={state} traceId={link.traceId} spanId={link.spanId} />
              <Attributes attributes={link.attributes} />
            </li>
          ))}
        </ul>
      </Section>
      <Section title="Linked from" count={linkedFrom.length}>
        <ul class="links">
          {linkedFrom.map((from) => (
            <li key={from.traceId + from.spanId}>
              <SpanLink
                state={state}
                traceId={from.traceId}
                spanId={from.spanId}
                name={`${from.service} ${from.name}`}
              />
            </li>
          ))}
        </ul>
      </Section>
    </>
  );
}

function idsOf(span: Span, trace: Trace): Attribute[] {
  return [
    ["span", span.id],
    ["trace", trace.traceId],
    ["parent", span.parentId ?? "none: a root"],
    ["tracer", `${span.scope.name} ${span.scope.version}`.trim()],
    ...(span.traceState ? [["tracestate", span.traceState] as const] : []),
  ];
}

/** A span of this trace is chosen where it is; one of another has its own address. */
function SpanLink(props: { state: TraceState; traceId: string; spanId: string; name?: string }) {
  const { state, traceId, spanId } = props;
  const here = traceId === state.trace.value.traceId && state.trace.value.byId.get(spanId);
  const href = `/trace/${traceId}?span=${spanId}`;
  return (
    <a
      href={href}
      onClick={(event) => {
        if (!here || event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        select(state, here);
      }}
    >
      {here ? `${here.service} ${here.name}` : (props.name ?? `span ${spanId}`)}
      {here ? "" : ` of trace ${traceId.slice(0, 8)}…`}
    </a>
  );
}

function Section(props: { title: string; count: number; children: ComponentChildren }) {
  if (props.count === 0) return null;
  return (
    <section>
      <h3>{props.title}</h3>
      {props.children}
    </section>
  );
}

/** Keys and values, as text and nothing else; of a key that the conventions know, what they say of it. */
export function Attributes({ attributes }: { attributes: readonly Attribute[] }) {
  useEffect(() => void learnConventions(attributes.map(([key]) => key)), [attributes]);
  if (attributes.length === 0) return null;
  return (
    <dl class="attributes">
      {attributes.map(([key, value], index) => (
        <Entry key={index} name={key} value={value} />
      ))}
    </dl>
  );
}

function Entry({ name, value }: { name: string; value: unknown }) {
  const isOpen = useSignal(false);
  const convention = conventions.value.get(name);
  return (
    <div>
      <dt>
        {convention ? (
          <button
            type="button"
            class="plain key"
            title={convention.brief}
            aria-expanded={isOpen.value}
            onClick={() => (isOpen.value = !isOpen.value)}
          >
            <Key name={name} />
          </button>
        ) : (
          <Key name={name} />
        )}
      </dt>
      <dd>
        <Value value={value} />
        {convention && isOpen.value && (
          <p class="convention">
            <span class={convention.stability === "stable" ? "badge" : "badge warn"}>
              {convention.stability}
            </span>{" "}
            {convention.brief} {convention.instead}{" "}
            <a href={convention.link} target="_blank" rel="noreferrer">
              registry
            </a>
          </p>
        )}
      </dd>
    </div>
  );
}

/** A key breaks after its dots and underscores, and not inside a word. */
function Key({ name }: { name: string }) {
  const parts = name.slice(0, 200).split(/(?<=[._])/);
  return (
    <>
      {parts.map((part, index) => (
        <span key={index}>
          {part}
          <wbr />
        </span>
      ))}
    </>
  );
}

function Value({ value }: { value: unknown }) {
  const all = useSignal(false);
  const text = textOf(value);
  // Isolated, so that a value of right-to-left letters turns nothing around that stands beside it.
  if (text.length <= VALUE_CHARS_SHOWN) return <bdi>{text}</bdi>;
  return (
    <>
      <bdi>{all.value ? text.slice(0, 100_000) : text.slice(0, VALUE_CHARS_SHOWN)}</bdi>
      <button type="button" onClick={() => (all.value = !all.value)}>
        {all.value ? "less" : `… ${text.length.toLocaleString("en")} characters`}
      </button>
    </>
  );
}

/** What can be taken along: a request, a statement, an assertion. */
function Copies({ span, trace }: { span: Span; trace: Trace }) {
  const copied = useSignal("");
  const found = copies(span, trace);
  if (found.length === 0) return null;
  return (
    <p class="copies">
      {found.map(({ name, text }) => (
        <button
          key={name}
          type="button"
          title={text()}
          onClick={() => {
            void navigator.clipboard.writeText(text()).then(() => (copied.value = name));
          }}
        >
          {copied.value === name ? `${name}: copied` : name}
        </button>
      ))}
      <span class="visually-hidden" role="status">
        {copied.value && `${copied.value}: copied`}
      </span>
    </p>
  );
}
