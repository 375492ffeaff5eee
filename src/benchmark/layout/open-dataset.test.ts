import { createHash } from "node:crypto"
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { HubServer } from "../../../test/hub-server.ts"
import { credentials, S3Server } from "../../../test/s3-server.ts"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import { writeShard } from "../../data/shards.ts"
import { openStorage } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import type { SuiteTask } from "../../evaluate/suite/suite-task.ts"
import type { BenchmarkSample } from "./benchmark-dataset.ts"
import { type OpenDatasetOptions, openDataset } from "./open-dataset.ts"
import { npyOf } from "./write-layout.ts"

let root: string
let copies: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "open-dataset-"))
  copies = mkdtempSync(join(tmpdir(), "open-dataset-copies-"))
})
afterEach(() => {
  vi.unstubAllEnvs()
  for (const folder of [root, copies]) rmSync(folder, { recursive: true })
})

type File = string | Uint8Array
/** Files of samples by key and extension. */
type Samples = Readonly<Record<string, Readonly<Record<string, File>>>>

function write(path: string, content: File): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
}

async function shard(path: string, samples: Samples): Promise<void> {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  const members = (files: Readonly<Record<string, File>>) =>
    new Map(Object.entries(files).map(([name, file]) => [name, typeof file === "string" ? Buffer.from(file) : file]))
  await writeShard(
    join(root, path),
    Object.entries(samples).map(([key, files]) => ({ key, members: members(files) })),
  )
}

/** Two shards of three pictures of two classes. */
async function birds(folder = "birds"): Promise<void> {
  write(`${folder}/classnames.txt`, "jay\nowl\n")
  write(`${folder}/zeroshot_classification_templates.txt`, "a photo of a {c}.\na {}\n")
  write(`${folder}/test/nshards.txt`, "2\n")
  await shard(`${folder}/test/0.tar`, { s0: { jpg: "p0", cls: "0" }, s1: { png: "p1", cls: "1" } })
  await shard(`${folder}/test/1.tar`, { s2: { webp: "p2", cls: "1\n" } })
}

const row: SuiteTask = {
  ...{ key: "birds", name: "Birds", kind: "classification", mainMetric: "acc1", folders: ["wds_birds_test", "birds"] },
  ...{ size: 3, classes: 2, chance: 0.5, counted: false },
}

async function all(task: SuiteTask | string, options?: OpenDatasetOptions, at = root): Promise<BenchmarkSample[]> {
  const samples: BenchmarkSample[] = []
  for await (const sample of (await openDataset(at, task, options)).samples()) samples.push(sample)
  return samples
}

const brief = (samples: readonly BenchmarkSample[]) =>
  samples.map(({ key, images, label, texts }) => [
    key,
    ...images.map((image) => Buffer.from(image).toString()),
    label,
    ...texts,
  ])

const threeBirds = [
  ["0.tar/s0", "p0", 0],
  ["0.tar/s1", "p1", 1],
  ["1.tar/s2", "p2", 1],
]

/** The message, with the place of the data as ROOT. */
async function messageOf(work: Promise<unknown>): Promise<string> {
  const error = await work.catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UserError)
  return (error as UserError).message.replaceAll(root, "ROOT")
}

// ------------------------------------------------------------------------------------------------- what is read

test("a classification by a row and by its path: names, templates, labels and pictures in their order", async () => {
  await birds()
  const dataset = await openDataset(root, row)
  expect(dataset).toMatchObject({
    ...{ location: join(root, "birds"), kind: "classification", split: "test", shards: 2, groups: null, notes: [] },
    ...{ classNames: ["jay", "owl"], templates: ["a photo of a {c}.", "a {}"] },
  })
  expect(brief(await all(row))).toEqual(threeBirds)
  expect(brief(await all("birds"))).toEqual(threeBirds)
  expect(brief(await all(".", {}, join(root, "birds")))).toEqual(threeBirds)
  expect(dataset.notes).toEqual([])
})

