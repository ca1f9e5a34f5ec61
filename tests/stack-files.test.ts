// The files of the Docker stack fit each other and the code. It needs neither Docker nor anything else
// installed; scripts/check-stack goes further where the programs are there.
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "bun:test";
import { brokerList } from "#lib/kafka/config.ts";
import { loadServiceConfig, postgresUrl, serviceUrl } from "#lib/service/config.ts";
import {
  factsOf,
  neededBy,
  SERVICE_NAMES,
  urlVariable,
  type ServiceName,
} from "#lib/service/services.ts";
import packageJson from "../package.json" with { type: "json" };
import { dashboardFiles, panelQueries } from "../scripts/check-stack/dashboards.ts";
import { dockerIgnore } from "../scripts/check-stack/docker-ignore.ts";
import { execForm, keyValues, parseDockerfile } from "../scripts/check-stack/dockerfile.ts";
import {
  COLLECTOR_FOLDER,
  COMPOSE_FILES,
  DASHBOARDS_FOLDER,
  memoryLimitMib,
  PROMETHEUS_FOLDER,
  readCompose,
  readText,
  readYaml,
  ROOT,
  type ComposeService,
} from "../scripts/check-stack/files.ts";

/** The original's make targets that are about containers. */
const SEED_COMMANDS = ["docker:up", "docker:up-all", "docker:down", "docker:logs", "docker:build"];
const STACK_COMMANDS = ["otel:up", "otel:down", "all:up", "all:down"];

const compose = await readCompose("docker-compose.yml");
const local = await readCompose("docker-compose.local.yml");
const composeText = (await Promise.all(COMPOSE_FILES.map(readText))).join("\n");
const operations = await readText("docs/operations.md");
const entries = Object.entries(compose.services);

describe("docker-compose.yml", () => {
  test("has every part of the system, and each profile what it is for", () => {
    const observability = ["grafana", "jaeger", "otel-collector", "prometheus"];
    const infrastructure = ["kafka", "postgres"];
    expect(withProfile("")).toEqual(infrastructure);
    expect(withProfile("services")).toEqual(
      [...SERVICE_NAMES, ...infrastructure, "migrate"].sort(),
    );
    expect(withProfile("otel")).toEqual([...observability, ...infrastructure].sort());
    expect(withProfile("all")).toEqual(Object.keys(compose.services).sort());
  });

  test("pins every image to one version", () => {
    for (const [name, { image = "", build }] of entries) {
      if (build) expect([name, image]).toEqual([name, "orderflow:${ORDERFLOW_VERSION:-local}"]);
      else expect([name, image]).toEqual([name, expect.stringMatching(/^[\w/-]+:v?\d[\w.-]+$/)]);
    }
  });

  test("restarts and bounds every container", () => {
    for (const [name, service] of entries) {
      expect([name, service.restart]).toEqual([name, expect.stringMatching(/./)]);
    }
    expect(memoryLimitMib(compose)).toBePositive();
  });

  test("asks every container whether it is healthy, but for those that cannot be asked", () => {
    const unasked = entries.filter(([, { healthcheck }]) => !healthcheck?.["test"]);
    // Migrations end, and the Collector's image holds nothing that could ask.
    expect(unasked.map(([name]) => name)).toEqual(["migrate", "otel-collector"]);
  });

  test("waits only for what is there in the same profile, and for health only where it is told", () => {
    for (const [name, { depends_on = {}, profiles = [] }] of entries) {
      for (const [other, { condition }] of Object.entries(depends_on)) {
        const needed = compose.services[other];
        expect([name, other, needed !== undefined]).toEqual([name, other, true]);
        const missing = profiles.filter((one) => needed?.profiles?.includes(one) === false);
        expect([name, other, missing]).toEqual([name, other, []]);
        if (condition === "service_healthy") expect(needed?.healthcheck?.["test"]).toBeDefined();
      }
    }
  });

  test("publishes what is reached from outside and the observability pages, on loopback and nowhere else", () => {
    const publishing = entries.filter(([, { ports }]) => ports).map(([name]) => name);
    const edges = SERVICE_NAMES.filter((name) => factsOf(name).edge);
    expect(publishing.sort()).toEqual([...edges, "grafana", "jaeger", "prometheus"].sort());
    const all = [...entries, ...Object.entries(local.services)];
    for (const [, { ports = [] }] of all) {
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\$\{[A-Z]+_PORT:-\d+\}:\d+$/);
    }
  });

  test("mounts only what exists, read-only, and volumes that it declares", () => {
    for (const [, { volumes = [] }] of entries) {
      for (const volume of volumes) {
        const [source = "", , mode] = volume.split(":");
        if (source.startsWith("./")) {
          expect([source, existsSync(join(ROOT, source)), mode]).toEqual([source, true, "ro"]);
        } else {
          expect(Object.keys(compose.volumes ?? {})).toContain(source);
        }
      }
    }
  });

  test("names only files that a mount has", () => {
    let files = 0;
    for (const [, service] of entries) {
      for (const path of mentionedFiles(service)) {
        files++;
        expect([path, existsSync(join(ROOT, hostPath(service, path)))]).toEqual([path, true]);
      }
    }
    expect(files).toBeGreaterThanOrEqual(5);
  });

  test("gives every variable a default, and docs/operations.md tells of it", () => {
    const variables = [...composeText.matchAll(/\$\{(\w+)(:-[^}]*)?\}/g)];
    expect(variables.length).toBeGreaterThan(10);
    for (const [, name = "", fallback] of variables) {
      expect([name, fallback !== undefined]).toEqual([name, true]);
      expect(operations).toContain(`\`${name}\``);
    }
  });

  test("gives every service what its configuration asks for, at addresses where it is", () => {
    for (const name of SERVICE_NAMES) {
      const env = environment(compose.services[name]);
      expect(env["SERVICE"]).toBe(name);
      expect(loadServiceConfig(env, 0).port).toBe(factsOf(name).port);
      const needed = neededBy<() => unknown>(name, {
        postgres: () => () => postgresUrl(env, "POSTGRES_URL"),
        kafka: () => () => brokerList(env, "KAFKA_BROKERS"),
        url: (other) => () =>
          expect([name, serviceUrl(env, urlVariable(other))]).toEqual([
            name,
            `http://${other}:${factsOf(other).port}`,
          ]),
      });
      for (const [variable, read] of Object.entries(needed)) {
        expect([name, variable, variable in env]).toEqual([name, variable, true]);
        read();
      }
      // Started after those whom it calls: a start that finds nobody is a start that is tried again.
      const after = Object.keys(compose.services[name]?.depends_on ?? {});
      expect([name, after]).toEqual([name, expect.arrayContaining([...factsOf(name).calls])]);
    }
  });
});

