/**
 * What deploy/kubernetes says of the services: the parts that follow from the list (lib/service/services.ts), and a
 * new service's own file, which is written once and is then for its people to change.
 */
import {
  CALLED_NAMES,
  callersOf,
  factsOf,
  SERVICE_NAMES,
  urlVariable,
  type ServiceName,
} from "#lib/service/services.ts";
import { POOL_LIMITS } from "#lib/service/connection-pool.ts";
import { renderKustomization } from "../check-stack/kubernetes-files.ts";
import { markdownTable } from "../shared/markdown-table.ts";
import type { Sections } from "./marks.ts";
import { addressOf } from "./service-files.ts";

const NAME = "app.kubernetes.io/name";
const PART_OF = "app.kubernetes.io/part-of: orderflow";
const WITH_POSTGRES = SERVICE_NAMES.filter((name) => factsOf(name).postgres);
const WITH_KAFKA = SERVICE_NAMES.filter((name) => factsOf(name).kafka);

export const KUSTOMIZATION_SECTIONS: Sections = {
  services: () => SERVICE_NAMES.map((name) => `  - ${name}.yaml`).join("\n"),
  addresses: () =>
    CALLED_NAMES.map((name) => `      - ${urlVariable(name)}=${addressOf(name)}`).join("\n"),
};

export const NETWORK_POLICY_SECTIONS: Sections = {
  "who calls whom": () => SERVICE_NAMES.flatMap(callPolicies).join("\n---\n"),
  "all services": () => podsNamed(SERVICE_NAMES, 4),
  "with PostgreSQL": () => podsNamed([...WITH_POSTGRES, "migrate"], 4),
  "with Kafka": () => podsNamed(WITH_KAFKA, 4),
};

export const LOCAL_POSTGRES_SECTIONS: Sections = {
  "with PostgreSQL": () => podsNamed([...WITH_POSTGRES, "migrate"], 12),
};

export const LOCAL_KAFKA_SECTIONS: Sections = {
  "with Kafka": () => podsNamed([...WITH_KAFKA, "kafka"], 12),
};

export const MANAGED_SECTIONS: Sections = {
  "with Kafka": () => `    target: { kind: Deployment, name: (${WITH_KAFKA.join("|")}) }`,
};

export const POOLER_SECTIONS: Sections = {
  "with PostgreSQL": () => `    target: { kind: Deployment, name: (${WITH_POSTGRES.join("|")}) }`,
};

/** For docs/operations.md: how many connections to PostgreSQL, or its pooler, each overlay comes to. */
export async function connectionsTable(): Promise<string> {
  const rows: string[][] = [];
  for (const overlay of ["local", "managed", "managed-pooler"]) {
    const pods = await postgresPodsMax(`overlays/${overlay}`);
    const told = pods.map(([name, count]) => `${count} ${name}`).join(", ");
    const sum = pods.reduce((all, [, count]) => all + count, 0);
    rows.push([`\`${overlay}\``, told, String(sum * POOL_LIMITS.connectionsMax)]);
  }
  return markdownTable(["overlay", "pods at most, while they roll", "connections"], rows);
}

/**
 * How many pods each service with PostgreSQL may have at once, those included that are new while it rolls.
 * @param folder below deploy/kubernetes
 */
export async function postgresPodsMax(folder: string): Promise<[ServiceName, number][]> {
  const objects = await renderKustomization(folder);
  return WITH_POSTGRES.map((name) => {
    const specOf = (kind: string) =>
      objects.find((one) => one.kind === kind && one.metadata.name === name)?.spec;
    const { maxReplicas = 0 } = specOf("HorizontalPodAutoscaler") ?? {};
    const { maxSurge = 0 } = specOf("Deployment")?.strategy?.rollingUpdate ?? {};
    return [name, maxReplicas + maxSurge];
  });
}

/** A selector's expression: pods of these names. */
function podsNamed(names: readonly string[], indent: number): string {
  return [
    "matchExpressions:",
    `  - key: ${NAME}`,
    "    operator: In",
    `    values: [${names.join(", ")}]`,
  ]
    .map((line) => " ".repeat(indent) + line)
    .join("\n");
}

