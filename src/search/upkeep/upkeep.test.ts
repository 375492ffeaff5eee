/** Forgetting, compacting, verifying and the state of a real index by a small model; vectors are told apart by their picture. */
import { execFileSync, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { plainPicture } from "../../../test/plain-picture.ts"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { renderScene } from "../../data/scenes/render.ts"
import { sampleScene } from "../../data/scenes/scene.ts"
import { exportModel } from "../../export/export.ts"
import { exportIndex } from "../exchange/export/export-index.ts"
import { indexPictures, retryFailures } from "../indexing/index-pictures.ts"
import { makeThumbnails } from "../indexing/thumbnails.ts"
import { SearchIndex } from "../search-index.ts"
import { IndexStore } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import type { ContentDetails } from "../store/picture-rows.ts"
import { VectorWriter, vectorOffset } from "../store/vector-file.ts"
import { compactIndex } from "./compact.ts"
import { excludedPaths, forgetPaths, undoForget } from "./forget.ts"
import { indexStatus } from "./status.ts"
import { verifyIndex } from "./verify.ts"

const count = 24
let folder: string
const at = (...names: string[]) => join(folder, ...names)
const picture = (n: number) => at("pictures", n < 8 ? "a" : "b", `${n}.jpg`)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "upkeep-"))
  for (const name of ["a", "b"]) mkdirSync(at("pictures", name), { recursive: true })
  await exportModel(tinyModel(), tinyInfo, at("model"))
  for (let i = 0; i < count; i++) writeFileSync(picture(i), await renderScene(sampleScene(7, "train", i)))
  cpSync(picture(20), at("pictures", "a", "copy.jpg"))
  writeFileSync(at("pictures", "bad.jpg"), "no picture")
  await indexPictures(at("base"), [at("pictures")], { model: at("model"), threads: 0 })
})
afterAll(() => rmSync(folder, { recursive: true }))

let copies = 0
function copy(): string {
  const path = at(`index-${copies++}`)
  cpSync(at("base"), path, { recursive: true })
  return path
}

/** The vector of each path, as hexadecimal digits. */
function vectorsByPath(index: string): Map<string, string> {
  using store = IndexStore.open(index)
  const { dim } = store.active()
  const bytes = readFileSync(store.vectorsPath(store.active()))
  const files = store.rows("SELECT path, content FROM files ORDER BY path")
  const start = (content: number) => vectorOffset + (content - 1) * dim * 2
  return new Map(
    files.map(({ path, content }) => [
      path as string,
      bytes.toString("hex", start(Number(content)), start(Number(content) + 1)),
    ]),
  )
}

function activeId(index: string): number {
  using store = IndexStore.open(index)
  return store.active().id
}

const encodeAgain = { threads: 0 } as const

test("forgotten pictures are gone with their vectors, one with a copy stays, and they are not indexed again", async () => {
  const index = copy()
  const before = vectorsByPath(index)
  const result = await forgetPaths(index, [at("pictures", "a"), picture(9)])
  expect(result).toMatchObject({ files: 10, pictures: 9, excluded: true })
  const after = vectorsByPath(index)
  expect([...after.keys()].some((path) => path.startsWith("a"))).toBe(false)
  for (const [path, vector] of after) expect(vector).toBe(before.get(path))
  using store = IndexStore.open(index)
  const bytes = readFileSync(store.vectorsPath(store.active())).toString("hex")
  for (const path of ["a/0.jpg", "b/9.jpg"]) expect(bytes.includes(before.get(path)!)).toBe(false)
  expect(bytes.includes(before.get("a/copy.jpg")!)).toBe(true)
  expect((await indexPictures(index, [], encodeAgain)).encoded).toBe(0)
  expect(excludedPaths(index)).toEqual([at("pictures", "a"), picture(9)])
  await expect(undoForget(index, [at("pictures", "aa")])).rejects.toThrow(/was not forgotten/)
  await undoForget(index, [at("pictures", "a"), picture(9)])
  expect((await indexPictures(index, [], encodeAgain)).encoded).toBe(9)
  expect(vectorsByPath(index)).toEqual(before)
})

