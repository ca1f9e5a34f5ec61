/** Spans to a collector that speaks TLS and asks for a certificate, by the layer's own sender and by the SDK's. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeOtlp } from "#lib/embedded/traces/otlp-codec.ts";
import { makeCertificates, type Certificates } from "./support/certificates.ts";
import { startServiceProcess } from "./support/service-process.ts";
import { until } from "./support/until.ts";

const TEST_TIMEOUT_MS = 60_000;

let folder: string;
let certificates: Certificates;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "orderflow-collector-tls-"));
  certificates = await makeCertificates(folder, "localhost");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

/** The requests for traces that come through, and the log of the service that sent them. */
async function sendOneMail(env: Record<string, string>) {
  const requests: unknown[] = [];
  const pem = Bun.file(certificates.serverPemFile);
  const collector = Bun.serve({
    hostname: "localhost",
    port: 0,
    tls: {
      key: pem,
      cert: pem,
      ca: Bun.file(certificates.caFile),
      requestCert: true,
      rejectUnauthorized: true,
    },
    async fetch(request) {
      const body = await request.bytes();
      requests.push(decodeOtlp("ExportTraceServiceRequest", "application/x-protobuf", body));
      return new Response();
    },
  });
  undo.push(() => collector.stop(true));
  const email = await startServiceProcess("email", {
    EMAIL_DELAY_MS: "0-0",
    OTEL_EXPORTER_OTLP_ENDPOINT: `https://localhost:${collector.port}`,
    OTEL_EXPORTER_OTLP_TIMEOUT: "3000",
    OTEL_BSP_SCHEDULE_DELAY: "20",
    OTEL_METRICS_EXPORTER: "none",
    ...env,
  });
  undo.push(() => email.stop());
  const response = await fetch(`${email.url}/send`, {
    method: "POST",
    body: JSON.stringify({ to: "a@example.com", subject: "s", body: "b" }),
  });
  expect(response.status).toBe(200);
  return { requests, email };
}

describe.each(["on", "off"])("ORDERFLOW_TELEMETRY_SPEED=%s", (ORDERFLOW_TELEMETRY_SPEED) => {
  test(
    "a collector gets spans whose authority and whose wish for a certificate the variables meet",
    async () => {
      const { requests } = await sendOneMail({
        ORDERFLOW_TELEMETRY_SPEED,
        OTEL_EXPORTER_OTLP_CERTIFICATE: certificates.caFile,
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: certificates.clientCertFile,
        OTEL_EXPORTER_OTLP_CLIENT_KEY: certificates.clientKeyFile,
      });
      await until("a span has arrived", () => requests.length > 0);
      expect(JSON.stringify(requests)).toContain("POST /send");
    },
    TEST_TIMEOUT_MS,
  );

  test.each([
    [
      "of an unknown authority",
      () => ({ OTEL_EXPORTER_OTLP_CERTIFICATE: certificates.otherCaFile }),
    ],
    [
      "that asks for a certificate where there is none",
      () => ({
        OTEL_EXPORTER_OTLP_CERTIFICATE: certificates.caFile,
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: "",
        OTEL_EXPORTER_OTLP_CLIENT_KEY: "",
      }),
    ],
  ])(
    "a collector %s gets nothing, and that is said",
    async (_, env) => {
      const { requests, email } = await sendOneMail({
        ORDERFLOW_TELEMETRY_SPEED,
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: certificates.clientCertFile,
        OTEL_EXPORTER_OTLP_CLIENT_KEY: certificates.clientKeyFile,
        ...env(),
      });
      const said = () => email.lines.some(({ message }) => message.startsWith("telemetry:"));
      await until("it is said", said);
      expect(requests).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );
});
