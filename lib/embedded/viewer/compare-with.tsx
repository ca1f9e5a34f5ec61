/** From one trace to another to compare it with: one like it, or any by its id. */
import { useSignal } from "@preact/signals";
import { ask } from "./api.ts";
import { clockTime, duration } from "./format.ts";
import type { Trace } from "./model.ts";
import { go } from "./router.ts";
import { utc } from "./settings.ts";
import type { WireFound, WireSummary } from "./wire.ts";

const SHOWN = 12;

/** Opens a list of traces whose root is called the same. */
export function CompareWith({ trace }: { trace: Trace }) {
  const alike = useSignal<readonly WireSummary[]>([]);
  const [root] = trace.roots;
  const load = async () => {
    const parameters = new URLSearchParams({
      service: root?.service ?? "",
      operation: root?.name ?? "",
      limit: "100",
    });
    const found = await ask<WireFound>(`/api/view/traces?${parameters}`).catch(() => undefined);
    alike.value = (found?.traces ?? [])
      .filter(({ traceId, name }) => traceId !== trace.traceId && name === root?.name)
      .slice(0, SHOWN);
  };
  return (
    <details class="menu" onToggle={(event) => event.currentTarget.open && void load()}>
      <summary>Compare</summary>
      <div>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const id = new FormData(event.currentTarget).get("id");
            const [found] = /[0-9a-f]{32}/i.exec(String(id)) ?? [];
            if (found) go(`/compare/${found}/${trace.traceId}`);
          }}
        >
          <label>
            with the trace <input name="id" placeholder="its id, or its address" />
          </label>
        </form>
        <ul>
          {alike.value.map(({ traceId, startUs, durationUs, spans, errors }) => (
            <li key={traceId}>
              <a href={`/compare/${traceId}/${trace.traceId}`}>
                {clockTime(startUs, utc.value)} · {duration(durationUs * 1_000)} · {spans} spans
                {errors > 0 && ` · ${errors} failed`}
              </a>
            </li>
          ))}
        </ul>
        {alike.value.length === 0 && <p class="faint">No other trace begins like this one.</p>}
      </div>
    </details>
  );
}