test("a forgetting that is stopped anywhere is completed by the same call, which then has nothing left to do", async () => {
  const [index, whole] = [copy(), copy()]
  const paths = [at("pictures", "a"), picture(9)]
  await forgetPaths(whole, paths)
  for (const stop of [9, 19]) {
    const controller = new AbortController()
    const startProgress = () => ({ update: (done: number) => done >= stop && controller.abort(), done() {} })
    const stopped = forgetPaths(index, paths, { signal: controller.signal, startProgress })
    if (stop === 9) await expect(stopped).rejects.toThrow(/abort/i)
    else expect(await stopped).toMatchObject({ files: 10, pictures: 9 })
  }
  expect(vectorsByPath(index)).toEqual(vectorsByPath(whole))
  expect(await forgetPaths(index, paths)).toMatchObject({ files: 0, pictures: 0 })
  expect(excludedPaths(index)).toEqual(paths)
  expect((await verifyIndex(index)).problems).toEqual([])
})

test("files are forgotten beside a migration that was killed before it wrote a vector", async () => {
  const index = copy()
  {
    using writer = await IndexWriter.open(index, "a test")
    writer.addGeneration({ ...writer.active!, model: "next" })
  }
  expect(await forgetPaths(index, [picture(9)])).toMatchObject({ files: 1, pictures: 1 })
  expect((await verifyIndex(index)).problems).toEqual([])
})

test("many files are forgotten with one wait for the disk, not one for each", async () => {
  const index = copy()
  using writer = await IndexWriter.open(index, "a test")
  const active = writer.active!
  const many = 3000
  const content = (n: number): ContentDetails => ({
    ...{
      hash: new Uint8Array(createHash("sha256").update(`${n}`).digest()),
      bytes: 1,
      format: "jpg",
      width: 1,
      height: 1,
    },
    ...{ orientation: 1, taken: null, camera: null, lens: null, latitude: null, longitude: null, sharpness: null },
    ...{ caption: null, keywords: [] },
  })
  const vector = new Float32Array(active.dim)
  vector[0] = 1
  writer.addPictures(
    active,
    Array.from({ length: many }, (_, n) => ({
      content: content(n),
      vector,
      files: [{ root: 1, path: `many/${n}.jpg`, size: 1, mtime: 1 }],
    })),
  )
  writer[Symbol.dispose]()
  const sync = vi.spyOn(VectorWriter.prototype, "sync")
  const updates: number[] = []
  const startProgress = () => ({ update: (done: number) => updates.push(done), done() {} })
  const result = await forgetPaths(index, [at("pictures", "many")], { startProgress })
  expect(result).toMatchObject({ files: many, pictures: many })
  expect(sync).toHaveBeenCalledTimes(1)
  sync.mockRestore()
  expect(updates).toEqual([many, 2 * many])
  using store = IndexStore.open(index)
  expect(store.withoutVector(store.active()).size).toBe(many)
})

/** As `forget` leaves it that is killed after the vectors and before the rows. */
async function loseVectors(index: string, ...paths: string[]): Promise<void> {
  using writer = await IndexWriter.open(index, "a test")
  const none = new Float32Array(writer.active!.dim).fill(Number.NaN)
  for (const path of paths) {
    const found = writer.store.row("SELECT content FROM files WHERE path = ?", path)
    writer.setVectors(writer.active!, Number(found!.content) - 1, none)
  }
}

test("contents whose vectors were forgotten, and whose rows were not, are encoded by the next run, also for a copy that is new", async () => {
  const index = copy()
  const before = vectorsByPath(index)
  await loseVectors(index, "b/9.jpg", "b/20.jpg")
  const again = await indexPictures(index, [], encodeAgain)
  expect(again).toMatchObject({ encoded: 2, known: 1, unchanged: count + 1 - 3, pictures: count })
  expect(vectorsByPath(index)).toEqual(before)
  await loseVectors(index, "b/9.jpg")
  cpSync(picture(9), at("copied", "9.jpg"))
  expect(await indexPictures(index, [at("copied")], encodeAgain)).toMatchObject({ encoded: 1, known: 0 })
  expect(vectorsByPath(index).get("b/9.jpg")).toBe(before.get("b/9.jpg"))
  expect((await verifyIndex(index)).problems).toEqual([])
})

