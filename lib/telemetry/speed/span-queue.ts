/**
 * The way of a span from its end to the collector: into a block at once, from there into a queue that is
 * bounded in spans and in bytes, and out with at most one request under way. What finds no room is
 * dropped and counted. It says the same as the SDK's batch processor, and counts under its names.
 */
import { diag } from "@opentelemetry/api";
import type { InstrumentationScope } from "@opentelemetry/core";
import type { Resource } from "@opentelemetry/resources";
import type { QueueLimits } from "../optional-folders.ts";
import { QueueMetrics } from "./queue-metrics.ts";
import type { RecordedSpan } from "./recorded-span.ts";
import { SpanBlockWriter, type SpanBlock } from "./span-block.ts";

/** A block is sent when it has become so large, or holds as many spans as a batch may. */
const BLOCK_BYTES = 64 * 1024;
/** What waits, at most; a batch under way comes on top. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024;

/** How an export went: what went wrong, in a word that is low in cardinality, and how many it met. */
export interface Outcome {
  /** `error.type` of the spans that the collector did not take. */
  errorType?: string;
  /** Those of a batch that it refused although it took the others. @default all, where something failed */
  rejected?: number;
}

/** Sends the body of a request. Never rejects. @param bodies to be sent one after the other, as one */
export type Send = (bodies: Uint8Array[], timeoutMs: number) => Promise<Outcome>;

export class SpanQueue {
  readonly #limits: QueueLimits;
  readonly #send: Send;
  readonly #writer: SpanBlockWriter;
  readonly #metrics: QueueMetrics;
  /** Blocks that wait, oldest first. */
  readonly #blocks: SpanBlock[] = [];
  #blockSpans = 0;
  #blockBytes = 0;
  #blocksEnded = 0;
  #blocksSent = 0;
  /** Who waits until so many blocks have been sent. */
  #flushes: { until: number; resolve: () => void }[] = [];
  #dropped = 0;
  #timer: Timer | undefined;
  #isSending = false;
  #isClosed = false;

  constructor(resource: Resource, limits: QueueLimits, send: Send) {
    this.#limits = limits;
    this.#send = send;
    this.#writer = new SpanBlockWriter(resource);
    this.#metrics = new QueueMetrics(
      limits.selfObsMeterProvider,
      limits.maxQueueSize,
      () => this.#blockSpans + this.#writer.spans,
    );
  }

  /** Takes a span that has ended. */
  add(span: RecordedSpan, scope: InstrumentationScope): void {
    if (this.#isClosed) {
      this.#metrics.drop(1, "already_shutdown");
      return;
    }
    const writer = this.#writer;
    if (
      this.#blockSpans + writer.spans >= this.#limits.maxQueueSize ||
      this.#blockBytes + writer.bytes >= QUEUE_BYTES_MAX
    ) {
      this.#dropped++;
      this.#metrics.drop(1, "queue_full");
      return;
    }
    if (this.#dropped > 0) {
      diag.warn(`Dropped ${this.#dropped} spans because the queue was full`);
      this.#dropped = 0;
    }
    if (!writer.add(span, scope)) {
      this.#metrics.drop(1, "not_encodable");
      return;
    }
    if (writer.spans >= this.#limits.maxExportBatchSize || writer.bytes >= BLOCK_BYTES) {
      this.#endBlock();
      this.#start();
    } else {
      this.#setTimer();
    }
  }

  /** Sends what has been added until now, however long that takes. */
  async flush(): Promise<void> {
    this.#endBlock();
    this.#start();
    const until = this.#blocksEnded;
    if (this.#blocksSent >= until) return;
    await new Promise<void>((resolve) => this.#flushes.push({ until, resolve }));
  }

  /** Takes no more spans and sends what is there. */
  async shutdown(): Promise<void> {
    this.#isClosed = true;
    await this.flush();
    this.#metrics.stop();
  }

  #endBlock(): void {
    const block = this.#writer.take();
    if (!block) return;
    this.#blocksEnded++;
    this.#blocks.push(block);
    this.#blockSpans += block.spans;
    this.#blockBytes += block.bytes.length;
  }

  #setTimer(): void {
    if (this.#timer !== undefined || this.#isSending) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#endBlock();
      this.#start();
    }, this.#limits.scheduledDelayMillis);
    this.#timer.unref();
  }

  /** Begins to send, where that is not under way. */
  #start(): void {
    if (this.#isSending || this.#blocks.length === 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    void this.#sendBlocks();
  }

  /** Sends one batch after the other, as long as blocks wait. */
  async #sendBlocks(): Promise<void> {
    this.#isSending = true;
    while (this.#blocks.length > 0) {
      const batch = this.#nextBatch();
      const spans = batch.reduce((sum, block) => sum + block.spans, 0);
      const bodies = batch.map(({ bytes }) => bytes);
      const outcome = await this.#send(bodies, this.#limits.exportTimeoutMillis);
      this.#metrics.finish(spans, outcome);
      this.#blocksSent += batch.length;
      this.#endFlushes();
    }
    this.#isSending = false;
    if (this.#writer.spans > 0) this.#setTimer();
  }

  #endFlushes(): void {
    const isDone = ({ until }: { until: number }) => until <= this.#blocksSent;
    for (const { resolve } of this.#flushes.filter(isDone)) resolve();
    this.#flushes = this.#flushes.filter((flush) => !isDone(flush));
  }

  /** As many of the blocks that wait as a batch may hold spans. */
  #nextBatch(): SpanBlock[] {
    let spans = 0;
    let count = 0;
    for (const block of this.#blocks) {
      spans += block.spans;
      if (count > 0 && spans > this.#limits.maxExportBatchSize) break;
      count++;
    }
    const batch = this.#blocks.splice(0, count);
    for (const block of batch) {
      this.#blockSpans -= block.spans;
      this.#blockBytes -= block.bytes.length;
    }
    return batch;
  }
}
