// The Kubernetes manifests fit each other, docker-compose.yml and the code. It needs no program;
// `scripts/check-stack/index.ts kubernetes` builds them with kustomize and holds them against schemas.
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import {
  ORDER_CREATED_TOPIC,
  ORDER_TOPIC_PARTITIONS,
  SETTLING_GROUP,
} from "#lib/orders/order-created.ts";
import { POOL_LIMITS } from "#lib/service/connection-pool.ts";
import { brokerList } from "#lib/kafka/config.ts";
import { loadServiceConfig, serviceUrl, type Env } from "#lib/service/config.ts";
import { factsOf, SERVICE_NAMES, type ServiceName, urlVariable } from "#lib/service/services.ts";
import packageJson from "../package.json" with { type: "json" };
import { readCompose, readText } from "../scripts/check-stack/files.ts";
import { postgresPodsMax } from "../scripts/generate/kubernetes.ts";
import {
  KUBERNETES_FOLDER,
  KUSTOMIZATIONS,
  manifestFiles,
  readObjects,
  renderKustomization,
  type Container,
  type KubernetesObject,
  type NetworkPeer,
  type NetworkRule,
  type PodSpec,
  type Probe,
  type Selector,
} from "../scripts/check-stack/kubernetes-files.ts";

const PORTS = Object.fromEntries(SERVICE_NAMES.map((name) => [name, factsOf(name).port])) as Record<
  ServiceName,
  number
>;
const SERVICES = SERVICE_NAMES;
/** Who calls whom over HTTP. */
const CALLS: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  SERVICE_NAMES.map((name) => [name, factsOf(name).calls]),
);
const NEEDS_POSTGRES: readonly string[] = SERVICE_NAMES.filter((name) => factsOf(name).postgres);
const NEEDS_KAFKA: readonly string[] = SERVICE_NAMES.filter((name) => factsOf(name).kafka);
/** Nobody calls it: it has no address of its own. */
const NOT_CALLED: readonly string[] = SERVICE_NAMES.filter(
  (name) => !factsOf(name).edge && !Object.values(CALLS).some((calls) => calls.includes(name)),
);
/** Read where clusters and managed servers are configured: the contract's section 10. */
const MANAGED_VARIABLES = [
  "POSTGRES_URL_FILE",
  "POSTGRES_POOLER",
  "KAFKA_SSL",
  "KAFKA_SSL_CA",
  "KAFKA_SASL_MECHANISM",
  "KAFKA_SASL_USERNAME",
  "KAFKA_SASL_PASSWORD_FILE",
];
/** From SIGTERM to the exit: the contract's bound. */
const STOP_MAX_S = 8;
/** From the start until it is ready: the contract's bound. */
const READY_MAX_S = 20;
const NAME = "app.kubernetes.io/name";
const PART_OF = "app.kubernetes.io/part-of";

const compose = await readCompose("docker-compose.yml");
const operations = await readText("docs/operations.md");
const rendered = new Map<string, KubernetesObject[]>();
for (const name of KUSTOMIZATIONS) rendered.set(name, await renderKustomization(name));

