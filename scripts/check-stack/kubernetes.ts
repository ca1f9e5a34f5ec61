/**
 * The Kubernetes manifests: built by kustomize, each object held against the schemas of the oldest and
 * the newest Kubernetes there are, with unknown fields refused, and what the tests read of them (without
 * any program) held against what kustomize has made.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./files.ts";
import {
  KUBERNETES_FOLDER,
  KUSTOMIZATIONS,
  renderKustomization,
  type KubernetesObject,
} from "./kubernetes-files.ts";
import {
  kubernetesVersions,
  SCHEMA_FILE,
  writeKedaSchemas,
  writeKubernetesSchemas,
} from "./kubernetes-schemas.ts";
import type { Report } from "./report.ts";
import { findTool, missing, run } from "./tools.ts";

/** The oldest that has all we use: the `sleep` of preStop came to all clusters with it. */
const OLDEST_VERSION = "1.30.0";
const SCHEMAS_VARIABLE = "KUBERNETES_SCHEMAS";
const KEDA_VARIABLE = "KEDA_CRDS";

export async function checkKubernetes(report: Report): Promise<void> {
  const build = builder();
  if (!build) {
    const why = `${missing("kustomize")}; ${missing("kubectl")}`;
    return report.unproven(
      "the manifests, built",
      `${why}; tests/kubernetes-files.test.ts reads them`,
    );
  }
  const folder = await mkdtemp(join(tmpdir(), "orderflow-kubernetes-"));
  try {
    const built = new Map<string, string>();
    for (const name of KUSTOMIZATIONS) {
      const what = `${build.name} ${name}`;
      const { status, output } = await run([...build.command, join(KUBERNETES_FOLDER, name)], {
        cwd: ROOT,
      });
      if (status !== 0) {
        report.fail(what, output);
        continue;
      }
      const objects = [Bun.YAML.parse(output)].flat() as KubernetesObject[];
      report.ok(`${what}: ${objects.length} objects`);
      await compare(report, name, objects);
      built.set(name, join(folder, `${name.replaceAll("/", "-")}.yaml`));
      await Bun.write(built.get(name) as string, output);
    }
    await validate(report, folder, built);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** kustomize, or the one that kubectl has in it. */
function builder(): { name: string; command: string[] } | undefined {
  const kustomize = findTool("kustomize");
  if (kustomize) return { name: "kustomize build", command: [kustomize, "build"] };
  const kubectl = findTool("kubectl");
  return kubectl ? { name: "kubectl kustomize", command: [kubectl, "kustomize"] } : undefined;
}

/** The tests read the manifests themselves; they have to read the same as kustomize. */
async function compare(report: Report, name: string, built: KubernetesObject[]): Promise<void> {
  const read = await renderKustomization(name);
  const [ours, theirs] = [keyed(read), keyed(built.map(withoutHash))];
  const differing = [...new Set([...ours.keys(), ...theirs.keys()])].filter(
    (key) => !Bun.deepEquals(ours.get(key), theirs.get(key)),
  );
  const what = `${name}: the tests read what kustomize builds`;
  if (differing.length === 0 && read.length === built.length) report.ok(what);
  else report.fail(what, `these differ: ${differing.join(", ")}`);
}

function keyed(objects: readonly KubernetesObject[]): Map<string, KubernetesObject> {
  return new Map(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object]));
}

/** ConfigMaps get a hash behind their names, and so do those who name them. */
function withoutHash(object: KubernetesObject): KubernetesObject {
  const text = JSON.stringify(object);
  return JSON.parse(text.replaceAll(/"(orderflow-(?:addresses|settings))-[a-z0-9]{10}"/g, '"$1"'));
}

async function validate(
  report: Report,
  folder: string,
  built: ReadonlyMap<string, string>,
): Promise<void> {
  const kubeconform = findTool("kubeconform");
  if (!kubeconform) return report.unproven("schemas", missing("kubeconform"));
  const [schemas, crds] = [process.env[SCHEMAS_VARIABLE], process.env[KEDA_VARIABLE]];
  if (!schemas) {
    const why = `${SCHEMAS_VARIABLE} does not name the folder kubernetes-json-schema of PyPI's kubernetes-validate`;
    return report.unproven("schemas", why);
  }
  const versions = await kubernetesVersions(schemas);
  const checked = [...new Set([OLDEST_VERSION, versions.at(-1) ?? OLDEST_VERSION])];
  for (const version of checked) {
    if (!versions.includes(version)) {
      report.unproven(`Kubernetes ${version}`, `${schemas} has no schemas of it`);
      continue;
    }
    const target = join(folder, version);
    await mkdir(target);
    const keda = crds ? await writeKedaSchemas(crds, target) : [];
    for (const [name, file] of built) {
      const objects = [Bun.YAML.parse(await Bun.file(file).text())].flat() as KubernetesObject[];
      const kinds = objects.filter((object) => !isKeda(object));
      await writeKubernetesSchemas({ folder: schemas, version, kinds, target });
      const skipped = objects.filter((object) => isKeda(object) && !keda.includes(object.kind));
      const { status, output } = await run([
        kubeconform,
        "-strict",
        "-summary",
        "-schema-location",
        join(target, SCHEMA_FILE),
        ...(skipped.length > 0 ? ["-skip", skipped.map(({ kind }) => kind).join(",")] : []),
        file,
      ]);
      const what = `${name}: kubeconform -strict, Kubernetes ${version}`;
      if (status === 0) report.ok(`${what}: ${/Valid: \d+/.exec(output)?.[0] ?? output.trim()}`);
      else report.fail(what, output);
      for (const { kind, metadata } of skipped) {
        const why = `${KEDA_VARIABLE} does not name config/crd/bases of the module github.com/kedacore/keda/v2`;
        report.unproven(`${name}: ${kind} ${metadata.name}`, why);
      }
    }
  }
}

function isKeda({ apiVersion }: KubernetesObject): boolean {
  return apiVersion.startsWith("keda.sh/");
}
