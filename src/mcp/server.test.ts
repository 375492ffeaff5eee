import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"

const folder = mkdtempSync(join(tmpdir(), "mcp-"))
const outside = mkdtempSync(join(tmpdir(), "mcp-outside-"))
const program = fileURLToPath(new URL("../../dist/test/mcp-program.js", import.meta.url))
const inFolder = (name: string) => join(folder, name)

interface Answer {
  readonly content: readonly { type: string; text?: string; data?: string; mimeType?: string }[]
  readonly structuredContent?: Record<string, unknown>
  readonly isError?: boolean
}

/** A server in a process of its own; what it prints beside the protocol; and errors of the protocol. */
async function start(...args: string[]) {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [program, folder, ...args],
    stderr: "pipe",
  })
  const said = { errors: "" }
  transport.stderr!.on("data", (chunk) => {
    said.errors += String(chunk)
  })
  const faults: Error[] = []
  const client = new Client({ name: "test", version: "1.0.0" })
  client.onerror = (error) => faults.push(error)
  await client.connect(transport)
  const call = (name: string, given: object = {}) =>
    client.callTool({ name, arguments: { ...given } }) as Promise<Answer>
  return { client, call, said, faults }
}

let server: Awaited<ReturnType<typeof start>>

beforeAll(async () => {
  const picture = sharp({ create: { width: 800, height: 400, channels: 3, background: "#2060c0" } })
  for (const name of ["a.jpg", "b.png"]) await picture.toFile(inFolder(name))
  await picture.toFile(join(outside, "c.jpg"))
  writeFileSync(inFolder("z.jpg"), "not a picture")
  server = await start()
})
afterAll(async () => {
  await server.client.close()
  for (const path of [folder, outside]) rmSync(path, { recursive: true })
})

test("four tools that only read, with schemas of what they take and give", async () => {
  const { tools } = await server.client.listTools()
  expect(tools.map(({ name }) => name)).toEqual(["search", "similar", "classify", "describe_index"])
  for (const { annotations, outputSchema, inputSchema } of tools) {
    expect(annotations).toMatchObject({ readOnlyHint: true, destructiveHint: false, openWorldHint: false })
    expect(outputSchema).toMatchObject({ type: "object", properties: expect.anything() })
    expect(inputSchema.type).toBe("object")
  }
  expect(tools[0]!.inputSchema).toMatchObject({ additionalProperties: false, properties: { limit: { maximum: 100 } } })
  expect(server.client.getInstructions()).toContain("nothing matches")
})

test("a search gives hits as values and as text, and standard output carries the protocol alone", async () => {
  const { content, structuredContent } = await server.call("search", {
    ...{ query: "./red car", minus: ["people"], limit: 2, after: "2023", folders: [folder], larger: ["1MP"] },
  })
  expect(structuredContent).toMatchObject({
    query: '"./red car" - "people"',
    ...{ matches: 1, cursor: "2", searched: 1000, filtered: null },
    hits: [
      { rank: 1, verdict: "match", paths: [inFolder("a.jpg")] },
      { rank: 2, verdict: "weak", paths: [inFolder("b.png")] },
    ],
  })
  const [note] = structuredContent!.notes as string[]
  expect(JSON.parse(note!).filters).toEqual({
    taken: { from: "2023-01-01T00:00:00", until: null },
    ...{ folders: [folder], sizes: [{ than: "larger", unit: "pixels", pixels: 1_000_000 }] },
  })
  expect(content.map(({ type }) => type)).toEqual(["text"])
  expect(JSON.parse(content[0]!.text!)).toEqual(structuredContent)
  await expect.poll(() => server.said.errors).toContain("a line of a library")
  expect(server.faults).toEqual([])
})

test("filters alone are asked for without a term", async () => {
  const { structuredContent } = await server.call("search", { date: "2023" })
  expect(structuredContent).toMatchObject({ query: "the newest first", notes: [expect.stringContaining('"terms":[]')] })
})

