// Runs kcat, a Kafka client of another family (librdkafka), as the second opinion on our broker.

/** What kcat printed. */
export interface KcatOutput {
  readonly stdout: string;
  /** Lines of stdout, without the last, empty one. */
  readonly lines: readonly string[];
}

const RUN_MS_MAX = 30_000;

/** @returns where kcat is installed (Debian calls it kcat, older ones kafkacat), or null */
export function findKcat(): string | null {
  return Bun.which("kcat") ?? Bun.which("kafkacat");
}

/**
 * Runs kcat to its end.
 * @param brokers list of `host:port`, separated by commas
 * @param parameters kcat's own, without `-b`
 * @param input what it reads from stdin
 * @throws Error with what it printed, where it fails or takes longer than 30 s
 * @see https://github.com/edenhill/kcat
 */
export async function runKcat(
  brokers: string,
  parameters: readonly string[],
  input = "",
): Promise<KcatOutput> {
  const kcat = findKcat();
  if (kcat === null) throw new Error("kcat is not installed (Debian: apt-get install kcat)");
  const child = Bun.spawn([kcat, "-b", brokers, ...parameters], {
    stdin: Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    timeout: RUN_MS_MAX,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (exitCode !== 0) {
    const command = `kcat ${parameters.join(" ")}`;
    throw new Error(`${command} ended with ${exitCode}: ${stderr.trim()}\n${stdout.trim()}`);
  }
  return { stdout, lines: stdout.split("\n").slice(0, -1) };
}
