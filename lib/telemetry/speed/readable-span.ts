/** A span of ours in the shape of the SDK's: for whoever looks at spans one by one, off the fast path. */
import type { Attributes, AttributeValue, HrTime } from "@opentelemetry/api";
import { SpanStatusCode } from "@opentelemetry/api";
import type { InstrumentationScope } from "@opentelemetry/core";
import type { Resource } from "@opentelemetry/resources";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { hrTimeOf } from "../setup/clock.ts";
import { wordText } from "./ids.ts";
import type { RecordedSpan } from "./recorded-span.ts";

/** @returns what the span is at this moment; of one that has not ended, end and duration are zero */
export function readable(
  span: RecordedSpan,
  scope: InstrumentationScope,
  resource: Resource,
): ReadableSpan {
  const { parent } = span;
  return {
    name: span.name,
    kind: span.kind,
    spanContext: () => span.spanContext(),
    ...(parent && {
      parentSpanContext: {
        traceId: span.traceId.text,
        spanId: wordText(parent.first) + wordText(parent.last),
        traceFlags: span.traceFlags,
        isRemote: parent.isRemote,
      },
    }),
    startTime: pairOf(span.startTime),
    endTime: pairOf(span.endTime),
    duration: [0, 0],
    ended: span.ended,
    status: span.status ?? { code: SpanStatusCode.UNSET },
    attributes: attributesOf([...(span.template?.list ?? []), ...span.attributes]),
    links: span.links ?? [],
    events: (span.events ?? []).map((event) => ({ ...event, time: pairOf(event.time) })),
    resource,
    instrumentationScope: scope,
    droppedAttributesCount: span.droppedAttributes,
    droppedEventsCount: span.droppedEvents,
    droppedLinksCount: span.droppedLinks,
  };
}

function pairOf(time: number | HrTime): HrTime {
  return typeof time === "number" ? hrTimeOf(time) : time;
}

/** @param list keys and values in turns */
function attributesOf(list: readonly (AttributeValue | string)[]): Attributes {
  const attributes: Attributes = {};
  for (let at = 0; at < list.length; at += 2) attributes[String(list[at])] = list[at + 1];
  return attributes;
}