test("the cursor gives the next page, and thumbnails are pictures", async () => {
  const { content, structuredContent } = await server.call("search", { query: "x", cursor: "1", thumbnails: 5 })
  expect((structuredContent!.hits as unknown[]).length).toBe(2)
  expect(content.map(({ type, text }) => text?.slice(0, 2) ?? type)).toEqual(['{"', "1:", "image", "2:"])
  expect(content[3]!.text).toBe(`2: ${inFolder("z.jpg")} cannot be read: not a picture`)
  const { data, mimeType } = content[2]!
  expect(mimeType).toBe("image/jpeg")
  const metadata = await sharp(Buffer.from(data!, "base64")).metadata()
  expect(metadata).toMatchObject({ format: "jpeg", width: 256, height: 128 })
})

test("similar and classify read pictures of the index alone", async () => {
  const found = await server.call("similar", { path: inFolder("b.png") })
  expect(found.structuredContent).toMatchObject({ query: `like ${JSON.stringify(inFolder("b.png"))}` })
  const classified = await server.call("classify", { paths: [inFolder("a.jpg")], labels: ["cat", "dog"], top: 1 })
  expect(classified.structuredContent).toEqual({
    pictures: [{ path: inFolder("a.jpg"), labels: [{ label: "cat", score: 0.5, cosine: 0.3 }], error: null }],
  })
  const file = join(outside, "c.jpg")
  for (const refused of [
    await server.call("similar", { path: file }),
    await server.call("similar", { path: `${folder}/../${file.split("/").slice(-2).join("/")}` }),
    await server.call("search", { image: file }),
    await server.call("classify", { paths: [inFolder("a.jpg"), file], labels: ["cat"] }),
  ]) {
    expect(refused.isError).toBe(true)
    expect(refused.content[0]!.text).toMatch(/c\.jpg" is not in the index, and other files are not read\ngive a path/)
  }
  expect((await server.call("similar", { path: "b.png" })).content[0]!.text).toContain("is not an absolute path")
})

test("other pictures are read where that is allowed", async () => {
  const { call, client } = await start("allow-files")
  const found = await call("search", { query: "boat", image: join(outside, "c.jpg") })
  expect(found.structuredContent).toMatchObject({ query: `"boat" + picture ${JSON.stringify(join(outside, "c.jpg"))}` })
  await client.close()
})

test("an index is described", async () => {
  expect((await server.call("describe_index")).structuredContent).toEqual({
    ...{
      pictures: 3,
      files: 3,
      model: "tiny",
      source: "/models/tiny",
      dim: 64,
      roots: [folder],
      taken: null,
      cameras: [],
      formats: [],
    },
    failures: { count: 0, some: [] },
  })
})

test.each<[string, object, string]>([
  ["nothing to look for", {}, "the query is empty"],
  ["a filter without a value", { after: "2023", query: "" }, "query"],
  ["only what is not looked for", { minus: ["people"] }, "only says what is not looked for"],
  ["a filter that is not a time", { query: "x", after: "03/04/2023" }, "2023-04-03 or 2023-03-04"],
  ["an argument of another name", { query: "x", befor: "2023" }, "befor"],
  ["too many hits", { query: "x", limit: 1000 }, "limit"],
  ["a user's error", { query: "an error" }, "the index is damaged\nmake it again"],
])("an error is an answer of the tool: %s", async (_, given, text) => {
  const { isError, content } = await server.call("search", given)
  expect(isError).toBe(true)
  expect(content[0]!.text).toContain(text)
})

const long = "x".repeat(1_000_000)

test.each<[string, string, object, string]>([
  ["a huge query", "search", { query: long }, "2000"],
  ["a huge path", "similar", { path: `/${long}` }, "32767"],
  ["a path with a NUL", "similar", { path: "/a\0b" }, "is not in the index"],
  ["a path that climbs out", "similar", { path: "/../../etc/passwd" }, "is not in the index"],
  ["a device", "search", { image: "/dev/zero" }, "is not in the index"],
  ["a limit that is not a number", "search", { query: "x", limit: Number.NaN }, "limit"],
  ["a limit without an end", "search", { query: "x", limit: Number.MAX_VALUE }, "limit"],
  ["a limit below 0", "search", { query: "x", limit: -1 }, "limit"],
  ["half a thumbnail", "search", { query: "x", thumbnails: 0.5 }, "thumbnails"],
  ["a huge cursor", "search", { query: "x", cursor: long }, "cursor"],
  ["braces that multiply", "search", { query: "x", names: ["{a,b}".repeat(40)] }, "more than 200"],
  ["very many filters", "search", { query: "x", cameras: Array(101).fill("a") }, "cameras"],
  ["a folder that is not absolute", "search", { query: "x", folders: ["../.."] }, "is not an absolute path"],
  ["very many labels", "classify", { paths: ["/a"], labels: Array(1001).fill("a") }, "labels"],
  ["a huge label", "classify", { paths: ["/a"], labels: [long] }, "labels"],
  ["an object for a text", "search", { query: { toString: "x" } }, "query"],
  ["a prototype", "search", JSON.parse('{"query":"x","__proto__":{"limit":5},"constructor":1}'), "constructor"],
])("hostile: %s", async (_, tool, given, text) => {
  const { isError, content } = await server.call(tool, given)
  expect(isError).toBe(true)
  expect(content[0]!.text).toContain(text)
  expect(content[0]!.text!.length).toBeLessThan(5000)
  expect((await server.call("describe_index")).structuredContent).toMatchObject({ pictures: 3 })
})

test("a message that is not a call is said on standard error, and the next one is answered", async () => {
  const child = spawn(process.execPath, [program, folder], { stdio: "pipe" })
  child.stdin.end('not JSON\n[]\n{"jsonrpc":"2.0"}\n{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
  const [out, errors] = await Promise.all(
    [child.stdout, child.stderr].map(async (stream) => (await stream.toArray()).join("")),
  )
  expect(JSON.parse(out!)).toEqual({ jsonrpc: "2.0", id: 1, result: {} })
  expect(errors!.trimEnd().split("\n")).toEqual(Array(3).fill(expect.stringMatching(/^a message of the client: /)))
})

/** Lines of a client that sends them all and closes, as a shell's pipe does. */
async function piped(...messages: object[]) {
  const child = spawn(process.execPath, [program, folder], { stdio: "pipe" })
  child.stdin.on("error", () => {})
  child.stdin.end(messages.map((message) => `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`).join(""))
  const [out, errors] = await Promise.all(
    [child.stdout, child.stderr].map(async (stream) => (await stream.toArray()).join("")),
  )
  const code = child.exitCode ?? (await once(child, "exit"))[0]
  return {
    code,
    errors,
    ids: out!
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line).id),
  }
}

