/**
 * The trace pages: `/` lists the newest traces, `/trace/{id}` draws one.
 *
 * Whatever stands in a trace came from outside, so it reaches the page as text nodes only, and the
 * page's Content-Security-Policy would stop a script that got in nevertheless.
 */

/** The five services have colours that are easy to tell apart; others get one from their name. */
const COLORS = {
  gateway: "#4c78d8",
  orders: "#2a9d6f",
  worker: "#b4619f",
  inventory: "#d98c21",
  email: "#3fa7c4",
};

const main = document.getElementById("main");
const traceId = location.pathname.match(/^\/trace\/([0-9a-f]+)$/i)?.[1];

if (traceId) {
  await showFailures(() => showTrace(traceId));
} else {
  const form = document.getElementById("search");
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void showFailures(showList);
  });
  form.addEventListener("change", () => void showFailures(showList));
  await showFailures(showList);
}

async function showFailures(show) {
  try {
    await show();
  } catch (error) {
    main.replaceChildren(element("p", { class: "error" }, error.message));
  }
}

async function showList() {
  const select = document.getElementById("service");
  const chosen = select.value;
  const services = await fetchData("/api/services");
  select.replaceChildren(
    element("option", { value: "" }, "all"),
    ...services.map((name) => element("option", { value: name }, name)),
  );
  select.value = services.includes(chosen) ? chosen : "";
  const query = new URLSearchParams({ limit: "30", service: select.value });
  const traces = await fetchData(`/api/traces?${query}`);
  if (traces.length === 0) {
    const hint = "No traces yet: place an order, then press Refresh.";
    main.replaceChildren(element("p", { class: "note" }, hint));
  } else {
    main.replaceChildren(element("ol", { class: "traces" }, ...traces.map(listItem)));
  }
}

function listItem(trace) {
  const { root, start, duration, failed } = overview(trace);
  const counts = new Map();
  for (const span of trace.spans) {
    const service = trace.processes[span.processID].serviceName;
    counts.set(service, (counts.get(service) ?? 0) + 1);
  }
  const errors = failed > 0 ? element("span", { class: "error" }, `✗ ${failed} failed`) : "";
  const top = [
    element("b", {}, `${trace.processes[root.processID].serviceName}: ${root.operationName}`),
    element("span", {}, errors, ` ${formatDuration(duration)}`),
  ];
  const services = [...counts].map(([name, count]) => serviceLabel(name, ` ${count}`));
  const when = new Date(start / 1000).toLocaleTimeString([], { hour12: false });
  const bottom = [...services, element("span", { class: "faint" }, when)];
  return element(
    "li",
    {},
    element(
      "a",
      { href: `/trace/${trace.traceID}` },
      element("div", { class: "top" }, ...top),
      element("div", { class: "services" }, ...bottom),
    ),
  );
}

async function showTrace(id) {
  const [trace] = await fetchData(`/api/traces/${id}`);
  const { root, start, duration, failed } = overview(trace);
  const title = `${trace.processes[root.processID].serviceName}: ${root.operationName}`;
  document.title = `${title} · OrderFlow`;
  const details = element("aside", { class: "details" });
  const rows = treeOrder(trace).map(({ span, depth }) => {
    const row = spanRow(trace, span, { depth, start, duration });
    row.addEventListener("click", () => choose(row, span));
    return row;
  });
  const choose = (row, span) => {
    for (const other of rows) other.setAttribute("aria-pressed", String(other === row));
    details.replaceChildren(...spanDetails(trace, span, start));
    details.style.setProperty("--service", colorOf(trace.processes[span.processID].serviceName));
  };
  const services = [
    ...new Set(Object.values(trace.processes).map(({ serviceName }) => serviceName)),
  ];
  const facts = `${formatDuration(duration)} · ${trace.spans.length} spans · ${failed} failed · `;
  main.replaceChildren(
    element("h1", {}, title),
    element("div", { class: "faint" }, facts, element("code", {}, trace.traceID)),
    element("div", { class: "services" }, ...services.map((name) => serviceLabel(name))),
    element("div", { class: "trace" }, waterfall(rows, duration), details),
  );
  rows[0].click();
}

function waterfall(rows, duration) {
  const marks = [0, 0.25, 0.5, 0.75, 1].map((part) =>
    element("span", {}, formatDuration(duration * part)),
  );
  const axis = element(
    "div",
    { class: "axis" },
    element("div", {}, "Span"),
    element("div", {}, ...marks),
  );
  return element("section", { class: "waterfall" }, axis, ...rows);
}

function spanRow(trace, span, { depth, start, duration }) {
  const service = trace.processes[span.processID].serviceName;
  const failed = hasFailed(span);
  const from = duration === 0 ? 0 : (span.startTime - start) / duration;
  const width = duration === 0 ? 1 : span.duration / duration;
  const bar = element("div", { class: "bar" });
  bar.style.left = `${from * 100}%`;
  bar.style.width = `${width * 100}%`;
  // The time stands beside the bar where there is room, else on it.
  const took = element("span", { class: "took" }, formatDuration(span.duration));
  if (from + width < 0.85) took.style.left = `${(from + width) * 100}%`;
  else if (from > 0.15) took.style.right = `${(1 - from) * 100}%`;
  else took.classList.add("inside");
  const name = [
    element("span", { class: "swatch" }),
    failed ? element("span", { class: "error" }, "✗ ") : "",
    element("b", {}, service),
    ` ${span.operationName}`,
  ];
  const row = element(
    "button",
    { class: failed ? "span failed" : "span", type: "button", title: span.operationName },
    element("div", { class: "name" }, ...name),
    element("div", { class: "lane" }, bar, took),
  );
  row.style.setProperty("--depth", depth);
  row.style.setProperty("--service", colorOf(service));
  return row;
}