test("texts with a mark, CRLF, blanks and lines at the end; a picture's memory is its own", async () => {
  await birds()
  write("birds/classnames.txt", "\ufeffjay \r\n\tblue owl\r\n\r\n")
  write("birds/zeroshot_classification_templates.txt", "\ufeff\r\n a {c} \r\n\r\n")
  write("birds/test/nshards.txt", "\ufeff 2\r\n")
  const dataset = await openDataset(root, "birds")
  expect(dataset.classNames).toEqual(["jay", "blue owl"])
  expect(dataset.templates).toEqual(["a {c}"])
  for (const { images } of await all("birds")) expect(images[0]!.buffer.byteLength).toBe(2)
})

test("a row's folder with shards comes before one without", async () => {
  await birds()
  write("wds_birds_test/README.md", "moved")
  expect((await openDataset(root, row)).location).toBe(join(root, "birds"))
  rmSync(join(root, "birds"), { recursive: true })
  expect(await messageOf(openDataset(root, row))).toBe("ROOT/wds_birds_test has no test/nshards.txt")
})

test("the first folder that is there; another split; numbers that are not the published ones are notes", async () => {
  await birds()
  await birds("wds_birds_test")
  write("wds_birds_test/classnames.txt", "jay\nowl\ntit\n")
  await shard("wds_birds_test/test/1.tar", { s2: { jpg: "other", cls: "2" }, s3: { jpg: "more", cls: "0" } })
  await shard("wds_birds_test/test/2.tar", { s4: { jpg: "unread", cls: "0" } })
  write("wds_birds_test/train/nshards.txt", "1")
  await shard("wds_birds_test/train/0.tar", { s0: { jpg: "t0", cls: "0" } })
  const dataset = await openDataset(root, row)
  const at = join(root, "wds_birds_test")
  expect(dataset.notes).toEqual([`${at}: classnames.txt names 3 classes, and 2 are published`])
  for (let i = 0; i < 2; i++) for await (const _ of dataset.samples());
  expect(dataset.notes.slice(1)).toEqual([
    `${at}: test has 4 samples, and 3 are published`,
    `${at}: test/2.tar is there, but test/nshards.txt counts 2: it is not read`,
  ])
  expect(brief(await all(row, { split: "train" }))).toEqual([["0.tar/s0", "t0", 0]])
})

test("retrieval: a caption in each line, as Python cuts lines", async () => {
  write("pairs/dataset_type.txt", "Retrieval\n")
  write("pairs/test/nshards.txt", "1")
  await shard("pairs/test/0.tar", { "a/b": { jpg: "p", txt: "one\r\ntwo\n\n  \nthree\u2028four\n" } })
  const dataset = await openDataset(root, "pairs")
  expect(dataset).toMatchObject({ kind: "retrieval", classNames: null, templates: null })
  expect(brief(await all("pairs"))).toEqual([["0.tar/a/b", "p", null, "one", "two", "three", "four"]])
  const selection: SuiteTask = { ...row, kind: "caption-selection", folders: ["pairs"], size: null, classes: null }
  expect((await openDataset(root, selection)).kind).toBe("caption-selection")
})

test("an association: pictures in the candidates' order", async () => {
  write("wino/dataset_type.txt", "association")
  write("wino/test/nshards.txt", "1")
  const json = JSON.stringify({ cue: "wool", candidates: ["cat", "sheep", "cap"], associations: ["cap", "sheep"] })
  await shard("wino/test/0.tar", { i0: { json, "2.png": "p2", "0.jpg": "p0", "1.webp": "p1" } })
  const [sample] = await all("wino")
  expect(brief([sample!])).toEqual([["0.tar/i0", "p0", "p1", "p2", null, "wool"]])
  expect(sample!.associations).toEqual([false, true, true])
})

