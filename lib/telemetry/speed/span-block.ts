/**
 * Spans on their way: an ExportTraceServiceRequest that is put together span by span. What several of
 * them hold may be sent as one request, bytes after bytes: protobuf joins repeated fields so.
 */
import { diag } from "@opentelemetry/api";
import type { InstrumentationScope } from "@opentelemetry/core";
import type { Resource } from "@opentelemetry/resources";
import { writeAttributes } from "./attribute-encoder.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";
import type { RecordedSpan } from "./recorded-span.ts";
import { writeSpan } from "./span-encoder.ts";

/** A block's size before it first has to grow. */
const CAPACITY_BYTES = 80 * 1024;
/** The room for the length of a part that is still open. */
const LENGTH_BYTES = 4;

/** Encoded spans. */
export interface SpanBlock {
  readonly bytes: Uint8Array;
  readonly spans: number;
}

export class SpanBlockWriter {
  readonly #writer = new ProtobufWriter(CAPACITY_BYTES);
  readonly #resource: Resource;
  #head: Uint8Array | undefined;
  #scope: InstrumentationScope | undefined;
  #scopeFrom = 0;
  #spans = 0;

  /** @param resource of all spans */
  constructor(resource: Resource) {
    this.#resource = resource;
  }

  /** Of what has been added since the last block was taken. */
  get spans(): number {
    return this.#spans;
  }

  get bytes(): number {
    return this.#spans === 0 ? 0 : this.#writer.at;
  }

  /** @returns false where a span cannot be written, as its times are no numbers or the like */
  add(span: RecordedSpan, scope: InstrumentationScope): boolean {
    const writer = this.#writer;
    if (this.#spans === 0) this.#begin();
    if (this.#scope !== scope) {
      this.#endScope();
      this.#beginScope(scope);
    }
    const from = writer.at;
    try {
      writeSpan(writer, span);
    } catch (error) {
      writer.at = from;
      diag.warn("a span could not be encoded", error);
      return false;
    }
    this.#spans++;
    return true;
  }

  /** Ends the block that is being written. @returns undefined where nothing is in it */
  take(): SpanBlock | undefined {
    const spans = this.#spans;
    if (spans === 0) return undefined;
    const writer = this.#writer;
    this.#endScope();
    if (this.#resource.schemaUrl) writer.writeString(3, this.#resource.schemaUrl);
    writer.patchLength(1, writer.at - 1 - LENGTH_BYTES);
    this.#spans = 0;
    return { bytes: new Uint8Array(writer.buffer.subarray(0, writer.at)), spans };
  }

  /** ExportTraceServiceRequest.resource_spans, and in it the resource. */
  #begin(): void {
    const writer = this.#writer;
    writer.at = 0;
    this.#scope = undefined;
    startOpenMessage(writer, 1);
    if (this.#head) return writer.copy(this.#head);
    const from = writer.at;
    const resource = writer.startMessage(1);
    writeAttributes(writer, 1, this.#resource.attributes);
    writer.endMessage(resource);
    // Attributes that are still being looked up are on the spans that end when they are known.
    if (!this.#resource.asyncAttributesPending) {
      this.#head = new Uint8Array(writer.buffer.subarray(from, writer.at));
    }
  }

  /** ResourceSpans.scope_spans, and in it the scope. */
  #beginScope(scope: InstrumentationScope): void {
    const writer = this.#writer;
    this.#scope = scope;
    this.#scopeFrom = writer.at;
    startOpenMessage(writer, 2);
    const message = writer.startMessage(1);
    writer.writeString(1, scope.name);
    if (scope.version) writer.writeString(2, scope.version);
    writer.endMessage(message);
  }

  #endScope(): void {
    if (!this.#scope) return;
    const writer = this.#writer;
    if (this.#scope.schemaUrl) writer.writeString(3, this.#scope.schemaUrl);
    writer.patchLength(this.#scopeFrom + 1, writer.at - this.#scopeFrom - 1 - LENGTH_BYTES);
    this.#scope = undefined;
  }
}

/** Begins a message that others are written into for long: its length is put in when it ends. */
function startOpenMessage(writer: ProtobufWriter, field: number): void {
  writer.reserve(1 + LENGTH_BYTES);
  writer.writeTag(field, 2);
  writer.at += LENGTH_BYTES;
}
