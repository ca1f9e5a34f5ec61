/** The pages' frame: what stands on each of them, and which one is shown. */
import { render } from "preact";
import { connected, stats } from "./api.ts";
import { count } from "./format.ts";
import { Help, helpIsOpen } from "./help.tsx";
import { path } from "./router.ts";
import { theme, utc } from "./settings.ts";
import { TracePage } from "./trace-page.tsx";
import { TracesPage } from "./traces-page.tsx";

const THEMES = ["", "light", "dark"] as const;
const THEME_NAMES = { "": "as the system", light: "light", dark: "dark" };

function App() {
  const [, traceId] = /^\/trace\/([0-9a-f]{1,32})$/i.exec(path.value) ?? [];
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
          <a href="/" aria-current={path.value === "/" ? "page" : undefined}>
            Traces
          </a>
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
        {path.value === "/" ? (
          <TracesPage />
        ) : traceId ? (
          <TracePage key={traceId} id={traceId} />
        ) : (
          <p class="note">There is no page of this address. See all traces.</p>
        )}
      </main>
      <Help />
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

const app = document.getElementById("app");
if (app) {
  app.replaceChildren();
  render(<App />, app);
}
