/** Where the trace store listens where nothing else is said: the ports of OTLP over HTTP, and of Jaeger. */
export const OTLP_PORT = 4318;
export const QUERY_PORT = 16686;
