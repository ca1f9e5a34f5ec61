/** Who may import whom, as docs/architecture.md says. */
import { targetOf } from "../../../scripts/check-docs/target.ts";
import type { Repository } from "../../../scripts/check-docs/repository.ts";

const IMPORT = /(?:^|\n)(?:import|export) [^;"]*?(\{[^}]*\} )?from "([^"]+)"|import\("([^"]+)"\)/g;
const SDK = /^@opentelemetry\/(?!api$|semantic-conventions$)/;
/** The parts of the house, the lowest first: one imports from lower floors, and nothing of its own one's others. */
const FLOORS = [
  ["lib/waiting", "lib/telemetry"],
  ["lib/service"],
  ["lib/kafka", "lib/orders", "lib/migrate", "lib/embedded"],
  ["services"],
];
const IO = /^(?:bun|node:(?:fs|net|http|https|tls|dns|child_process|dgram).*)$/;

/** @returns imports that break a rule: "services/a/x.ts: services/b/y.ts" */
export function brokenArrows(repository: Repository): string[] {
  const sources = [...repository.files].filter(
    (path) =>
      /^(?:lib|services)\/.*\.tsx?$/.test(path) &&
      !/\.test\.tsx?$|\/testing\/|\/examples\//.test(path),
  );
  return sources.flatMap((path) =>
    [...repository.read(path).matchAll(IMPORT)].flatMap(([, names = "", from, later]) => {
      const module = from ?? later ?? "";
      const target = module.startsWith("#lib/")
        ? module.slice(1)
        : module.startsWith(".")
          ? (targetOf(path, module)?.path ?? "")
          : module;
      return isAllowed(path, target, names) ? [] : [`${path}: ${target}`];
    }),
  );
}

function isAllowed(path: string, target: string, names: string): boolean {
  const own = partOf(path);
  const other = partOf(target);
  // Services import lib/, and none another; lib/ imports no service.
  if (other !== own && floorOf(other) >= floorOf(own)) return false;
  // Stand-ins are for scripts and tests.
  if (other === "lib/embedded" && own !== other) return false;
  if (SDK.test(target) && own !== "lib/telemetry" && !own.startsWith("lib/embedded")) {
    return target === "@opentelemetry/core" && /^\{ suppressTracing \} $/.test(names);
  }
  if (target === "kafkajs" && own !== "lib/kafka") return false;
  return !(own === "lib/orders" || own === "lib/waiting") || !IO.test(target);
}

/** -1 for what is no part of the house. */
function floorOf(part: string): number {
  return FLOORS.findIndex((parts) => parts.some((one) => `${part}/`.startsWith(`${one}/`)));
}

/** `lib/kafka`, `services/orders`. */
function partOf(path: string): string {
  return path.split("/").slice(0, 2).join("/");
}
