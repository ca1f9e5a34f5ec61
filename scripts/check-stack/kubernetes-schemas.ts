/**
 * JSON schemas for kubeconform, in a folder: Kubernetes' own from the package `kubernetes-validate`, and
 * KEDA's from its custom resource definitions. Unknown fields are refused in both.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";

type Schema = { [key: string]: unknown };

/** How kubeconform finds a schema in the folder that these functions write to. */
export const SCHEMA_FILE = "{{ .ResourceKind }}{{ .KindSuffix }}.json";

/**
 * The versions that a folder of `kubernetes-validate` has strict schemas of, oldest first.
 * @param folder its `kubernetes-json-schema`
 */
export async function kubernetesVersions(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names
    .flatMap((name) => /^v(\d+\.\d+\.\d+)-local-strict$/.exec(name)?.[1] ?? [])
    .sort((one, other) => Bun.semver.order(one, other));
}

/**
 * Writes the schemas of the given kinds. In the package they point into a file of definitions by a path
 * that exists nowhere (`/api/_definitions.json`); here each has the definitions within.
 *
 * @param kinds `apiVersion` and `kind` of each
 * @throws Error where the version knows no such kind
 */
export async function writeKubernetesSchemas(options: {
  folder: string;
  version: string;
  kinds: readonly { apiVersion: string; kind: string }[];
  target: string;
}): Promise<void> {
  const source = join(options.folder, `v${options.version}-local-strict`);
  const definitions = (await Bun.file(join(source, "_definitions.json")).json()) as {
    $defs: Schema;
  };
  for (const { apiVersion, kind } of options.kinds) {
    const name = schemaName(apiVersion, kind);
    const file = Bun.file(join(source, name));
    if (!(await file.exists())) {
      throw new Error(`Kubernetes ${options.version} has no ${apiVersion} ${kind}`);
    }
    const schema = { ...((await file.json()) as Schema), $defs: definitions.$defs };
    const text = JSON.stringify(schema).replaceAll("/api/_definitions.json#", "#");
    await Bun.write(join(options.target, name), text);
  }
}

/**
 * Writes the schemas of KEDA's custom resources.
 * @param folder `config/crd/bases` of its module
 * @returns the kinds it found
 */
export async function writeKedaSchemas(folder: string, target: string): Promise<string[]> {
  const kinds: string[] = [];
  for (const name of await readdir(folder)) {
    if (!name.startsWith("keda.sh_")) continue;
    const { spec } = Bun.YAML.parse(await Bun.file(join(folder, name)).text()) as {
      spec: {
        group: string;
        names: { kind: string };
        versions: { name: string; schema: { openAPIV3Schema: Schema } }[];
      };
    };
    const { kind } = spec.names;
    for (const version of spec.versions) {
      const file = schemaName(`${spec.group}/${version.name}`, kind);
      await Bun.write(join(target, file), JSON.stringify(strict(version.schema.openAPIV3Schema)));
    }
    kinds.push(kind);
  }
  return kinds;
}

/** The file that kubeconform looks for: `deployment-apps-v1.json`, `scaledobject-keda-v1alpha1.json`. */
function schemaName(apiVersion: string, kind: string): string {
  const [group = "", version] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  const parts = [kind.toLowerCase(), group.split(".")[0], version];
  return `${parts.filter((part) => part).join("-")}.json`;
}

/** The same, and a field that is not named is refused, as the API server does with `strict`. */
function strict(schema: Schema): Schema {
  const copy: Schema = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === "properties") {
      const properties = Object.entries(value as Record<string, Schema>);
      copy[key] = Object.fromEntries(properties.map(([name, one]) => [name, strict(one)]));
    } else if (key === "items" || key === "additionalProperties") {
      copy[key] = typeof value === "object" ? strict(value as Schema) : value;
    } else {
      copy[key] = value;
    }
  }
  const isOpen =
    schema["additionalProperties"] !== undefined || schema["x-kubernetes-preserve-unknown-fields"];
  if (schema["properties"] && !isOpen) copy["additionalProperties"] = false;
  return copy;
}
