// SASL for kafkajs: its own mechanisms for passwords, ours for OAUTHBEARER.
import {
  KafkaJSSASLAuthenticationError,
  type KafkaConfig,
  type SaslAuthenticationRequest,
  type SaslAuthenticationResponse,
} from "kafkajs";
import type { KafkaSasl, TokenSasl } from "./config.ts";

const SEPARATOR = "\u0001";
/** Its declaration has no parameter; the class takes a message. */
const AuthenticationError: new (message: string) => Error = KafkaJSSASLAuthenticationError;

/**
 * What kafkajs wants as `sasl`. Password and token are asked for at each connection.
 *
 * @see https://kafka.js.org/docs/configuration#sasl
 */
export function saslOptions(sasl: KafkaSasl): NonNullable<KafkaConfig["sasl"]> {
  if (sasl.mechanism === "oauthbearer") return bearer(sasl);
  const { mechanism, username, password } = sasl;
  return {
    mechanism: mechanism as "plain", // kafkajs's types know one object a mechanism
    username,
    get password() {
      return password();
    },
  };
}

/**
 * OAUTHBEARER, in place of kafkajs's own: that one does not read the broker's answer. A broker that
 * refuses a token says why and waits for our acknowledgement; kafkajs takes the connection for
 * authenticated, sends its next request, and the broker hangs up: all that is seen then is "Closed
 * connection", again and again.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7628#section-3.2.3
 */
function bearer({ token }: TokenSasl): NonNullable<KafkaConfig["sasl"]> {
  return {
    mechanism: "oauthbearer",
    authenticationProvider: ({ saslAuthenticate }) => ({
      async authenticate() {
        const request = framed(
          `n,,${SEPARATOR}auth=Bearer ${await token()}${SEPARATOR}${SEPARATOR}`,
        );
        const refusal = await saslAuthenticate({ request, response: UNFRAMED });
        if (!refusal) return;
        // Ends the exchange as the standard wants it; the broker answers that with an error.
        await saslAuthenticate({ request: framed(SEPARATOR) }).catch(() => undefined);
        throw new AuthenticationError(`SASL OAUTHBEARER: ${statusOf(refusal)}`);
      },
    }),
  };
}

/** A message with its length before it, as kafkajs's own have it. */
function framed(text: string): SaslAuthenticationRequest {
  return {
    async encode() {
      const bytes = Buffer.from(text);
      const frame = Buffer.alloc(4 + bytes.length);
      frame.writeInt32BE(bytes.length);
      bytes.copy(frame, 4);
      return frame;
    },
  };
}

const UNFRAMED: SaslAuthenticationResponse<string> = {
  decode: async (frame) => frame.subarray(4),
  parse: (bytes) => bytes.toString("utf8"),
};

/** The status only, `invalid_token` say: what else a broker writes is not ours to repeat. */
function statusOf(refusal: string): string {
  const status = /"status"\s*:\s*"([a-z_]{1,40})"/.exec(refusal)?.[1];
  return `the broker refuses the token${status ? ` (${status})` : ""}`;
}
