// One Apache Kafka process: how it is started, signalled and ended, and how its storage is made.
import { join } from "node:path";
import { createKafka } from "#lib/kafka/client.ts";

/** A running Kafka process; see {@link startNode}. */
export interface KafkaNode {
  /** Resolves when it has ended, whoever ended it. */
  readonly ended: Promise<void>;
  readonly hasEnded: boolean;
  /** The end of what it wrote. */
  output(): string;
  /** Sends a signal; does nothing once it has ended. */
  signal(name: NodeJS.Signals): void;
  /** SIGTERM lets it hand over what it leads; SIGKILL where that takes over 20 s. Also when it is frozen. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** Properties of a server, by Kafka's names. */
export type ServerProperties = Readonly<Record<string, string | number | boolean>>;

const ANSWERING_WITHIN_MS = 60_000;
const ENDED_WITHIN_MS = 20_000;
/** How much of a node's output an error shows. */
const OUTPUT_CHARACTERS_MAX = 4_000;
const POLL_MS = 100;

/** What a test's Kafka needs, and a default would forbid on few nodes or make slow. */
export const SMALL_SERVER: ServerProperties = {
  "auto.create.topics.enable": false, // as in any sensible production cluster
  "group.initial.rebalance.delay.ms": 0,
  "offsets.topic.num.partitions": 4,
  "transaction.state.log.num.partitions": 1,
};

/**
 * Runs a command ("$@") until it ends or until stdin does, whichever is first. stdin ends when this
 * process closes it or dies, even of SIGKILL: then the command is killed, frozen or not, and the folder
 * in $1, if any, is removed. The command's process id is the first line on stdout.
 */
const SUPERVISOR = `
folder=$1; shift
exec 3<&0
"$@" 3<&- >&2 &
command=$!
echo "$command"
# Nobody hears the shell's own words, "Killed" say, and once nobody can they would end it.
exec >/dev/null 2>&1
{ read -r _ <&3; trap "" TERM; kill -KILL "$command"; exit 0; } &
watcher=$!
exec 3<&-
wait "$command"; status=$?
kill "$watcher"
if wait "$watcher" && [ -n "$folder" ]; then
  # Other nodes may still be writing there.
  rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
fi
exit "$status"
`;

/**
 * Starts one node on a formatted storage; it does not outlive this process. Needs `java` (17 or later)
 * on the PATH.
 * @param removedWithUs folder that goes too when this process dies without ending the node
 * @param jvmOptions more of them, after ours
 */
export async function startNode(
  libsDir: string,
  propertiesFile: string,
  heapMb: number,
  removedWithUs = "",
  jvmOptions: readonly string[] = [],
): Promise<KafkaNode> {
  const command = java(libsDir, heapMb, ...jvmOptions, "kafka.Kafka", propertiesFile);
  const child = Bun.spawn(["/bin/sh", "-c", SUPERVISOR, "sh", removedWithUs, ...command], {
    // A session of its own: Ctrl-C in the terminal is for our process, which then ends the node.
    detached: true,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  let output = "";
  const keepEnd = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      output = (output + decoder.decode(chunk, { stream: true })).slice(-OUTPUT_CHARACTERS_MAX);
    }
  };
  void keepEnd();
  const pid = Number((await child.stdout.text()).trim());
  let hasEnded = false;
  const ended = child.exited.then(() => void (hasEnded = true));
  const signal = (name: NodeJS.Signals) => {
    if (hasEnded) return;
    try {
      process.kill(pid, name);
    } catch {
      // It ended between our look and here.
    }
  };
  return {
    ended,
    get hasEnded() {
      return hasEnded;
    },
    output: () => output,
    signal,
    async end(how) {
      signal(how);
      signal("SIGCONT");
      const timer = setTimeout(() => signal("SIGKILL"), ENDED_WITHIN_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

/**
 * Waits until a node answers and counts itself among its cluster's brokers.
 * @param address its listener without encryption, `host:port`
 * @throws Error with the end of its output when it does not within a minute, or has ended
 */
export async function waitUntilAnswering(
  node: KafkaNode,
  address: string,
  nodeId: number,
): Promise<void> {
  const deadlineMs = performance.now() + ANSWERING_WITHIN_MS;
  const kafka = createKafka({
    connection: { brokers: [address] },
    clientId: "apache-kafka-starter",
  });
  for (;;) {
    if (await isListening(address)) {
      const admin = kafka.admin({ retry: { retries: 0 } });
      try {
        await admin.connect();
        const { brokers } = await admin.describeCluster();
        if (brokers.some((broker) => broker.nodeId === nodeId)) return;
      } catch {
        // Its port is open before it knows itself.
      } finally {
        await admin.disconnect();
      }
    }
    if (node.hasEnded || performance.now() > deadlineMs) {
      throw new Error(`Apache Kafka did not start:\n${node.output()}`);
    }
    await Bun.sleep(POLL_MS);
  }
}

async function isListening(address: string): Promise<boolean> {
  const [hostname = "", port] = address.split(":");
  try {
    const socket = await Bun.connect({ hostname, port: Number(port), socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

/** 16 random bytes as Kafka writes its ids. */
export function kafkaUuid(): string {
  const id = crypto.getRandomValues(new Uint8Array(16));
  id[0] = 0; // so that its text never starts with "-", which the tool would read as an option
  return Buffer.from(id).toString("base64url");
}

/**
 * Writes the empty log that KRaft demands before the first start.
 * @param scramUsers each as StorageTool's `--add-scram` wants it
 */
export async function format(
  libsDir: string,
  propertiesFile: string,
  scramUsers: readonly string[] = [],
): Promise<void> {
  const tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", kafkaUuid()];
  const users = scramUsers.flatMap((user) => ["--add-scram", user]);
  const command = java(libsDir, 128, ...tool, "-c", propertiesFile, ...users);
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`Kafka's storage format failed:\n${out}${error}`);
}

/** The text of a properties file. */
export function propertiesText(properties: ServerProperties): string {
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

function java(libsDir: string, heapMb: number, ...optionsMainAndArguments: string[]): string[] {
  return [
    "java",
    `-Xmx${heapMb}m`,
    "-XX:+UseSerialGC", // fewer threads than the default; pauses do not matter here
    "-Xshare:auto",
    "-XX:TieredStopAtLevel=1", // starts in half the time; the peak speed is not needed here
    "-Dlog4j2.level=WARN",
    "-cp",
    join(libsDir, "*"),
    ...optionsMainAndArguments,
  ];
}
