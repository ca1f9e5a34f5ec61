// Builds request frames for the broker's tests, one for every API and version it advertises.
import { Writer } from "../writer.ts";
import { buildRecordBatch } from "./record-batches.ts";

/** Writes a request's body in one version. */
export type BodyWriter = (out: Writer, version: number) => void;

/**
 * Builds a request frame, its length in front.
 * @param writeBody adds what follows the header
 */
export function buildRequest(
  key: number,
  version: number,
  writeBody: BodyWriter = () => {},
  correlationId = 1,
): Buffer {
  const out = new Writer().int16(key).int16(version).int32(correlationId).string("test-client");
  if (key === 18 && version >= 3) out.noTaggedFields();
  writeBody(out, version);
  return out.toFrame();
}

/** A produce body: one partition's batch. */
export function produceBody(
  topic: string,
  partition: number,
  batch: Uint8Array,
  acks = -1,
): BodyWriter {
  return (out) => {
    out.nullableString(null).int16(acks).int32(1_000);
    out.array([topic], (out, name) => {
      out.string(name).array([partition], (out, index) => out.int32(index).bytes(batch));
    });
  };
}

/** A fetch body: one partition, read from `offset`. */
export function fetchBody(
  topic: string,
  partition: number,
  offset: number,
  options: { waitMsMax?: number; bytesMin?: number; bytesMax?: number; sessionId?: number } = {},
): BodyWriter {
  const { waitMsMax = 0, bytesMin = 1, bytesMax = 1_048_576, sessionId = 0 } = options;
  return (out, version) => {
    out.int32(-1).int32(waitMsMax).int32(bytesMin).int32(bytesMax).int8(0);
    if (version >= 7) out.int32(sessionId).int32(-1);
    out.array([topic], (out, name) => {
      out.string(name).array([partition], (out, index) => {
        out.int32(index);
        if (version >= 9) out.int32(-1);
        out.int64(offset);
        if (version >= 5) out.int64(-1);
        out.int32(bytesMax);
      });
    });
    if (version >= 7) out.array([], () => {});
    if (version >= 11) out.string("");
  };
}

/** A valid body for every API key, against topic "events" and group "readers". */
export const sampleBodies: Readonly<Record<number, BodyWriter>> = {
  0: produceBody("events", 0, buildRecordBatch()),
  1: fetchBody("events", 0, 0),
  2: (out, version) => {
    out.int32(-1);
    if (version >= 2) out.int8(0);
    out.array(["events"], (out, name) => {
      out.string(name).array([0], (out, partition) => out.int32(partition).int64(-1));
    });
  },
  3: (out, version) => {
    out.array(["events"], (out, name) => out.string(name));
    if (version >= 4) out.boolean(true);
  },
  8: (out, version) => {
    out.string("readers").int32(-1).string("");
    if (version <= 4) out.int64(-1);
    out.array(["events"], (out, name) => {
      out.string(name).array([0], (out, partition) => {
        out.int32(partition).int64(7).nullableString(null);
      });
    });
  },
  9: (out) => {
    out.string("readers").array(["events"], (out, name) => {
      out.string(name).array([0], (out, partition) => out.int32(partition));
    });
  },
  10: (out, version) => {
    out.string("readers");
    if (version >= 1) out.int8(0);
  },
  11: (out, version) => {
    out.string("readers").int32(10_000);
    if (version >= 1) out.int32(10_000);
    out.string("").string("consumer");
    out.array(["range"], (out, name) => out.string(name).bytes(Buffer.from("subscription")));
  },
  12: (out) => void out.string("readers").int32(1).string("nobody"),
  13: (out) => void out.string("readers").string("nobody"),
  14: (out) => {
    out.string("readers").int32(1).string("nobody");
    out.array(["nobody"], (out, member) => out.string(member).bytes(Buffer.from("assignment")));
  },
  15: (out) => void out.array(["readers"], (out, group) => out.string(group)),
  16: () => {},
  18: (out, version) => {
    if (version >= 3) out.compactString("test").compactString("1").noTaggedFields();
  },
  19: (out, version) => {
    out.array(["created"], (out, name) => {
      out.string(name).int32(2).int16(1);
      out.array([], () => {});
      out.array(["retention.ms"], (out, setting) => out.string(setting).nullableString("1000"));
    });
    out.int32(1_000);
    if (version >= 1) out.boolean(false);
  },
  20: (out) => void out.array(["created"], (out, name) => out.string(name)).int32(1_000),
  22: (out) => void out.nullableString(null).int32(1_000),
};