function callPolicies(name: ServiceName): string[] {
  const { edge, calls } = factsOf(name);
  const callers = callersOf(name);
  const policies: string[] = [];
  if (edge || callers.length > 0) {
    const from = callers.map(
      (other) => `        - podSelector: { matchLabels: { ${NAME}: ${other} } }`,
    );
    policies.push(`${policyHead(`to-${name}`, name, "Ingress")}
  ingress:
${
  edge
    ? "    # The public API, from anywhere: put your Ingress controller's namespace under `from`.\n    - ports: [{ protocol: TCP, port: http }]"
    : ["    - from:", ...from, "      ports: [{ protocol: TCP, port: http }]"].join("\n")
}`);
  }
  if (calls.length > 0) {
    policies.push(`${policyHead(`from-${name}`, name, "Egress")}
  egress:
    # By number: not every network plugin looks a name up at the other end.
${(calls as readonly ServiceName[])
  .map(
    (called) => `    - to: [{ podSelector: { matchLabels: { ${NAME}: ${called} } } }]
      ports: [{ protocol: TCP, port: ${factsOf(called).port} }]`,
  )
  .join("\n")}`);
  }
  return policies;
}

function policyHead(policy: string, pods: ServiceName, type: "Ingress" | "Egress"): string {
  return `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: ${policy}
  labels: { ${PART_OF} }
spec:
  podSelector: { matchLabels: { ${NAME}: ${pods} } }
  policyTypes: [${type}]`;
}

/** A service's own file: its environment follows from the list; the rest is its people's. */
export function serviceSections(name: ServiceName): Sections {
  return { environment: () => environment(name) };
}

function environment(name: ServiceName): string {
  const { port, postgres, kafka, calls } = factsOf(name);
  const values = [
    ["SERVICE", name],
    ["PORT", `"${port}"`],
    ...(postgres ? [["POSTGRES_URL_FILE", "/etc/orderflow/postgres/url"]] : []),
  ];
  const addresses = [...(kafka ? ["KAFKA_BROKERS"] : []), ...calls.map(urlVariable)];
  return [
    "          env:",
    ...values.map(([variable, value]) => `            - { name: ${variable}, value: ${value} }`),
    ...addresses.flatMap((variable) => [
      `            - name: ${variable}`,
      "              valueFrom:",
      `                configMapKeyRef: { name: orderflow-addresses, key: ${variable} }`,
    ]),
  ].join("\n");
}

/** A service's own file, as it is before anybody has changed it. */
export function newServiceFile(name: ServiceName): string {
  const { what, port, postgres, edge } = factsOf(name);
  const isCalled = edge || CALLED_NAMES.includes(name);
  const title = what[0]?.toUpperCase() + what.slice(1);
  return `# ${title}.
#
# No \`replicas\`: the autoscaler below decides, and applying this file again does not undo it.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${name}
  labels: { ${NAME}: ${name} }
spec:
  selector:
    matchLabels: { ${NAME}: ${name}, ${PART_OF} }
  template:
    metadata:
      labels: { ${NAME}: ${name} }
      annotations: { prometheus.io/port: "${port}" }
    spec:
      containers:
        - name: service
          ports:
            - { name: http, containerPort: ${port} }
          # generated: environment
${environment(name)}
          # end: environment
          resources:
            requests: { cpu: 100m, memory: 128Mi }
            limits: { cpu: "2", memory: 256Mi }
${postgres ? POSTGRES_SECRET : ""}${isCalled ? serviceObject(name, port) : ""}---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: ${name}
  labels: { ${NAME}: ${name}, ${PART_OF} }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: ${name} }
  minReplicas: 2
  maxReplicas: ${postgres ? 3 : 6}
  metrics:
    # JavaScript runs on one thread: at 1000m a pod is full, whatever it has asked for.
    - type: Resource
      resource: { name: cpu, target: { type: AverageValue, averageValue: 600m } }
  behavior:
    scaleDown:
      stabilizationWindowSeconds: 300
      policies: [{ type: Pods, value: 1, periodSeconds: 60 }]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: ${name}
  labels: { ${NAME}: ${name}, ${PART_OF} }
spec:
  maxUnavailable: 1
  # A node can be emptied also while what the pods need is away and none of them is ready.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: { ${NAME}: ${name}, ${PART_OF} }
`;
}

const POSTGRES_SECRET = `          volumeMounts:
            - { name: postgres, mountPath: /etc/orderflow/postgres, readOnly: true }
      volumes:
        - name: postgres
          # 0440: for root, and the pod's group.
          secret: { secretName: orderflow-postgres, defaultMode: 288 }
`;

function serviceObject(name: ServiceName, port: number): string {
  return `---
apiVersion: v1
kind: Service
metadata:
  name: ${name}
  labels: { ${NAME}: ${name}, ${PART_OF} }
spec:
  selector: { ${NAME}: ${name}, ${PART_OF} }
  ports:
    - { name: http, port: ${port}, targetPort: http }
`;
}
