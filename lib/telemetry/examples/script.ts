/** A short script: its steps are one trace, and it ends when they are done. */
import { inSpan, logger, startTelemetry } from "@orderflow/telemetry";

const telemetry = startTelemetry({ name: "price-import", version: "1.0.0" });

try {
  await inSpan("import prices", { "app.prices.source": "examples" }, async () => {
    const prices = await inSpan("read prices", {}, async () => [3, 5, 8]);
    const total = await inSpan("add prices", {}, async (span) => {
      const sum = prices.reduce((all, price) => all + price, 0);
      span.setAttribute("app.prices.total", sum);
      return sum;
    });
    logger.info("prices imported", { total });
  });
} finally {
  await telemetry.shutdown();
}