describe.each(KUSTOMIZATIONS)("deploy/kubernetes/%s", (folder) => {
  const objects = rendered.get(folder) ?? [];
  const ofKind = (kind: string) => objects.filter((object) => object.kind === kind);
  const named = (kind: string, name: string) => {
    const found = ofKind(kind).find(({ metadata }) => metadata.name === name);
    if (!found) throw new Error(`there is no ${kind} ${name}`);
    return found;
  };
  const ourPods = () => [...ofKind("Deployment"), ...ofKind("Job")];
  const withPods = () => [...ourPods(), ...ofKind("StatefulSet")];

  test("has every service and the migrations, each object once, in one namespace", () => {
    expect(ofKind("Deployment").map(nameOf).sort()).toEqual([...SERVICES].sort());
    expect(ofKind("Job").map(nameOf)).toEqual(["migrate"]);
    const keys = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(new Set(keys).size).toBe(keys.length);
    for (const { kind, metadata } of objects) {
      const namespace = kind === "Namespace" ? metadata.name : metadata.namespace;
      expect([metadata.name, namespace]).toEqual([metadata.name, "orderflow"]);
      expect([metadata.name, metadata.labels?.[PART_OF]]).toEqual([
        metadata.name,
        kind === "ConfigMap" ? undefined : "orderflow",
      ]);
    }
  });

  test("asks every service whether it lives, has started and is ready, within bounds", () => {
    for (const deployment of ofKind("Deployment")) {
      const name = nameOf(deployment);
      const { livenessProbe, startupProbe, readinessProbe } = onlyContainer(podOf(deployment));
      // Liveness asks nothing that the service needs: that is no reason to restart it.
      expect([name, pathOf(livenessProbe)]).toEqual([name, "/healthz"]);
      // The gateway's readiness asks through Services that unready pods are not in: it would spread.
      const isGateway = name === "gateway";
      expect([name, pathOf(readinessProbe)]).toEqual([name, isGateway ? "/healthz" : "/readyz"]);
      expect([name, pathOf(startupProbe)]).toEqual([name, isGateway ? "/readyz" : "/healthz"]);
      expect(boundS(startupProbe)).toBeGreaterThan(READY_MAX_S);
      expect(boundS(livenessProbe)).toBeLessThanOrEqual(60);
      expect(boundS(readinessProbe)).toBeLessThanOrEqual(30);
      for (const probe of [livenessProbe, startupProbe, readinessProbe]) {
        // The checks behind /readyz have 2 s.
        if (pathOf(probe) === "/readyz") expect(probe?.timeoutSeconds).toBeGreaterThan(2);
        expect(probe?.httpGet?.port).toBe("http");
      }
    }
  });

  test("lets a service end in its own time, and a new pod be ready before an old one goes", () => {
    for (const deployment of ofKind("Deployment")) {
      const pod = podOf(deployment);
      const pauseS = onlyContainer(pod).lifecycle?.preStop?.sleep?.seconds ?? 0;
      expect(pauseS).toBeGreaterThan(0);
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(pauseS + STOP_MAX_S);
      expect(deployment.spec?.strategy?.rollingUpdate).toEqual({ maxUnavailable: 0, maxSurge: 1 });
      // A number here would undo the autoscaler's each time that the file is applied.
      expect([nameOf(deployment), deployment.spec?.replicas]).toEqual([
        nameOf(deployment),
        undefined,
      ]);
    }
  });

  test("gives every container what it asks for at least, and a bound", () => {
    for (const object of withPods()) {
      const { requests, limits } = onlyContainer(podOf(object)).resources ?? {};
      for (const resource of ["cpu", "memory"]) {
        const least = quantity(requests?.[resource]);
        expect([nameOf(object), resource, least > 0]).toEqual([nameOf(object), resource, true]);
        expect(quantity(limits?.[resource])).toBeGreaterThanOrEqual(least);
      }
      const limit = compose.services[nameOf(object)]?.mem_limit;
      expect([nameOf(object), limits?.["memory"]]).toEqual([
        nameOf(object),
        limit?.replace(/m$/, "Mi"),
      ]);
    }
  });

  test("runs every pod as an ordinary user who may do nothing and change nothing", () => {
    for (const object of withPods()) {
      const name = nameOf(object);
      const pod = podOf(object);
      const container = onlyContainer(pod);
      const isOurs = container.image.includes("orderflow");
      expect(pod.automountServiceAccountToken).toBe(false);
      expect(pod.enableServiceLinks).toBe(false);
      expect(ofKind("ServiceAccount").map(nameOf)).toContain(pod.serviceAccountName ?? "default");
      expect([name, pod.securityContext]).toEqual([
        name,
        expect.objectContaining({
          runAsNonRoot: true,
          runAsUser: isOurs ? 1000 : expect.any(Number),
          fsGroup: pod.securityContext?.["runAsGroup"],
          seccompProfile: { type: "RuntimeDefault" },
        }),
      ]);
      expect([name, container.securityContext]).toEqual([
        name,
        expect.objectContaining({
          allowPrivilegeEscalation: false,
          capabilities: { drop: ["ALL"] },
          // Kafka's image writes its configuration beside its program.
          ...(name === "kafka" ? {} : { readOnlyRootFilesystem: true }),
        }),
      ]);
      expect(container.securityContext?.["privileged"] ?? false).toBe(false);
    }
  });

  test("spreads each service over zones and hosts", () => {
    for (const deployment of ofKind("Deployment")) {
      const spread = podOf(deployment).topologySpreadConstraints ?? [];
      expect(spread.map(({ topologyKey }) => topologyKey).sort()).toEqual([
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
      ]);
      for (const { labelSelector, matchLabelKeys } of spread) {
        expect(selects(labelSelector, labelsOf(deployment))).toBe(true);
        // Else five services would be spread as if they were one.
        expect(matchLabelKeys).toContain(NAME);
      }
    }
  });

  test("runs the image that compose builds, as the service whose name it has, at its port", () => {
    const tag = compose.services["orders"]?.image?.replace(/\$\{\w+:-(.*)\}/, "$1");
    const registry = folder.includes("managed") ? "registry.example.com/" : "";
    const version = folder.includes("managed") ? `orderflow:${packageJson.version}` : tag;
    for (const object of ourPods()) {
      expect(onlyContainer(podOf(object)).image).toBe(`${registry}${version}`);
    }
    expect(onlyContainer(podOf(named("Job", "migrate"))).command).toEqual(
      (compose.services["migrate"]?.command ?? []) as string[],
    );
    for (const name of SERVICES) {
      const { env, container } = started(name);
      expect(env["SERVICE"]).toBe(name);
      expect(container.ports).toEqual([{ name: "http", containerPort: PORTS[name] }]);
      expect(loadServiceConfig(env, 0)).toMatchObject({ port: PORTS[name], host: "0.0.0.0" });
      expect(compose.services[name]?.environment?.["PORT"]).toBe(PORTS[name]);
      expect(named("Deployment", name).spec?.template?.metadata.annotations).toEqual({
        "prometheus.io/scrape": "true",
        "prometheus.io/path": "/metrics",
        "prometheus.io/port": String(PORTS[name]),
      });
    }
  });

  test("runs the servers that compose runs, with the same settings where they have to be", () => {
    for (const set of ofKind("StatefulSet")) {
      const server = compose.services[nameOf(set)];
      const container = onlyContainer(podOf(set));
      expect(container.image).toBe(server?.image ?? "");
      if (nameOf(set) === "postgres") {
        expect(container.args).toEqual(server?.command ?? []);
        continue;
      }
      const settings = server?.environment ?? {};
      expect(environment(container, objects)).toEqual(
        Object.fromEntries(
          Object.entries(settings).map(([name, value]) => [name, asInPods(name, String(value))]),
        ),
      );
      const [, port] = /INTERNAL:\/\/:(\d+)/.exec(String(settings["KAFKA_LISTENERS"])) ?? [];
      expect(container.ports).toEqual([{ name: "kafka", containerPort: Number(port) }]);
      // It asks itself under the name that it advertises.
      const toItself = egressTo("kafka", (rule) => meets(rule.to ?? [], podLabels("kafka")));
      expect(toItself).toEqual([Number(port)]);
    }
  });

  test("has a Service for each that is called, and it leads to that service's pods", () => {
    const ours = ofKind("Service").filter(({ metadata }) => metadata.name in PORTS);
    expect(ours.map(nameOf).sort()).toEqual(
      SERVICES.filter((name) => !NOT_CALLED.includes(name)).sort(),
    );
    for (const service of ofKind("Service")) {
      const name = nameOf(service);
      const [port] = service.spec?.ports ?? [];
      const targets = withPods().filter((object) =>
        selects({ matchLabels: service.spec?.selector ?? {} }, labelsOf(object)),
      );
      expect(targets.map(nameOf)).toEqual([name]);
      const [container] = targets.map((target) => onlyContainer(podOf(target)));
      expect(container?.ports).toContainEqual({
        name: port?.targetPort ?? "",
        containerPort: port?.port ?? 0,
      });
    }
  });

  test("sets only variables that services read, and each that they need", () => {
    for (const name of SERVICES) {
      const { env, container } = started(name);
      const used = Object.values(env).flatMap((value) => value?.match(/(?<=\$\()\w+(?=\))/g) ?? []);
      const unknown = Object.keys(env).filter(
        (variable) => !isKnownVariable(variable) && !used.includes(variable),
      );
      expect([name, unknown]).toEqual([name, []]);

      for (const other of CALLS[name] ?? []) {
        const variable = urlVariable(other);
        const port = PORTS[other as keyof typeof PORTS];
        expect(serviceUrl(env, variable)).toBe(`http://${other}:${port}`);
      }
      if (NEEDS_KAFKA.includes(name)) expect(brokerList(env).length).toBeGreaterThan(0);
      if (NEEDS_POSTGRES.includes(name)) expectFile(name, env["POSTGRES_URL_FILE"], container);
      // Nothing that it has no use for: least of all a way to a database.
      const urls = Object.keys(env).filter((variable) => variable.endsWith("_SERVICE_URL"));
      expect(urls.length).toBe(CALLS[name]?.length ?? 0);
      expect("KAFKA_BROKERS" in env).toBe(NEEDS_KAFKA.includes(name));
      expect("POSTGRES_URL_FILE" in env).toBe(NEEDS_POSTGRES.includes(name));
    }
    const migrate = onlyContainer(podOf(named("Job", "migrate")));
    expectFile("migrate", environment(migrate, objects)["POSTGRES_URL_FILE"], migrate);
  });

  test("says of every span which pod it is of, with variables that stand before their use", () => {
    for (const name of SERVICES) {
      const { container, env } = started(name);
      const attributes = env["OTEL_RESOURCE_ATTRIBUTES"] ?? "";
      const pairs = new Map(
        attributes.split(",").map((pair) => pair.split("=") as [string, string]),
      );
      expect([...pairs.keys()].sort()).toEqual([
        "deployment.environment.name",
        "k8s.namespace.name",
        "k8s.node.name",
        "k8s.pod.name",
        "k8s.pod.uid",
      ]);
      const own = (container.env ?? []).map((variable) => variable.name);
      const before = own.slice(0, own.indexOf("OTEL_RESOURCE_ATTRIBUTES"));
      const shared = Object.keys(env).filter((variable) => !own.includes(variable));
      for (const value of pairs.values()) {
        const variable = /^\$\((\w+)\)$/.exec(value)?.[1] ?? value;
        expect([...shared, ...before]).toContain(variable);
      }
      for (const [variable, path] of Object.entries(POD_FIELDS)) {
        const field = container.env?.find((one) => one.name === variable)?.valueFrom?.["fieldRef"];
        expect([variable, field?.fieldPath]).toEqual([variable, path]);
      }
    }
  });

  test("has no secret in it: they are files, read-only, that the pod's group may read", () => {
    expect(ofKind("Secret")).toEqual([]);
    for (const object of withPods()) {
      const { containers, volumes = [] } = podOf(object);
      for (const { env = [], envFrom = [], volumeMounts = [] } of containers) {
        for (const { name, value, valueFrom } of env) {
          expect([name, valueFrom?.["secretKeyRef"]]).toEqual([name, undefined]);
          if (/PASSWORD|SECRET|TOKEN|POSTGRES_URL|_KEY/.test(name)) {
            expect([name, value]).toEqual([expect.stringMatching(/_FILE$/), expect.any(String)]);
          }
        }
        expect(envFrom.filter(({ secretRef }) => secretRef)).toEqual([]);
        for (const { name, secret } of volumes) {
          if (!secret) continue;
          const mount = volumeMounts.find((one) => one.name === name);
          expect([nameOf(object), mount?.readOnly]).toEqual([nameOf(object), true]);
          expect(secret.defaultMode).toBe(0o440);
          const isTold = operations.includes(`generic ${secret.secretName} `);
          expect([secret.secretName, isTold]).toEqual([secret.secretName, true]);
        }
      }
    }
  });

  test("keeps every service up while nodes are emptied", () => {
    expect(ofKind("PodDisruptionBudget").map(nameOf).sort()).toEqual([...SERVICES].sort());
    for (const budget of ofKind("PodDisruptionBudget")) {
      const chosen = withPods().filter((object) =>
        selects(budget.spec?.selector ?? {}, labelsOf(object)),
      );
      expect(chosen.map(nameOf)).toEqual([nameOf(budget)]);
      expect(budget.spec?.maxUnavailable).toBe(1);
    }
  });

  test("scales the worker on lag up to its topic's partitions, and the others on CPU", () => {
    const scalers = ofKind("HorizontalPodAutoscaler");
    expect(scalers.map(nameOf).sort()).toEqual(SERVICES.filter((name) => name !== "worker").sort());
    for (const scaler of scalers) {
      const { scaleTargetRef, metrics, minReplicas = 0, maxReplicas = 0 } = scaler.spec ?? {};
      expect(scaleTargetRef).toMatchObject({ kind: "Deployment", name: nameOf(scaler) });
      expect(metrics?.map(({ resource }) => resource.name)).toEqual(["cpu"]);
      // One that a node takes with it leaves one; on one machine there is no such thing.
      expect(minReplicas).toBe(folder === "overlays/local" ? 1 : 2);
      expect(maxReplicas).toBeGreaterThan(minReplicas);
    }
    const onLag = ofKind("ScaledObject");
    expect(onLag.map(nameOf)).toEqual(folder === "overlays/local" ? [] : ["worker"]);
    for (const { spec } of onLag) {
      const target = named("Deployment", spec?.scaleTargetRef?.name ?? "");
      const [trigger] = spec?.triggers ?? [];
      expect(spec?.triggers?.length).toBe(1);
      expect(spec?.maxReplicaCount).toBe(ORDER_TOPIC_PARTITIONS);
      expect(spec?.minReplicaCount).toBeGreaterThanOrEqual(2);
      expect(trigger).toMatchObject({
        type: "kafka",
        metadata: {
          topic: ORDER_CREATED_TOPIC,
          consumerGroup: SETTLING_GROUP,
          lagThreshold: expect.stringMatching(/^[1-9]\d*$/),
        },
      });
      const variable = trigger?.metadata["bootstrapServersFromEnv"] ?? "";
      const { env } = started(nameOf(target) as "worker");
      expect(brokerList(env, variable)).toEqual(brokerList(env));
      // Over TLS where the services are, and as somebody.
      const isSecured = env["KAFKA_SSL"] === "true";
      expect(trigger?.metadata["tls"]).toBe(isSecured ? "enable" : undefined);
      expect(trigger?.metadata["sasl"]?.replaceAll("_", "-")).toBe(
        env["KAFKA_SASL_MECHANISM"]?.replace("sha-", "sha"),
      );
      expect(trigger?.authenticationRef !== undefined).toBe(isSecured);
      if (isSecured) {
        const who = named("TriggerAuthentication", trigger?.authenticationRef?.name ?? "");
        for (const { name, key } of who.spec?.configMapTargetRef ?? []) {
          expect(named("ConfigMap", name).data).toHaveProperty(key);
        }
        const files = [env["KAFKA_SSL_CA"], env["KAFKA_SASL_PASSWORD_FILE"]];
        for (const { name, key } of who.spec?.secretTargetRef ?? []) {
          expect(files).toContain(`/etc/orderflow/kafka/${key}`);
          expect(podOf(target).volumes).toContainEqual(
            expect.objectContaining({ secret: { secretName: name, defaultMode: 0o440 } }),
          );
        }
      }
    }
  });

  test("never asks PostgreSQL for more connections than it has", async () => {
    const counts = (await postgresPodsMax(folder)).map(([, pods]) => pods);
    const pods = counts.reduce((sum, one) => sum + one, 0);
    // One that rolls has one more.
    expect(Math.min(...counts)).toBeGreaterThan(1);
    const isPooled = started("orders").env["POSTGRES_POOLER"] === "transaction";
    expect(isPooled).toBe(folder === "overlays/managed-pooler");
    const [, max = ""] =
      /max_connections=(\d+)/.exec(String(compose.services["postgres"]?.command)) ?? [];
    expect(operations).toContain(`\`max_connections\` (${max} here`);
    // Less those that PostgreSQL keeps for a superuser, and one for migrations.
    const connections = pods * POOL_LIMITS.connectionsMax;
    if (!isPooled) expect(connections).toBeLessThanOrEqual(Number(max) - 3 - 1);
  });

  test("lets those talk who have to, and nobody else", () => {
    expect(named("NetworkPolicy", "default-deny").spec).toEqual({
      podSelector: {},
      policyTypes: ["Ingress", "Egress"],
    });
    for (const from of [...SERVICES, "migrate"]) {
      for (const to of SERVICES) {
        const isMeant = factsOf(to).edge ? "in" : CALLS[from]?.includes(to) ? "in and out" : "no";
        expect([from, to, allowed(from, to)]).toEqual([from, to, isMeant]);
      }
      const isOurs = SERVICES.includes(from as (typeof SERVICES)[number]);
      const ports = egressTo(from, (rule) => rule.to === undefined);
      const needsPostgres = [...NEEDS_POSTGRES, "migrate"].includes(from);
      expect([from, ports.some((port) => port === 5432)]).toEqual([from, needsPostgres]);
      const brokerPorts = NEEDS_KAFKA.includes(from)
        ? brokerList(started(from as "orders").env).map((one) => Number(one.split(":").at(-1)))
        : [];
      const others = ports.filter((port) => port !== 5432 && port !== 6432);
      expect([from, others]).toEqual([from, [...new Set(brokerPorts)]]);
      expect(egressTo(from, (rule) => selectsPods(rule.to, "kube-dns"))).toContain(53);
      // Where the servers are in here as well, they let in the same ones.
      for (const server of ofKind("StatefulSet").map(nameOf)) {
        const isIn = ingressOf(server).some((rule) => meets(rule.from, podLabels(from)));
        const isMeant = server === "postgres" ? needsPostgres : NEEDS_KAFKA.includes(from);
        expect([from, server, isIn]).toEqual([from, server, isMeant]);
      }
      if (!isOurs) continue;
      const collector = new URL(started(from as "orders").env["OTEL_EXPORTER_OTLP_ENDPOINT"] ?? "");
      expect(egressTo(from, (rule) => selectsPods(rule.to, "opentelemetry-collector"))).toEqual([
        Number(collector.port),
      ]);
      expect(ingressOf(from).some((rule) => selectsPods(rule.from, "prometheus"))).toBe(true);
    }
  });

  test("migrates once, bounded, on PostgreSQL itself with a secret of its own", () => {
    const { spec } = named("Job", "migrate");
    expect(spec?.template?.spec.restartPolicy).toBe("Never");
    expect(spec?.backoffLimit).toBeGreaterThan(0);
    expect(spec?.activeDeadlineSeconds).toBeGreaterThan(0);
    expect(spec?.ttlSecondsAfterFinished).toBeGreaterThan(0);
    const secrets = ourPods().map((object) => [nameOf(object), postgresSecret(podOf(object))]);
    expect(Object.fromEntries(secrets)).toEqual({
      ...Object.fromEntries(
        SERVICES.map((name) => [
          name,
          NEEDS_POSTGRES.includes(name) ? "orderflow-postgres" : undefined,
        ]),
      ),
      migrate: "orderflow-postgres-owner",
    });
    const env = environment(onlyContainer(podOf(named("Job", "migrate"))), objects);
    expect(Object.keys(env)).toEqual(["POSTGRES_URL_FILE"]);
    // Applied by this label alone: what lets it talk has it as well.
    for (const name of ["dns", "to-postgres"]) {
      const { labels } = named("NetworkPolicy", name).metadata;
      expect([name, labels?.["app.kubernetes.io/component"]]).toEqual([name, "migrations"]);
    }
  });

  /** A service's container, and what it is started with. */
  function started(name: keyof typeof PORTS): { env: Env; container: Container } {
    const container = onlyContainer(podOf(named("Deployment", name)));
    return { env: environment(container, objects), container };
  }

  function podLabels(name: string): Readonly<Record<string, string>> {
    const found = withPods().find((object) => nameOf(object) === name);
    return found ? labelsOf(found) : { [NAME]: name };
  }

  function policiesOn(name: string): KubernetesObject[] {
    return ofKind("NetworkPolicy").filter(({ spec }) =>
      selects(spec?.podSelector ?? {}, podLabels(name)),
    );
  }

  function ingressOf(name: string): NetworkRule[] {
    return policiesOn(name).flatMap(({ spec }) => spec?.ingress ?? []);
  }

  /** The ports that a pod may talk to by the rules that are meant. */
  function egressTo(name: string, isMeant: (rule: NetworkRule) => boolean) {
    const rules = policiesOn(name).flatMap(({ spec }) => spec?.egress ?? []);
    return rules.filter(isMeant).flatMap(({ ports = [] }) => ports.map(({ port }) => port));
  }

  /** Whether both ends let one service call the other at its port. */
  function allowed(from: string, to: keyof typeof PORTS): "no" | "in" | "out" | "in and out" {
    const isIn = ingressOf(to).some(
      (rule) =>
        meets(rule.from, podLabels(from)) && rule.ports?.some(({ port }) => port === "http"),
    );
    const isOut = egressTo(
      from,
      (rule) => rule.to !== undefined && meets(rule.to, podLabels(to)),
    ).includes(PORTS[to]);
    if (isIn && isOut) return "in and out";
    return isIn ? "in" : isOut ? "out" : "no";
  }
});

