/** Migrations of real indexes between two small models: while others search, killed, with files gone, on a full disk. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, test } from "vitest"
import { FullDisk } from "../../../test/full-disk.ts"
import { tinyConfig, tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { renderScene } from "../../data/scenes/render.ts"
import { sampleScene } from "../../data/scenes/scene.ts"
import { exportModel } from "../../export/export.ts"
import { Clip } from "../../model/clip.ts"
import { initialize } from "../../model/module.ts"
import { readBackground } from "../calibrate/make-background.ts"
import { importIndex } from "../exchange/import/import-index.ts"
import { indexPictures } from "../indexing/index-pictures.ts"
import { SearchIndex } from "../search-index.ts"
import { IndexStore } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { putFile } from "../store/picture-rows.ts"
import { compactIndex } from "../upkeep/compact.ts"
import { checkModel } from "./check-model.ts"
import { cancelMigration, type MigrateResult, migrateIndex } from "./migrate-index.ts"
import { previewModel } from "./preview-model.ts"

const count = 100
let folder: string
const at = (...names: string[]) => join(folder, ...names)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "migrate-"))
  mkdirSync(at("pictures"))
  await exportModel(tinyModel(), tinyInfo, at("old"))
  const config = { ...tinyConfig, embedDim: 24 }
  const other = new Clip(config)
  initialize(other, 9)
  await exportModel(other, { ...tinyInfo, name: "other" }, at("new"))
  const third = new Clip(config)
  initialize(third, 10)
  await exportModel(third, { ...tinyInfo, name: "third" }, at("third"))
  cpSync(at("old"), at("renamed"), { recursive: true })
  const lines: string[] = []
  for (let i = 0; i < count; i++) {
    writeFileSync(at("pictures", `${i}.jpg`), await renderScene(sampleScene(7, "train", i)))
    lines.push(JSON.stringify({ path: at("pictures", `${i}.jpg`) }))
  }
  writeFileSync(at("list.jsonl"), `${lines.join("\n")}\n`)
  await importIndex(at("base"), at("list.jsonl"), { model: at("old"), threads: 0 })
  cpSync(at("base"), at("done"), { recursive: true })
  await migrateIndex(at("done"), { model: at("new"), threads: 0 })
})
afterAll(() => rmSync(folder, { recursive: true }))

let copies = 0
function copyOf(name: string): string {
  const path = at(`index-${copies++}`)
  cpSync(at(name), path, { recursive: true })
  return path
}

function vectorsOf(index: string): Buffer {
  using store = IndexStore.open(index)
  return readFileSync(store.vectorsPath(store.active()))
}

const migrate = (index: string, options: object = {}) =>
  migrateIndex(index, { model: at("new"), threads: 0, ...options })

async function answerOf(index: string): Promise<string> {
  await using open = await SearchIndex.open(index, { cache: false })
  const page = await open.search({ terms: [{ kind: "text", weight: 1, text: "a red square" }], limit: 5 })
  return JSON.stringify(page.hits.map((hit) => [hit.paths, hit.cosine]))
}

test("another process that searches all the while never fails, and each answer is one model's", async () => {
  const index = copyOf("base")
  const expected = [await answerOf(at("base")), await answerOf(at("done"))]
  const child = spawn(process.execPath, ["dist/test/search-loop.js", index], { stdio: ["pipe", "pipe", "inherit"] })
  let output = ""
  child.stdout.on("data", (data) => {
    output += data
  })
  const until = async (isReached: () => boolean) => {
    while (!isReached()) {
      if (child.exitCode !== null) throw new Error(`the process that searches ended with ${child.exitCode}`)
      await sleep(10)
    }
  }
  await until(() => output.includes("\n"))
  await migrate(index)
  const switched = output.split("\n").length
  await until(() => output.split("\n").length > switched + 5)
  child.stdin.end()
  const [code] = await once(child, "close")
  const answers = output.trim().split("\n")
  expect(code).toBe(0)
  expect([...new Set(answers)]).toEqual(expected)
})

/** Until it is there; then it is killed after `meanwhile`. */
async function killedAt(index: string, place: string, meanwhile: () => Promise<void> = async () => {}): Promise<void> {
  const words = ["dist/test/migrate-process.js", index, at("new"), place]
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] })
  const exited = once(child, "exit")
  try {
    await Promise.race([once(child.stdout, "data"), exited])
    await meanwhile()
  } finally {
    child.kill("SIGKILL")
  }
  expect((await exited)[1]).toBe("SIGKILL")
}