test("an unknown path is refused with the nearest one, and nothing is forgotten", async () => {
  const index = copy()
  const refused = forgetPaths(index, [picture(1), at("pictures", "b", "111.jpg")])
  await expect(refused).rejects.toMatchObject({ hint: `did you mean ${picture(11)}?` })
  const far = forgetPaths(index, [at("elsewhere", "111.jpg")])
  await expect(far).rejects.toMatchObject({ hint: `mobileclip index status --index ${index} tells what it has` })
  expect(vectorsByPath(index).size).toBe(count + 1)
})

test("compaction keeps each picture's vector while a reader searches, and its files are those of one generation", async () => {
  const index = copy()
  await using open = await SearchIndex.open(index)
  const like = { terms: [{ kind: "like", weight: 1, path: picture(20) }], limit: 5 } as const
  await forgetPaths(index, [picture(0), picture(9)])
  const [before, expected] = [vectorsByPath(index), (await open.search(like)).hits.map(({ paths }) => paths)]
  let isDone = false
  const compacting = compactIndex(index).finally(() => {
    isDone = true
  })
  do expect((await open.search(like)).hits.map(({ paths }) => paths)).toEqual(expected)
  while (!isDone)
  expect(await compacting).toMatchObject({ removed: 2, pictures: count - 2 })
  expect((await open.search(like)).hits.map(({ paths }) => paths)).toEqual(expected)
  expect(vectorsByPath(index)).toEqual(before)
  expect((await verifyIndex(index, { sample: 5, ...encodeAgain })).problems).toEqual([])
  expect((await indexPictures(index, [], encodeAgain)).encoded).toBe(0)
})

/** Paths and cosines of the best for a text, as `test/search-loop.ts` prints them. */
async function answerOf(index: string, limit: number): Promise<[string[], number][]> {
  await using open = await SearchIndex.open(index, { cache: false })
  const page = await open.search({ terms: [{ kind: "text", weight: 1, text: "a red square" }], limit })
  return page.hits.map(({ paths, cosine }) => [[...paths], cosine])
}

test("another process that searches while files are forgotten and the index is compacted never fails and loses no other picture", async () => {
  const index = copy()
  const all = await answerOf(index, count)
  const going = all.slice(0, 3).flatMap(([paths]) => paths)
  const kept = all.filter(([paths]) => !going.includes(paths[0]!))
  const child = spawn(process.execPath, ["dist/test/search-loop.js", index], { stdio: ["pipe", "pipe", "inherit"] })
  const closed = once(child, "close")
  let output = ""
  child.stdout.on("data", (data) => {
    output += data
  })
  const moreAnswers = async (more: number) => {
    const before = output.split("\n").length
    while (output.split("\n").length < before + more) {
      if (child.exitCode !== null) throw new Error(`the process that searches ended with ${child.exitCode}`)
      await sleep(10)
    }
  }
  await moreAnswers(2)
  for (const path of going) await forgetPaths(index, [path])
  await moreAnswers(2)
  expect(await compactIndex(index)).toMatchObject({ removed: 3 })
  await moreAnswers(2)
  child.stdin.end()
  expect((await closed)[0]).toBe(0)
  const answers = output
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as typeof all)
  expect(answers[0]).toEqual(all.slice(0, 5))
  expect(answers.at(-1)).toEqual(kept.slice(0, 5))
  for (const answer of answers) {
    const others = answer.filter(([paths]) => !going.includes(paths[0]!))
    expect(others).toEqual(kept.slice(0, others.length))
    expect(answer).toHaveLength(5)
  }
})

