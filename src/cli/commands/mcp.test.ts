import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { closed, errorsOf, program, startProgram } from "../../../test/program.ts"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { exportModel } from "../../export/export.ts"
import { sha256OfFile } from "../../host/files/hash.ts"
import { findIndexModel } from "../../search/query/find-index-model.ts"
import { IndexWriter } from "../../search/store/index-writer.ts"
import { MobileCLIP } from "../../weights/clip-node.ts"

const folder = mkdtempSync(join(tmpdir(), "mcp-command-"))
afterAll(() => rmSync(folder, { recursive: true }))
const [index, model, photos] = ["index", "model", "photos"].map((name) => join(folder, name)) as [
  string,
  string,
  string,
]
const names = ["a.png", "b.png", "c.png"]
const env = { ...process.env, XDG_CACHE_HOME: join(folder, "cache") }

beforeAll(async () => {
  await exportModel(tinyModel(), tinyInfo, model)
  mkdirSync(photos)
  for (const [n, name] of names.entries()) {
    const data = Uint8Array.from({ length: 90 * 60 * 3 }, (_, i) => (i * (n + 3) + (i >> 7) * n) % 256)
    await sharp(data, { raw: { width: 90, height: 60, channels: 3 } }).toFile(join(photos, name))
  }
  await using clip = await MobileCLIP.load(model, { cache: false })
  const { identity } = await findIndexModel(model, null)
  using writer = await IndexWriter.open(index, "test")
  const settings = { orientation: "apply", decode: "exact", store: "file" } as const
  const generation = writer.addGeneration({ model: "tiny", source: model, identity, dim: clip.embedDim, settings })
  writer.store.run("INSERT INTO roots (id, path) VALUES (1, ?)", photos)
  const pictures = names.map(async (name) => ({
    content: {
      ...{ hash: Buffer.from(await sha256OfFile(join(photos, name)), "hex"), bytes: 10, format: "png" },
      ...{ width: 90, height: 60, orientation: 1, taken: null, camera: null, lens: null, latitude: null },
      ...{ longitude: null, caption: null, keywords: [], sharpness: null },
    },
    vector: await clip.encodeImage(join(photos, name)),
    files: [{ root: 1, path: name, size: 10, mtime: 1 }],
  }))
  writer.addPictures(generation, await Promise.all(pictures))
})

test("mobileclip mcp searches, labels and describes a real index", async () => {
  const args = [program, "mcp", "--index", index]
  const transport = new StdioClientTransport({ command: process.execPath, args, env: env as Record<string, string> })
  const client = new Client({ name: "test", version: "1.0.0" })
  const faults: Error[] = []
  client.onerror = (error) => faults.push(error)
  await client.connect(transport)
  const call = async (name: string, given: Record<string, unknown> = {}) => {
    const { content, structuredContent, isError } = await client.callTool({ name, arguments: given })
    expect(isError, JSON.stringify(content)).toBeUndefined()
    return structuredContent
  }
  const paths = names.map((name) => join(photos, name))
  expect(await call("describe_index")).toMatchObject({ pictures: 3, files: 3, model: "tiny", roots: [photos] })
  const found = (await call("search", { query: "a cat" })) as { hits: { paths: string[] }[] }
  expect(found.hits.flatMap((hit) => hit.paths).sort()).toEqual(paths)
  const like = (await call("similar", { path: paths[1], limit: 1 })) as { hits: { paths: string[] }[]; cursor: string }
  expect(like.hits).toHaveLength(1)
  // A picture as a query has no divider.
  expect(like).toMatchObject({ matches: null, pictures: 3, searched: 2, hits: [{ verdict: null, missing: [] }] })
  expect(like.hits[0]!.paths).not.toEqual([paths[1]])
  const next = (await call("similar", { path: paths[1], limit: 1, cursor: like.cursor })) as typeof like
  expect([...like.hits, ...next.hits].flatMap((hit) => hit.paths).sort()).toEqual([paths[0], paths[2]])
  await using clip = await MobileCLIP.load(model, { cache: false })
  const [labels] = await clip.classify([paths[0]!], ["cat", "dog"])
  const { pictures } = (await call("classify", { paths: [paths[0]], labels: ["cat", "dog"] })) as {
    pictures: { labels: { label: string; cosine: number }[] }[]
  }
  expect(pictures[0]!.labels.map(({ label }) => label)).toEqual(labels!.map(({ label }) => label))
  // Towers in float32 with other numbers of threads.
  for (const [i, { cosine }] of pictures[0]!.labels.entries())
    expect(Math.abs(cosine - labels![i]!.cosine)).toBeLessThan(1e-5)
  for (const [name, given, text] of [
    ["search", { query: "a cat", cursor: "unknown" }, "the cursor is not one that a page of results ended with"],
    ["search", { query: "a cat", cursor: like.cursor }, "the cursor is of another query or other filters"],
    ["similar", { path: `${photos}/../model/config.json` }, "is not in the index, and other files are not read"],
    ["classify", { paths: [paths[0]], labels: ["  "] }, "label"],
  ] as const) {
    const answer = await client.callTool({ name, arguments: given })
    expect([answer.isError, JSON.stringify(answer.content)]).toEqual([true, expect.stringContaining(text)])
  }
  expect(await call("describe_index")).toMatchObject({ pictures: 3 })
  await client.close()
  expect(faults).toEqual([])
})

test("without an index it ends with a line and writes nothing to standard output", async () => {
  const child = startProgram(["mcp", "--index", photos], { stdout: "pipe", stderr: "pipe", env })
  const errors = errorsOf(child)
  let out = ""
  child.stdout!.on("data", (chunk) => {
    out += String(chunk)
  })
  expect(await closed(child)).toBe(1)
  expect([out, errors()]).toEqual(["", expect.stringContaining(`there is no index in ${photos}`)])
})
