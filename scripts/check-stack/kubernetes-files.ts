/**
 * The Kubernetes manifests, read the way kustomize builds them: as far as ours go (resources, ConfigMap
 * generators, strategic merge patches, images, namespace), and no further. So the tests need no program;
 * that kustomize itself makes the same of them is what `check-stack kubernetes` proves.
 */
import { join } from "node:path";
import { readText, readYaml, ROOT } from "./files.ts";

export const KUBERNETES_FOLDER = "deploy/kubernetes";
/** What can be built: the base, and each overlay. */
export const KUSTOMIZATIONS = [
  "base",
  "overlays/local",
  "overlays/managed",
  "overlays/managed-pooler",
] as const;

/** Any value of a manifest. */
export type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

type Labels = Readonly<Record<string, string>>;

/** Which objects are meant, by their labels. */
export interface Selector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly { key: string; operator: string; values: string[] }[];
}

export interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string | number };
  readonly periodSeconds?: number;
  readonly timeoutSeconds?: number;
  readonly failureThreshold?: number;
}

export interface EnvironmentVariable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: Readonly<
    Record<string, { name?: string; key?: string; fieldPath?: string }>
  >;
}

export interface Container {
  readonly name: string;
  image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly ports?: readonly { name: string; containerPort: number }[];
  readonly env?: readonly EnvironmentVariable[];
  readonly envFrom?: readonly { configMapRef?: { name: string }; secretRef?: { name: string } }[];
  readonly resources?: { readonly requests?: Labels; readonly limits?: Labels };
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } };
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly volumeMounts?: readonly { name: string; mountPath: string; readOnly?: boolean }[];
}

export interface PodSpec {
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly enableServiceLinks?: boolean;
  readonly restartPolicy?: string;
  readonly terminationGracePeriodSeconds?: number;
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly topologySpreadConstraints?: readonly {
    topologyKey: string;
    labelSelector: Selector;
    matchLabelKeys: string[];
  }[];
  readonly containers: readonly Container[];
  readonly volumes?: readonly {
    name: string;
    secret?: { secretName: string; defaultMode?: number };
    emptyDir?: { sizeLimit?: string };
  }[];
}

/** A rule of a network policy. */
export interface NetworkRule {
  readonly from?: readonly NetworkPeer[];
  readonly to?: readonly NetworkPeer[];
  readonly ports?: readonly { protocol: string; port: string | number }[];
}

export interface NetworkPeer {
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
}

/** A Kubernetes object: what the checks look at, of all the kinds that there are. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Labels;
  };
  readonly data?: Labels;
  readonly spec?: {
    /** Of what has pods; a Service's is a plain map of labels. */
    readonly selector?: Selector & Labels;
    readonly strategy?: { readonly rollingUpdate: Readonly<Record<string, number>> };
    readonly template?: {
      readonly metadata: { readonly labels: Labels; readonly annotations?: Labels };
      readonly spec: PodSpec;
    };
    readonly replicas?: number;
    readonly ports?: readonly { name: string; port: number; targetPort: string }[];
    readonly scaleTargetRef?: { readonly kind?: string; readonly name: string };
    readonly minReplicas?: number;
    readonly maxReplicas?: number;
    readonly minReplicaCount?: number;
    readonly maxReplicaCount?: number;
    readonly metrics?: readonly { type: string; resource: { name: string } }[];
    readonly triggers?: readonly {
      type: string;
      metadata: Labels;
      authenticationRef?: { name: string };
    }[];
    readonly maxUnavailable?: number;
    readonly backoffLimit?: number;
    readonly ttlSecondsAfterFinished?: number;
    readonly activeDeadlineSeconds?: number;
    readonly podSelector?: Selector;
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly NetworkRule[];
    readonly egress?: readonly NetworkRule[];
    readonly secretTargetRef?: readonly { parameter: string; name: string; key: string }[];
    readonly configMapTargetRef?: readonly { parameter: string; name: string; key: string }[];
  };
}

interface Kustomization {
  readonly namespace?: string;
  readonly resources?: readonly string[];
  readonly images?: readonly { name: string; newName?: string; newTag?: string }[];
  readonly configMapGenerator?: readonly {
    name: string;
    behavior?: "create" | "merge";
    literals: readonly string[];
  }[];
  readonly patches?: readonly { path: string; target: { kind: string; name?: string } }[];
}

/** The keys of a kustomization that are understood here; with another, the reading would be a lie. */
const UNDERSTOOD = new Set([
  "apiVersion",
  "kind",
  "namespace",
  "resources",
  "images",
  "configMapGenerator",
  "patches",
  // Only about the hash behind a ConfigMap's name, which is left out here.
  "configurations",
]);
/** By what the items of a list are told apart when it is merged. Other lists are replaced. */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: "name",
  env: "name",
  ports: "containerPort",
  volumes: "name",
  volumeMounts: "mountPath",
  topologySpreadConstraints: "topologyKey",
};
const WITHOUT_NAMESPACE = new Set(["Namespace"]);

/**
 * Builds a kustomization. ConfigMaps have their names without the hash.
 * @param folder below deploy/kubernetes
 * @throws Error where it uses what is not understood here, or names what is not there
 */
