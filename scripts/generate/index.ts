/**
 * Writes what follows from the code into files that cannot read it: `bun run generate`.
 *
 * tests/generated.test.ts fails where a file is behind.
 */
import { join, relative } from "node:path";
import { SERVICE_NAMES } from "#lib/service/services.ts";
import { PROMETHEUS_FOLDER, ROOT } from "../check-stack/files.ts";
import { KUBERNETES_FOLDER } from "../check-stack/kubernetes-files.ts";
import { pageNames, pagePath, withGenerated } from "../tutorial/pages/page.ts";
import { configurationDocs } from "./config-docs.ts";
import {
  connectionsTable,
  KUSTOMIZATION_SECTIONS,
  LOCAL_KAFKA_SECTIONS,
  LOCAL_POSTGRES_SECTIONS,
  MANAGED_SECTIONS,
  NETWORK_POLICY_SECTIONS,
  newServiceFile,
  POOLER_SECTIONS,
  serviceSections,
} from "./kubernetes.ts";
import { withSections, type Sections } from "./marks.ts";
import {
  ALERT_SECTIONS,
  ALERT_TEST_SECTIONS,
  COMPOSE_SECTIONS,
  DOCKERFILE_SECTIONS,
  MAKEFILE_SECTIONS,
  memoryTable,
  PROMETHEUS_SECTIONS,
} from "./service-files.ts";
import { TELEMETRY_SECTIONS } from "./telemetry-docs.ts";

/** What a file is to be, given what it is; `""` is none yet. */
type Render = (text: string) => string | Promise<string>;

/** Every file with something generated, from the project's folder; after those that it is made from. */
export const GENERATED: ReadonlyMap<string, Render> = new Map<string, Render>([
  ["docker-compose.yml", sections(COMPOSE_SECTIONS)],
  ["Dockerfile", sections(DOCKERFILE_SECTIONS)],
  ["Makefile", sections(MAKEFILE_SECTIONS)],
  [join(PROMETHEUS_FOLDER, "prometheus.yml"), sections(PROMETHEUS_SECTIONS)],
  [join(PROMETHEUS_FOLDER, "rules/alerts.yml"), sections(ALERT_SECTIONS)],
  [join(PROMETHEUS_FOLDER, "rules/alerts.test.yml"), sections(ALERT_TEST_SECTIONS)],
  ...SERVICE_NAMES.map((name): [string, Render] => [
    manifest(`base/${name}.yaml`),
    (text) => (text ? withSections(text, serviceSections(name)) : newServiceFile(name)),
  ]),
  [manifest("base/kustomization.yaml"), sections(KUSTOMIZATION_SECTIONS)],
  [manifest("base/network-policies.yaml"), sections(NETWORK_POLICY_SECTIONS)],
  [manifest("overlays/local/postgres.yaml"), sections(LOCAL_POSTGRES_SECTIONS)],
  [manifest("overlays/local/kafka.yaml"), sections(LOCAL_KAFKA_SECTIONS)],
  [manifest("overlays/managed/kustomization.yaml"), sections(MANAGED_SECTIONS)],
  [manifest("overlays/managed-pooler/kustomization.yaml"), sections(POOLER_SECTIONS)],
  ["docs/configuration.md", configurationDocs],
  ["docs/operations.md", sections({ memory: memoryTable, connections: connectionsTable })],
  ["docs/telemetry.md", sections(TELEMETRY_SECTIONS)],
  // Listings and differences; what a run prints is recorded by scripts/tutorial/pages/index.ts.
  ...pageNames().map((page): [string, Render] => [
    relative(ROOT, pagePath(page)),
    (text) => withGenerated(text, page),
  ]),
]);

function manifest(path: string): string {
  return join(KUBERNETES_FOLDER, path);
}

function sections(of: Sections): Render {
  return (text) => withSections(text, of);
}

if (import.meta.main) {
  for (const [path, render] of GENERATED) {
    const file = Bun.file(join(ROOT, path));
    const before = (await file.exists()) ? await file.text() : "";
    const after = await render(before);
    if (after === before) continue;
    await Bun.write(file, after);
    console.log(`${before === "" ? "new" : "changed"}: ${path}`);
  }
}
