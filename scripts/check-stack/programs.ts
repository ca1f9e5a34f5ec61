/** Collector, Jaeger and Prometheus as processes on loopback, with the configuration that compose mounts. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endProcess } from "#lib/embedded/bun-process.ts";
import { freePort } from "#lib/embedded/free-port.ts";
import { COLLECTOR_FOLDER, JAEGER_FOLDER, PROMETHEUS_FOLDER, readYaml, ROOT } from "./files.ts";

/** What is started, and where it listens. */
export interface Programs {
  /** Where services send OTLP over HTTP. */
  readonly otlpUrl: string;
  /** Jaeger's page and query API. */
  readonly jaegerUrl: string;
  /** Prometheus's page and query API; undefined where it is not installed. */
  readonly prometheusUrl: string | undefined;
  /** Starts to scrape services, under their names; their addresses are known later than ours. */
  scrape(services: Readonly<Record<string, string>>): Promise<void>;
  stop(): Promise<void>;
}

export interface ProgramPaths {
  readonly collector: string;
  readonly jaeger: string;
  readonly prometheus: string | undefined;
}

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;
const SCRAPE_INTERVAL = "1s";
const EVALUATION_INTERVAL = "1s";

/**
 * Starts them. Only addresses differ from compose: another file goes over the configuration, which is
 * otherwise the one that is mounted there.
 *
 * @param copyTo where the Collector sends all traces as well, over OTLP/HTTP
 * @throws Error with the program's last words where one does not start; nothing is left running
 */