test("every file of deploy/kubernetes is part of something that can be built", async () => {
  const used = new Set<string>();
  for (const folder of KUSTOMIZATIONS) {
    const path = join(KUBERNETES_FOLDER, folder, "kustomization.yaml");
    used.add(path);
    const text = await readText(path);
    for (const [, file = ""] of text.matchAll(/(?:- |path: )([\w-]+\.yaml)$/gm)) {
      used.add(join(KUBERNETES_FOLDER, folder, file));
    }
  }
  expect(await manifestFiles()).toEqual([...used].sort());
});

test("no manifest holds a password: no URL has one, and no Secret is written down", async () => {
  for (const file of await manifestFiles()) {
    expect([file, /:\/\/[^/\s]*:[^/\s]*@/.test(await readText(file))]).toEqual([file, false]);
    const kinds = (await readObjects(file)).map(({ kind }) => kind);
    expect([file, kinds.includes("Secret")]).toEqual([file, false]);
  }
});

test("docs/operations.md tells of every overlay", () => {
  for (const folder of KUSTOMIZATIONS) {
    expect([folder, operations.includes(`deploy/kubernetes/${folder}`)]).toEqual([folder, true]);
  }
});

const POD_FIELDS = {
  K8S_NAMESPACE_NAME: "metadata.namespace",
  K8S_POD_NAME: "metadata.name",
  K8S_POD_UID: "metadata.uid",
  K8S_NODE_NAME: "spec.nodeName",
};
const configuration = await readText("docs/configuration.md");

