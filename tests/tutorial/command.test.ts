/** `bun run tutorial` as a reader types it: what it shows, its exit status, and that nothing of a run stays. */
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { SQL } from "bun";
import packageJson from "../../package.json" with { type: "json" };
import { readState } from "../../scripts/tutorial/parts.ts";
import { solutionFiles, startFiles } from "../../scripts/tutorial/stage-files.ts";
import { ROOT, stageOf, STAGES, type Stage } from "../../scripts/tutorial/stages.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(120_000);

/** In place of .orderflow/tutorial. */
let folder: string;
beforeAll(() => {
  mkdirSync(join(ROOT, ".orderflow"), { recursive: true });
  folder = mkdtempSync(join(ROOT, ".orderflow/test-command-"));
});
// The parts stay for the next test, as they do for the next command.
beforeEach(() => {
  for (const name of readdirSync(folder).filter((name) => !name.startsWith("parts."))) {
    rmSync(join(folder, name), { recursive: true });
  }
});
const running = new Set<Command>();
afterEach(() => {
  for (const command of running) command.kill("SIGKILL");
  running.clear();
});
afterAll(async () => {
  await tutorial("stop");
  rmSync(folder, { recursive: true });
});

const stage = (id: string): Stage => stageOf(id) ?? STAGES[0]!;

describe("the list", () => {
  test("has every stage with what it adds, and says how to begin", async () => {
    const { status, printed } = await tutorial();
    expect(status).toBe(0);
    for (const { id, title, adds } of STAGES) {
      expect(printed).toMatch(new RegExp(`^ +${id} +${title} +${RegExp.escape(adds)}$`, "m"));
    }
    expect(printed).toMatch(/^Next: .*`bun run tutorial start 00`.*00-three-processes\.md/m);
    expect(printed).not.toContain("\u001B"); // no colour where there is no terminal
  });

  test("goes on from the last stage that was begun, wherever the reader began", async () => {
    await tutorial("start", "05");
    const { printed } = await tutorial();
    expect(printed).toMatch(/05 .* begun$/m);
    expect(printed).toMatch(/^Next: .*05-sql\.md, then `bun run tutorial check 05`/m);
  });

  test("does not mind a record of progress that is broken", async () => {
    writeFileSync(join(folder, "progress.json"), '{"00": {"passed"');
    expect((await tutorial()).status).toBe(0);
  });
});