function spanDetails(trace, span, start) {
  const process = trace.processes[span.processID];
  const tags = new Map(span.tags.map(({ key, value }) => [key, value]));
  const at = `${formatDuration(span.startTime - start)} after the start`;
  const parts = [
    element("h1", {}, span.operationName),
    serviceLabel(process.serviceName, ` · ${tags.get("span.kind") ?? "unspecified kind"}`),
    element("div", { class: "faint" }, `${formatDuration(span.duration)}, ${at}`),
  ];
  if (hasFailed(span)) {
    const reason = tags.get("otel.status_description") ?? tags.get("error.type") ?? "failed";
    parts.push(element("div", { class: "error" }, `✗ ${reason}`));
  }
  const file = tags.get("code.file.path");
  if (file !== undefined) {
    const line = tags.get("code.line.number");
    const place = line === undefined ? String(file) : `${file}:${line}`;
    const inFunction = tags.get("code.function.name");
    parts.push(
      element(
        "div",
        { class: "location" },
        element("div", { class: "faint" }, "made by"),
        element("b", {}, place),
        inFunction === undefined ? "" : element("div", { class: "mono" }, String(inFunction)),
      ),
    );
  }
  parts.push(...section("Attributes", span.tags.length > 0 && [tagTable(span.tags)]));
  const events = span.logs.flatMap(({ timestamp, fields }) => [
    element("div", { class: "faint" }, `+${formatDuration(timestamp - span.startTime)}`),
    tagTable(fields),
  ]);
  parts.push(...section("Events", events.length > 0 && events));
  const links = linksOf(span).map(({ traceID, spanID }) => {
    const where = traceID === span.traceID ? "this trace" : `trace ${traceID}`;
    return element(
      "div",
      {},
      element("a", { href: `/trace/${traceID}` }, where),
      element("span", { class: "mono" }, ` span ${spanID}`),
    );
  });
  parts.push(...section("Links", links.length > 0 && links));
  parts.push(...section("Resource", process.tags.length > 0 && [tagTable(process.tags)]));
  parts.push(...section("Ids", [element("div", { class: "mono" }, `span ${span.spanID}`)]));
  return parts;
}

function section(title, children) {
  return children ? [element("h2", {}, title), ...children] : [];
}

function tagTable(tags) {
  const rows = tags.map(({ key, value }) =>
    element("tr", {}, element("td", {}, key), element("td", {}, String(value))),
  );
  return element("table", {}, ...rows);
}

/** Depth first, children by start; a span whose parent is missing stands as a root. */
function treeOrder(trace) {
  const known = new Set(trace.spans.map(({ spanID }) => spanID));
  const children = Map.groupBy(trace.spans, (span) => {
    const parent = parentOf(span);
    return known.has(parent) ? parent : undefined;
  });
  const order = [];
  const seen = new Set();
  const visit = (span, depth) => {
    if (seen.has(span)) return;
    seen.add(span);
    order.push({ span, depth });
    for (const child of children.get(span.spanID) ?? []) visit(child, depth + 1);
  };
  for (const root of children.get(undefined) ?? []) visit(root, 0);
  for (const span of trace.spans) visit(span, 0);
  return order;
}

function parentOf(span) {
  const [first] = span.references;
  return first?.traceID === span.traceID ? first.spanID : undefined;
}

function linksOf(span) {
  return span.references.filter(({ refType }) => refType === "FOLLOWS_FROM");
}

function overview(trace) {
  const start = Math.min(...trace.spans.map((span) => span.startTime));
  const end = Math.max(...trace.spans.map((span) => span.startTime + span.duration));
  const root = trace.spans.find((span) => span.references.length === 0) ?? trace.spans[0];
  return { root, start, duration: end - start, failed: trace.spans.filter(hasFailed).length };
}

function hasFailed(span) {
  return span.tags.some(({ key, value }) => key === "error" && value === true);
}

function serviceLabel(name, more = "") {
  const swatch = element("span", { class: "swatch" });
  swatch.style.setProperty("--service", colorOf(name));
  return element("span", {}, swatch, name, element("span", { class: "faint" }, more));
}

function colorOf(service) {
  if (Object.hasOwn(COLORS, service)) return COLORS[service];
  let hue = 0;
  for (const character of service) hue = (hue * 31 + character.codePointAt(0)) % 360;
  return `hsl(${hue} 50% 50%)`;
}

function formatDuration(micros) {
  if (micros < 1000) return `${Math.round(micros)} µs`;
  if (micros < 1_000_000) return `${(micros / 1000).toFixed(micros < 10_000 ? 2 : 1)} ms`;
  return `${(micros / 1_000_000).toFixed(2)} s`;
}

/** @returns the `data` of one of Jaeger's answers */
async function fetchData(path) {
  const response = await fetch(path);
  const { data, errors } = await response.json();
  if (!response.ok) throw new Error(errors?.[0]?.msg ?? `the store answered ${response.status}`);
  return data;
}

/** Makes an element; strings among the children become text, never markup. */
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
