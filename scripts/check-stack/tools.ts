/** The programs that the checks use, where they are installed, and how they are run. */

/** Each is found on PATH, or where the variable says. */
const TOOLS = {
  docker: { variable: "DOCKER", command: "docker" },
  hadolint: { variable: "HADOLINT", command: "hadolint" },
  promtool: { variable: "PROMTOOL", command: "promtool" },
  prometheus: { variable: "PROMETHEUS", command: "prometheus" },
  collector: { variable: "OTELCOL", command: "otelcol-contrib" },
  jaeger: { variable: "JAEGER", command: "jaeger" },
  kustomize: { variable: "KUSTOMIZE", command: "kustomize" },
  kubectl: { variable: "KUBECTL", command: "kubectl" },
  kubeconform: { variable: "KUBECONFORM", command: "kubeconform" },
} as const;

export type ToolName = keyof typeof TOOLS;

const RUN_TIMEOUT_MS = 120_000;

/** @returns the program's path; undefined where it is not installed */
export function findTool(name: ToolName): string | undefined {
  const { variable, command } = TOOLS[name];
  return process.env[variable] || Bun.which(command) || undefined;
}

/** What to say where a tool is missing. */
export function missing(name: ToolName): string {
  const { variable, command } = TOOLS[name];
  return `no ${command} on PATH, and ${variable} is not set`;
}

/** Runs a program to its end. @returns its exit status and everything that it wrote */
export async function run(
  command: readonly string[],
  options: { cwd?: string; env?: Record<string, string | undefined> } = {},
): Promise<{ status: number; output: string }> {
  const child = Bun.spawn([...command], {
    ...options,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: RUN_TIMEOUT_MS,
  });
  const [out, err, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { status, output: out + err };
}
