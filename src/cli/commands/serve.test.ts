/** The command as a user starts and stops it: a process of its own. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text as textOfStream } from "node:stream/consumers"
import { setTimeout as sleep } from "node:timers/promises"
import sharp from "sharp"
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

const post = (url: string, path: string, body: unknown) =>
  fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  })
const ask = (url: string, input: unknown) => post(url, "/v1/embeddings", { input })

async function refusal(url: string, input: unknown): Promise<[number, string]> {
  const answer = await ask(url, input)
  const { error } = (await answer.json()) as { error: { message: string } }
  return [answer.status, error.message]
}

async function vector(url: string, picture: Uint8Array): Promise<number[]> {
  const answer = await ask(url, { image: Buffer.from(picture).toString("base64") })
  const { data } = (await answer.json()) as { data: { embedding: number[] }[] }
  return data[0]!.embedding
}

const distance = (a: readonly number[], b: readonly number[]) => Math.hypot(...a.map((value, i) => value - b[i]!))

test("SIGTERM answers what was asked and ends with 0; the log has no content", async () => {
  const server = start("--port", "0", "--log", "json", "--max-batch", "64", "--max-delay", "900")
  const url = await address(server)
  expect((await ask(url, "a secret")).status).toBe(200)
  const asked = Array.from({ length: 40 }, (_, i) => ask(url, `text ${i}`))
  // What has not come to the server yet is refused.
  const arrived = async () => (await metric(url, "waiting")) + (await metric(url, "computed"))
  while ((await arrived()) < 41) await sleep(20)
  server.child.kill("SIGTERM")
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(asked.map(() => 200))
  expect(await server.ended).toBe(0)
  expect(server.output.text).not.toContain("secret")
  const [line] = server.output.text.split("\n").filter((each) => each.startsWith("{"))
  expect(JSON.parse(line!)).toMatchObject({ method: "POST", route: "/v1/embeddings", status: 200 })
})

/** A picture as a camera writes it that was held upright; the same turned as it says; and as it stands. */
async function turned(): Promise<[marked: Uint8Array, upright: Uint8Array, lying: Uint8Array]> {
  const [width, height] = [96, 64]
  const pixels = Uint8Array.from({ length: width * height }, (_, i) => (i % width < width / 3 ? 255 : 0))
  const lying = await sharp(pixels, { raw: { width, height, channels: 1 } })
    .png()
    .toBuffer()
  const marked = await sharp(lying).withMetadata({ orientation: 6 }).png().toBuffer()
  return [marked, await sharp(lying).rotate(90).png().toBuffer(), lying]
}

async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`mobileclip_${name}{`) && line.includes('"texts"'))!
      .split(" ")[1],
  )
}

test("what nobody asked for is off: no address is fetched, no other page may ask, pictures stay as they are, models stay open", async () => {
  const url = await address(start("--port", "0"))
  expect(await refusal(url, { image: "http://127.0.0.1:1/a.jpg" })).toEqual([
    400,
    "this server does not fetch pictures from addresses: send their bytes",
  ])
  const origin = "https://page.test"
  const asked = await fetch(`${url}/health`, { headers: { origin } })
  expect(asked.headers.get("access-control-allow-origin")).toBeNull()
  const [marked, upright, lying] = await turned()
  const found = await vector(url, marked)
  expect(distance(found, await vector(url, lying))).toBeLessThan(1e-5)
  expect(distance(found, await vector(url, upright))).toBeGreaterThan(1e-3)
  for (let i = 0; i < 2; i++) await ask(url, "a")
  expect(await metric(url, "computed")).toBe(1)
  expect(await (await fetch(`${url}/ready`)).json()).toEqual({ status: "ok", models: ["tiny"] })
})