export async function startPrograms(paths: ProgramPaths, copyTo: string): Promise<Programs> {
  const folder = await mkdtemp(join(tmpdir(), "orderflow-stack-"));
  const started: Started[] = [];
  const stop = async () => {
    await Promise.all(started.map((program) => program.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  const ports = freePorts();
  const address = (name: string) => `127.0.0.1:${ports(name)}`;
  const launch = async (name: string, command: readonly string[], readyUrl: string) => {
    const program = spawn(name, command, folder);
    started.push(program);
    await program.answers(readyUrl);
  };

  try {
    const jaegerUrl = `http://${address("jaeger query")}`;
    const prometheusUrl = paths.prometheus && `http://${address("prometheus")}`;
    await Bun.write(
      join(folder, "jaeger.yaml"),
      JSON.stringify(jaegerAddresses(address, prometheusUrl ?? "http://127.0.0.1:9")),
    );
    await launch(
      "jaeger",
      [paths.jaeger, ...configs(join(ROOT, JAEGER_FOLDER, "config.yaml"), "jaeger.yaml")],
      `http://${address("jaeger health")}/status`,
    );

    await Bun.write(
      join(folder, "collector.yaml"),
      JSON.stringify(collectorAddresses(address, copyTo)),
    );
    const collectorFiles = ["config.yaml", "keep-all.yaml"].map((file) =>
      join(ROOT, COLLECTOR_FOLDER, file),
    );
    await launch(
      "collector",
      [paths.collector, ...configs(...collectorFiles, "collector.yaml")],
      `http://${address("collector own")}/metrics`,
    );

    return {
      otlpUrl: `http://${address("otlp")}`,
      jaegerUrl,
      prometheusUrl,
      async scrape(services) {
        if (!paths.prometheus || !prometheusUrl) return;
        const command = await prometheusCommand(paths.prometheus, folder, address, services);
        await launch("prometheus", command, `${prometheusUrl}/-/ready`);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

type AddressOf = (name: string) => string;

function configs(...files: string[]): string[] {
  return files.map((file) => `--config=${file}`);
}

function jaegerAddresses(address: AddressOf, prometheusUrl: string) {
  return {
    receivers: { otlp: { protocols: { grpc: { endpoint: address("jaeger otlp") } } } },
    extensions: {
      jaeger_storage: {
        metric_backends: { span_metrics: { prometheus: { endpoint: prometheusUrl } } },
      },
      jaeger_query: {
        http: { endpoint: address("jaeger query") },
        grpc: { endpoint: address("jaeger grpc") },
      },
      healthcheckv2: { http: { endpoint: address("jaeger health") } },
    },
    service: { telemetry: ownMetrics(address("jaeger own")) },
  };
}

function collectorAddresses(address: AddressOf, copyTo: string) {
  return {
    receivers: {
      otlp: {
        protocols: {
          http: { endpoint: address("otlp") },
          grpc: { endpoint: address("otlp grpc") },
        },
      },
    },
    exporters: {
      "otlp/jaeger": { endpoint: address("jaeger otlp") },
      "otlphttp/copy": { endpoint: copyTo },
      prometheus: { endpoint: address("collector metrics") },
    },
    service: {
      telemetry: ownMetrics(address("collector own")),
      pipelines: { "traces/keep": { exporters: ["otlp/jaeger", "otlphttp/copy"] } },
    },
  };
}

function ownMetrics(address: string) {
  const [host, port] = address.split(":");
  return {
    metrics: { readers: [{ pull: { exporter: { prometheus: { host, port: Number(port) } } } }] },
  };
}

/** Writes its configuration. @returns how it is started */
async function prometheusCommand(
  program: string,
  folder: string,
  address: AddressOf,
  services: Readonly<Record<string, string>>,
): Promise<string[]> {
  const config = await prometheusConfig({
    ...services,
    spans: address("collector metrics"),
    "otel-collector": address("collector own"),
    jaeger: address("jaeger own"),
    prometheus: address("prometheus"),
  });
  const file = join(folder, "prometheus.yml");
  await Bun.write(file, JSON.stringify(config));
  return [
    program,
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, "prometheus")}`,
    `--web.listen-address=${address("prometheus")}`,
    "--enable-feature=exemplar-storage",
  ];
}

interface PrometheusConfig {
  readonly global: object;
  readonly rule_files: readonly string[];
  readonly scrape_configs: readonly ScrapeConfig[];
}

interface ScrapeConfig {
  readonly job_name: string;
  readonly dns_sd_configs?: unknown;
}

/** The file that compose mounts, with a fixed target for each job, and faster. */
async function prometheusConfig(targets: Readonly<Record<string, string>>) {
  const config = (await readYaml(join(PROMETHEUS_FOLDER, "prometheus.yml"))) as PrometheusConfig;
  return {
    ...config,
    global: { scrape_interval: SCRAPE_INTERVAL, evaluation_interval: EVALUATION_INTERVAL },
    rule_files: config.rule_files.map((file) => join(ROOT, PROMETHEUS_FOLDER, file)),
    scrape_configs: config.scrape_configs.map((job) => {
      const target = targets[job.job_name];
      if (!target) throw new Error(`prometheus.yml has a job ${job.job_name} that is unknown here`);
      return { ...job, dns_sd_configs: [], static_configs: [{ targets: [target] }] };
    }),
  };
}

interface Started {
  /** Resolves when a URL answers 200. @throws Error with the program's last words where it ends */
  answers(url: string): Promise<void>;
  stop(): Promise<void>;
}

function spawn(name: string, command: readonly string[], cwd: string): Started {
  const log = join(cwd, `${name}.log`);
  const child = Bun.spawn([...command], {
    cwd,
    stdin: "ignore",
    stdout: Bun.file(log),
    stderr: Bun.file(`${log}.err`),
  });
  return {
    async answers(url) {
      const untilMs = performance.now() + START_TIMEOUT_MS;
      while (performance.now() < untilMs && child.exitCode === null) {
        const response = await fetch(url).catch(() => undefined);
        if (response?.ok) return;
        await Bun.sleep(100);
      }
      const words = (await Bun.file(`${log}.err`).text()).slice(-2_000);
      throw new Error(`${name} did not start:\n${words}`);
    },
    stop: () => endProcess(child, "SIGTERM", STOP_TIMEOUT_MS),
  };
}

/** A free port for each name, the same one each time. */
function freePorts(): (name: string) => number {
  const taken = new Map<string, number>();
  return (name) => {
    const known = taken.get(name);
    if (known) return known;
    const port = freePort();
    taken.set(name, port);
    return port;
  };
}