test("compaction removes thumbnails of pictures that no file has any more", async () => {
  const index = copy()
  await makeThumbnails(index)
  const names = () =>
    readdirSync(join(index, "thumbnails"), { recursive: true }).filter((name) => `${name}`.endsWith(".webp"))
  expect(names()).toHaveLength(count)
  const writer = await IndexWriter.open(index, "a test")
  writer.removeFile(Number(writer.store.row("SELECT id FROM files WHERE path = 'b/9.jpg'")!.id))
  writer[Symbol.dispose]()
  await compactIndex(index)
  expect(names()).toHaveLength(count - 1)
  expect(await makeThumbnails(index)).toMatchObject({ made: 0, known: count - 1 })
})

/** Contents with a file each, and every third one with two. */
async function addMany(index: string, many: number): Promise<void> {
  using writer = await IndexWriter.open(index, "a test")
  const active = writer.active!
  const vector = new Float32Array(active.dim)
  vector[0] = 1
  const pictures = Array.from({ length: many }, (_, n) => ({
    ...plainPicture(n, vector),
    files: ["many", ...(n % 3 === 0 ? ["again"] : [])].map((name) => ({
      ...{ root: 1, path: `${name}/${n}.jpg`, size: 1, mtime: 1 },
    })),
  }))
  writer.addPictures(active, pictures)
}

test("stopped at any step of its renumbering, a compaction leaves the index as it was, and is made by the same call", async () => {
  const index = copy()
  // More than are renumbered in one step.
  await addMany(index, 5000)
  await forgetPaths(index, [picture(3), at("pictures", "many", "70.jpg"), at("pictures", "many", "4990.jpg")])
  const [before, files] = [vectorsByPath(index), readdirSync(index).filter((name) => name.startsWith("vectors-"))]
  const total = 2 * (count + 5000 - 3)
  const steps: number[] = []
  for (let stop = 1; ; stop++) {
    const controller = new AbortController()
    let updates = 0
    const startProgress = (label: string) => ({
      update(done: number) {
        if (label !== "renumbering") return
        if (stop === 1) steps.push(done)
        if (++updates === stop) controller.abort(new Error("stopped here"))
      },
      done() {},
    })
    const compacting = compactIndex(index, { signal: controller.signal, startProgress })
    if (stop > 4) {
      expect(await compacting).toMatchObject({ removed: 3, pictures: total / 2 })
      break
    }
    await expect(compacting).rejects.toThrow("stopped here")
    expect([activeId(index), readdirSync(index).filter((name) => name.startsWith("vectors-"))]).toEqual([1, files])
    expect((await verifyIndex(index)).problems).toEqual([])
    expect(vectorsByPath(index)).toEqual(before)
  }
  expect(steps).toEqual([3 + 4096])
  expect((await verifyIndex(index)).problems).toEqual([])
  expect(vectorsByPath(index)).toEqual(before)
  expect((await indexStatus(index)).unused).toBe(0)
})

test("vectors of another model are neither compacted nor exported", async () => {
  const index = copy()
  await forgetPaths(index, [picture(0)])
  const path = join(index, "vectors-1.f16")
  const bytes = readFileSync(path)
  const header = bytes.toString("latin1", 0, vectorOffset)
  const identity = /"identity":"[^"]*sha256:(.)/.exec(header)!
  const digit = identity.index + identity[0].length - 1
  bytes.write(identity[1] === "0" ? "1" : "0", digit, "latin1")
  writeFileSync(path, bytes)
  await expect(compactIndex(index)).rejects.toThrow(/another model than the index says/)
  const exported = exportIndex(index, { to: join(index, "out.jsonl"), format: "jsonl" })
  await expect(exported).rejects.toThrow(/another model than the index says/)
  expect(readdirSync(index).filter((name) => /vectors-2|out/.test(name))).toEqual([])
})