test("killed at several moments it goes on, and has the vectors of a run that was not", async () => {
  const index = copyOf("base")
  for (const pictures of ["0", "40", "80"]) {
    await killedAt(index, pictures)
    expect(vectorsOf(index).equals(vectorsOf(at("base")))).toBe(true)
  }
  await migrate(index)
  expect(vectorsOf(index).equals(vectorsOf(at("done")))).toBe(true)
})

const vectorFiles = (index: string) => readdirSync(index).filter((name) => name.startsWith("vectors-"))

function migrationNotes(index: string): unknown[] {
  using store = IndexStore.open(index)
  return store.rows("SELECT key FROM meta WHERE key LIKE 'migration %'")
}

test.each(["before", "within"])(
  "killed %s the switch, the index is the old one, and the next call switches",
  async (moment) => {
    const index = copyOf("base")
    await killedAt(index, moment)
    expect(await answerOf(index)).toBe(await answerOf(at("base")))
    expect(vectorsOf(index).equals(vectorsOf(at("base")))).toBe(true)
    expect(await migrate(index)).toMatchObject({ before: count, encoded: 0, missing: [] })
    expect(await answerOf(index)).toBe(await answerOf(at("done")))
    expect(vectorFiles(index)).toEqual(vectorFiles(at("done")))
    expect(migrationNotes(index)).toEqual([])
  },
)

test("killed after the switch, the index is the new one, and the next call removes what is left of the old one", async () => {
  const index = copyOf("base")
  await killedAt(index, "after")
  expect(await answerOf(index)).toBe(await answerOf(at("done")))
  expect(vectorFiles(index)).toHaveLength(2)
  await expect(migrate(index)).rejects.toThrow(/is of new already/)
  expect(await answerOf(index)).toBe(await answerOf(at("done")))
  expect(vectorFiles(index)).toEqual(vectorFiles(at("done")))
  expect(migrationNotes(index)).toEqual([])
})

test("beside a migration `index` is refused; pictures that it adds to a half-migrated index are encoded, too", async () => {
  const index = copyOf("base")
  mkdirSync(at("later"))
  writeFileSync(at("later", "a.jpg"), await renderScene(sampleScene(8, "train", 0)))
  const add = () => indexPictures(index, [at("later")], { threads: 0 })
  await killedAt(index, "70", async () => {
    await expect(add()).rejects.toThrow(/in use: mobileclip index migrate/)
  })
  expect(await add()).toMatchObject({ encoded: 1 })
  expect(await migrate(index)).toMatchObject({ pictures: count + 1, before: 64, encoded: count - 64 + 1 })
  using store = IndexStore.open(index)
  expect(store.generations()).toHaveLength(1)
  const [found, without] = [vectorsOf(index), vectorsOf(at("done"))]
  expect(found.subarray(4096, without.length).equals(without.subarray(4096))).toBe(true)
  expect(found).toHaveLength(without.length + 2 * store.active().dim)
  // The exponent of NaN is all ones.
  expect(found.readUInt16LE(without.length) & 0x7c00).not.toBe(0x7c00)
})

