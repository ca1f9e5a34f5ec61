/** What listens on this machine is behind no proxy. */

const NAMES = ["127.0.0.1", "localhost"];

/**
 * For the environment of what is started here: calls to this machine pass by any proxy that is set, and the
 * others go on through it.
 * @param env usually process.env
 */
export function pastProxies(env: Readonly<Record<string, string | undefined>>) {
  const noProxy = [env["no_proxy"] || env["NO_PROXY"], ...NAMES].filter(Boolean).join(",");
  return { NO_PROXY: noProxy, no_proxy: noProxy };
}