describe("Dockerfile", async () => {
  const { globals, stages } = parseDockerfile(await readText("Dockerfile"));
  const image = stages.at(-1);
  const all = stages.flatMap(({ instructions }) => instructions);
  const last = (name: string) => image?.instructions.findLast((one) => one.name === name)?.text;
  const isIgnored = dockerIgnore(await readText(".dockerignore"));

  test("installs what the lockfile says, without what only development needs", () => {
    const runs = all.filter(({ name }) => name === "RUN").map(({ text }) => text);
    expect(runs).toEqual(["bun install --frozen-lockfile --production --ignore-scripts"]);
  });

  test("uses the Bun that package.json asks for, on every stage and on the label", () => {
    const version = keyValues(globals[0]?.text ?? "")["BUN_VERSION"] ?? "";
    expect(packageJson.engines.bun).toBe(`>=${version}`);
    for (const { from } of stages) expect(from).toBe("oven/bun:${BUN_VERSION}-slim");
    const labels = keyValues(last("LABEL") ?? "");
    expect(labels["org.opencontainers.image.base.name"]).toBe(`docker.io/oven/bun:${version}-slim`);
  });

  test("runs as an ordinary user, with a health check and a stop signal", () => {
    expect(last("USER")).toMatch(/^[1-9]\d*$/);
    expect(last("HEALTHCHECK")).toContain("/healthz");
    expect(last("EXPOSE")?.split(" ").map(Number)).toEqual(
      SERVICE_NAMES.map((name) => factsOf(name).port),
    );
    expect(last("STOPSIGNAL")).toBe("SIGTERM");
    expect(execForm(last("CMD") ?? "")?.at(-1)).toStartWith("exec bun ");
  });

  test("copies what exists, and .dockerignore lets it see no test and no stand-in", async () => {
    const sources = all
      .filter(({ name, text }) => name === "COPY" && !text.startsWith("--from"))
      .flatMap(({ text }) => text.split(/\s+/).slice(0, -1));
    for (const source of sources) {
      expect([source, existsSync(join(ROOT, source)), isIgnored(source)]).toEqual([
        source,
        true,
        false,
      ]);
    }
    // What a copied script imports from beside it is copied, too.
    const scripts = sources.filter((source) => source.startsWith("scripts/"));
    for (const script of scripts) {
      const { imports } = new Bun.Transpiler({ loader: "ts" }).scan(await readText(script));
      const beside = imports
        .map(({ path }) => (path.startsWith(".") ? join(dirname(script), path) : ""))
        .filter((path) => path.startsWith("scripts/"));
      expect([script, scripts]).toEqual([script, expect.arrayContaining(beside)]);
    }
    const files = await readdir(join(ROOT, "lib"), { recursive: true });
    const seen = files.map((file) => `lib/${file}`).filter((file) => !isIgnored(file));
    expect(seen).toContain("lib/service/app.ts");
    expect(seen.filter((file) => /\.test\.ts$|^lib\/embedded/.test(file))).toEqual([]);
    for (const path of [".git/config", "tests/flow.test.ts", ".env", "node_modules/elysia"]) {
      expect([path, isIgnored(path)]).toEqual([path, true]);
    }
  });
});