/** Whether docs/configuration.md has it, or it is one of OpenTelemetry's that the code or its docs name. */
function isKnownVariable(name: string): boolean {
  if (["SERVICE", ...MANAGED_VARIABLES].includes(name)) return true;
  if (name.startsWith("OTEL_")) return telemetryDocs.includes(`\`${name}\``);
  return configuration.includes(`\`${name}\``);
}
const telemetryDocs = await readText("docs/telemetry.md");

/** What a container is started with; what comes from the pod itself stands as `$(field)`. */
function environment(container: Container, objects: readonly KubernetesObject[]): Env {
  const dataOf = (name = "") => {
    const map = objects.find((one) => one.kind === "ConfigMap" && one.metadata.name === name);
    if (!map) throw new Error(`there is no ConfigMap ${name}`);
    return map.data ?? {};
  };
  const env: Record<string, string> = {};
  for (const { configMapRef } of container.envFrom ?? []) {
    Object.assign(env, dataOf(configMapRef?.name));
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    const { configMapKeyRef, fieldRef } = valueFrom ?? {};
    const given = configMapKeyRef ? dataOf(configMapKeyRef.name)[configMapKeyRef.key ?? ""] : value;
    if (given === undefined && !fieldRef) throw new Error(`${name} has no value`);
    env[name] = given ?? `$(${fieldRef?.fieldPath})`;
  }
  return env;
}

