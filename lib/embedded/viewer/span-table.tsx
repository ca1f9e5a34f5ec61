/** The spans as a table: by any column, the longest first say. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { duration, KINDS, took } from "./format.ts";
import type { Span } from "./model.ts";
import { Service } from "./service.tsx";
import { select, type TraceState } from "./trace-state.ts";
import { useVirtualRows } from "./virtual-rows.ts";

const ROW_PX = 26;

interface Column {
  readonly title: string;
  readonly of: (span: Span) => number | string;
}

const COLUMNS: readonly Column[] = [
  { title: "Service", of: ({ service }) => service },
  { title: "Name", of: ({ name }) => name },
  { title: "Kind", of: ({ kind }) => KINDS[kind] ?? "" },
  { title: "Start", of: ({ start }) => start },
  { title: "Duration", of: (span) => span.duration },
  { title: "Own time", of: ({ self }) => self },
  { title: "Below", of: ({ below }) => below },
];

/** Sorted by one column, up or down. */
export function SpanTable({ state }: { state: TraceState }) {
  const grid = useRef<HTMLDivElement>(null);
  const by = useSignal({ column: 4, down: true });
  const { column, down } = by.value;
  const of = COLUMNS[column]?.of ?? (() => 0);
  const sought = state.sought.value.trim() !== "" && state.onlyFound.value;
  const spans = state.trace.value.spans
    .filter((span) => !sought || state.found.value.has(span))
    .toSorted((a, b) => compare(of(a), of(b)) * (down ? -1 : 1));
  const virtual = useVirtualRows(grid, spans.length, ROW_PX);
  return (
    <div class="table" role="table" aria-label="Spans" aria-rowcount={spans.length + 1}>
      <div role="rowgroup">
        <div class="head" role="row" aria-rowindex={1}>
          {COLUMNS.map(({ title }, index) => (
            <div
              key={title}
              role="columnheader"
              aria-sort={index === column ? (down ? "descending" : "ascending") : "none"}
            >
              <button
                type="button"
                class="plain"
                onClick={() =>
                  (by.value = { column: index, down: index === column ? !down : index > 2 })
                }
              >
                {title} {index === column ? (down ? "↓" : "↑") : ""}
              </button>
            </div>
          ))}
        </div>
      </div>
      <div ref={grid} class="rows" role="rowgroup" tabIndex={0} aria-label="Spans">
        <div class="sizer" role="presentation" style={{ height: `${virtual.height}px` }}>
          {virtual.items.map(({ index, start }) => {
            const span = spans[index];
            if (!span) return null;
            return (
              <div
                key={span.id + index}
                class={state.selected.value === span ? "row selected" : "row"}
                role="row"
                aria-rowindex={index + 2}
                data-span-id={span.id}
                style={{ transform: `translateY(${start}px)` }}
                onClick={() => select(state, span)}
              >
                <div role="cell">
                  <Service name={span.service} />
                </div>
                <div role="cell">
                  {span.failed && <span class="error">✗ </span>}
                  <button type="button" class="plain" onClick={() => select(state, span)}>
                    {span.name}
                  </button>
                </div>
                <div role="cell">{KINDS[span.kind]}</div>
                <div role="cell">{duration(span.start)}</div>
                <div role="cell">{took(span)}</div>
                <div role="cell">{duration(span.self)}</div>
                <div role="cell">{span.below || ""}</div>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

function compare(a: number | string, b: number | string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