describe("an exercise", () => {
  test.each(STAGES)("of stage $id is laid out as it starts", async (each) => {
    const { status, printed } = await tutorial("start", each.id);
    expect(status).toBe(0);
    expect(printed).toContain(each.page);
    expect(filesIn(each.id)).toEqual(Object.fromEntries(startFiles(each)));
    expect(JSON.stringify(filesIn(each.id))).not.toMatch(/#(end)?region/);
  });

  test("is never laid over what is there", async () => {
    await tutorial("start", "03");
    writeFileSync(join(folder, "03/orders.ts"), "// work of an hour\n");
    const before = filesIn("03");
    const { status, complaints } = await tutorial("start", "03");
    expect(status).toBe(1);
    expect(complaints).toContain("is there already, and is left as it is");
    expect(filesIn("03")).toEqual(before);
  });

  test("is not laid into an empty folder either: it is another's", async () => {
    mkdirSync(join(folder, "03"));
    expect((await tutorial("start", "03")).status).toBe(1);
    expect(readdirSync(join(folder, "03"))).toEqual([]);
  });

  test.each(["check 02", "02 --mine", "diff 02 --mine", "hint 02"])(
    "that was not begun is no reason to fail without a word: %s",
    async (words) => {
      const { status, complaints } = await tutorial(...words.split(" "));
      expect(status).toBe(1);
      expect(complaints).toContain("`bun run tutorial start 02`");
      expect(existsSync(join(folder, "02"))).toBeFalse();
    },
  );
});

describe("differences", () => {
  test("are what a stage adds to the one before", async () => {
    const { status, printed } = await tutorial("diff", "03");
    expect(status).toBe(0);
    expect(printed).toContain("--- /dev/null\n+++ http-server.ts\n@@");
    expect(printed).toContain("--- orders.ts\n+++ orders.ts\n@@");
    expect(printed).not.toContain("schema.sql");
    expect(printed).not.toContain("\u001B");
  });

  test("are none for the stage that begins", async () => {
    expect((await tutorial("diff", "00")).printed).toBe("this stage changes no file\n");
  });

  test("lead from the reader's files to the solution", async () => {
    await tutorial("start", "02");
    const own = join(folder, "02/gateway.ts");
    writeFileSync(own, `// mine\n${readFileSync(own, "utf8")}`);
    expect((await tutorial("diff", "02", "--mine")).printed).toContain("\n-// mine\n");
    laySolution("02");
    const { printed } = await tutorial("diff", "02", "--mine");
    expect(printed).toBe("yours is the solution, to the letter\n");
  });
});

test("hints are three, one at a time, then comes the way to the solution", async () => {
  await tutorial("start", "01");
  const said: string[] = [];
  for (let count = 1; count <= 5; count++) {
    const { status, printed } = await tutorial("hint", "01");
    expect(status).toBe(0);
    said.push(printed);
  }
  expect(said.slice(0, 3).map((text) => text.split(":")[0])).toEqual([
    "The first of three",
    "The second of three",
    "The third of three",
  ]);
  expect(said[3]).toContain("+++ tracing.ts");
  expect(said[4]).toBe(said[3]!);
});

describe("a run", () => {
  test("of stage 00 has a line of each program, and no trace", async () => {
    const { status, printed } = await tutorial("00");
    expect(status).toBe(0);
    expect(printed).toMatch(/^order [0-9a-f-]{36} is confirmed$/m);
    expect(printed).toMatch(
      /^orders .*\ngateway .*\nworker .*\n\nno trace: nothing made a span\n$/m,
    );
    await expectNothingLeft();
  });

  test("draws all traces of the order, and the viewer has them", async () => {
    const { status, printed } = await tutorial("4");
    expect(status).toBe(0);
    const ids = [...printed.matchAll(/^trace ([0-9a-f]{32}) /gm)].map(([, id = ""]) => id);
    expect(ids).toHaveLength(2);
    for (const id of ids) {
      expect(printed).toMatch(new RegExp(`^http://localhost:\\d+/trace/${id}$`, "m"));
      const answer = await fetch(
        `${readState(join(folder, "parts.json"))?.queryUrl}/api/traces/${id}`,
      );
      expect(answer.status).toBe(200);
    }
    expect(printed).toMatch(/^orders .*└ POST \/orders .*█/m);
    expect(Math.max(...printed.split("\n").map((line) => Bun.stringWidth(line)))).toBe(90);
    await expectNothingLeft();
  });

  test("of the reader's files takes these", async () => {
    await tutorial("start", "01");
    writeFileSync(
      join(folder, "01/worker.ts"),
      `console.log("this is mine");\n${startFiles(stage("01")).get("worker.ts")}`,
    );
    const { status, printed } = await tutorial("01", "--mine");
    expect(status).toBe(0);
    expect(printed).toContain("this is mine");
  });

  test.each([
    ["does not start", `throw new Error("oh no");`, "worker.ts ended with status 1 before it"],
    ["is none", `const x: = 1;`, "worker.ts ended with status 1 before it"],
    ["does nothing", ``, "worker.ts ended with status 0 before it"],
  ])("of the reader's files says which program %s, and is no fault of the tool", async (...row) => {
    const [, text, expected] = row;
    await tutorial("start", "00");
    writeFileSync(join(folder, "00/worker.ts"), text);
    const { status, complaints } = await tutorial("00", "--mine");
    expect(status).toBe(1);
    expect(complaints).toContain(expected);
    expect(complaints).not.toContain("the tool broke");
    if (text.includes("oh no")) expect(complaints).toContain("oh no");
    await expectNothingLeft();
  });

  test("stays where it is told to, draws what the reader sends, and ends at Ctrl-C", async () => {
    const command = start("04", "--stay");
    await until("it stays", () => command.printed().includes("It stays until Ctrl-C"), 60_000);
    const before = command.printed();
    const url = / -i (http:\S+)\/orders -H/.exec(before)?.[1] ?? "";
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    const answer = await fetch(`${url}/orders`, {
      headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01` },
    });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toHaveLength(1);
    await until("its trace is drawn", () => command.printed().includes(`\ntrace ${traceId}  `));
    command.kill("SIGINT");
    expect((await command.end).status).toBe(0);
    // Those that were drawn are not drawn again.
    const drawn = command
      .printed()
      .slice(before.length)
      .match(/^trace /gm);
    expect(drawn).toHaveLength(1);
    await expect(fetch(url)).rejects.toThrow();
    await expectNothingLeft();
  });

  test("that is interrupted leaves nothing behind", async () => {
    const command = start("06");
    await until("its database is there", async () => (await databases()).length > 0);
    command.kill("SIGTERM");
    const { status, complaints } = await command.end;
    expect(status).toBe(143);
    expect(complaints).not.toContain("the tool broke");
    await expectNothingLeft();
  });

  test("whose reader goes away, as in `| head`, ends in order", async () => {
    const command = start("00");
    await command.hangUp();
    expect((await command.end).status).toBe(0);
    await expectNothingLeft();
  });
});

describe("a check", () => {
  test("is red on the exercise as it was laid out, green on the solution, and remembered", async () => {
    await tutorial("start", "01");
    const bare = await tutorial("check", "01");
    expect(bare.status).toBe(1);
    expect(bare.printed).toContain("✗ ");
    expect(bare.printed).toContain("docs/tutorial/01-first-span.md#");
    expect(bare.printed).toMatch(
      /your exercise is not done yet: .*`bun run tutorial hint 01`.*\n$/,
    );
    expect((await tutorial()).printed).toMatch(/01 .* begun$/m);

    laySolution("01");
    const solved = await tutorial("check", "01");
    expect(solved.status).toBe(0);
    expect(solved.printed).not.toContain("✗");
    expect((await tutorial()).printed).toMatch(/01 .* done$/m);
    expect((await tutorial()).printed).toMatch(/^Next: `bun run tutorial start 02`/m);

    writeFileSync(join(folder, "01/gateway.ts"), "// all gone\n");
    expect((await tutorial()).printed).toMatch(/01 .* done, then changed$/m);
    const broken = await tutorial("check", "01");
    expect(broken.status).toBe(1);
    expect(broken.printed).toContain("gateway.ts ended with status 0 before it listened");
    await expectNothingLeft();
  });

  test("of the solution says nothing about the reader's files", async () => {
    await tutorial("start", "00");
    expect((await tutorial("check", "00", "--solution")).status).toBe(0);
    expect((await tutorial()).printed).toMatch(/00 .* begun$/m);
  });
});

describe("what makes no command", () => {
  test.each([
    [["99"], "there is no stage 99"],
    [["start"], "start what? It takes a stage"],
    [["start", "03", "04"], "what is 04?"],
    [["stop", "03"], "what is 03?"],
    [["03", "--solution"], "what is --solution to do here?"],
    [["check", "03", "--stay"], "what is --stay to do here?"],
    [["--stay"], "what is --stay to do here?"],
    [["03", "--loud"], "Unknown option '--loud'"],
  ])("is answered by the usage: %p", async (words, expected) => {
    const { status, printed, complaints } = await tutorial(...words);
    expect(status).toBe(2);
    expect(printed).toBe("");
    expect(complaints).toContain(expected);
    expect(complaints).toContain("usage: bun run tutorial");
  });

  test("is shown when asked for", async () => {
    const { status, printed } = await tutorial("--help");
    expect(status).toBe(0);
    expect(printed).toContain("usage: bun run tutorial");
  });
});

test("package.json runs the command behind an install that changes no lockfile", () => {
  expect(packageJson.scripts.tutorial).toBe(
    "bun install --frozen-lockfile --silent && bun scripts/tutorial/index.ts",
  );
});

interface Ended {
  readonly status: number;
  readonly printed: string;
  readonly complaints: string;
}

interface Command {
  readonly end: Promise<Ended>;
  /** @returns what it has printed so far */
  printed(): string;
  kill(signal: NodeJS.Signals): void;
  /** Reads no further. */
  hangUp(): Promise<void>;
}

async function tutorial(...words: string[]): Promise<Ended> {
  return await start(...words).end;
}

function start(...words: string[]): Command {
  const { NO_COLOR: _, ...env } = process.env;
  const child = Bun.spawn([process.execPath, "scripts/tutorial/index.ts", ...words], {
    cwd: ROOT,
    env: { ...env, TUTORIAL_FOLDER: folder, COLUMNS: "90" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const reader = child.stdout.getReader();
  let printed = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      printed += decoder.decode(value, { stream: true });
    }
  })();
  const complaining = child.stderr.text();
  const ending = async (): Promise<Ended> => {
    const [status, complaints] = await Promise.all([child.exited, complaining, reading]);
    return { status, printed, complaints };
  };
  const command: Command = {
    end: ending().finally(() => running.delete(command)),
    printed: () => printed,
    kill: (signal) => child.kill(signal),
    hangUp: async () => await reader.cancel(),
  };
  running.add(command);
  return command;
}

/** Programs end with the command that started them; its database is dropped. */
async function expectNothingLeft(): Promise<void> {
  expect(await databases()).toEqual([]);
}

async function databases(): Promise<string[]> {
  const state = readState(join(folder, "parts.json"));
  if (!state) return [];
  await using sql = new SQL(state.postgresUrl, { max: 1 });
  const rows: { datname: string }[] =
    await sql`SELECT datname FROM pg_catalog.pg_database WHERE datname LIKE 'tutorial%'`;
  return rows.map(({ datname }) => datname);
}

function filesIn(id: string): Record<string, string> {
  const names = readdirSync(join(folder, id));
  return Object.fromEntries(
    names.map((name) => [name, readFileSync(join(folder, id, name), "utf8")]),
  );
}

function laySolution(id: string): void {
  for (const [name, text] of solutionFiles(stage(id))) writeFileSync(join(folder, id, name), text);
}