function onlyContainer({ containers }: PodSpec): Container {
  expect(containers.length).toBe(1);
  return containers[0] as Container;
}

function podOf(object: KubernetesObject): PodSpec {
  return object.spec?.template?.spec as PodSpec;
}

function labelsOf(object: KubernetesObject): Readonly<Record<string, string>> {
  return object.spec?.template?.metadata.labels ?? {};
}

function nameOf({ metadata }: KubernetesObject): string {
  return metadata.name;
}

function pathOf(probe: Probe | undefined): string | undefined {
  return probe?.httpGet?.path;
}

/** A setting of compose's Kafka: here no listener is for programs outside, and the volume has a folder more. */
function asInPods(name: string, value: string): string {
  return name === "KAFKA_LOG_DIRS" ? `${value}/logs` : value.replace(/,HOST:[^,]*$/, "");
}

/** How long until a probe that fails has its effect, in seconds. */
function boundS({ periodSeconds = 10, failureThreshold = 3 }: Probe = {}): number {
  return periodSeconds * failureThreshold;
}

/** A quantity in its base unit: cores, bytes. */
function quantity(text: string | undefined): number {
  const [, number, unit = ""] = /^(\d+)(m|Mi|Gi)?$/.exec(text ?? "") ?? [];
  return Number(number) * ({ "": 1, m: 1e-3, Mi: 2 ** 20, Gi: 2 ** 30 }[unit] ?? Number.NaN);
}