export async function renderKustomization(folder: string): Promise<KubernetesObject[]> {
  const path = join(KUBERNETES_FOLDER, folder);
  const kustomization = (await readYaml(join(path, "kustomization.yaml"))) as Kustomization;
  for (const key of Object.keys(kustomization)) {
    if (!UNDERSTOOD.has(key)) throw new Error(`${path}: ${key} is not understood here`);
  }
  let objects: KubernetesObject[] = [];
  for (const resource of kustomization.resources ?? []) {
    objects.push(
      ...(resource.endsWith(".yaml")
        ? await readObjects(join(path, resource))
        : await renderKustomization(join(folder, resource))),
    );
  }
  for (const generator of kustomization.configMapGenerator ?? []) {
    objects = withConfigMap(objects, generator);
  }
  for (const { path: file, target } of kustomization.patches ?? []) {
    objects = withPatch(objects, (await readObjects(join(path, file)))[0], target, file);
  }
  return objects.map((object) => finish(object, kustomization));
}

/** The objects of one file. @param path from the project's folder */
export async function readObjects(path: string): Promise<KubernetesObject[]> {
  return [Bun.YAML.parse(await readText(path))].flat() as KubernetesObject[];
}

/** All files of the manifests, from the project's folder. */
export async function manifestFiles(): Promise<string[]> {
  const files = await Array.fromAsync(
    new Bun.Glob(`${KUBERNETES_FOLDER}/**/*.yaml`).scan({ cwd: ROOT }),
  );
  return files.sort();
}

function withConfigMap(
  objects: readonly KubernetesObject[],
  generator: NonNullable<Kustomization["configMapGenerator"]>[number],
): KubernetesObject[] {
  const { name, behavior = "create", literals } = generator;
  const data = Object.fromEntries(
    literals.map((literal) => {
      const at = literal.indexOf("=");
      return [literal.slice(0, at), literal.slice(at + 1)];
    }),
  );
  const isIt = (object: KubernetesObject) =>
    object.kind === "ConfigMap" && object.metadata.name === name;
  if (objects.some(isIt) !== (behavior === "merge")) {
    throw new Error(`ConfigMap ${name}: ${behavior} does not fit what is there`);
  }
  if (behavior === "create") {
    return [...objects, { apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data }];
  }
  return objects.map((object) =>
    isIt(object) ? { ...object, data: { ...object.data, ...data } } : object,
  );
}

function withPatch(
  objects: readonly KubernetesObject[],
  patch: KubernetesObject | undefined,
  target: { kind: string; name?: string },
  file: string,
): KubernetesObject[] {
  const name = new RegExp(`^(?:${target.name ?? ".*"})$`);
  const isMeant = (object: KubernetesObject) =>
    object.kind === target.kind && name.test(object.metadata.name);
  if (!patch || !objects.some(isMeant)) throw new Error(`${file} patches nothing`);
  if ("$patch" in patch) return objects.filter((object) => !isMeant(object));
  return objects.map((object) => {
    if (!isMeant(object)) return object;
    const merged = merge(object as unknown as Value, patch as unknown as Value, object.kind);
    // Whom a patch is for says its target; its own name is not taken over.
    const { name } = object.metadata;
    const { metadata } = merged as unknown as KubernetesObject;
    return { ...(merged as unknown as KubernetesObject), metadata: { ...metadata, name } };
  });
}

function merge(base: Value | undefined, patch: Value, kind: string, field = ""): Value {
  if (Array.isArray(patch)) {
    const key = kind === "Deployment" ? MERGE_KEYS[field] : undefined;
    return Array.isArray(base) && key ? mergeLists(base, patch, key, kind) : patch;
  }
  if (!isMap(patch)) return patch;
  const merged = isMap(base) ? { ...base } : {};
  for (const [name, value] of Object.entries(patch)) {
    merged[name] = merge(merged[name], value, kind, name);
  }
  return merged;
}

/** Items that are there are merged where they stand; new ones come before them, as kustomize has it. */
function mergeLists(base: Value[], patch: Value[], key: string, kind: string): Value[] {
  const keyOf = (item: Value) => (isMap(item) ? item[key] : item);
  const find = (list: Value[], item: Value) => list.find((one) => keyOf(one) === keyOf(item));
  return [
    ...patch.filter((item) => find(base, item) === undefined),
    ...base.map((item) => {
      const over = find(patch, item);
      return over === undefined ? item : merge(item, over, kind);
    }),
  ];
}

function finish(object: KubernetesObject, { namespace, images }: Kustomization): KubernetesObject {
  const finished = structuredClone(object);
  for (const container of finished.spec?.template?.spec?.containers ?? []) {
    const [name = "", tag] = container.image.split(":");
    const image = images?.find((one) => one.name === name);
    if (image) {
      const parts = [image.newName ?? name, image.newTag ?? tag].filter((part) => part);
      container.image = parts.join(":");
    }
  }
  if (!namespace || WITHOUT_NAMESPACE.has(finished.kind)) return finished;
  return { ...finished, metadata: { ...finished.metadata, namespace } };
}

function isMap(value: Value | undefined): value is { [key: string]: Value } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
