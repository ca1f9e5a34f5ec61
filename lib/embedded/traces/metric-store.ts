/** The metrics in memory: each series with its latest points, within bounds. */
import {
  explicitBuckets,
  type ExponentialPoint,
  quantilePoints,
  type SummaryPoint,
} from "./exponential-buckets.ts";
import type {
  Attribute,
  WireExemplar,
  WireMetric,
  WireMetricPoint,
  WireSeries,
} from "../viewer/wire.ts";
import { serviceNameOf } from "./jaeger-json.ts";
import { isId, type KeyValue, microsOf, plainValue, type Resource } from "./otlp.ts";

/** An hour at an export every five seconds. */
const POINTS_MAX = 720;
const EXEMPLARS_MAX = 20;

/** A point's own, and that of each of its buckets. */
const POINT_BYTES = 64;
const BUCKET_BYTES = 8;
const EXEMPLAR_BYTES = 200;

/** What the store holds, and what it has let go since it was made. */
export interface MetricStoreStats {
  readonly series: number;
  readonly seriesBytes: number;
  readonly evictedSeries: number;
}

interface Series {
  /** What it is charged with. */
  bytes: number;
  readonly service: string;
  readonly metric: Metric;
  readonly attributes: readonly Attribute[];
  readonly points: WireMetricPoint[];
  exemplars: WireSeries["exemplars"][number][];
}

interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly type: WireMetric["type"];
  readonly isCumulative: boolean;
}

interface Exemplar {
  readonly timeUnixNano?: string;
  readonly asDouble?: number;
  readonly asInt?: string;
  readonly traceId?: string;
  readonly spanId?: string;
}

/** OTLP's data points, of all kinds, as far as they are read. */
interface DataPoint extends ExponentialPoint, SummaryPoint {
  readonly timeUnixNano?: string;
  readonly attributes?: readonly KeyValue[];
  readonly asDouble?: number;
  readonly asInt?: string;
  readonly count?: string;
  readonly sum?: number;
  readonly bucketCounts?: readonly string[];
  readonly explicitBounds?: readonly number[];
  readonly exemplars?: readonly Exemplar[];
}

interface Points {
  readonly dataPoints?: readonly DataPoint[];
  readonly aggregationTemporality?: number;
  readonly isMonotonic?: boolean;
}

interface OtlpMetric {
  readonly name?: string;
  readonly unit?: string;
  readonly description?: string;
  readonly gauge?: Points;
  readonly sum?: Points;
  readonly histogram?: Points;
  readonly exponentialHistogram?: Points;
  readonly summary?: Points;
}

interface ResourceMetrics {
  readonly resource?: Resource;
  readonly scopeMetrics?: readonly { readonly metrics?: readonly OtlpMetric[] }[];
}

const CUMULATIVE = 2;

/** Series in the order in which they were last heard of; the one that was silent for longest goes first. */
export class MetricStore {
  readonly #bytesMax: number;
  readonly #series = new Map<string, Series>();
  #bytes = 0;
  #evicted = 0;

  /** @param bytesMax of all series together, as they are kept */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @param request OTLP's ExportMetricsServiceRequest @returns the services that it is of */
  add(request: Record<string, unknown>): Set<string> {
    const services = new Set<string>();
    for (const of of (request["resourceMetrics"] ?? []) as readonly ResourceMetrics[]) {
      const service = serviceNameOf(of.resource ?? {});
      services.add(service);
      // Two processes of one service are two series.
      const instance = of.resource?.attributes?.find(({ key }) => key === "service.instance.id");
      for (const { metrics = [] } of of.scopeMetrics ?? []) {
        for (const metric of metrics) this.#addMetric(metric, service, plainValue(instance?.value));
      }
    }
    return services;
  }