const slow = (id: number) => ({ id, method: "tools/call", params: { name: "search", arguments: { query: "slow" } } })

test("what was asked before the end of input is answered, but for what was cancelled", async () => {
  expect(await piped(slow(1), { id: 2, method: "ping" }, slow(3))).toMatchObject({ code: 0, ids: [2, 1, 3] })
  const cancelled = { method: "notifications/cancelled", params: { requestId: 1 } }
  const forEver = { id: 1, method: "tools/call", params: { name: "search", arguments: { query: "for ever" } } }
  expect(await piped(forEver, cancelled, { id: 2, method: "ping" })).toMatchObject({ code: 0, ids: [2] })
})

test("a message that is too large to be read ends the server with a line", async () => {
  const { code, errors } = await piped({ id: 1, method: "ping", params: { text: "x".repeat(17 * 2 ** 20) } })
  expect(code).toBe(1)
  expect(errors).toContain("a message of the client has more than 16 MiB: the server ends")
})

test("a fault of ours is said without its stack, which goes to standard error", async () => {
  const { isError, content } = await server.call("search", { query: "a bug" })
  expect([isError, content[0]!.text]).toEqual([true, "an unexpected error in mobileclip"])
  await expect.poll(() => server.said.errors).toContain("TypeError: a fault of ours")
})

test("a call that is cancelled ends, and the next one is answered", async () => {
  const controller = new AbortController()
  const call = server.client.callTool({ name: "search", arguments: { query: "for ever" } }, undefined, {
    signal: controller.signal,
  })
  controller.abort()
  await expect(call).rejects.toThrow()
  expect((await server.call("describe_index")).isError).toBeUndefined()
})

test("the server ends by itself when its client is gone", async () => {
  const child = spawn(process.execPath, [program, folder], { stdio: ["pipe", "pipe", "inherit"] })
  child.stdin.end('not JSON\n{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
  let text = ""
  child.stdout.on("data", (chunk) => {
    text += String(chunk)
  })
  const [code] = await once(child, "close")
  expect([code, JSON.parse(text)]).toEqual([0, { jsonrpc: "2.0", id: 1, result: {} }])
})