function selects(
  { matchLabels = {}, matchExpressions = [] }: Selector,
  labels: Readonly<Record<string, string>>,
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(
      ({ key, operator, values }) => operator === "In" && values.includes(labels[key] ?? ""),
    )
  );
}

/** The secret of the volume that POSTGRES_URL_FILE lies in. */
function postgresSecret({ volumes = [] }: PodSpec): string | undefined {
  return volumes.find(({ name }) => name === "postgres")?.secret?.secretName;
}

function expectFile(name: string, path: string | undefined, container: Container): void {
  const mounts = container.volumeMounts ?? [];
  expect([name, mounts.some(({ mountPath }) => path?.startsWith(`${mountPath}/`))]).toEqual([
    name,
    true,
  ]);
}

/** Whether a rule is about such pods of the same namespace; without peers it is about all there is. */
function meets(
  peers: readonly NetworkPeer[] | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  return (
    peers === undefined ||
    peers.some((peer) => !peer.namespaceSelector && selects(peer.podSelector ?? {}, labels))
  );
}

/** Whether a rule is about pods of a name in another namespace. */
function selectsPods(peers: readonly NetworkPeer[] | undefined, name: string): boolean {
  return (peers ?? []).some(
    ({ namespaceSelector, podSelector }) =>
      namespaceSelector !== undefined &&
      Object.values(podSelector?.matchLabels ?? {}).includes(name),
  );
}