describe("Prometheus and the Collector", () => {
  test("every service is scraped at its port, by its name", async () => {
    const config = (await readYaml(join(PROMETHEUS_FOLDER, "prometheus.yml"))) as {
      rule_files: string[];
      scrape_configs: { job_name: string; dns_sd_configs?: { names: string[]; port: number }[] }[];
    };
    const scraped = config.scrape_configs
      .filter((job) => job.dns_sd_configs)
      .map(({ job_name, dns_sd_configs = [] }) => [
        job_name,
        dns_sd_configs.map(({ names, port }) => ({ names, port })),
      ]);
    expect(scraped).toEqual(
      SERVICE_NAMES.map((name) => [name, [{ names: [name], port: factsOf(name).port }]]),
    );
    for (const file of config.rule_files) {
      expect([file, existsSync(join(ROOT, PROMETHEUS_FOLDER, file))]).toEqual([file, true]);
    }
  });

  test("the Collector's pipelines name only what is configured", async () => {
    const base = (await readYaml(join(COLLECTOR_FOLDER, "config.yaml"))) as CollectorConfig;
    for (const file of ["keep-all.yaml", "tail-sampling.yaml"]) {
      const over = (await readYaml(join(COLLECTOR_FOLDER, file))) as Partial<CollectorConfig>;
      const processors = { ...base.processors, ...over.processors };
      const known = {
        receivers: Object.keys({ ...base.receivers, ...base.connectors }),
        processors: Object.keys(processors),
        exporters: Object.keys({ ...base.exporters, ...base.connectors }),
      };
      for (const pipelines of [base.service.pipelines, over.service?.pipelines ?? {}]) {
        for (const pipeline of Object.values(pipelines)) {
          for (const [kind, names] of Object.entries(pipeline)) {
            expect(known[kind as keyof typeof known]).toEqual(expect.arrayContaining(names));
          }
        }
      }
      // Whichever file is chosen, the pipeline to Jaeger sends in batches.
      expect(over.service?.pipelines["traces/keep"]?.["processors"]?.at(-1)).toBe("batch");
    }
  });
});

describe("Grafana's dashboards", () => {
  test("ask for metrics that something exports", async () => {
    const known = await knownMetrics();
    let queries = 0;
    for (const file of await dashboardFiles()) {
      for (const query of await panelQueries(file)) {
        if (query.kind !== "prometheus") continue;
        queries++;
        for (const name of metricNames(query.query)) {
          const isKnown = known.some((start) => name.startsWith(start));
          expect([file, query.panel, name, isKnown]).toEqual([file, query.panel, name, true]);
        }
      }
    }
    expect(queries).toBeGreaterThan(40);
  });

  test("use data sources that are provisioned, and ids of their own", async () => {
    const provisioned = (await readYaml(
      "observability/grafana/provisioning/datasources/datasources.yaml",
    )) as { datasources: { uid: string; type: string }[] };
    const sources = provisioned.datasources.map(({ uid, type }) => `${type}/${uid}`);
    const uids: string[] = [];
    for (const file of await dashboardFiles()) {
      const dashboard = JSON.parse(await readText(join(DASHBOARDS_FOLDER, file))) as {
        uid: string;
        panels: { id: number; targets?: { datasource: { uid: string; type: string } }[] }[];
      };
      uids.push(dashboard.uid);
      const ids = dashboard.panels.map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      for (const { datasource } of dashboard.panels.flatMap(({ targets = [] }) => targets)) {
        expect(sources).toContain(`${datasource.type}/${datasource.uid}`);
      }
    }
    expect(uids.length).toBe(4);
    expect(new Set(uids).size).toBe(uids.length);
  });
});