test("metadata and the names of groups; attributes need no label", async () => {
  await birds()
  const groups = [{ name: "place", groups: ["lake", "wood"] }]
  write("birds/groups.json", JSON.stringify({ columns: groups }))
  write("birds/test/nshards.txt", "1")
  await shard("birds/test/0.tar", { s0: { jpg: "p", cls: "0", npy: npyOf([1]) } })
  expect((await openDataset(root, "birds")).groups).toEqual(groups)
  expect((await all("birds"))[0]).toMatchObject({ label: 0, metadata: [1] })
  write("faces/classnames.txt", "race:a\ngender:man\ngender:woman\nage:old: very\ntoxic:x\n")
  write("faces/zeroshot_classification_templates.txt", "race:{c}\ngender:a {c}\nage:someone {c}\ntoxic:{c}\n")
  write("faces/test/nshards.txt", "1")
  await shard("faces/test/0.tar", { f: { jpg: "p", npy: npyOf([2, 0, 1, 1]) } })
  const faces: SuiteTask = { ...row, kind: "attributes", folders: ["faces"], groupMetrics: "fairface", classes: 5 }
  expect((await all(faces))[0]).toMatchObject({ label: null, metadata: [2, 0, 1, 1] })
})

test("what the pictures are does not depend on names and templates, but on shards, their folder and their split", async () => {
  await birds()
  await birds("owls")
  const time = new Date(1_700_000_000_000)
  for (const name of ["birds", "owls"])
    for (const i of [0, 1]) utimesSync(join(root, name, `test/${i}.tar`), time, time)
  const identity = async (task: string, split = "test") => (await openDataset(root, task, { split })).identity
  const before = await identity("birds")
  write("birds/classnames.txt", "a\nb\n")
  expect(await identity("birds")).toBe(before)
  expect(await identity("owls")).not.toBe(before)
  // The same files, with their times.
  cpSync(join(root, "birds/test"), join(root, "birds/train"), { recursive: true, preserveTimestamps: true })
  expect(await identity("birds", "train")).not.toBe(before)
  utimesSync(join(root, "birds/test/1.tar"), time, new Date(1_700_000_001_000))
  expect(await identity("birds")).not.toBe(before)
})

// ------------------------------------------------------------------------------------------------- what is wrong

const type = (word: string) => () => write("birds/dataset_type.txt", word)
const first = (files: Readonly<Record<string, File>>) => () => shard("birds/test/0.tar", { s0: files })
const text = (name: string, content: File) => () => write(`birds/${name}`, content)
const both =
  (...steps: (() => unknown)[]) =>
  async () => {
    for (const step of steps) await step()
  }
const gone = (name: string) => () => rmSync(join(root, "birds", name), { recursive: true })
const npy = (row: readonly number[]) => ({ jpg: "p", cls: "0", npy: npyOf(row) })
const at = 'ROOT/birds/test/0.tar: sample "s0"'
const groupsFile = text("groups.json", '{"columns": [{"name": "place", "groups": ["lake", "wood"]}]}')
const fourOf = (line: string) => ["race", "gender", "age", "toxic"].map((name) => `${name}:${line}\n`).join("")
const faces = both(text("classnames.txt", fourOf("x")), text("zeroshot_classification_templates.txt", fourOf("{c}")))

