// Through which of Elysia's hooks a request goes, and from which on its route is known.
import { Elysia, t } from "elysia";

let passed: string[] = [];

console.log("a hook that knows the route has a + behind it\n\nElysia as it comes");
await tellAll(true);
console.log("aot: false");
await tellAll(false);

async function tellAll(aot: boolean): Promise<void> {
  const app = createApp(aot).listen({ hostname: "127.0.0.1", port: 0 });
  const orders = `http://127.0.0.1:${app.server?.port}/orders`;
  const headers = { "content-type": "application/json" };
  const post = (body: string) => new Request(orders, { method: "POST", headers, body });
  await tell("as it should be", post('{"item":"tea"}'));
  await tell("no JSON", post("tea"));
  await tell("another JSON", post('{"cup":1}'));
  await tell("one that throws", post('{"item":"cup"}'));
  await tell("where nothing is", new Request(`${orders}/nothing/here`));
  await app.stop(true);
}

function createApp(aot: boolean) {
  return new Elysia({ aot })
    .wrap((answer) => (request: Request) => {
      note("wrap");
      return (answer as unknown as (request: Request) => Response)(request);
    })
    .onRequest(() => note("request"))
    .onParse(({ route }) => note("parse", route))
    .onTransform(({ route }) => note("transform", route))
    .onBeforeHandle(({ route }) => note("beforeHandle", route))
    .onAfterHandle(({ route }) => note("afterHandle", route))
    .onError(({ route }) => note("error", route))
    .post(
      "/orders",
      ({ body }) => {
        note("handler");
        if (body.item === "cup") throw new Error("there are no cups");
        return body;
      },
      { body: t.Object({ item: t.String() }) },
    );
}

function note(hook: string, route?: string): void {
  passed.push(route ? `${hook}+` : hook);
}

async function tell(what: string, request: Request): Promise<void> {
  passed = [];
  const { status } = await fetch(request);
  console.log(`  ${what.padEnd(17)} ${status}  ${passed.join(" ")}`);
}
