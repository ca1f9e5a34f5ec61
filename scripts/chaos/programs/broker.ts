/** The embedded broker as a process of its own: `broker.ts <port>`. */
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";

await startKafkaBroker({ port: Number(Bun.argv[2]) });
