/** Each trace as a point: when it began, and how long it took. A part of it can be chosen by dragging. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { clockTime, duration } from "./format.ts";
import { go, setQuery } from "./router.ts";
import { theme, utc } from "./settings.ts";
import { useWidth } from "./use-width.ts";
import type { WireFound } from "./wire.ts";

const HEIGHT_PX = 110;
const MARGIN = { top: 8, right: 12, bottom: 18, left: 56 };
/** Less than that is a click. */
const DRAG_FROM_PX = 5;
const CLICK_WITHIN_PX = 8;

/** The scales of a drawing. */
interface Scales {
  readonly x: (startUs: number) => number;
  readonly y: (durationUs: number) => number;
  readonly startUs: (x: number) => number;
  readonly durationUs: (y: number) => number;
  readonly from: number;
  readonly to: number;
  readonly longest: number;
}

interface Drag {
  readonly fromX: number;
  readonly fromY: number;
  readonly toX: number;
  readonly toY: number;
}

/** @param points see WireFound */
export function Points({ points }: { points: WireFound["points"] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(canvas);
  const drag = useSignal<Drag | undefined>(undefined);
  const scales = scalesFor(points, width);
  useEffect(() => {
    if (canvas.current && width > 0) draw(canvas.current, points, scales, width);
  }, [points, width, theme.value, utc.value]);

  const place = (event: PointerEvent) => {
    const box = canvas.current?.getBoundingClientRect();
    return { x: event.clientX - (box?.left ?? 0), y: event.clientY - (box?.top ?? 0) };
  };
  const chosen = drag.value;
  return (
    // Two points are the least that have a time between them. Hidden, it is there to be measured later.
    <div class="points" hidden={points.length < 2}>
      <canvas
        ref={canvas}
        role="img"
        aria-label={`${points.length} traces by start and duration; choose a part by dragging, or use the fields above`}
        onPointerDown={(event) => {
          const { x, y } = place(event);
          event.currentTarget.setPointerCapture(event.pointerId);
          drag.value = { fromX: x, fromY: y, toX: x, toY: y };
        }}
        onPointerMove={(event) => {
          if (!drag.value) return;
          const { x, y } = place(event);
          drag.value = { ...drag.value, toX: x, toY: y };
        }}
        onPointerUp={() => {
          const done = drag.value;
          drag.value = undefined;
          if (done) choose(done, points, scales);
        }}
        onPointerCancel={() => (drag.value = undefined)}
      />
      {chosen && (
        <div
          class="brush"
          style={{
            left: `${Math.min(chosen.fromX, chosen.toX)}px`,
            top: `${Math.min(chosen.fromY, chosen.toY)}px`,
            width: `${Math.abs(chosen.toX - chosen.fromX)}px`,
            height: `${Math.abs(chosen.toY - chosen.fromY)}px`,
          }}
        />
      )}
    </div>
  );
}

/** A drag chooses times and durations; a click opens the trace under it. */
function choose(drag: Drag, points: WireFound["points"], scales: Scales): void {
  const { fromX, fromY, toX, toY } = drag;
  if (Math.abs(toX - fromX) < DRAG_FROM_PX && Math.abs(toY - fromY) < DRAG_FROM_PX) {
    const near = points
      .map(([start, took, , id]) => ({
        id,
        distance: Math.hypot(scales.x(start) - toX, scales.y(took) - toY),
      }))
      .sort((a, b) => a.distance - b.distance)[0];
    if (near && near.distance <= CLICK_WITHIN_PX) go(`/trace/${near.id}`);
    return;
  }
  const micros = (y: number) => `${Math.max(0, Math.round(scales.durationUs(y)))}us`;
  setQuery(
    {
      from: String(Math.floor(scales.startUs(Math.min(fromX, toX)))),
      to: String(Math.ceil(scales.startUs(Math.max(fromX, toX)))),
      min: micros(Math.max(fromY, toY)),
      max: micros(Math.min(fromY, toY)),
    },
    "push",
  );
}

/** Of a duration in microseconds. */
function log(us: number): number {
  return Math.log10(1 + us / 100);
}

function scalesFor(points: WireFound["points"], width: number): Scales {
  let from = Number.POSITIVE_INFINITY;
  let to = 0;
  let longest = 1_000;
  for (const [start, took] of points) {
    from = Math.min(from, start);
    to = Math.max(to, start);
    longest = Math.max(longest, took);
  }
  const span = Math.max(1, to - from);
  const inner = {
    width: width - MARGIN.left - MARGIN.right,
    height: HEIGHT_PX - MARGIN.top - MARGIN.bottom,
  };
  // Durations differ by powers of ten: on an even scale all but the slowest would lie on the ground.
  const top = log(longest);
  return {
    x: (start) => MARGIN.left + ((start - from) / span) * inner.width,
    y: (took) => MARGIN.top + (1 - log(took) / top) * inner.height,
    startUs: (x) => from + ((x - MARGIN.left) / inner.width) * span,
    durationUs: (y) => (10 ** ((1 - (y - MARGIN.top) / inner.height) * top) - 1) * 100,
    from,
    to,
    longest,
  };
}

function draw(
  canvas: HTMLCanvasElement,
  points: WireFound["points"],
  scales: Scales,
  width: number,
): void {
  const ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = HEIGHT_PX * ratio;
  const pen = canvas.getContext("2d");
  if (!pen) return;
  const style = getComputedStyle(canvas);
  const color = (name: string) => style.getPropertyValue(name);
  pen.scale(ratio, ratio);
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = color("--faint");
  pen.strokeStyle = color("--line");
  for (const us of [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000]) {
    if (us > scales.longest) break;
    const y = Math.round(scales.y(us)) + 0.5;
    pen.beginPath();
    pen.moveTo(MARGIN.left, y);
    pen.lineTo(width - MARGIN.right, y);
    pen.stroke();
    pen.textAlign = "right";
    pen.fillText(duration(us * 1_000).replace(/\.0+ /, " "), MARGIN.left - 6, y + 4);
  }
  pen.textAlign = "left";
  pen.fillText(clockTime(scales.from, utc.value), MARGIN.left, HEIGHT_PX - 4);
  pen.textAlign = "right";
  pen.fillText(clockTime(scales.to, utc.value), width - MARGIN.right, HEIGHT_PX - 4);
  // The failed ones last, so that they lie on top.
  for (const wanted of [0, 1]) {
    pen.fillStyle = color(wanted === 1 ? "--error" : "--accent");
    for (const [start, took, failed] of points) {
      if (failed !== wanted) continue;
      pen.globalAlpha = 0.7;
      pen.beginPath();
      pen.arc(scales.x(start), scales.y(took), wanted === 1 ? 3.5 : 2.5, 0, 7);
      pen.fill();
    }
  }
}