test("the original's commands are package scripts, and make has each under its old name", async () => {
  const makefile = await readText("Makefile");
  for (const command of [...SEED_COMMANDS, ...STACK_COMMANDS]) {
    expect(Object.keys(packageJson.scripts)).toContain(command);
    expect(makefile).toContain(command.replace(":", "-"));
  }
  // And knows where each one listens that another calls.
  for (const name of new Set(SERVICE_NAMES.flatMap((one) => factsOf(one).calls))) {
    const url = `http://localhost:${factsOf(name as ServiceName).port}`;
    expect(makefile).toContain(`run-%: export ${urlVariable(name)} ?= ${url}\n`);
  }
  const scripts = packageJson.scripts as Record<string, string>;
  for (const [, script = ""] of makefile.matchAll(/^\tbun run ([\w:-]+)(?=\s|$)/gm)) {
    expect([script, scripts[script] !== undefined]).toEqual([script, true]);
  }
});

/** What `docker compose --profile …` starts. */
function withProfile(profile: string): string[] {
  return entries
    .filter(([, { profiles }]) => !profiles || profiles.includes(profile))
    .map(([name]) => name)
    .sort();
}

interface CollectorConfig {
  readonly receivers: object;
  readonly processors: object;
  readonly exporters: object;
  readonly connectors: object;
  readonly service: { pipelines: Record<string, Record<string, string[]>> };
}

/** A service's environment, each variable of ours at its default. */
function environment({ environment: given = {} }: ComposeService = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, withDefaults(String(value))]),
  );
}

function withDefaults(text: string): string {
  return text.replace(/\$\{\w+:-([^}]*)\}/g, "$1");
}

/** The absolute paths under a folder of ours that a container's command and environment name. */
function mentionedFiles({ command = [], environment: env = {} }: ComposeService): string[] {
  const texts = [...command, ...Object.values(env).map(String)].map(withDefaults);
  return texts.flatMap((text) => text.match(/\/etc\/[\w./-]+\.(?:yaml|yml|json)/g) ?? []);
}

/** Where a file in a container is in the project. */
function hostPath({ volumes = [] }: ComposeService, path: string): string {
  for (const volume of volumes) {
    const [source = "", target = ""] = volume.split(":");
    if (path.startsWith(`${target}/`)) return join(source, path.slice(target.length));
  }
  return "is not mounted";
}

/** The beginnings of all metric names there are: ours as the code has them, and others' by family. */
async function knownMetrics(): Promise<string[]> {
  const folders = ["lib/telemetry", "lib/kafka", "lib/orders", "lib/service", "services"];
  const names = new Set<string>();
  for (const folder of folders) {
    for (const file of await readdir(join(ROOT, folder), { recursive: true })) {
      if (!file.endsWith(".ts") || file.endsWith(".test.ts")) continue;
      const text = await readText(join(folder, file));
      for (const [, name = ""] of text.matchAll(
        /"((?:http|db|messaging|process|orderflow)\.[\w.]+)"/g,
      ))
        names.add(name.replaceAll(".", "_"));
    }
  }
  const rules = (await readYaml(join(PROMETHEUS_FOLDER, "rules/red.yml"))) as {
    groups: { rules: { record: string }[] }[];
  };
  const recorded = rules.groups.flatMap((group) => group.rules.map(({ record }) => record));
  const others = ["otel_sdk_", "otelcol_", "traces_span_metrics_", "traces_service_graph_"];
  return [...names, ...recorded, ...others, "scrape_", "prometheus_tsdb_"];
}

/** The names in a query that are neither functions, nor labels, nor words of PromQL. */
function metricNames(query: string): string[] {
  const bare = query
    .replace(/"[^"]*"/g, "")
    .replace(/\{[^}]*\}|\[[^\]]*\]/g, "")
    .replace(/\b(?:by|on|without)\s*\([^)]*\)/g, "");
  const words = bare.match(/[a-zA-Z_][\w:]*(?!\w*\s*\()/g) ?? [];
  return words.filter((word) => word.includes("_") && !/^histogram_quantile?$/.test(word));
}