// biome-ignore format: a table
const wrong: [string, () => unknown, string, (SuiteTask | string)?][] = [
  ["no class names", gone("classnames.txt"), "ROOT/birds has no classnames.txt"],
  ["no templates", gone("zeroshot_classification_templates.txt"), "ROOT/birds has no zeroshot_classification_templates.txt"],
  ["no number of shards", gone("test/nshards.txt"), "ROOT/birds has no test/nshards.txt"],
  ["no split", gone("test"), "ROOT/birds has no test/nshards.txt"],
  ["no folder", gone("."), 'ROOT has no folder "birds"'],
  ["no folder of a row", gone("."), 'ROOT has no folder "wds_birds_test" or "birds"', row],
  ["a number in words", text("test/nshards.txt", "two\n"), 'ROOT/birds/test/nshards.txt is "two", expected a number of shards'],
  ["a negative number", text("test/nshards.txt", "-1"), 'ROOT/birds/test/nshards.txt is "-1", expected a number of shards'],
  ["no shards", text("test/nshards.txt", "0\n"), "ROOT/birds/test/nshards.txt is 0: the split has no shards"],
  ["very many shards", text("test/nshards.txt", "99999999"), "ROOT/birds/test/nshards.txt is 99999999, more than 1000000 shards"],
  ["one shard less", gone("test/1.tar"), "ROOT/birds has no test/1.tar"],
  ["a class without a name", text("classnames.txt", "jay\n \nowl\n"), "ROOT/birds/classnames.txt, line 2: the class has no name"],
  ["class names that are empty", text("classnames.txt", "\r\n\n"), "ROOT/birds/classnames.txt is empty"],
  ["class names of bytes", text("classnames.txt", Buffer.from("jay\n\xff\n", "latin1")), "ROOT/birds/classnames.txt, line 2 is not UTF-8"],
  ["a hostile class name", text("classnames.txt", `${"x".repeat(20_000)}\nowl\n`), "ROOT/birds/classnames.txt, line 1 has 20000 letters, more than 10000"],
  ["templates that are empty", text("zeroshot_classification_templates.txt", "\n"), "ROOT/birds/zeroshot_classification_templates.txt is empty"],
  ["a template without a place", text("zeroshot_classification_templates.txt", "a {c}\n\na \u001b[31mphoto\n"), 'ROOT/birds/zeroshot_classification_templates.txt, line 3: the template "a \\u001b[31mphoto" has no place for the class name'],
  ["an unknown type", type("segmentation"), 'ROOT/birds: dataset_type.txt is "segmentation"'],
  ["another type than the row's", type("retrieval"), "ROOT/birds is retrieval by its dataset_type.txt, and birds is classification", row],
  ["a class out of range", first({ jpg: "p", cls: "2" }), `${at}: class 2 of 2`],
  ["a negative class", first({ jpg: "p", cls: "-1" }), `${at}: class -1 of 2`],
  ["a class in words", first({ jpg: "p", cls: "jay\u0007" }), `${at}: .cls is "jay\\u0007"`],
  ["a class of many digits", first({ jpg: "p", cls: "1".repeat(30) }), `${at}: .cls is "${"1".repeat(30)}"`],
  ["no class", first({ jpg: "p" }), `${at} has no .cls`],
  ["no picture", first({ cls: "0" }), `${at} has no picture`],
  ["a picture of another kind", first({ cls: "0", gif: "p" }), `${at} has no picture`],
  ["an empty picture", first({ cls: "0", jpg: "" }), `${at}: .jpg is empty`],
  ["an empty split", both(text("test/nshards.txt", "1"), () => write("birds/test/0.tar", Buffer.alloc(10_240))), "ROOT/birds: test has no samples"],
  ["a cut shard", () => write("birds/test/1.tar", readFileSync(join(root, "birds/test/1.tar")).subarray(0, 700)), "ROOT/birds/test/1.tar is not a complete tar archive (no end mark after 700 bytes)"],
  ["a folder as a shard", both(gone("test/1.tar"), () => mkdirSync(join(root, "birds/test/1.tar"))), "ROOT/birds/test/1.tar is a folder, and a file was expected"],
  ["no caption", both(type("retrieval"), first({ jpg: "p" })), `${at} has no caption`],
  ["blank captions", both(type("retrieval"), first({ jpg: "p", txt: "\n \n" })), `${at} has no caption`],
  ["captions of bytes", both(type("retrieval"), first({ jpg: "p", txt: Buffer.from("a\xe9", "latin1") })), `${at}: .txt, line 1 is not UTF-8`],
  ["a choice of one", both(type("caption-selection"), first({ jpg: "p", txt: "right\n" })), `${at} has one caption`],
  ["no instance", both(type("association"), first({ "0.jpg": "p" })), `${at} has no .json`],
  ["an instance that is not JSON", both(type("association"), first({ json: "" })), `${at}: .json is damaged (Unexpected end of JSON input)`],
  ["an instance that is a list", both(type("association"), first({ json: "[]" })), `${at}: .json is not an object`],
  ["an instance without a cue", both(type("association"), first({ json: '{"candidates": ["a"], "associations": ["a"]}' })), `${at}: .json has no cue, candidates or associations`],
  ["no picture of a candidate", both(type("association"), first({ json: '{"cue": "c", "candidates": ["a", "b"], "associations": ["a"]}', "0.jpg": "p" })), `${at} has no picture of candidate 1`],
  ["an association that is not a candidate", both(type("association"), first({ json: '{"cue": "c", "candidates": ["a"], "associations": ["z"]}', "0.jpg": "p" })), `${at}: .json associates "z", which is not a candidate`],
  ["no metadata", groupsFile, `${at} has no .npy`],
  ["no metadata of attributes", both(type("attributes"), faces), `${at} has no .npy`],
  ["no metadata of a row", () => {}, `${at} has no .npy`, { ...row, groupMetrics: "geode" }],
  ["too few metadata for a row", first(npy([1])), `${at}: .npy has 1 values, expected 2 at least`, { ...row, groupMetrics: "fmow" }],
  ["metadata of another width", both(groupsFile, first(npy([1, 0]))), `${at}: .npy has 2 values, expected 1, one for each column of groups.json`],
  ["a width that changes", () => shard("birds/test/0.tar", { s0: npy([1]), s1: npy([1, 2]) }), 'ROOT/birds/test/0.tar: sample "s1": .npy has 2 values, expected 1, as in the samples before'],
  ["a group out of range", both(groupsFile, first(npy([2]))), `${at}: .npy has 2 for "place", of which groups.json has 2 groups`],
  ["groups that are not a list", text("groups.json", '{"columns": []}'), "ROOT/birds/groups.json is not a list of groups"],
  ["metadata that are cut", first({ ...npy([1]), npy: npyOf([1]).subarray(0, 130) }), `${at}: .npy: 1 values of type "<i8", but 2 bytes`],
  ["metadata that are a text", first({ ...npy([1]), npy: "1,2" }), `${at}: .npy is not a NumPy array`],
  ["classes of a multilabel picture", both(type("multilabel"), first(npy([1, 0, 0]))), `${at}: .npy has 3 values, expected 2, one for each class`],
  ["a multilabel value", both(type("multilabel"), first(npy([1, 3]))), `${at}: .npy has 3 for class 1, expected 0 or 1`],
  ["a class without an attribute", both(type("attributes"), faces, text("classnames.txt", "age:old\nyoung\n")), 'ROOT/birds/classnames.txt: "young" is not a line of attributes'],
  ["an attribute that is not of faces", both(type("attributes"), faces, text("classnames.txt", `${fourOf("x")}mood:y\n`)), 'ROOT/birds/classnames.txt: "mood:y" is not a line of attributes'],
  ["an attribute without templates", both(type("attributes"), faces, text("zeroshot_classification_templates.txt", "age:{c}\n")), "ROOT/birds/zeroshot_classification_templates.txt: the attribute race has no lines"],
  ["a path out of the root", () => {}, '"../birds" is not a path below ROOT', "../birds"],
]