test("killed at any moment of a compaction, the index is the old or the new one", async () => {
  const states = new Set<number>()
  for (const delay of ["held", 0, 3, 6, 10, 15, 25, null] as const) {
    const index = copy()
    await forgetPaths(index, [picture(0), picture(9)])
    const before = vectorsByPath(index)
    const child = spawn(process.execPath, ["--input-type=module", "-e", compactScript, index, `${delay}`], {
      stdio: ["ignore", "pipe", "inherit"],
    })
    const exited = once(child, "exit")
    await once(child.stdout, "data")
    // The first one is killed before the switch, and the last one after it, however slow the machine is.
    if (delay === "held") expect(activeId(index)).toBe(1)
    else if (delay === null) while (activeId(index) === 1 && child.exitCode === null) await sleep(5)
    else await sleep(delay)
    child.kill("SIGKILL")
    await exited
    expect(vectorsByPath(index)).toEqual(before)
    // The next writer takes the lock of the dead one, and removes what it left.
    ;(await IndexWriter.open(index, "a test"))[Symbol.dispose]()
    const id = activeId(index)
    states.add(id)
    expect(readdirSync(index).filter((name) => name.startsWith("vectors-"))).toEqual([`vectors-${id}.f16`])
    expect((await verifyIndex(index)).problems).toEqual([])
  }
  expect([...states].sort()).toEqual([1, 2])
})

/** Says when it begins; one that is to be held says it later, and goes no further. */
const compactScript = `
  const { compactIndex } = await import(${JSON.stringify(pathToFileURL("dist/src/search/upkeep/compact.js").href)})
  const startProgress = () => {
    process.stdout.write("holds")
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  }
  const isHeld = process.argv[2] === "held"
  if (!isHeld) process.stdout.write("begins")
  await compactIndex(process.argv[1], isHeld ? { startProgress } : {})
  setInterval(() => {}, 1000)
`

test("files of a generation that the database does not know go with the next writer", async () => {
  const index = copy()
  writeFileSync(join(index, "vectors-7.f16"), "left")
  ;(await IndexWriter.open(index, "a test"))[Symbol.dispose]()
  expect(() => readFileSync(join(index, "vectors-7.f16"))).toThrow(/ENOENT/)
  expect(vectorsByPath(index).size).toBe(count + 1)
})

test("a cut file and a wrong row are told, and repaired to the same vectors", async () => {
  const index = copy()
  const before = vectorsByPath(index)
  expect((await verifyIndex(index)).problems).toEqual([])
  const path = join(index, "vectors-1.f16")
  truncateSync(path, readFileSync(path).length - 3)
  const bytes = readFileSync(path)
  bytes.fill(0, vectorOffset, vectorOffset + 8)
  bytes.fill(0, 0, 9)
  writeFileSync(path, bytes)
  const problems = (await verifyIndex(index)).problems.map(({ what }) => what)
  expect(problems).toContainEqual(expect.stringMatching(/was cut/))
  const hints = new Set((await verifyIndex(index)).problems.map(({ hint }) => hint))
  expect([...hints]).toEqual([`mobileclip index verify --repair --index ${index} encodes again what is lost`])
  for (const path of [picture(0), picture(9)]) expect(problems).toContain(`${path} has no vector, or a wrong one`)
  const result = await verifyIndex(index, { repair: true, ...encodeAgain })
  expect(result).toMatchObject({ problems: [], repaired: 2 })
  expect(vectorsByPath(index)).toEqual(before)
})

test("where the file of vectors is missing, some pictures are named, the others counted, and all are encoded again", async () => {
  const index = copy()
  const before = vectorsByPath(index)
  const path = join(index, "vectors-1.f16")
  rmSync(path)
  const repair = `mobileclip index verify --repair --index ${index}`
  const lost = { message: `${path} is missing`, hint: `${repair} encodes again what is lost` }
  await expect(indexPictures(index, [], encodeAgain)).rejects.toMatchObject(lost)
  expect((await indexStatus(index)).missing).toEqual([path])
  const problems = (await verifyIndex(index)).problems.map(({ what }) => what)
  expect(problems).toHaveLength(1 + 10 + 1)
  expect([problems[0], problems.at(-1)]).toEqual([`${path} is missing`, `${count - 10} pictures have none either`])
  expect(await verifyIndex(index, { repair: true, ...encodeAgain })).toMatchObject({ problems: [], repaired: count })
  expect(vectorsByPath(index)).toEqual(before)
  expect((await indexStatus(index)).missing).toEqual([])
})

