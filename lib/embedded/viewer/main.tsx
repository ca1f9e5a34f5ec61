/** The pages' frame: what stands on each of them, and which one is shown. */
import { render } from "preact";
import { connected, onChange, stats } from "./api.ts";
import { count } from "./format.ts";
import { Help, helpIsOpen } from "./help.tsx";
import { ComparePage } from "./compare-page.tsx";
import { acceptDrops, ImportState } from "./import.tsx";
import { LogsPage } from "./logs-page.tsx";
import { MapPage } from "./map-page.tsx";
import { MetricsPage } from "./metrics-page.tsx";
import { path } from "./router.ts";
import { theme, utc } from "./settings.ts";
import { TracePage } from "./trace-page.tsx";
import { TracesPage } from "./traces-page.tsx";

const THEMES = ["", "light", "dark"] as const;
const THEME_NAMES = { "": "as the system", light: "light", dark: "dark" };

const PAGES = [
  ["/", "Traces"],
  ["/map", "Map"],
  ["/logs", "Logs"],
  ["/metrics-view", "Metrics"],
] as const;

function Page() {
  const [, traceId] = /^\/trace\/([0-9a-f]{1,32})$/i.exec(path.value) ?? [];
  if (traceId) return <TracePage key={traceId} id={traceId} />;
  const [, before, after] =
    /^\/compare\/([0-9a-f]{1,32})\/([0-9a-f]{1,32})$/i.exec(path.value) ?? [];
  if (before && after) return <ComparePage key={before + after} ids={[before, after]} />;
  if (path.value === "/") return <TracesPage />;
  if (path.value === "/map") return <MapPage />;
  if (path.value === "/logs") return <LogsPage />;
  if (path.value === "/metrics-view") return <MetricsPage />;
  return <p class="note">There is no page of this address.</p>;
}

function App() {
  return (
    <>
      <a class="skip" href="#main">
        Skip to the traces
      </a>
      <header>
        <a class="home" href="/">
          OrderFlow <span>traces</span>
        </a>
        <nav aria-label="Pages">
          {PAGES.map(([href, name]) => (
            <a key={href} href={href} aria-current={path.value === href ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <div class="state">
          <Held />
          <button type="button" onClick={() => (utc.value = !utc.value)} aria-pressed={utc.value}>
            UTC
          </button>
          <button
            type="button"
            title="Colours"
            aria-label={`Colours: ${THEME_NAMES[theme.value]}`}
            onClick={() => {
              theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "";
            }}
          >
            {theme.value === "dark" ? "☾" : theme.value === "light" ? "☀" : "◐"}
          </button>
          <button type="button" aria-label="Help" onClick={() => (helpIsOpen.value = true)}>
            ?
          </button>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <Page />
      </main>
      <Help />
      <ImportState />
    </>
  );
}

/** Whether changes are told, and what the store holds. */
function Held() {
  const held = stats.value;
  const gone = held && held.evictedTraces > 0 && `${count(held.evictedTraces, "older trace")} gone`;
  return (
    <span class="held" role="status">
      <span class={connected.value ? "dot live" : "dot"} aria-hidden="true" />
      {connected.value ? "live" : "not connected"}
      {held && ` · ${count(held.traces, "trace")}, ${count(held.spans, "span")}`}
      {gone && ` · ${gone}`}
    </span>
  );
}

acceptDrops();
// The state at the top is told of on every page.
onChange(() => undefined);

const app = document.getElementById("app");
if (app) {
  app.replaceChildren();
  render(<App />, app);
}
