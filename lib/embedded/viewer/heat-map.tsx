/** A histogram over time: time across, buckets up, the darker the more was counted. */
import { clockTime } from "./format.ts";
import { countedOver } from "./metric-lines.ts";
import { utc } from "./settings.ts";
import type { WireSeries } from "./wire.ts";

/** Later ones go before earlier ones. */
const COLUMNS_MAX = 200;
const ROW_PX = 16;

/** @param format of a bucket's bound */
export function HeatMap(props: {
  name: string;
  series: readonly WireSeries[];
  format: (value: number) => string;
}) {
  const { bounds, columns: all } = countedOver(props.series);
  const columns = all.slice(-COLUMNS_MAX);
  const isUsed = (bucket: number) => columns.some(([, buckets]) => (buckets[bucket] ?? 0) > 0);
  const used = Array.from({ length: bounds.length + 1 }, (_, bucket) => bucket).filter(isUsed);
  const [lowest] = used;
  const highest = used.at(-1);
  if (lowest === undefined || highest === undefined) {
    return <p class="note">Two exports are needed for a first point, and something to count.</p>;
  }
  // From the highest down, those that are empty between two others as well.
  const rows = Array.from({ length: highest - lowest + 1 }, (_, row) => highest - row);
  const most = Math.max(...columns.flatMap(([, buckets]) => [...buckets]));
  const rangeOf = (bucket: number) => {
    const to = bounds[bucket];
    if (to === undefined) return `over ${props.format(bounds.at(-1) ?? 0)}`;
    return `up to ${props.format(to)}`;
  };
  const time = (at: number) => clockTime((columns[at]?.[0] ?? 0) * 1_000_000, utc.value);
  return (
    <div
      class="heat"
      role="img"
      aria-label={`${props.name} by bucket over time; at most ${most} in one`}
      style={{ gridTemplateColumns: `auto repeat(${columns.length}, minmax(2px, 1fr))` }}
    >
      {rows.map((bucket) => [
        <span key={bucket} class="bound">
          {rangeOf(bucket)}
        </span>,
        ...columns.map(([at, buckets], index) => {
          const counted = buckets[bucket] ?? 0;
          return (
            <span
              key={`${bucket} ${at}`}
              class="cell"
              data-count={counted}
              title={`${counted} ${rangeOf(bucket)}, until ${time(index)}`}
              style={{ height: `${ROW_PX}px`, opacity: counted === 0 ? 0 : shade(counted / most) }}
            />
          );
        }),
      ])}
      <span class="ends" style={{ gridColumn: `2 / -1` }}>
        <span>{time(0)}</span>
        <span>{time(columns.length - 1)}</span>
      </span>
    </div>
  );
}

/** A few among thousands are to be seen, too. */
function shade(share: number): number {
  return 0.15 + 0.85 * Math.sqrt(share);
}
