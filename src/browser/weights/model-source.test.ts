/** Loading over a network and storage that fail, with fakes of both. In real Chromium: `test/browser-weights.test.ts`. */
import { createHash, randomBytes } from "node:crypto"
import { beforeEach, expect, test, vi } from "vitest"
import { FakeWeb } from "../../../test/fake-web.ts"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import type { LoadProgress } from "../../run/clip-host.ts"
import { clearCache, listCached } from "./kept-models.ts"
import { type ModelSource, type OpenOptions, openModelFiles } from "./model-source.ts"
import { sendableSource } from "./place.ts"

const [vision, text] = ["onnx/vision_model_fp16.onnx", "onnx/text_model.onnx"]
/** Three pieces of 4 MiB, and one that is not full. */
const contents = { [vision]: randomBytes(10_000_000), [text]: randomBytes(1_000_000) }
const address = "http://127.0.0.1:4173/sub/models/tiny/"
const at = (file: string) => `/sub/models/tiny/${file}`

let web: FakeWeb
beforeEach(() => {
  web = new FakeWeb(serve(contents))
})

function serve(files: Record<string, Uint8Array>): Record<string, Uint8Array> {
  const served = Object.entries(files).map(([name, bytes]) => [at(name), bytes])
  return { ...Object.fromEntries(served), [at("mobileclip.json")]: json(manifestOf(files)) }
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}

function manifestOf(files: Record<string, Uint8Array>) {
  const listed = Object.entries(files).map(([name, bytes]) => [name, { bytes: bytes.length, sha256: sha256(bytes) }])
  return {
    ...{ format: "mobileclip-model-1", name: "tiny", license: "MIT", samplesSeen: 0, embedDim: 16 },
    ...{ contextLength: 77, logitScale: 100, dtype: "mixed", source: null, config: {} },
    towers: {
      image: { file: vision, input: "pixel_values", output: "image_embeds" },
      text: { file: text, input: "input_ids", output: "text_embeds", ids: "int64" },
    },
    preprocessing: { size: 64, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] },
    parameters: { image: 1, text: 1 },
    files: Object.fromEntries(listed),
    verification: { reference: "a test", runtime: "none", tolerance: 0.1, imageError: 0 },
  }
}

/** Opens and reads all that was asked for. */
async function load(options: OpenOptions = {}, source: ModelSource = address, host = web.host()) {
  const progress: LoadProgress[] = []
  const files = await openModelFiles(source, { ...options, onProgress: (report) => progress.push(report) }, host)
  const names = [files.image, files.text].flatMap((tower) => (tower ? [tower.file] : []))
  const loaded = await Promise.all(names.map((name) => files.file(name)))
  return { files, names, loaded, progress, from: names.map((name) => files.from(name)) }
}

const isKept = (name: string) =>
  web.root.paths().some((path) => path.endsWith(`${encodeURIComponent(name).replaceAll(".", "%2E")}.json`))
const pieces = () => web.root.paths().filter((path) => /\.\d+$/.test(path))

// -------------------------------------------------------------------------------------------------- what is fetched

test("a first load comes over the network, the next one from what is kept, and offline without a request", async () => {
  const first = await load()
  expect(first.loaded.map(sha256)).toEqual(Object.values(contents).map(sha256))
  expect(first.from).toEqual(["network", "network"])
  expect(first.files).toMatchObject({ image: { file: vision, dtype: "fp16" }, text: { file: text, dtype: "fp32" } })
  expect(first.files.description).toMatchObject({ name: "tiny", embedDim: 16, contextLength: 77 })
  expect(web.downloads.sort()).toEqual([at("mobileclip.json"), at(text), at(vision)].sort())

  web.log.length = 0
  const second = await load()
  expect(second.from).toEqual(["cache", "cache"])
  expect(web.downloads).toEqual([at("mobileclip.json")])
  expect(second.loaded.map(sha256)).toEqual(first.loaded.map(sha256))

  web.log.length = 0
  web.down = true
  web.online = false
  const third = await load()
  expect(third.from).toEqual(["cache", "cache"])
  expect(third.files.notes.join()).toMatch(/what this browser keeps is used.*offline/)
  expect((await load({ revalidate: false })).files.notes).toEqual([])
  expect(web.log.length).toBeLessThan(2)
})

