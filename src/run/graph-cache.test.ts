import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterEach, beforeEach, expect, test } from "vitest"
import { tinyConfig } from "../../test/tiny-model.ts"
import { towers } from "../core/inference/manifest.ts"
import { traceTower } from "../export/towers.ts"
import { stagingPath } from "../host/files/staging.ts"
import { Clip } from "../model/clip.ts"
import { initialize } from "../model/module.ts"
import { fold, reparameterize } from "../model/reparameterize.ts"
import { GraphCache } from "./graph-cache.ts"
import { OnnxGraph, sessionOptions } from "./session.ts"

const file = "image.onnx"
let root: string
let folder: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "graph-cache-"))
  folder = join(root, "cache")
  writeModel(1)
})
afterEach(() => rmSync(root, { recursive: true }))

/** An image tower whose values follow from the seed, as a file of the same size for each. */
function writeModel(
  seed: number,
  options: { readonly maxBytes?: number; readonly dtype?: "fp32" | "fp16"; readonly dataFile?: string } = {},
): void {
  const model = new Clip(tinyConfig)
  initialize(model, seed)
  const { dataFile = `${file}_data` } = options
  const encode = { dataFile, ...(options.maxBytes !== undefined && { maxBytes: options.maxBytes }) }
  const encoded = traceTower("image", fold(reparameterize(model)), towers.image, {
    encode,
    dtype: options.dtype ?? "fp32",
  })
  writeFileSync(join(root, file), Buffer.concat([...encoded.chunks()]))
  if (encoded.external) writeFileSync(join(root, dataFile), Buffer.concat([...encoded.external.chunks()]))
}

const cacheOf = (options = {}) => new GraphCache("runtime 1", folder, { smallestBytes: 0, ...options })

/** The tower's vector of a grey picture, and what was chosen. */
async function encoded(cache: GraphCache | null, threads = 1, directory = root) {
  const choices: string[] = []
  const onChoice = (line: string) => choices.push(line)
  const graph = new OnnxGraph(directory, file, sessionOptions({ threads }), { cache, onChoice })
  const feed = { data: new Float32Array(3 * 64 * 64).fill(0.25), shape: [1, 3, 64, 64] }
  const { image_embeds } = await graph.run({ pixel_values: feed }, ["image_embeds"])
  await graph.release()
  return { values: [...image_embeds.data], choice: choices.join("\n") }
}

const entries = () => readdirSync(folder).filter((name) => !name.startsWith("."))
const inEntry = (name: string) => join(folder, entries()[0]!, name)
const made = /the graph was optimised, and is kept in the cache$/
const fromCache = /the optimised graph is from the cache/

test.each([
  ["weights in the graph", {}],
  ["weights beside it", { maxBytes: 1000 }],
  ["float16", { dtype: "fp16" as const }],
])("the second start takes the graph from the cache, and computes the same: %s", async (_, options) => {
  writeModel(1, options)
  const plain = await encoded(null)
  const first = await encoded(cacheOf())
  const second = await encoded(cacheOf())
  expect([plain.choice, first.choice, second.choice]).toEqual([
    "",
    expect.stringMatching(made),
    expect.stringMatching(fromCache),
  ])
  // The same graph by the same kernels: not a bit differs.
  expect(first.values).toEqual(plain.values)
  expect(second.values).toEqual(plain.values)
})

test("a model that changes is never answered by the old graph, whatever its size and times say", async () => {
  await encoded(cacheOf())
  const { atime, mtime, size } = statSync(join(root, file))
  writeModel(2)
  utimesSync(join(root, file), atime, mtime)
  expect(statSync(join(root, file)).size).toBe(size)
  const [plain, changed] = [await encoded(null), await encoded(cacheOf())]
  expect(changed.choice).toMatch(made)
  expect(changed.values).toEqual(plain.values)
  expect(entries()).toHaveLength(1)
})