test("a vector that its picture does not give is told by its path", async () => {
  const index = copy()
  const path = join(index, "vectors-1.f16")
  const bytes = readFileSync(path)
  // Vectors of a model that learnt nothing are alike: the opposite one has the cosine -1.
  const size = (bytes.length - vectorOffset) / count
  for (let sign = vectorOffset + 1; sign < vectorOffset + size; sign += 2) bytes[sign]! ^= 0x80
  writeFileSync(path, bytes)
  const { problems, compared } = await verifyIndex(index, { sample: count, ...encodeAgain })
  expect([compared, problems.length]).toEqual([count, 1])
  expect(problems[0]!.what).toMatch(/a\/0\.jpg has another vector than its picture gives: cosine -(1\.0000|0\.9999)$/)
  const forget = `mobileclip index forget --once ${picture(0)} --index ${index}`
  expect(problems[0]!.hint).toContain(`encode it again: ${forget} and then mobileclip index --index ${index};`)
})

test("a lost picture whose file is gone is told with the commands of its index", async () => {
  const index = copy()
  cpSync(at("pictures"), at("moved"), { recursive: true })
  await indexPictures(index, [at("moved")], encodeAgain)
  writeFileSync(at("moved", "a", "new.jpg"), await renderScene(sampleScene(7, "train", count)))
  await indexPictures(index, [at("moved")], encodeAgain)
  await loseVectors(index, "a/new.jpg")
  rmSync(at("moved", "a", "new.jpg"))
  const { problems } = await verifyIndex(index, { repair: true, ...encodeAgain })
  const [repair, forget] = [
    ["verify", "--repair"],
    ["forget", "PATH"],
  ].map((words) => `mobileclip index ${words.join(" ")} --index ${index}`)
  expect(problems).toEqual([
    {
      what: `${at("moved", "a", "new.jpg")} could not be encoded again: ${at("moved", "a", "new.jpg")}: it is gone`,
      hint: `bring the files back and repair again: ${repair}, or forget them: ${forget}`,
    },
  ])
})

test("a file of vectors that goes while it is looked for, as another generation takes its place, is not missing", async () => {
  const index = copy()
  await forgetPaths(index, [picture(9)])
  const compact = `const { compactIndex } = await import(${JSON.stringify(pathToFileURL("dist/src/search/upkeep/compact.js").href)})
    await compactIndex(process.argv[1])`
  const { reading } = IndexStore.prototype
  const spy = vi.spyOn(IndexStore.prototype, "reading")
  const compactAfterReading = () =>
    spy.mockImplementationOnce(function (this: IndexStore, work) {
      const state: unknown = reading.call(this, work)
      execFileSync(process.execPath, ["--input-type=module", "-e", compact, index])
      return state
    })
  try {
    compactAfterReading()
    expect((await indexStatus(index)).missing).toEqual([])
    await forgetPaths(index, [picture(10)])
    compactAfterReading()
    expect((await verifyIndex(index)).problems).toEqual([])
  } finally {
    spy.mockRestore()
  }
  expect(activeId(index)).toBe(3)
})

test("status counts, and names the writer and failures by reason; these are tried again", async () => {
  const index = copy()
  expect(await indexStatus(index)).toMatchObject({ pictures: count, files: count + 1, copies: 1, writer: null })
  const writer = await IndexWriter.open(index, "a test")
  const { writer: who, failures, roots } = await indexStatus(index)
  writer[Symbol.dispose]()
  expect([who?.command, who?.pid, failures[0]?.example]).toEqual(["a test", process.pid, at("pictures", "bad.jpg")])
  expect(roots).toMatchObject([{ path: at("pictures"), isThere: true }])
  expect((await indexStatus(index)).failed).toEqual([
    {
      path: at("pictures", "bad.jpg"),
      reason: expect.stringContaining("bad.jpg"),
      attempts: 1,
      at: expect.any(String),
    },
  ])
  expect(await retryFailures(index, encodeAgain)).toMatchObject({ failed: 1, encoded: 0 })
})
