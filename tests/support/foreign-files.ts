/**
 * Files as programs in other languages write them, in the forms of the examples of opentelemetry-proto
 * (examples/*.json): ids in capitals, numbers as numbers, older conventions, values of all kinds.
 */

const TRACE = "5B8EFFF798038103D269B633813FC60C";
const SERVER = "EEE19B7EC3C1B174";
const CLIENT = "EEE19B7EC3C1B173";

const resourceOf = (name: string, language: string) => ({
  attributes: [
    { key: "service.name", value: { stringValue: name } },
    { key: "telemetry.sdk.language", value: { stringValue: language } },
    { key: "process.command_args", value: { arrayValue: { values: [{ stringValue: "-jar" }] } } },
  ],
});

/** A request from a browser's program to one in Java, with the HTTP conventions of 2022. */
export const TRACE_FILE = {
  resourceSpans: [
    {
      resource: resourceOf("checkout.web", "webjs"),
      schemaUrl: "https://opentelemetry.io/schemas/1.12.0",
      scopeSpans: [
        {
          scope: { name: "@opentelemetry/instrumentation-fetch", version: "0.34.0" },
          spans: [
            {
              traceId: TRACE,
              spanId: CLIENT,
              parentSpanId: "",
              name: "HTTP GET",
              kind: 3,
              startTimeUnixNano: 1544712660000000000,
              endTimeUnixNano: 1544712661500000000,
              attributes: [
                { key: "http.method", value: { stringValue: "GET" } },
                { key: "http.status_code", value: { intValue: 500 } },
                { key: "http.url", value: { stringValue: "https://shop.example/cart" } },
              ],
              status: { code: 2 },
            },
          ],
        },
      ],
    },
    {
      resource: resourceOf("cart-service", "java"),
      scopeSpans: [
        {
          scope: {
            name: "io.opentelemetry.tomcat-10.0",
            attributes: [{ key: "my.scope.attribute", value: { stringValue: "some scope" } }],
          },
          spans: [
            {
              traceId: TRACE,
              spanId: SERVER,
              parentSpanId: CLIENT,
              flags: 257,
              traceState: "vendor=opaque",
              name: "GET /cart",
              kind: 2,
              startTimeUnixNano: "1544712660100000000",
              endTimeUnixNano: "1544712661400000000",
              attributes: [
                { key: "ratio", value: { doubleValue: 0.25 } },
                { key: "ok", value: { boolValue: false } },
                { key: "raw", value: { bytesValue: "3q2+7w==" } },
                {
                  key: "nested",
                  value: {
                    kvlistValue: { values: [{ key: "many", value: { stringValue: "values" } }] },
                  },
                },
                { key: "empty", value: {} },
              ],
              droppedAttributesCount: 2,
              events: [
                {
                  timeUnixNano: "1544712660900000000",
                  name: "exception",
                  attributes: [
                    {
                      key: "exception.type",
                      value: { stringValue: "java.lang.IllegalStateException" },
                    },
                  ],
                },
              ],
              links: [{ traceId: TRACE, spanId: CLIENT, attributes: [] }],
              status: { message: "cart is locked", code: 2 },
            },
          ],
        },
      ],
    },
  ],
};

export const LOGS_FILE = {
  resourceLogs: [
    {
      resource: resourceOf("cart-service", "java"),
      scopeLogs: [
        {
          scope: { name: "com.example.CartLogger" },
          logRecords: [
            {
              timeUnixNano: "1544712660900000000",
              observedTimeUnixNano: "1544712660950000000",
              severityNumber: 17,
              severityText: "SEVERE",
              traceId: TRACE,
              spanId: SERVER,
              body: {
                kvlistValue: { values: [{ key: "cart", value: { stringValue: "c-17" } }] },
              },
              attributes: [],
            },
          ],
        },
      ],
    },
  ],
};

const AT = "1544712660300000000";

/** One metric of each kind that OTLP knows. */
export const METRICS_FILE = {
  resourceMetrics: [
    {
      resource: resourceOf("cart-service", "java"),
      scopeMetrics: [
        {
          scope: { name: "my.library" },
          metrics: [
            {
              name: "kind.sum",
              unit: "1",
              sum: {
                aggregationTemporality: 1,
                isMonotonic: false,
                dataPoints: [{ asDouble: 5, startTimeUnixNano: AT, timeUnixNano: AT }],
              },
            },
            { name: "kind.gauge", gauge: { dataPoints: [{ asInt: 10, timeUnixNano: AT }] } },
            {
              name: "kind.histogram",
              unit: "s",
              histogram: {
                aggregationTemporality: 1,
                dataPoints: [
                  {
                    timeUnixNano: AT,
                    count: 2,
                    sum: 2,
                    bucketCounts: [1, 1],
                    explicitBounds: [1],
                    min: 0,
                    max: 2,
                  },
                ],
              },
            },
            {
              name: "kind.exponential",
              unit: "s",
              exponentialHistogram: {
                aggregationTemporality: 1,
                dataPoints: [
                  {
                    timeUnixNano: AT,
                    count: 4,
                    sum: 10,
                    scale: 1,
                    zeroCount: 1,
                    positive: { offset: 1, bucketCounts: [1, 2] },
                  },
                ],
              },
            },
            {
              name: "kind.summary",
              unit: "s",
              summary: {
                dataPoints: [
                  {
                    timeUnixNano: AT,
                    count: 9,
                    sum: 3,
                    quantileValues: [
                      { quantile: 0.5, value: 0.2 },
                      { quantile: 0.99, value: 2 },
                    ],
                  },
                ],
              },
            },
          ],
        },
      ],
    },
  ],
};
