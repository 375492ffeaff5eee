/** Models by name from a hub, and in the layouts of others from a hub and from a server that lists nothing. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest"
import { FakeWeb } from "../../../test/fake-web.ts"
import { HubServer, sha256Of } from "../../../test/hub-server.ts"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { exportModel } from "../../export/export.ts"
import { listCached } from "./kept-models.ts"
import { type ModelSource, type OpenOptions, openModelFiles } from "./model-source.ts"

const commit = "0123456789abcdef0123456789abcdef01234567"

let folder: string
let ours: Record<string, Buffer>
/** transformers.js' layout, with towers of both types. */
let transformers: Record<string, Buffer>
let immich: Record<string, Buffer>

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "sources-"))
  const write = async (name: string, options: Parameters<typeof exportModel>[3]) => {
    await exportModel(tinyModel({ causal: false }), tinyInfo, join(folder, name), options)
    return filesIn(join(folder, name))
  }
  ours = await write("mixed", { dtype: "mixed" })
  const [full, half] = [await write("full", {}), await write("half", { dtype: "fp16" })]
  transformers = withoutManifest({ ...half, ...full })
  immich = withoutManifest(await write("immich", { layout: "immich" }))
})
afterAll(() => rmSync(folder, { recursive: true }))

let web: FakeWeb
let hub: HubServer
beforeEach(async () => {
  web = new FakeWeb({})
  hub = await HubServer.start({
    "someone/tiny": { commit, files: ours },
    "someone/others": { commit, files: transformers },
  })
})
afterEach(() => hub[Symbol.asyncDispose]())

function filesIn(directory: string): Record<string, Buffer> {
  const names = readdirSync(directory, { recursive: true, encoding: "utf8" })
  const files = names.filter((name) => statSync(join(directory, name)).isFile())
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(directory, name))]))
}

function withoutManifest({ "mobileclip.json": _, ...files }: Record<string, Buffer>) {
  return files
}

/** From the hub, with storage and locks that are fakes. */
const fromHub = (source: ModelSource, options: OpenOptions = {}) =>
  loadAll(source, { hub: { endpoint: hub.endpoint }, ...options }, { ...web.host(), fetch })

async function loadAll(source: ModelSource, options: OpenOptions, host = web.host()) {
  const files = await openModelFiles(source, options, host)
  const from: Record<string, string> = {}
  for (const tower of [files.image, files.text]) {
    if (!tower) continue
    await files.file(tower.file)
    from[tower.file] = files.from(tower.file)
  }
  return { files, from }
}

test("a repository of ours, at the commit that the hub names; the next load asks for the commit alone", async () => {
  const { files, from } = await fromHub("someone/tiny")
  expect(files.manifest).toMatchObject({ name: "tiny", dtype: "mixed" })
  expect(from).toEqual({ "onnx/vision_model_fp16.onnx": "network", "onnx/text_model.onnx": "network" })
  expect(hub.downloads.every(({ path }) => path.includes("tiny"))).toBe(true)
  hub.log.length = 0
  expect(Object.values((await fromHub("hf-hub:someone/tiny")).from)).toEqual(["cache", "cache"])
  expect(hub.log.map(({ path }) => path)).toEqual(["/api/models/someone/tiny/revision/main"])
  expect(await listCached(web.host())).toMatchObject([{ source: `${hub.endpoint}/someone/tiny` }])
})

test("a commit never changes: what is kept of it needs no request", async () => {
  await fromHub(`someone/tiny@${commit}`)
  const before = hub.log.length
  expect(Object.values((await fromHub(`someone/tiny@${commit}`)).from)).toEqual(["cache", "cache"])
  expect(hub.log).toHaveLength(before)
})

test("a repository that is not there, with what else was meant", async () => {
  await expect(fromHub("models/tiny")).rejects.toMatchObject({
    message: expect.stringMatching(/^127.0.0.1:\d+ has no public repository models\/tiny: .*answered 404/),
    hint: expect.stringContaining("for a folder of this site write ./models/tiny/"),
  })
})

const small = { image: "onnx/vision_model_fp16.onnx", text: "onnx/text_model.onnx" }

test.each([
  [undefined, small],
  ["mixed", small],
  ["fp32", { image: "onnx/vision_model.onnx", text: "onnx/text_model.onnx" }],
  ["fp16", { image: "onnx/vision_model_fp16.onnx", text: "onnx/text_model_fp16.onnx" }],
] as const)("transformers.js' layout, dtype %s", async (dtype, expected) => {
  const { files, from } = await fromHub("someone/others", dtype ? { dtype } : {})
  expect(Object.keys(from)).toEqual(Object.values(expected))
  expect(files.manifest).toBeNull()
  expect(files.description).toMatchObject({ name: "others", embedDim: 16, contextLength: 77, padding: 0 })
  expect(hub.downloads.some(({ path }) => path.includes("text_model_fp16"))).toBe(dtype === "fp16")
})

test.each([
  ["transformers.js", () => transformers, Object.values(small)],
  ["Immich's", () => immich, ["visual/model.onnx", "textual/model.onnx"]],
] as const)(
  "%s layout on a server that lists nothing: known names are tried, and what changed is fetched anew",
  async (_, given, names) => {
    for (const [name, bytes] of Object.entries(given())) web.files[`/page/m/${name}`] = bytes
    const first = await loadAll("./m", {})
    expect(first.from).toEqual(Object.fromEntries(names.map((name) => [name, "network"])))
    expect(first.files.description).toMatchObject({ name: "m", embedDim: 16, contextLength: 77 })
    expect(Object.values((await loadAll("./m", {})).from)).toEqual(["cache", "cache"])

    const [image] = names
    const changed = Buffer.from(web.files[`/page/m/${image}`]!)
    changed[9]! ^= 1
    web.files[`/page/m/${image}`] = changed
    const second = await loadAll("./m", {})
    expect(Object.values(second.from)).toEqual(["network", "cache"])
    expect(sha256Of(await second.files.file(image!))).toBe(sha256Of(changed))
    web.down = true
    expect(Object.values((await loadAll("./m", {})).from)).toEqual(["cache", "cache"])
  },
)

test("a server of another origin that lists nothing: what changed is seen by its length, where it tells no more", async () => {
  web.isOtherOrigin = true
  for (const [name, bytes] of Object.entries(transformers)) web.files[`/page/m/${name}`] = bytes
  expect(Object.values((await loadAll("./m", {})).from)).toEqual(["network", "network"])
  expect(Object.values((await loadAll("./m", {})).from)).toEqual(["cache", "cache"])
  web.files[`/page/m/${small.image}`] = Buffer.concat([transformers[small.image]!, Buffer.alloc(9)])
  expect(Object.values((await loadAll("./m", {})).from)).toEqual(["network", "cache"])
})

test("a type that is not there is told with the files that are", async () => {
  const { "onnx/text_model_fp16.onnx": _, ...files } = transformers
  await expect(loadAll(files, { dtype: "fp16" })).rejects.toThrow(
    /has no onnx\/vision_model_fp16.onnx and onnx\/text_model_fp16/,
  )
  await expect(loadAll(ours, { dtype: "fp32" })).rejects.toThrow("the given files: weights are in mixed, not fp32")
})
