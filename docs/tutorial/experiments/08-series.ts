// What a series costs: the same requests counted by their route, and by their path.
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import {
  DataPointType,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";

let bytes = 0;
await using collector = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    bytes += (await request.bytes()).length;
    return new Response();
  },
});
const url = `${collector.url.origin}/v1/metrics`;

console.log("by            requests    series  kB in each export");
for (const requests of [1_000, 10_000]) {
  await count("http.route", requests, () => "/orders/:id");
  await count("url.path", requests, (id) => `/orders/${id}`);
}

async function count(attribute: string, requests: number, of: (id: string) => string) {
  const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter({ url }) });
  const provider = new MeterProvider({ readers: [reader] });
  const counter = provider.getMeter("experiment").createCounter("requests");
  for (let n = 0; n < requests; n++) {
    counter.add(1, { [attribute]: of(crypto.randomUUID()) });
  }
  const { resourceMetrics } = await reader.collect();
  const metric = resourceMetrics.scopeMetrics[0]?.metrics[0];
  const series = metric?.dataPointType === DataPointType.SUM ? metric.dataPoints : [];
  bytes = 0;
  await provider.shutdown();
  const numbers = [requests, series.length, Math.ceil(bytes / 1_000)];
  console.log(attribute.padEnd(12), ...numbers.map((each) => String(each).padStart(9)));
  const overflow = series.find(({ attributes }) => attributes["otel.metric.overflow"]);
  if (overflow)
    console.log(`  ${overflow.value} requests in one series, otel.metric.overflow=true`);
}
