// Certificates for tests, made on the spot with openssl: an authority, a server's and a client's.
import { join } from "node:path";

/** Paths of PEM files. */
export interface Certificates {
  /** The authority's certificate. */
  readonly caFile: string;
  /** The server's key and its certificate in one file, as Kafka's PEM key stores are. */
  readonly serverPemFile: string;
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
  /** An authority that has signed none of these. */
  readonly otherCaFile: string;
}

const DAYS = "2";
const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/**
 * @param hostname the only name that the server's certificate is good for
 * @throws Error with what openssl says
 */
export async function makeCertificates(folder: string, hostname: string): Promise<Certificates> {
  const path = (name: string) => join(folder, name);
  const authority = async (name: string) => {
    const files = ["-keyout", path(`${name}.key`), "-out", path(`${name}.pem`)];
    await openssl("req", "-x509", ...NEW_KEY, "-subj", `/CN=${name}`, "-days", DAYS, ...files);
  };
  const signed = async (name: string, extension: string) => {
    const [key, request, cert] = [path(`${name}.key`), path(`${name}.csr`), path(`${name}.pem`)];
    await openssl("req", ...NEW_KEY, "-subj", `/CN=${name}`, "-keyout", key, "-out", request);
    await Bun.write(path(`${name}.ext`), extension);
    const ca = ["-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial"];
    const files = ["-in", request, "-out", cert, "-extfile", path(`${name}.ext`)];
    await openssl("x509", "-req", ...ca, ...files, "-days", DAYS);
    return { key, cert };
  };
  await authority("ca");
  await authority("other-ca");
  const server = await signed(
    "server",
    `subjectAltName=DNS:${hostname}\nextendedKeyUsage=serverAuth,clientAuth\n`,
  );
  const client = await signed("client", "extendedKeyUsage=clientAuth\n");
  const serverPemFile = path("server-store.pem");
  const texts = [server.key, server.cert, path("ca.pem")].map((file) => Bun.file(file).text());
  await Bun.write(serverPemFile, (await Promise.all(texts)).join(""));
  return {
    caFile: path("ca.pem"),
    serverPemFile,
    clientCertFile: client.cert,
    clientKeyFile: client.key,
    otherCaFile: path("other-ca.pem"),
  };
}

async function openssl(...args: string[]): Promise<void> {
  const child = Bun.spawn(["openssl", ...args], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const words = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(`openssl ${args[0]} failed: ${words}`);
}