test("a full disk is told in a line wherever it comes, the old vectors answer, and with room it goes on", async () => {
  using disk = FullDisk.mount(at("full"), 8)
  if (!disk) {
    // Mounting takes root's rights.
    expect(process.getuid?.()).not.toBe(0)
    return
  }
  disk.empty()
  const index = join(disk.path, "index")
  cpSync(at("base"), index, { recursive: true })
  const before = await answerOf(at("base"))
  const written = new Set<string>()
  let result: MigrateResult | null = null
  for (let pages = 0; result === null; pages += pages < 8 ? 1 : 8) {
    disk.fill(pages)
    result = await migrate(index).catch((error: Error) => {
      expect(error.message).toMatch(/^disk full while writing .*$/)
      written.add(error.message.replace(/.*\//, "").replace(/\d+/, "N"))
      return null
    })
    disk.empty()
    expect(await answerOf(index)).toBe(result === null ? before : await answerOf(at("done")))
  }
  expect([...written].sort()).toEqual(["index", "index.sqlite", "vectors-N.f16"])
  expect(result).toMatchObject({ before: count, encoded: 0, missing: [] })
  expect(vectorsOf(index).equals(vectorsOf(at("done")))).toBe(true)
})

test("one picture of a hundred may be missing, and two may not unless they are allowed", async () => {
  const index = copyOf("base")
  const gone = [at("pictures", "5.jpg"), at("pictures", "6.jpg")] as const
  const bytes = gone.map((path) => readFileSync(path))
  try {
    rmSync(gone[0])
    const one = copyOf("base")
    expect((await migrate(one)).missing).toEqual([{ row: 5, reason: `${gone[0]}: it is gone` }])
    rmSync(gone[1])
    await expect(migrate(index)).rejects.toThrow(
      /^2 of 100 pictures could not be encoded, .*5\.jpg: it is gone; the index stays/,
    )
    expect(await answerOf(index)).toBe(await answerOf(at("base")))
    expect(await migrate(index, { allowMissing: true })).toMatchObject({
      pictures: 100,
      missing: [{ row: 5 }, { row: 6 }],
    })
  } finally {
    gone.forEach((path, i) => {
      writeFileSync(path, bytes[i]!)
    })
  }
})

test("pictures whose files were gone are encoded when they come back", async () => {
  mkdirSync(at("album"))
  const [early, late] = [at("album", "early.jpg"), at("album", "late.jpg")]
  for (const i of [1, 2, 3]) cpSync(at("pictures", `${i}.jpg`), at("album", `${i}.jpg`))
  for (const [i, path] of [early, late].entries()) writeFileSync(path, await renderScene(sampleScene(9, "train", i)))
  const index = at("album-index")
  const again = () => indexPictures(index, [at("album")], { threads: 0 })
  await indexPictures(index, [at("album")], { model: at("old"), threads: 0 })
  const away = (path: string) => `${path}.away`
  renameSync(early, away(early))
  expect(await again()).toMatchObject({ removed: 1, pictures: 4 })
  renameSync(late, away(late))
  expect(await migrate(index, { allowMissing: true })).toMatchObject({ pictures: 4, encoded: 3, missing: [{}] })
  for (const path of [early, late]) renameSync(away(path), path)
  expect(await again()).toMatchObject({ encoded: 2, unchanged: 3, pictures: 5 })
  await using open = await SearchIndex.open(index, { cache: false })
  const { hits } = await open.search({ terms: [{ kind: "text", weight: 1, text: "a red square" }] })
  expect(hits.flatMap(({ paths }) => paths).sort()).toEqual(
    [1, 2, 3].map((i) => at("album", `${i}.jpg`)).concat(early, late),
  )
})

test("a file that comes back while a migration is interrupted is encoded before the switch", async () => {
  const index = copyOf("base")
  {
    using writer = await IndexWriter.open(index, "a test")
    const { id, root, path, size, mtime } = writer.store.row("SELECT * FROM files WHERE content = 8")!
    writer.removeFile(Number(id))
    writer.store.run("INSERT INTO meta VALUES ('test', ?)", JSON.stringify({ root, path, size, mtime }))
  }
  await abortedMigration(index, at("new"))
  {
    using writer = await IndexWriter.open(index, "a test")
    putFile(writer.store, { file: JSON.parse(writer.store.meta("test")!), content: 8 })
  }
  expect(await migrate(index)).toMatchObject({ pictures: count, before: 63, encoded: count - 63, missing: [] })
  expect(vectorsOf(index).equals(vectorsOf(at("done")))).toBe(true)
})

test("a model that is named by a relative path is found from everywhere afterwards", async () => {
  const index = copyOf("base")
  await migrate(index, { model: relative(process.cwd(), at("new")) })
  using store = IndexStore.open(index)
  expect(store.active().source).toBe(at("new"))
})

test("a picture whose file is gone is told, and too many of them are not lost in silence", async () => {
  const index = copyOf("base")
  const gone = at("pictures", "3.jpg")
  const [bytes, other] = [readFileSync(gone), readFileSync(at("pictures", "4.jpg"))]
  try {
    writeFileSync(gone, other)
    await expect(migrate(index, { mostMissing: 0 })).rejects.toThrow(/1 of 100 .*its bytes are others/)
    rmSync(gone)
    await expect(migrate(index, { mostMissing: 0 })).rejects.toThrow(/3\.jpg: it is gone; the index stays/)
    expect(vectorsOf(index).equals(vectorsOf(at("base")))).toBe(true)
    const allowed = copyOf("base")
    const { missing } = await migrate(allowed, { mostMissing: 0, allowMissing: true })
    expect(missing.map(({ reason }) => reason)).toEqual([`${gone}: it is gone`])
  } finally {
    writeFileSync(gone, bytes)
  }
  // The time of the file is another one now, and its hash is the same.
  expect((await migrate(index, { mostMissing: 0 })).encoded).toBe(1)
  expect(vectorsOf(index).equals(vectorsOf(at("done")))).toBe(true)
})

/** Leaves a migration that has some rows. */
async function abortedMigration(index: string, model: string): Promise<void> {
  const aborted = new AbortController()
  const progress = {
    update: (done: number) => {
      if (done >= 70) aborted.abort()
    },
    done() {},
  }
  const run = migrate(index, { model, signal: aborted.signal, startProgress: () => progress })
  await expect(run).rejects.toThrow(/abort/)
  expect(vectorsOf(index).equals(vectorsOf(at("base")))).toBe(true)
}

test("a migration that was aborted goes on with the rows that it has", async () => {
  const index = copyOf("base")
  await abortedMigration(index, at("new"))
  expect(await migrate(index)).toMatchObject({ before: 64, encoded: count - 64 })
  expect(vectorsOf(index).equals(vectorsOf(at("done")))).toBe(true)
})

test("a migration to a third model is refused where another has begun, and --restart gives that up", async () => {
  const index = copyOf("base")
  await abortedMigration(index, at("new"))
  await expect(migrate(index, { model: at("third") })).rejects.toThrow(/a migration to new .* has begun/)
  await expect(previewModel(index, { model: at("third"), threads: 0, apply: true })).rejects.toThrow(/would be lost/)
  await expect(checkModel(index, { model: at("renamed"), threads: 0, adopt: true })).rejects.toThrow(/would be lost/)
  expect(await migrate(index, { model: at("third"), restart: true })).toMatchObject({ before: 0, encoded: count })
})

test("a migration is given up: the index answers as before, can be compacted, and begins the next one anew", async () => {
  const index = copyOf("base")
  expect(await cancelMigration(index)).toBe(null)
  await abortedMigration(index, at("new"))
  await expect(compactIndex(index)).rejects.toMatchObject({ hint: expect.stringContaining("--cancel") })
  expect(await cancelMigration(index)).toBe("new")
  expect(vectorFiles(index)).toHaveLength(1)
  expect(vectorsOf(index).equals(vectorsOf(at("base")))).toBe(true)
  expect(await compactIndex(index)).toMatchObject({ removed: 0 })
  expect(await migrate(index)).toMatchObject({ before: 0, encoded: count })
})

test("a folder of the same weights is the index's model for `index`, too, which notes where it is; a migration to it names that", async () => {
  const index = copyOf("base")
  const refused = migrate(index, { model: at("renamed") })
  await expect(refused).rejects.toMatchObject({
    message: expect.stringMatching(/is of old already/),
    hint: expect.stringContaining(`mobileclip index --index ${index} --model ${at("renamed")}`),
  })
  mkdirSync(at("more"), { recursive: true })
  writeFileSync(at("more", "one.jpg"), await renderScene(sampleScene(8, "train", 1)))
  expect(await indexPictures(index, [at("more")], { model: at("renamed"), threads: 0 })).toMatchObject({ encoded: 1 })
  {
    using store = IndexStore.open(index)
    expect(store.active()).toMatchObject({ model: "old", source: at("renamed") })
  }
  writeFileSync(at("more", "two.jpg"), await renderScene(sampleScene(8, "train", 2)))
  expect(await indexPictures(index, [at("more")], { threads: 0 })).toMatchObject({ encoded: 1, unchanged: 1 })
  await expect(indexPictures(index, [at("more")], { model: at("new") })).rejects.toThrow(/is another model/)
})

test("the same weights under another name are adopted; another model is not", async () => {
  const index = copyOf("base")
  expect(await checkModel(index, { model: at("new"), threads: 0 })).toMatchObject({ same: false })
  const result = await checkModel(index, { model: at("renamed"), threads: 0, adopt: true })
  expect(result).toMatchObject({ same: true, adopted: true, compared: 64 })
  expect(result.median).toBeGreaterThan(0.9999)
  using store = IndexStore.open(index)
  expect(store.active().model).toBe("renamed")
  expect(
    vectorsOf(index)
      .subarray(4096)
      .equals(vectorsOf(at("base")).subarray(4096)),
  ).toBe(true)
  const statistics = (from: IndexStore) => readBackground(from, from.active()).statistics
  using before = IndexStore.open(at("base"))
  expect(statistics(store)).not.toBe(null)
  expect(statistics(store)).toEqual(statistics(before))
  await expect(checkModel(index, { model: at("new"), threads: 0, adopt: true })).rejects.toThrow(/other vectors/)
})

test("what a killed adoption left is not in the way", async () => {
  const index = copyOf("base")
  {
    using writer = await IndexWriter.open(index, "a test")
    const next = writer.addGeneration({ ...writer.active!, model: "renamed" })
    writer.setVectors(next, 0, new Float32Array(next.dim))
  }
  expect(vectorFiles(index)).toHaveLength(2)
  expect(await checkModel(index, { model: at("renamed"), threads: 0, adopt: true })).toMatchObject({ adopted: true })
  expect(vectorFiles(index)).toHaveLength(1)
  expect((await migrate(index)).encoded).toBe(count)
})

test("mapped vectors answer at once and are said to be mapped, until the pictures are encoded", async () => {
  const index = copyOf("base")
  const poor = previewModel(index, { model: at("new"), threads: 0, apply: true })
  await expect(poor).rejects.toMatchObject({
    message: expect.stringMatching(/mapped vectors would find \d+ % of the best 10 .*; the index stays as it was$/),
    hint: expect.stringContaining("--accept-poor"),
  })
  expect(vectorFiles(index)).toHaveLength(1)
  const preview = await previewModel(index, { model: at("new"), threads: 0, apply: true, acceptPoor: true })
  expect(preview).toMatchObject({ sample: count, applied: true, picture: { queries: count } })
  {
    using store = IndexStore.open(index)
    expect(store.active().settings.mapped).toMatchObject({ from: "old", pictures: count })
  }
  expect(await answerOf(index)).toContain(".jpg")
  await migrate(index)
  using store = IndexStore.open(index)
  expect(store.active().settings.mapped).toBeUndefined()
  expect(vectorsOf(index).equals(vectorsOf(at("done")))).toBe(true)
})

test("a writer that is there is told of, and nothing changes", async () => {
  const index = copyOf("base")
  using _ = await IndexWriter.open(index, "a test")
  await expect(migrate(index)).rejects.toThrow(/a test/)
  expect(statSync(join(index, "index.sqlite")).isFile()).toBe(true)
})