test("progress says bytes of the manifest's total, and whether they come from the network", async () => {
  web.faults[at(vision)] = [{ noLength: true }]
  const first = (await load()).progress.filter(({ file }) => file === vision)
  expect(new Set(first.map(({ total }) => total))).toEqual(new Set([10_000_000]))
  expect(first.at(-1)).toEqual({
    stage: "download",
    file: vision,
    loaded: 10_000_000,
    total: 10_000_000,
    from: "network",
  })
  expect(first.map(({ loaded }) => loaded)).toEqual(first.map(({ loaded }) => loaded).toSorted((a, b) => a - b))
  const second = (await load()).progress.filter(({ file }) => file === vision)
  expect(second).toEqual([{ stage: "verify", file: vision, loaded: 10_000_000, total: 10_000_000, from: "cache" }])
})

test.each(["image", "text"] as const)("the %s tower alone: the other one's file is not fetched", async (towers) => {
  const { names, files } = await load({ towers })
  expect(names).toEqual([towers === "image" ? vision : text])
  expect(files[towers === "image" ? "text" : "image"]).toBeNull()
  expect(web.downloads.sort()).toEqual([at("mobileclip.json"), at(names[0]!)].sort())
  web.down = true
  expect((await load({ towers })).from).toEqual(["cache"])
  await expect(load()).rejects.toThrow(/mobileclip.json: Failed to fetch/)
})

test("two loads at the same time fetch once", async () => {
  const [one, two] = await Promise.all([load(), load()])
  expect([one.from, two.from].flat().sort()).toEqual(["cache", "cache", "network", "network"])
  expect(web.downloads.filter((path) => path === at(vision))).toHaveLength(1)
})

test("a model that changed on the server is fetched anew, and only what changed", async () => {
  await load()
  const changed = { ...contents, [text]: randomBytes(900_000) }
  Object.assign(web.files, serve(changed))
  web.log.length = 0
  const { from, loaded } = await load()
  expect(from).toEqual(["cache", "network"])
  expect(sha256(loaded[1]!)).toBe(sha256(changed[text]!))
  expect(pieces()).toHaveLength(4)

  Object.assign(web.files, serve(contents))
  await load({ towers: "image" })
  expect(pieces().filter((path) => path.includes("text_model"))).toEqual([])
})

// ----------------------------------------------------------------------------------------- connections that end early

test("a connection that is cut goes on where it ended", async () => {
  web.faults[at(vision)] = [{ cutAfter: 5_000_000 }, { cutAfter: 1_000_000 }]
  const { loaded } = await load({ towers: "image" })
  expect(sha256(loaded[0]!)).toBe(sha256(contents[vision]!))
  const ranges = web.log.filter(({ path }) => path === at(vision)).map(({ range }) => range)
  expect(ranges).toEqual([null, "bytes=5000000-", "bytes=6000000-"])
})

test("a server of another origin, which compresses and keeps its ranges from pages", async () => {
  web.isOtherOrigin = true
  web.faults[at(vision)] = [{ cutAfter: 5_000_000 }]
  const { loaded, from } = await load()
  expect(loaded.map(sha256)).toEqual(Object.values(contents).map(sha256))
  expect(from).toEqual(["network", "network"])
  expect(web.log.filter(({ path }) => path === at(vision)).map(({ range }) => range)).toEqual([null, "bytes=5000000-"])
  expect((await load()).from).toEqual(["cache", "cache"])
})

test("parts of different answers that do not fit are fetched again as a whole", async () => {
  web.faults[at(vision)] = [{ cutAfter: 5_000_000 }, { damaged: true }]
  expect((await load()).loaded.map(sha256)).toEqual(Object.values(contents).map(sha256))
})

test("a load after a tab that was closed goes on after the last whole piece", async () => {
  web.faults[at(vision)] = Array.from({ length: 9 }, () => ({ cutAfter: 0 }))
  web.faults[at(vision)]!.unshift({ cutAfter: 9_000_000 })
  await expect(load({ towers: "image" })).rejects.toThrow(EnvironmentError)
  expect(isKept(vision)).toBe(false)
  web.faults[at(vision)] = []
  web.log.length = 0
  const { loaded } = await load({ towers: "image" })
  expect(sha256(loaded[0]!)).toBe(sha256(contents[vision]!))
  expect(web.log.at(-1)!.range).toBe(`bytes=${2 ** 23}-`)
})

test.each([
  ["a slow download goes on as long as something comes", Array(5).fill(25_000), [null]],
  ["30 seconds of silence are a connection that was cut", [0, 31_000], [null, "bytes=65536-"]],
])("%s", async (_, pauses, ranges) => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
  try {
    web.faults[at(vision)] = [{ pauses }]
    const loading = load({ towers: "image" })
    await expect.poll(() => web.downloads).toContain(at(vision))
    await vi.advanceTimersByTimeAsync(150_000)
    expect(sha256((await loading).loaded[0]!)).toBe(sha256(contents[vision]!))
    expect(web.log.filter(({ path }) => path === at(vision)).map(({ range }) => range)).toEqual(ranges)
  } finally {
    vi.useRealTimers()
  }
})

