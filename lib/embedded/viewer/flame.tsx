/** The spans as a flame graph: time across, depth down. On a canvas, with the chosen span's name beside it. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { duration, took } from "./format.ts";
import type { Span } from "./model.ts";
import { colorOf, services } from "./service.tsx";
import { theme } from "./settings.ts";
import { select, type TraceState } from "./trace-state.ts";
import { useWidth } from "./use-width.ts";

const ROW_PX = 20;
const ROWS_MAX = 400;
const NAME_FROM_PX = 36;

/** Each span where it is in the tree; siblings that overlap get lanes of their own. */
export function Flame({ state }: { state: TraceState }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(canvas);
  const under = useSignal<Span | undefined>(undefined);
  const trace = state.trace.value;
  const lanes = lanesOf(trace.roots);
  const height = Math.min(ROWS_MAX, lanes.count) * ROW_PX;
  const { from, to } = state.shown.value;
  const xOf = (time: number) => ((time - from) / (to - from)) * width;
  useEffect(() => {
    const pen = canvas.current?.getContext("2d");
    if (!canvas.current || !pen || width === 0) return;
    const ratio = devicePixelRatio || 1;
    canvas.current.width = width * ratio;
    canvas.current.height = height * ratio;
    pen.scale(ratio, ratio);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const style = getComputedStyle(canvas.current);
    for (const span of trace.spans) {
      const y = (lanes.of.get(span) ?? 0) * ROW_PX;
      const x = Math.max(0, xOf(span.start));
      const length = Math.max(1, Math.min(width, xOf(span.start + span.duration)) - x);
      if (x > width || y > height) continue;
      pen.fillStyle = span.failed ? style.getPropertyValue("--error") : colorOf(span.service);
      pen.globalAlpha = state.selected.value === span ? 1 : span.open ? 0.5 : 0.8;
      pen.fillRect(x, y + 1, length, ROW_PX - 2);
      pen.globalAlpha = 1;
      if (state.selected.value === span || state.found.value.has(span)) {
        pen.strokeStyle = style.getPropertyValue("--ink");
        pen.strokeRect(x + 0.5, y + 1.5, Math.max(1, length - 1), ROW_PX - 3);
      }
      if (length < NAME_FROM_PX) continue;
      pen.save();
      pen.beginPath();
      pen.rect(x, y, length - 4, ROW_PX);
      pen.clip();
      pen.fillStyle = "#fff";
      pen.fillText(span.name, x + 4, y + ROW_PX / 2);
      pen.restore();
    }
  }, [
    trace,
    from,
    to,
    width,
    height,
    state.selected.value,
    state.found.value,
    theme.value,
    services.value,
  ]);
  const spanAt = (event: PointerEvent | MouseEvent) => {
    const box = canvas.current?.getBoundingClientRect();
    const lane = Math.floor((event.clientY - (box?.top ?? 0)) / ROW_PX);
    const x = event.clientX - (box?.left ?? 0);
    return trace.spans.findLast((span) => {
      if (lanes.of.get(span) !== lane) return false;
      return (
        x >= xOf(span.start) - 1 &&
        x <= Math.max(xOf(span.start) + 2, xOf(span.start + span.duration))
      );
    });
  };
  const hint = under.value ?? state.selected.value;
  return (
    <div class="flame">
      <p class="hint">
        {hint && `${hint.service} ${hint.name} · ${took(hint)}, its own ${duration(hint.self)}`}
      </p>
      <canvas
        ref={canvas}
        role="img"
        aria-label="Flame graph; the tree shows the same to keys and screen readers"
        style={{ height: `${height}px` }}
        onPointerMove={(event) => (under.value = spanAt(event))}
        onPointerLeave={() => (under.value = undefined)}
        onClick={(event) => {
          const span = spanAt(event);
          if (span) select(state, span);
        }}
      />
    </div>
  );
}

/** Lines for all spans: below its parent's, and past those of siblings that were under way at the time. */
function lanesOf(roots: readonly Span[]): { of: Map<Span, number>; count: number } {
  const of = new Map<Span, number>();
  /** When each lane is free again. */
  const freeAt: number[] = [];
  const stack = roots.toReversed().map((span) => ({ span, from: 0 }));
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { span, from } = next;
    let lane = from;
    while ((freeAt[lane] ?? Number.NEGATIVE_INFINITY) > span.start) lane += 1;
    freeAt[lane] = span.start + span.duration;
    of.set(span, lane);
    for (const child of span.children.toReversed()) stack.push({ span: child, from: lane + 1 });
  }
  return { of, count: freeAt.length };
}