  /** @returns the metrics that there are, by name */
  list(): WireMetric[] {
    const metrics = new Map<string, { metric: Metric; series: number; services: Set<string> }>();
    for (const { service, metric } of this.#series.values()) {
      const known = metrics.getOrInsertComputed(metric.name, () => ({
        metric,
        series: 0,
        services: new Set(),
      }));
      known.series += 1;
      known.services.add(service);
    }
    return [...metrics.values()]
      .map(({ metric: { name, unit, description, type }, series, services }) => ({
        name,
        unit,
        description,
        type,
        series,
        services: [...services],
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @returns a metric's series, at most so many */
  seriesOf(name: string, service: string | undefined, seriesMax: number): WireSeries[] {
    const found: WireSeries[] = [];
    for (const series of this.#series.values()) {
      if (series.metric.name !== name) continue;
      if (service !== undefined && series.service !== service) continue;
      if (found.length === seriesMax) break;
      const { attributes, points, exemplars, metric } = series;
      found.push({
        service: series.service,
        attributes,
        points,
        exemplars,
        isCumulative: metric.isCumulative,
      });
    }
    return found;
  }

  /** @returns the measurements that were made in spans of a trace, as far as senders say so */
  ofTrace(traceId: string): WireExemplar[] {
    const found: WireExemplar[] = [];
    for (const { metric, attributes, exemplars } of this.#series.values()) {
      for (const { spanId, value, ...exemplar } of exemplars) {
        if (exemplar.traceId !== traceId) continue;
        const { name, unit } = metric;
        found.push({ span: spanId, metric: name, unit, value, attributes });
      }
    }
    return found;
  }

  stats(): MetricStoreStats {
    const { size } = this.#series;
    return { series: size, seriesBytes: this.#bytes, evictedSeries: this.#evicted };
  }

  #addMetric(metric: OtlpMetric, service: string, instance: unknown): void {
    const { name = "", unit = "", description = "" } = metric;
    const points = pointsOf(metric);
    if (!points || !name) return;
    const isHistogram = metric.histogram ?? metric.exponentialHistogram;
    const type = isHistogram ? "histogram" : metric.sum?.isMonotonic ? "counter" : "gauge";
    const isCumulative = points.aggregationTemporality === CUMULATIVE;
    for (const point of points.dataPoints ?? []) {
      const attributes = (point.attributes ?? []).map(({ key, value }): Attribute => [
        key,
        plainValue(value),
      ]);
      const key = JSON.stringify([name, service, instance, attributes]);
      const series = this.#series.get(key) ?? {
        bytes: 0,
        service,
        metric: { name, unit, description, type, isCumulative },
        attributes,
        points: [],
        exemplars: [],
      };
      // The one that was heard of last stands at the end.
      this.#series.delete(key);
      this.#series.set(key, series);
      series.points.push(pointOf(point));
      if (series.points.length > POINTS_MAX) series.points.shift();
      series.exemplars = [...series.exemplars, ...exemplarsOf(point)].slice(-EXEMPLARS_MAX);
      this.#charge(series, key.length + description.length);
    }
    for (const [key, series] of this.#series) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#series.delete(key);
      this.#bytes -= series.bytes;
      this.#evicted += 1;
    }
  }

  /** @param words of its name, attributes and description, which are kept more than once */
  #charge(series: Series, words: number): void {
    const { points, exemplars } = series;
    // Bounds are there once for each point, as they were sent.
    const buckets = 2 * (points.at(-1)?.buckets?.length ?? 0);
    const bytes =
      3 * words +
      points.length * (POINT_BYTES + buckets * BUCKET_BYTES) +
      exemplars.length * EXEMPLAR_BYTES;
    this.#bytes += bytes - series.bytes;
    series.bytes = bytes;
  }
}

/** All kinds of points as numbers, or as histograms with bounds. */
function pointsOf(metric: OtlpMetric): Points | undefined {
  const { sum, gauge, histogram, exponentialHistogram, summary } = metric;
  if (exponentialHistogram) {
    const { dataPoints = [] } = exponentialHistogram;
    return {
      ...exponentialHistogram,
      dataPoints: dataPoints.map((point) => ({ ...point, ...explicitBuckets(point) })),
    };
  }
  if (summary)
    return { ...summary, dataPoints: (summary.dataPoints ?? []).flatMap(quantilePoints) };
  return sum ?? gauge ?? histogram;
}

function pointOf(point: DataPoint): WireMetricPoint {
  const time = microsOf(point.timeUnixNano);
  if (point.bucketCounts === undefined) {
    return { time, value: Number(point.asInt ?? point.asDouble ?? 0) };
  }
  return {
    time,
    value: Number(point.count ?? 0),
    sum: point.sum ?? 0,
    bounds: point.explicitBounds ?? [],
    buckets: point.bucketCounts.map(Number),
  };
}

function exemplarsOf({ exemplars = [] }: DataPoint): WireSeries["exemplars"][number][] {
  return exemplars
    .filter(({ traceId }) => isId(traceId))
    .map(({ timeUnixNano, asDouble, asInt, traceId = "", spanId = "" }) => ({
      time: microsOf(timeUnixNano),
      value: Number(asInt ?? asDouble ?? 0),
      traceId,
      spanId,
    }));
}
