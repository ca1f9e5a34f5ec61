/** TCP ports on the loopback interface. */
export { freePort } from "#lib/embedded/free-port.ts";

export async function isListening(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}
