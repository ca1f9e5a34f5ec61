/** Lines over time. Loaded with the first chart. */
import uPlot from "uplot";
import { colorAt } from "./colors.ts";
import type { Line } from "./metric-lines.ts";

const HEIGHT_PX = 320;

/**
 * Draws lines into an element.
 * @param format a value, for the axis and the legend
 * @returns removes them again
 */
export function drawChart(
  element: HTMLElement,
  lines: readonly Line[],
  format: (value: number) => string,
): () => void {
  const times = [...new Set(lines.flatMap(({ points }) => points.map(([time]) => time)))].sort(
    (a, b) => a - b,
  );
  const at = new Map(times.map((time, index) => [time, index]));
  const values = lines.map(({ points }) => {
    const column: (number | null)[] = times.map(() => null);
    for (const [time, value] of points) column[at.get(time) ?? 0] = value;
    return column;
  });
  const style = getComputedStyle(element);
  const axis = {
    stroke: style.getPropertyValue("--faint"),
    grid: { stroke: style.getPropertyValue("--line"), width: 1 },
    ticks: { stroke: style.getPropertyValue("--line"), width: 1 },
  };
  const chart = new uPlot(
    {
      width: element.clientWidth,
      height: HEIGHT_PX,
      series: [
        {},
        ...lines.map(({ label }, index) => ({
          label,
          stroke: colorAt(index),
          width: 1.5,
          spanGaps: true,
          points: { size: 5 },
          value: (_: uPlot, value: number | null) => (value === null ? "" : format(value)),
        })),
      ],
      axes: [axis, { ...axis, size: 74, values: (_, ticks) => ticks.map(format) }],
    },
    [times, ...values],
    element,
  );
  const observer = new ResizeObserver(() => {
    chart.setSize({ width: element.clientWidth, height: HEIGHT_PX });
  });
  observer.observe(element);
  return () => {
    observer.disconnect();
    chart.destroy();
  };
}