test("an old file is known by its times, without being read, and still not taken for another one", async () => {
  const path = join(root, file)
  // Just written, however long the machine takes for the rest: it could be written again before the clock of its disk moves on.
  const soon = new Date(Date.now() + 3_600_000)
  utimesSync(path, soon, soon)
  await encoded(cacheOf())
  const stateIn = () => JSON.parse(readFileSync(inEntry("entry.json"), "utf8")).source[0].state
  expect(stateIn()).toBe(null)
  utimesSync(path, 1000, 1000)
  await setTimeout(2100)
  expect((await encoded(cacheOf())).choice).toMatch(fromCache)
  expect(stateIn()).toMatch(/^\d+ \d+ \d+$/)
  const { atime, mtime } = statSync(path)
  writeModel(2)
  utimesSync(path, atime, mtime)
  expect((await encoded(cacheOf())).values).toEqual((await encoded(null)).values)
})

test("weights beside the graph that change are seen too", async () => {
  writeModel(1, { maxBytes: 1000 })
  await encoded(cacheOf())
  writeModel(2, { maxBytes: 1000 })
  const changed = await encoded(cacheOf())
  expect(changed.choice).toMatch(made)
  expect(changed.values).toEqual((await encoded(null)).values)
})

test("weights in a file with a long name are seen too", async () => {
  const options = { maxBytes: 1000, dataFile: "w".repeat(200) }
  for (const seed of [1, 2]) {
    writeModel(seed, options)
    expect(await encoded(cacheOf())).toEqual({ ...(await encoded(null)), choice: expect.stringMatching(made) })
  }
})

test("links to one graph have their own weights beside them, as in caches that keep files by content", async () => {
  writeModel(1, { maxBytes: 1000 })
  const weights = readFileSync(join(root, `${file}_data`))
  const views = ["first", "second", "third"].map((name) => join(root, name))
  for (const [i, view] of views.entries()) {
    mkdirSync(view)
    symlinkSync(join(root, file), join(view, file))
    writeFileSync(join(root, `weights ${i}`), i === 1 ? weights.map((byte) => byte ^ 1) : weights)
    symlinkSync(join(root, `weights ${i}`), join(view, `${file}_data`))
  }
  const [first, second] = await Promise.all(views.map((view) => encoded(null, 1, view)))
  expect(second!.values).not.toEqual(first!.values)
  for (let start = 0; start < 2; start++) {
    for (const [i, view] of views.entries())
      expect((await encoded(cacheOf(), 1, view)).values).toEqual((i === 1 ? second! : first!).values)
  }
  // A link that leads elsewhere from now on.
  rmSync(join(views[0]!, `${file}_data`))
  symlinkSync(join(root, "weights 1"), join(views[0]!, `${file}_data`))
  expect(await encoded(cacheOf(), 1, views[0])).toEqual({ ...second, choice: expect.stringMatching(made) })
  expect((await encoded(cacheOf(), 1, views[0])).choice).toMatch(fromCache)
})

test("a copy with other times, of the model or of the cache, is known by its contents", async () => {
  const { values } = await encoded(cacheOf())
  utimesSync(join(root, file), 1, 1)
  expect((await encoded(cacheOf())).choice).toMatch(fromCache)
  cpSync(folder, join(root, "copy"), { recursive: true })
  rmSync(folder, { recursive: true })
  cpSync(join(root, "copy"), folder, { recursive: true })
  expect(await encoded(cacheOf())).toEqual({ values, choice: expect.stringMatching(fromCache) })
})

test.each(["entry.json", "graph.onnx", "graph.onnx_data"])(
  "a damaged %s is made again: cut, altered or missing",
  async (name) => {
    const { values } = await encoded(cacheOf())
    const damages = [
      (path: string) => truncateSync(path, statSync(path).size - 7),
      (path: string) => writeFileSync(path, readFileSync(path).fill(0x41, 40, 44)),
      (path: string) => writeFileSync(path, ""),
      (path: string) => rmSync(path),
    ]
    for (const damage of damages) {
      damage(inEntry(name))
      expect(await encoded(cacheOf())).toEqual({ values, choice: expect.stringMatching(made) })
      expect((await encoded(cacheOf())).choice).toMatch(fromCache)
    }
  },
)