test.each(wrong)("%s: one line says where and what", async (...[, change, message, task = "birds"]) => {
  await birds()
  await change()
  expect(await messageOf(all(task))).toBe(message)
})

test("a root that is not there", async () => {
  expect(await messageOf(openDataset(join(root, "none"), "birds"))).toBe("ROOT/none: no such folder")
})

// ---------------------------------------------------------------------------------------------- other machines

interface WebServer extends AsyncDisposable {
  readonly address: string
  readonly log: string[]
}

/** Serves the root; `refuse` gives the status of an answer without the file. */
async function serve(refuse: (path: string) => number | "nothing" | null = () => null): Promise<WebServer> {
  const log: string[] = []
  const server: Server = createServer(({ method, url }, response) => {
    log.push(`${method} ${url}`)
    const path = join(root, decodeURIComponent(url!))
    const status = refuse(url!) ?? (existsSync(path) ? null : 404)
    if (status === "nothing") return
    if (status !== null) return void response.writeHead(status).end()
    const bytes = readFileSync(path)
    const tag = `"${createHash("sha256").update(bytes).digest("hex")}"`
    response.writeHead(200, { "Content-Length": bytes.length, ETag: tag }).end(method === "HEAD" ? "" : bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    ...{ address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, log },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const storage = (more: object = {}) =>
  openStorage({ temporaryFolder: copies, retryDelays: [0.01], timeoutSeconds: 5, env: {}, ...more })

test("a web server's shards are copied one ahead, and removed after use", async () => {
  await birds()
  write("birds/test/nshards.txt", "4")
  for (const i of [2, 3]) await shard(`birds/test/${i}.tar`, { [`s${i}`]: { jpg: `p${i}`, cls: "0" } })
  await using server = await serve()
  const dataset = await openDataset(`${server.address}/`, row, { storage: storage() })
  expect(dataset.location).toBe(`${server.address}/birds`)
  let most = 0
  const keys: string[] = []
  for await (const { key } of dataset.samples()) {
    keys.push(key)
    most = Math.max(most, readdirSync(copies).length)
  }
  expect(keys).toEqual(["0.tar/s0", "0.tar/s1", "1.tar/s2", "2.tar/s2", "3.tar/s3"])
  expect(most).toBeLessThanOrEqual(2)
  expect(server.log.filter((line) => line.startsWith("GET") && line.endsWith(".tar"))).toEqual(
    [0, 1, 2, 3].map((i) => `GET /birds/test/${i}.tar`),
  )
  expect(readdirSync(copies)).toEqual([])
})

test("whoever stops early, or aborts, leaves no copies", async () => {
  await birds()
  await using server = await serve()
  const dataset = await openDataset(server.address, "birds", { storage: storage() })
  for await (const _ of dataset.samples()) break
  expect(readdirSync(copies)).toEqual([])
  const abort = new AbortController()
  const aborted = async () => {
    for await (const _ of dataset.samples(abort.signal)) abort.abort(new Error("enough"))
  }
  await expect(aborted()).rejects.toThrow("enough")
  expect(readdirSync(copies)).toEqual([])
})

test.each([
  [403, "ROOT/birds/test/1.tar: no access (403)", true],
  [451, "ROOT/birds/test/1.tar: the server answered 451", false],
  [503, "ROOT/birds/test/1.tar: the server answered 503 (tried 2 times)", true],
  [404, "ROOT/birds has no test/1.tar", false],
])("a shard that the server refuses with %i is one line", async (status, message, isMachines) => {
  await birds()
  await using server = await serve((path) => (path.endsWith("/1.tar") ? status : null))
  const error = (await all("birds", { storage: storage() }, server.address).catch((error: unknown) => error)) as Error
  expect(error.message.replaceAll(server.address, "ROOT")).toBe(message)
  expect(error instanceof EnvironmentError).toBe(isMachines)
  expect(readdirSync(copies)).toEqual([])
})

test("more classes than memory has room for are refused before one is encoded", async () => {
  await birds()
  write("birds/classnames.txt", "a\n".repeat(1_000_001))
  expect(await messageOf(openDataset(root, "birds"))).toBe(
    "ROOT/birds/classnames.txt has 1000001 lines, more than 1000000",
  )
})

test("a row's folders stay below the root, as a path that is asked for does", async () => {
  await birds("outside")
  mkdirSync(join(root, "data"))
  for (const task of ["../outside", { ...row, folders: ["../outside"] }, { ...row, folders: ["birds", ".."] }])
    expect(await messageOf(openDataset(join(root, "data"), task))).toMatch(
      /^"\.\.(\/outside)?" is not a path below ROOT/,
    )
})

test("a shard that a server exchanged for one of the same size is another data set", async () => {
  await birds()
  await using server = await serve()
  const identity = async () => (await openDataset(server.address, "birds", { storage: storage() })).identity
  const before = await identity()
  expect(await identity()).toBe(before)
  const { size } = statSync(join(root, "birds/test/0.tar"))
  await shard("birds/test/0.tar", { s0: { jpg: "p0", cls: "1" }, s1: { png: "p1", cls: "1" } })
  expect(statSync(join(root, "birds/test/0.tar")).size).toBe(size)
  expect(await identity()).not.toBe(before)
})

test("who stops the work does not wait for a server that says nothing", async () => {
  await birds()
  for (const silent of ["/birds/test/nshards.txt", "/birds/classnames.txt", "/birds/test/1.tar"]) {
    const ending = new AbortController()
    await using server = await serve((path) => {
      if (path !== silent) return null
      ending.abort(new Error("stopped"))
      return "nothing"
    })
    const options = { storage: storage({ timeoutSeconds: 1000 }), signal: ending.signal }
    await expect(openDataset(server.address, "birds", options), silent).rejects.toThrow("stopped")
  }
})

test("a cut shard of a web server is named by its address", async () => {
  await birds()
  write("birds/test/0.tar", readFileSync(join(root, "birds/test/0.tar")).subarray(0, 2000))
  await using server = await serve()
  const error = (await all("birds", { storage: storage() }, server.address).catch((error: unknown) => error)) as Error
  expect(error.message).toBe(
    `${server.address}/birds/test/0.tar is not a complete tar archive (no end mark after 2000 bytes)`,
  )
})

test("an owner on the hub: each task is a repository, and one that is refused may be another's name", async () => {
  await birds()
  const files = Object.fromEntries(
    ["classnames.txt", "zeroshot_classification_templates.txt", "test/nshards.txt", "test/0.tar", "test/1.tar"].map(
      (name) => [name, readFileSync(join(root, "birds", name))],
    ),
  )
  await using hub = await HubServer.start({ "djghosh/birds": { commit: "c".repeat(40), files } })
  // The hub does not tell strangers whether there is a repository.
  hub.lie = ({ url }, response) => {
    if (!url!.includes("wds_birds_test")) return false
    response.writeHead(401).end()
    return true
  }
  const options = { storage: storage({ env: { HF_ENDPOINT: hub.endpoint } }) }
  expect(brief(await all(row, options, "hf://datasets/djghosh"))).toEqual(threeBirds)
  expect(brief(await all(row, options, "https://huggingface.co/datasets/djghosh"))).toEqual(threeBirds)
  const error = await openDataset("hf://datasets/djghosh", { ...row, folders: ["wds_birds_test"] }, options).catch(
    String,
  )
  expect(error).toContain("hf://datasets/djghosh/wds_birds_test/test/nshards.txt: no access (401)")
})

test("a bucket", async () => {
  await birds()
  await using server = await S3Server.start(root, "data")
  const env = { ...credentials, AWS_ENDPOINT_URL: await server.door(), AWS_REGION: "us-east-1" }
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  const s3 = storage({ env })
  for (const name of [
    "classnames.txt",
    "zeroshot_classification_templates.txt",
    "test/nshards.txt",
    "test/0.tar",
    "test/1.tar",
  ])
    await s3.put(`s3://data/sets/birds/${name}`, [readFileSync(join(root, "birds", name))])
  expect(brief(await all(row, { storage: s3 }, "s3://data/sets"))).toEqual(threeBirds)
  expect(readdirSync(copies)).toEqual([])
})

// --------------------------------------------------------------------------------------------------- many samples

test("memory stays flat over 50,000 samples", async () => {
  await birds()
  const picture = Buffer.alloc(8000, 7)
  const samples = Array.from({ length: 5000 }, (_, i) => [`s${i}`, { jpg: picture, cls: "1" }] as const)
  await shard("birds/test/0.tar", Object.fromEntries(samples))
  const [shards, path] = [10, join(root, "birds/test/0.tar")]
  const local = openStorage()
  // Ten shards that are one file: 450 MB.
  const repeated: Storage = {
    ...local,
    readBytes: async (url) =>
      url.endsWith("nshards.txt") ? Buffer.from(`${shards}`) : local.readBytes(url.replace("mem://root", root)),
    stat: async () => ({ bytes: statSync(path).size }),
    fetch: async () => ({ path, [Symbol.asyncDispose]: async () => {} }),
  }
  const dataset = await openDataset("mem://root", "birds", { storage: repeated })
  let [count, most] = [0, 0]
  const before = process.memoryUsage().arrayBuffers
  for await (const { label } of dataset.samples()) {
    count += label!
    if (count % 250 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  expect(count).toBe(50_000)
  expect(statSync(path).size * shards).toBeGreaterThan(400e6)
  expect(most).toBeLessThan(160e6)
})