test("a server without ranges sends all again", async () => {
  web.faults[at(vision)] = [{ cutAfter: 5_000_000 }, { noRanges: true }]
  const { loaded } = await load({ towers: "image" })
  expect(sha256(loaded[0]!)).toBe(sha256(contents[vision]!))
})

test("pieces of another version are not gone on with: their sum has the wrong digest, and all is fetched again", async () => {
  web.faults[at(vision)] = [
    { damaged: true, cutAfter: 9_000_000 },
    ...Array.from({ length: 9 }, () => ({ cutAfter: 0 })),
  ]
  await expect(load({ towers: "image" })).rejects.toThrow(EnvironmentError)
  web.faults[at(vision)] = []
  const { loaded } = await load({ towers: "image" })
  expect(sha256(loaded[0]!)).toBe(sha256(contents[vision]!))
})

test("a server that is overloaded is asked again; one that never answers is named", async () => {
  web.faults[at(text)] = [{ status: 503 }, { status: 429 }]
  expect((await load({ towers: "text" })).from).toEqual(["network"])
  web.down = true
  await clearCache(undefined, web.host())
  await expect(load()).rejects.toMatchObject({
    message: `${address}mobileclip.json: Failed to fetch`,
    hint: expect.stringContaining("CORS"),
  })
})

test("an abort leaves no file, and the next load goes on after the last whole piece", async () => {
  const controller = new AbortController()
  web.faults[at(vision)] = [{ holdAfter: 9_000_000, held: () => controller.abort() }]
  await expect(load({ towers: "image", signal: controller.signal })).rejects.toThrow(/aborted/)
  expect(isKept(vision)).toBe(false)
  const { from, loaded } = await load({ towers: "image" })
  expect([from, sha256(loaded[0]!)]).toEqual([["network"], sha256(contents[vision]!)])
  expect(web.log.at(-1)!.range).toBe(`bytes=${2 ** 23}-`)
})

// ----------------------------------------------------------------------------------------------------- wrong contents

test.each([
  [
    "a page in its place",
    { page: "<!doctype html>" },
    /onnx answered 200 with a page \(text\/html; charset=utf-8\), and not/,
  ],
  ["no file", { status: 404 }, /onnx answered 404 with no file/],
  ["other contents", { damaged: true }, /came with other contents than its listing says: its SHA-256 is/],
] as const)("%s is refused in a line, and nothing is kept", async (_, fault, message) => {
  web.faults[at(vision)] = [fault]
  const error = await load({ towers: "image" }).catch((error) => error)
  expect(error).toBeInstanceOf(UserError)
  expect(error.message).toMatch(message)
  expect(error.message).toContain(address)
  expect(pieces()).toEqual([])
})