test("each option has its effect", async () => {
  const limits = ["--body-mb", "1", "--max-pixels", "10000", "--timeout", "30", "--cache-mb", "0"]
  const batches = ["--max-batch", "2", "--max-delay", "900"]
  const url = await address(
    start(
      "--port",
      "0",
      "--allow-urls",
      "--cors",
      "https://page.test",
      "--orientation",
      "apply",
      ...limits,
      ...batches,
    ),
  )
  const notPublic = "a picture cannot be fetched from its address: it is not of the public internet"
  expect(await refusal(url, { image: "http://127.0.0.1:1/a.jpg" })).toEqual([400, notPublic])
  expect(await refusal(url, "a".repeat(2 ** 20))).toEqual([413, "a request may have 1048576 bytes"])
  const large = await sharp({ create: { width: 200, height: 51, channels: 3, background: "red" } })
    .png()
    .toBuffer()
  const [status, message] = await refusal(url, { image: large.toString("base64") })
  expect([status, message]).toEqual([400, expect.stringContaining("200 x 51 pixels, more than the limit of 10,000")])
  const headers = { origin: "https://page.test" }
  const asked = await fetch(`${url}/health`, { headers })
  expect(asked.headers.get("access-control-allow-origin")).toBe("https://page.test")
  const [marked, upright, lying] = await turned()
  const found = await vector(url, marked)
  expect(distance(found, await vector(url, upright))).toBeLessThan(1e-5)
  expect(distance(found, await vector(url, lying))).toBeGreaterThan(1e-3)
  // Two fill a batch, and are not kept; one waits for company.
  await ask(url, ["a", "b", "c", "d"])
  expect([await metric(url, "computed"), await metric(url, "batches")]).toEqual([4, 2])
  const began = performance.now()
  await ask(url, "a")
  expect(performance.now() - began).toBeGreaterThan(890)
  expect(await metric(url, "computed")).toBe(5)
})

test("--timeout ends a request, --idle-ttl puts a model away, and --log json writes a fault into one line", async () => {
  const moved = join(folder, "moved")
  cpSync(model, moved, { recursive: true })
  const server = start("--model", `moved=${moved}`, "--port", "0", "--timeout", "2", "--idle-ttl", "1", "--log", "json")
  const url = await address(server)
  const { hostname, port } = new URL(url)
  const began = performance.now()
  const socket = connect(Number(port), hostname)
  socket.write("POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
  expect(await textOfStream(socket)).toMatch(/^HTTP\/1\.1 408 /)
  // Half of what it is where nothing is said.
  expect(performance.now() - began).toBeLessThan(30_000)
  const open = async () => ((await (await fetch(`${url}/ready`)).json()) as { models: string[] }).models
  while ((await open()).length > 0) await sleep(200)
  rmSync(moved, { recursive: true })
  expect((await post(url, "/v1/embeddings", { input: "a", model: "moved" })).status).toBe(503)
  server.child.kill("SIGTERM")
  expect(await server.ended).toBe(0)
  const [line] = server.output.text.split("\n").filter((each) => each.includes(moved))
  expect(JSON.parse(line!)).toEqual({ time: expect.any(String), fault: expect.stringContaining(moved) })
})

test.each([
  [["--host", "0.0.0.0"], 1, /whoever reaches 0\.0\.0\.0 could use this server, which has no token\n.*--token-file/],
  [["--model", "other/tiny"], 1, /two models are called "tiny"\n.*--model NAME=MODEL/],
  [["--index", "nothing-there"], 1, /there is no index in .*nothing-there: it does not exist\n.*--index/],
  [["--port", "99999"], 2, /from 0 to 65535/],
  [["--cors", "notanorigin"], 1, /"notanorigin" is not a web page's origin\n.*https:\/\/name/],
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
  expect(short.output.text).toMatch(/line 1 of .*tokens: a token has less than 16 characters\n/)
})

test("the tokens of a file are asked for, and its comments are none", async () => {
  const file = join(folder, "commented")
  writeFileSync(file, "# the laptop's token\n\n0123456789abcdef\n")
  const url = await address(start("--port", "0", "--token-file", file))
  const ask = (token: string) => fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${token}` } })
  expect((await ask("0123456789abcdef")).status).toBe(200)
  expect((await ask("# the laptop's token")).status).toBe(401)
})
