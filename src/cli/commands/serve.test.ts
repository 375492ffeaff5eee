/** The command as a user starts and stops it: a process of its own. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { exportModel } from "../../export/export.ts"

let folder: string
let model: string
const running = new Set<ChildProcess>()
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "serve-"))
  model = join(folder, "tiny")
  await exportModel(tinyModel(), tinyInfo, model)
})
afterAll(() => {
  for (const child of running) child.kill("SIGKILL")
  rmSync(folder, { recursive: true })
})

function start(...words: string[]) {
  const child = spawn(process.execPath, ["bin/mobileclip.js", "serve", "--model", model, ...words], {
    stdio: ["ignore", "ignore", "pipe"],
  })
  running.add(child)
  const output = { text: "" }
  child.stderr.setEncoding("utf8").on("data", (text) => {
    output.text += text
  })
  return { child, output, ended: once(child, "close").then(([code]) => code) }
}

async function address({ output, child }: ReturnType<typeof start>): Promise<string> {
  while (!/http:\/\/\S+/.test(output.text)) {
    if (child.exitCode !== null) throw new Error(output.text)
    await once(child.stderr!, "data")
  }
  return /http:\/\/\S+/.exec(output.text)![0]
}

const ask = (url: string, input: string) =>
  fetch(`${url}/v1/embeddings`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ input }),
  })

test("SIGTERM answers what was asked and ends with 0; the log has no content", async () => {
  const server = start("--port", "0", "--log", "json")
  const url = await address(server)
  expect((await ask(url, "a secret")).status).toBe(200)
  const asked = Array.from({ length: 40 }, (_, i) => ask(url, `text ${i}`))
  // By then all of them are connected: what has not come to the server yet is refused.
  await Promise.all(asked.slice(0, 20))
  server.child.kill("SIGTERM")
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(asked.map(() => 200))
  expect(await server.ended).toBe(0)
  expect(server.output.text).not.toContain("secret")
  const [line] = server.output.text.split("\n").filter((each) => each.startsWith("{"))
  expect(JSON.parse(line!)).toMatchObject({ method: "POST", route: "/v1/embeddings", status: 200 })
}, 30_000)

test.each([
  [["--host", "0.0.0.0"], 1, /whoever reaches 0\.0\.0\.0 could use this server, which has no token\n.*--token-file/],
  [["--model", "other/tiny"], 1, /two models are called "tiny"\n.*--model NAME=MODEL/],
  [["--index", "nothing-there"], 1, /there is no index in .*nothing-there: it does not exist\n.*--index/],
  [["--port", "99999"], 2, /from 0 to 65535/],
])("%j is refused in a line", async (words, code, message) => {
  const server = start(...words)
  expect(await server.ended).toBe(code)
  expect(server.output.text).toMatch(message)
})

test("a port that is taken, a token that is short", async () => {
  const taken = createServer().listen(0, "127.0.0.1")
  await once(taken, "listening")
  const { port } = taken.address() as { port: number }
  const server = start("--port", String(port))
  expect(await server.ended).toBe(1)
  expect(server.output.text).toContain(`port ${port} of 127.0.0.1 is in use`)
  taken.close()
  writeFileSync(join(folder, "tokens"), "short\n")
  const short = start("--token-file", join(folder, "tokens"))
  expect(await short.ended).toBe(1)
  expect(short.output.text).toContain("a token has less than 16 characters")
}, 20_000)
