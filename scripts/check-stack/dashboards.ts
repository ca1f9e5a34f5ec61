/** Dashboards: their panels, and what each of a panel's queries asks. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DASHBOARDS_FOLDER, readText, ROOT } from "./files.ts";

/** A query of a panel. */
export type PanelQuery = {
  readonly dashboard: string;
  readonly panel: string;
} & (
  | { readonly kind: "prometheus"; readonly query: string; readonly wantsExemplars: boolean }
  | { readonly kind: "jaeger search"; readonly parameters: URLSearchParams }
  /** One trace; its id is a field on the page. */
  | { readonly kind: "jaeger trace" }
);

interface Dashboard {
  readonly title: string;
  readonly panels: readonly Panel[];
}

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly Target[];
}

interface Target {
  readonly datasource: { readonly type: string; readonly uid: string };
  readonly expr?: string;
  readonly exemplar?: boolean;
  readonly query?: string;
  readonly queryType?: string;
  readonly service?: string;
  readonly operation?: string;
  readonly limit?: number;
}

/** What Grafana puts into a query before it sends it. The window is short: a check has no time. */
const VARIABLES: Readonly<Record<string, string>> = {
  $__rate_interval: "30s",
  $job: ".+",
};

/** @returns the files' names */
export async function dashboardFiles(): Promise<string[]> {
  const names = await readdir(join(ROOT, DASHBOARDS_FOLDER));
  return names.filter((name) => name.endsWith(".json")).sort();
}

/** All queries of a dashboard, in the order of its panels. */
export async function panelQueries(file: string): Promise<PanelQuery[]> {
  const { title, panels } = JSON.parse(await readText(join(DASHBOARDS_FOLDER, file))) as Dashboard;
  return panels.flatMap((panel) =>
    (panel.targets ?? []).map((target) => ({
      dashboard: title,
      panel: panel.title,
      ...queryOf(target),
    })),
  );
}

function queryOf(target: Target) {
  if (target.datasource.type === "prometheus") {
    const query = Object.entries(VARIABLES).reduce(
      (text, [name, value]) => text.replaceAll(name, value),
      target.expr ?? "",
    );
    const unknown = /\$\w+/.exec(query);
    if (unknown) throw new Error(`${unknown[0]} in a query is no variable that is known here`);
    return { kind: "prometheus", query, wantsExemplars: target.exemplar === true } as const;
  }
  if (target.queryType !== "search") return { kind: "jaeger trace" } as const;
  const parameters = new URLSearchParams({
    service: target.service ?? "",
    operation: target.operation ?? "",
    limit: String(target.limit ?? 20),
  });
  return { kind: "jaeger search", parameters } as const;
}