test.each([
  ["short", -1, { noLength: true }, /the server's file is shorter than expected/],
  ["short, and says so", -1, {}, /has 9999999 bytes where its listing says 10000000 bytes/],
  ["long", 1, { noLength: true }, /has more where its listing says 10000000 bytes/],
] as const)("a file that is too %s is refused", async (_, difference, fault, message) => {
  web.files[at(vision)] = randomBytes(10_000_000 + difference)
  web.faults[at(vision)] = Array.from({ length: 9 }, () => fault)
  await expect(load({ towers: "image" })).rejects.toThrow(message)
  expect(isKept(vision)).toBe(false)
})

test("an address that gives out pages for everything is not a model", async () => {
  const pages = new Proxy({}, { get: () => ({ shift: () => ({ page: "<html>" }) }) })
  Object.defineProperty(web, "faults", { value: pages })
  await expect(load()).rejects.toThrow(`there is no model at ${address}: it gives out no mobileclip.json`)
})

test.each([
  ["cut", (bytes: Uint8Array) => bytes.slice(0, -1)],
  ["altered", (bytes: Uint8Array) => bytes.map((byte, i) => (i === 7 ? byte ^ 1 : byte))],
])("a kept file that was %s is noticed, and fetched again", async (_, harm) => {
  await load()
  const file = web.root.fileAt(pieces().find((path) => path.includes("vision"))!)
  file.bytes = harm(file.bytes) as Uint8Array<ArrayBuffer>
  const { from, files, loaded } = await load()
  expect(from).toEqual(["network", "cache"])
  expect(files.notes).toEqual([`the kept ${vision} was cut or altered, and is fetched again`])
  expect(sha256(loaded[0]!)).toBe(sha256(contents[vision]!))
  expect((await load()).from).toEqual(["cache", "cache"])
})

// ----------------------------------------------------------------------------------------------------------- storage

test("where the room ends, the file is in memory, nothing half is kept, and a note says so", async () => {
  web.quota = 3_000_000
  const said = await load()
  expect(said.from).toEqual(["network", "network"])
  expect(said.files.notes.join()).toMatch(
    /vision_model_fp16.onnx is in memory alone: it has 10000000 bytes, and .* room for \d+/,
  )
  expect([isKept(vision), isKept(text)]).toEqual([false, true])
  expect((await load()).from).toEqual(["network", "cache"])
})

test("a quota that ends midway, though the browser estimated more", async () => {
  const host = web.host()
  web.quota = 6_000_000
  const lying = { ...host.storage!, estimate: async () => ({ quota: 1e9, usage: 0 }) }
  const { loaded, files } = await load({ towers: "image" }, address, { ...host, storage: lying })
  expect(sha256(loaded[0]!)).toBe(sha256(contents[vision]!))
  expect(files.notes).toEqual([
    `${vision} is in memory alone, because the browser does not keep it: its room here is used up`,
  ])
  expect(pieces()).toEqual([])
})

test("a page that is not secure loads, checks sizes, and says that nothing is kept", async () => {
  const host = web.host({ digest: null, storage: null, locks: null })
  const { files, from } = await load({}, address, host)
  expect(from).toEqual(["network", "network"])
  expect(files.notes.join()).toMatch(/nothing is kept for the next load: the page is not secure/)
})

test("what is kept is listed and removed, by source or all", async () => {
  await load()
  const kept = await listCached(web.host())
  expect(kept).toEqual([{ source: address, bytes: expect.any(Number), storage: "OPFS" }])
  expect(kept[0]!.bytes).toBeGreaterThan(11_000_000)
  expect(await clearCache("http://127.0.0.1/other/", web.host())).toBe(0)
  expect(await clearCache(address, web.host())).toBe(kept[0]!.bytes)
  expect(web.root.paths()).toEqual(["mobileclip/.probe"])
  expect((await load()).from).toEqual(["network", "network"])
})

// ----------------------------------------------------------------------------------------------------------- sources

test.each(["/sub/models/tiny", "../sub/models/tiny/", `${address}mobileclip.json`, new URL(address)])(
  "the address %s is the same model",
  async (source) => {
    expect((await load({}, source)).files.where).toBe(address)
  },
)

test.each([
  ["", /"" is not the address of a model/],
  ["file:///models", /"file:\/\/\/models" is not the address/],
  ["http://user:secret@127.0.0.1/", /^127.0.0.1: an address with a user name/],
  [{}, /there are no files/],
  [{ "a.onnx": 3 }, /the model's file "a.onnx" is/],
  [7, /a model's source is/],
] as const)("%j is not a source", async (source, message) => {
  await expect(load({}, source as never)).rejects.toThrow(message)
})

test("files that a user gave: of a folder, without their folders, and by name; cut ones are refused", async () => {
  const manifest = json(manifestOf(contents))
  const chosen = Object.entries({ ...contents, "mobileclip.json": manifest })
  const inFolder = chosen.map(([name, bytes]) => {
    return Object.assign(new File([bytes as Uint8Array<ArrayBuffer>], name), { webkitRelativePath: `tiny/${name}` })
  })
  const loose = chosen.map(([name, bytes]) => new File([bytes as Uint8Array<ArrayBuffer>], name.split("/").at(-1)!))
  for (const source of [inFolder, loose, Object.fromEntries(chosen), sendableSource(inFolder)]) {
    const { from, loaded } = await load({}, source)
    expect(from).toEqual(["memory", "memory"])
    expect(loaded.map(sha256)).toEqual(Object.values(contents).map(sha256))
  }
  expect(Object.keys(sendableSource(inFolder))).toEqual(chosen.map(([name]) => name))
  const cut = { ...Object.fromEntries(chosen), [vision]: contents[vision]!.subarray(1) }
  await expect(load({}, cut)).rejects.toThrow(`${vision} has 9999999 bytes, and mobileclip.json says 10000000`)
  await expect(load({}, { "mobileclip.json": manifest })).rejects.toThrow(`the given files: ${vision} is missing`)
  expect(web.log).toEqual([])
})
