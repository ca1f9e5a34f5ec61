/**
 * What files say of the services that cannot read the list (lib/service/services.ts): compose, the Dockerfile, the
 * Makefile, Prometheus. For Kubernetes: kubernetes.ts.
 */
import {
  CALLED_NAMES,
  factsOf,
  neededBy,
  SERVICE_NAMES,
  urlVariable,
  type ServiceName,
} from "#lib/service/services.ts";
import { memoryLimitMib, readCompose } from "../check-stack/files.ts";
import { markdownTable } from "../shared/markdown-table.ts";
import type { Sections } from "./marks.ts";

/** Where a service is, among containers. */
export function addressOf(name: ServiceName): string {
  return `http://${name}:${factsOf(name).port}`;
}

export const COMPOSE_SECTIONS: Sections = {
  services: () => SERVICE_NAMES.map(composeService).join("\n\n"),
};

export const DOCKERFILE_SECTIONS: Sections = {
  ports: () => `EXPOSE ${SERVICE_NAMES.map((name) => factsOf(name).port).join(" ")}`,
};

export const MAKEFILE_SECTIONS: Sections = {
  addresses: () =>
    CALLED_NAMES.map((name) => {
      return `run-%: export ${urlVariable(name)} ?= http://localhost:${factsOf(name).port}`;
    }).join("\n"),
};

export const PROMETHEUS_SECTIONS: Sections = {
  services: () =>
    SERVICE_NAMES.map((name) => {
      const found = `names: [${name}], type: A, port: ${factsOf(name).port}, refresh_interval: 5s`;
      return `  - job_name: ${name}\n    dns_sd_configs: [{ ${found} }]`;
    }).join("\n"),
};

export const ALERT_SECTIONS: Sections = {
  services: () => {
    const absent = SERVICE_NAMES.map((name) => `absent(up{job="${name}"})`);
    return `        expr: >-\n          ${absent.join("\n          or ")}`;
  },
};

/** For the alerts' own test, in which these two do not. */
export const ALERT_TEST_SECTIONS: Sections = {
  "services that stay": () =>
    SERVICE_NAMES.filter((name) => name !== "orders" && name !== "worker")
      .map((name) => {
        const instance = `${name}:${factsOf(name).port}`;
        return `      - { series: 'up{job="${name}",instance="${instance}"}', values: "1x20" }`;
      })
      .join("\n"),
};

/** For docs/operations.md: the memory that containers may take, as docker-compose.yml has it. */
export async function memoryTable(): Promise<string> {
  const compose = await readCompose("docker-compose.yml");
  const byLimit = Map.groupBy(Object.keys(compose.services), (name) => {
    return Number.parseInt(compose.services[name]?.mem_limit ?? "", 10);
  });
  const rows = [...byLimit].sort(([a], [b]) => b - a);
  return markdownTable(
    ["container", "MiB"],
    [
      ...rows.map(([mib, names]) => [names.join(", "), `${mib}${names.length > 1 ? " each" : ""}`]),
      ["all together", `**${memoryLimitMib(compose)}**`],
    ],
  );
}

function composeService(name: ServiceName): string {
  const { port, postgres, kafka, edge, calls } = factsOf(name);
  const environment = neededBy(name, {
    postgres: () => "*postgres-url",
    kafka: () => "kafka:9092",
    url: addressOf,
  });
  const after = [
    ...(postgres
      ? ["migrate: { condition: service_completed_successfully }", whenHealthy("postgres")]
      : []),
    // Orders are taken without Kafka, whose events wait in the outbox; a consumer waits for it.
    ...(kafka ? ["kafka: { condition: service_started }"] : []),
    ...calls.map(whenHealthy),
  ];
  return [
    `  ${name}:`,
    "    <<: *service",
    "    environment:",
    "      <<: *telemetry",
    `      SERVICE: ${name}`,
    `      PORT: ${port}`,
    ...Object.entries(environment).map(([variable, value]) => `      ${variable}: ${value}`),
    ...(edge ? [`    ports: ["127.0.0.1:\${${name.toUpperCase()}_PORT:-${port}}:${port}"]`] : []),
    ...(after.length > 0 ? ["    depends_on:", ...after.map((line) => `      ${line}`)] : []),
  ].join("\n");
}

function whenHealthy(name: string): string {
  return `${name}: { condition: service_healthy }`;
}
