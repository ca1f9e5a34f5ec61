/** The files of the stack, read. */
import { join } from "node:path";

/** The project's folder. */
export const ROOT = join(import.meta.dir, "../..");

export const COMPOSE_FILES = ["docker-compose.yml", "docker-compose.local.yml"] as const;
export const DASHBOARDS_FOLDER = "observability/grafana/dashboards";
export const PROMETHEUS_FOLDER = "observability/prometheus";
export const COLLECTOR_FOLDER = "observability/collector";
export const JAEGER_FOLDER = "observability/jaeger";

/** The parts of a compose service that the checks look at. */
export interface ComposeService {
  readonly image?: string;
  readonly build?: unknown;
  readonly profiles?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { condition: string }>>;
  readonly healthcheck?: Readonly<Record<string, unknown>>;
  readonly restart?: string;
  readonly mem_limit?: string;
  readonly read_only?: boolean;
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes?: Readonly<Record<string, unknown>>;
}

/** @param path from the project's folder */
export async function readText(path: string): Promise<string> {
  return await Bun.file(join(ROOT, path)).text();
}

/** @throws SyntaxError where it is no YAML */
export async function readYaml(path: string): Promise<unknown> {
  return Bun.YAML.parse(await readText(path));
}

export async function readCompose(path: string): Promise<ComposeFile> {
  return (await readYaml(path)) as ComposeFile;
}

/** The memory that all containers together may take, in MiB. */
export function memoryLimitMib({ services }: ComposeFile): number {
  return Object.values(services).reduce((sum, { mem_limit = "" }) => {
    const mib = /^(\d+)m$/.exec(mem_limit)?.[1];
    return mib ? sum + Number(mib) : Number.NaN;
  }, 0);
}
