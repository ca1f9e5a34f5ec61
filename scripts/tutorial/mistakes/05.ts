/** Mistakes of stage 05: statements that nobody sees, values that everybody sees, and one query for each row. */
import type { Complaint, Mistake } from "./mistake.ts";

const STATEMENTS = "each statement of a request is a CLIENT span below it";
const TRANSACTION = "BEGIN and COMMIT are spans, as PostgreSQL got them";
const LIST = "the list is read with as many statements for many orders as for few";

export const bare: Complaint = {
  failing: STATEMENTS,
  says: /a CLIENT span of orders for the INSERT/,
};

export const mistakes: readonly Mistake[] = [
  {
    name: "begin-hidden",
    about: "The transaction is Bun's own: what is in it is traced, BEGIN and COMMIT are not.",
    edits: [
      {
        file: "sql.ts",
        find: `  const connection = await sql.reserve();
  const query = traceSql(connection);
  try {
    await query\`BEGIN\`;
    const result = await work(query);
    await query\`COMMIT\`;
    return result;
  } catch (error) {
    await query\`ROLLBACK\`.catch(() => {}); // the connection may be what failed
    throw error;
  } finally {
    connection.release();
  }
`,
        replace: "  return await sql.begin(async (tx) => await work(traceSql(tx)));\n",
      },
    ],
    failing: TRANSACTION,
    says: /PostgreSQL got: BEGIN[^]*a span BEGIN/,
  },
  {
    name: "on-the-pool",
    about: "BEGIN is sent on the pool, where each statement may have another connection.",
    edits: [
      { file: "sql.ts", find: "await sql.reserve();", replace: "sql;" },
      { file: "sql.ts", find: "  } finally {\n    connection.release();\n", replace: "" },
    ],
    failing: STATEMENTS,
    says: /CLIENT "BEGIN" ERROR/,
  },
  {
    name: "values-in-text",
    about: "The text is that of the statement with its values put in.",
    edits: [
      {
        file: "sql.ts",
        find: "textOf(texts);\n    const",
        replace: "textOf(texts, values);\n    const",
      },
      {
        file: "sql.ts",
        find: "function textOf(texts: TemplateStringsArray): string {",
        replace: "function textOf(texts: TemplateStringsArray, values: unknown[]): string {",
      },
      {
        file: "sql.ts",
        find: "${before}$${index}${after}",
        replace: "${before}'${values[index - 1]}'${after}",
      },
    ],
    failing: "no value is on any span",
    says: /db\.query\.text[^]*\$1 where a value stands/,
  },
  {
    name: "text-as-name",
    about: "A span's name is the whole statement.",
    edits: [
      { file: "sql.ts", find: "      summary,\n      async", replace: "      text,\n      async" },
    ],
    failing: STATEMENTS,
    says: /INSERT INTO orders \(id[^]*its name to be short/,
  },
  {
    name: "no-rollback",
    about: "A connection goes back into the pool with its transaction still open.",
    edits: [
      {
        file: "sql.ts",
        find: "    await query`ROLLBACK`.catch(() => {}); // the connection may be what failed\n",
        replace: "",
      },
    ],
    failing:
      "a statement that fails is an error, with PostgreSQL's code, and its transaction is rolled back",
    says: /a span ROLLBACK/,
  },
  {
    name: "no-code",
    about: "That a statement failed is all that its span says.",
    edits: [
      {
        file: "sql.ts",
        find: '          if (errno) span.setAttribute("db.response.status_code", errno);\n',
        replace: "",
      },
    ],
    failing:
      "a statement that fails is an error, with PostgreSQL's code, and its transaction is rolled back",
    says: /no db\.response\.status_code[^]*22021/,
  },
  {
    name: "n-plus-one",
    about: "The items of each order are a statement of their own.",
    edits: listWith("query"),
    failing: LIST,
    says: /with 12 orders: 11 statements[^]*items of all orders/,
  },
  {
    name: "n-plus-one-hidden",
    about: "They still are, and now nobody sees them.",
    edits: listWith("sql"),
    failing: LIST,
    says: /PostgreSQL got \d+ statements/,
  },
];

function listWith(client: "query" | "sql") {
  return [
    {
      file: "orders.ts",
      find: `  return await query\`
    SELECT id, customer, status, items
    FROM orders, LATERAL (
      SELECT json_agg(json_build_object('item', item, 'quantity', quantity)) AS items
      FROM order_items WHERE order_id = id
    ) AS of_the_order
    ORDER BY created_at DESC LIMIT 10\`;
`,
      replace: `  const orders = await ${client}\`
    SELECT id, customer, status FROM orders ORDER BY created_at DESC LIMIT 10\`;
  for (const order of orders) {
    order.items = await ${client}\`SELECT item, quantity FROM order_items WHERE order_id = \${order.id}\`;
  }
  return orders;
`,
    },
  ];
}