test("what the runtime refuses is made again", async () => {
  const { values } = await encoded(cacheOf())
  const entry = JSON.parse(readFileSync(inEntry("entry.json"), "utf8"))
  writeFileSync(inEntry("graph.onnx"), "not a graph")
  const { mtimeNs, ctimeNs, ino } = statSync(inEntry("graph.onnx"), { bigint: true })
  Object.assign(entry.kept[0], { bytes: 11, state: `${mtimeNs} ${ctimeNs} ${ino}` })
  writeFileSync(inEntry("entry.json"), JSON.stringify(entry))
  expect(await encoded(cacheOf())).toEqual({ values, choice: expect.stringMatching(made) })
  expect((await encoded(cacheOf())).choice).toMatch(fromCache)
})

test("another runtime has its own graph", async () => {
  await encoded(cacheOf())
  expect((await encoded(new GraphCache("runtime 2", folder, { smallestBytes: 0 }))).choice).toMatch(made)
  expect(entries()).toHaveLength(2)
})

test("several at once: each computes, and one graph is kept; what a killed process left is no hindrance", async () => {
  const all = await Promise.all([1, 2, 3, 4].map(() => encoded(cacheOf())))
  expect(new Set(all.map(({ values }) => String(values))).size).toBe(1)
  const choices = all.map(({ choice }) => choice).join("\n")
  expect(choices).toMatch(/and is kept in the cache$/m)
  const entry = entries()[0]!
  rmSync(join(folder, entry), { recursive: true })
  const ownDigits = stagingPath(join(folder, entry))
  mkdirSync(ownDigits)
  expect((await encoded(cacheOf())).choice).toMatch(/is not kept: another process or thread is keeping it$/)
  rmSync(ownDigits, { recursive: true })
  mkdirSync(ownDigits.replace(/\.[0-9a-f]{8}/, ".7fffffff"))
  expect((await encoded(cacheOf())).choice).toMatch(made)
  // A process removes what others left when it first writes to a folder, which this one has done.
  expect(entries()).toEqual([entry])
  expect((await encoded(cacheOf())).choice).toMatch(fromCache)
})

test("where nothing can be kept, the model runs without, and says why", async () => {
  writeFileSync(join(root, "in-the-way"), "")
  const without = new GraphCache("runtime 1", join(root, "in-the-way", "graphs"), { smallestBytes: 0 })
  const { values } = await encoded(null)
  expect(await encoded(without)).toEqual({ values, choice: expect.stringMatching(/is not kept: .*in-the-way/) })
  expect((await encoded(cacheOf({ smallestBytes: 1e9 }))).choice).toMatch(/is not kept: it is small$/)
  expect(existsSync(folder)).toBe(false)
  expect((await encoded(cacheOf({ mostBytes: 1000 }))).choice).toMatch(/larger than half of the cache$/)
  expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([])
})

test("the graph that was not used for longest goes first", async () => {
  await encoded(cacheOf())
  const [first] = entries()
  const bytes = statSync(inEntry("graph.onnx")).size + statSync(inEntry("graph.onnx_data")).size
  for (const runtime of ["2", "3"]) await encoded(new GraphCache(runtime, folder, { smallestBytes: 0 }))
  for (const [i, name] of entries()
    .filter((name) => name !== first)
    .entries())
    utimesSync(join(folder, name, "entry.json"), 1000 + i, 1000 + i)
  await encoded(cacheOf())
  await encoded(new GraphCache("4", folder, { smallestBytes: 0, mostBytes: 2.5 * bytes }))
  expect(entries()).toHaveLength(2)
  expect(entries()).toContain(first)
  const damaged = entries().find((name) => name !== first)!
  rmSync(join(folder, damaged, "entry.json"))
  await encoded(new GraphCache("5", folder, { smallestBytes: 0 }))
  expect(entries()).not.toContain(damaged)
})

test("a model that cannot be loaded fails as it does without a cache", async () => {
  writeFileSync(join(root, file), "not a graph")
  await expect(encoded(cacheOf())).rejects.toThrow(/image.onnx is damaged: it is not an ONNX model/)
  expect(readdirSync(folder)).toEqual([])
})
