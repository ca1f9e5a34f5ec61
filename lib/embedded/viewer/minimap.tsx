/** The whole trace, small: which part of its time is seen, and a way to choose another by dragging. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { duration } from "./format.ts";
import { colorOf, services } from "./service.tsx";
import { theme } from "./settings.ts";
import type { TraceState } from "./trace-state.ts";
import { useWidth } from "./use-width.ts";

const HEIGHT_PX = 48;
const DRAG_FROM_PX = 4;

/** Drawn on a canvas: ten thousand spans are ten thousand lines of it, and no elements. */
export function Minimap({ state }: { state: TraceState }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(canvas);
  const drag = useSignal<{ from: number; to: number } | undefined>(undefined);
  const trace = state.trace.value;
  const whole = Math.max(1, trace.duration);
  useEffect(() => {
    const pen = canvas.current?.getContext("2d");
    if (!canvas.current || !pen || width === 0) return;
    const ratio = devicePixelRatio || 1;
    canvas.current.width = width * ratio;
    canvas.current.height = HEIGHT_PX * ratio;
    pen.scale(ratio, ratio);
    const line = Math.max(0.3, HEIGHT_PX / trace.spans.length);
    const error = getComputedStyle(canvas.current).getPropertyValue("--error");
    trace.spans.forEach((span, index) => {
      pen.fillStyle = span.failed ? error : colorOf(span.service);
      const x = (span.start / whole) * width;
      const length = Math.max(1, (span.duration / whole) * width);
      pen.fillRect(x, index * line, length, Math.min(6, Math.max(1, line * 0.8)));
    });
  }, [trace, width, theme.value, services.value]);

  const timeAt = (event: PointerEvent) => {
    const box = canvas.current?.getBoundingClientRect();
    const share = (event.clientX - (box?.left ?? 0)) / (box?.width || 1);
    return Math.min(1, Math.max(0, share)) * whole;
  };
  const range = drag.value
    ? {
        from: Math.min(drag.value.from, drag.value.to),
        to: Math.max(drag.value.from, drag.value.to),
      }
    : state.range.value;
  return (
    <div class="minimap">
      <canvas
        ref={canvas}
        role="img"
        aria-label="The whole trace; drag to see a part of it, or use + and -"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          const at = timeAt(event);
          drag.value = { from: at, to: at };
        }}
        onPointerMove={(event) => {
          if (drag.value) drag.value = { ...drag.value, to: timeAt(event) };
        }}
        onPointerUp={() => {
          const { from, to } = range ?? { from: 0, to: 0 };
          drag.value = undefined;
          const isClick = ((to - from) / whole) * width < DRAG_FROM_PX;
          state.range.value = isClick ? undefined : { from, to };
        }}
        onPointerCancel={() => (drag.value = undefined)}
      />
      {range && (
        <>
          <div class="veil" style={{ left: "0", width: `${(range.from / whole) * 100}%` }} />
          <div class="veil" style={{ right: "0", width: `${(1 - range.to / whole) * 100}%` }} />
          <button type="button" class="all" onClick={() => (state.range.value = undefined)}>
            {duration(range.to - range.from)} of {duration(whole)}: show all
          </button>
        </>
      )}
    </div>
  );
}
