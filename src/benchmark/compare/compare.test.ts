import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { groupAverages } from "../../evaluate/suite/averages.ts"
import { publishedModels } from "../../evaluate/suite/published.ts"
import { type Comparison, compareModels } from "./compare.ts"
import { verdictText } from "./words.ts"

const folder = mkdtempSync(join(tmpdir(), "mobileclip-compare-"))
afterAll(() => rmSync(folder, { recursive: true }))

const average = ({ averages }: Comparison, name: RegExp) => averages.find((row) => name.test(row.name))!
const task = ({ tasks }: Comparison, key: string) => tasks.find((row) => row.key === key)!

test("published models: both averages of S1, and what the region of four is worth", async () => {
  const comparison = await compareModels({ runs: [], published: ["MobileCLIP-S1", "mobileclip2-s0"] })
  expect(comparison.models.map(({ name }) => name)).toEqual(["MobileCLIP-S1", "MobileCLIP2-S0"])
  const official = average(comparison, /^Average of 38$/)
  expect(comparison.headline).toBe(official)
  expect(100 * official.cells[0]!.value).toBeCloseTo(61.254, 3)
  const without = average(comparison, /without its region of four/)
  expect(100 * without.cells[0]!.value).toBeCloseTo(61.656, 3)
  expect(without.cells[1]!.value).toBe(official.cells[1]!.value)
  expect(100 * official.differences[1]!.value).toBeCloseTo(59.673 - 61.254, 3)
  expect(official.differences[1]!.isChance).toBe(false)
  // A quarter of FMoW's score, over 38 tasks.
  expect(official.worth).toMatchObject({ task: "FMoW", most: expect.closeTo(0.25 / 38, 12) })
  expect(without.worth!.task).not.toBe("FMoW")
})

test("every average of all published models is the published one", async () => {
  const comparison = await compareModels({ runs: [], published: ["all"] })
  const rows = comparison.averages.filter(({ name }) => !/not of the 38/.test(name))
  expect(rows).toHaveLength(6)
  for (const [i, { results }] of publishedModels.entries()) {
    const averages = groupAverages(results).map((group) => group.average!)
    for (const [j, row] of rows.entries()) expect(row.cells[i]!.value).toBeCloseTo(averages[j]!, 12)
  }
})

test("what one answer is worth in tasks of each kind", async () => {
  const comparison = await compareModels({ runs: ["MobileCLIP-S1"] })
  const worth = (key: string) => task(comparison, key).worth!
  expect(worth("imagenet1k").most).toBeCloseTo(1 / 50_000, 12)
  expect(worth("wilds/fmow")).toMatchObject({ usual: 0.25, most: 0.25 })
  expect(worth("fairness/geode").usual).toBeCloseTo(1 / 2395, 12)
  expect(worth("fairness/dollar_street").most).toBeCloseTo(1 / 856, 12)
  expect(worth("retrieval/flickr_1k_test_image_text_retrieval")).toMatchObject({ usual: 1 / 10_000, most: 1 / 2000 })
  // Instances with ten candidates or more, by the three published means.
  expect(task(comparison, "misc/winogavil").answers).toBe(854)
  expect(worth("wilds/iwildcam").most).toBeCloseTo(1 / 182, 12)
})

test("a score of none right of four has an interval that reaches to the next region's", async () => {
  const comparison = await compareModels({ runs: ["MobileCLIP-S1"] })
  const { value, interval } = task(comparison, "wilds/fmow").cells[0]!
  expect([value, interval!.low]).toEqual([0, 0])
  // Wilson's upper bound of 15.27 % of 2,593.
  expect(interval!.high).toBeCloseTo(0.1671, 3)
})

// ---------------------------------------------------------------------------------------------------------- runs

interface Task {
  readonly key: string
  readonly labels: readonly number[]
  readonly right: readonly number[]
}

/** A run's folder with answers; results say the share that is right. */
function writeRun(name: string, tasks: readonly Task[], settings = {}): string {
  const path = join(folder, name)
  mkdirSync(join(path, "answers"), { recursive: true })
  const lines = tasks.map(({ key, labels, right }) => {
    const share = right.reduce((a, b) => a + b, 0) / right.length
    const details = { kind: "classification", mainMetric: "acc1", answers: labels.length, images: labels.length }
    writeFileSync(join(path, "answers", `${key.replaceAll("/", "--")}.npy`), int32Npy(labels, right))
    return JSON.stringify({
      ...{ key, dataset: key, metrics: { acc1: share, main_metric: share } },
      details: { ...details, classes: 2, chance: 0.5, seconds: 1, cachedImages: 0 },
    })
  })
  writeFileSync(join(path, "results.jsonl"), `${lines.join("\n")}\n`)
  const evaluation = { format: "mobileclip-evaluation", version: 1, data: "data", suite: "38", settings }
  writeFileSync(
    join(path, "evaluation.json"),
    JSON.stringify({ ...evaluation, model: { name, identity: name, parameters: 12e6, latencyMs: 7 } }),
  )
  return path
}

/** NumPy's format 1.0, [rows, 2]. */
function int32Npy(labels: readonly number[], right: readonly number[]): Uint8Array {
  const text = `{'descr': '<i4', 'fortran_order': False, 'shape': (${labels.length}, 2), }`.padEnd(117)
  const head = Buffer.from(`\x93NUMPY\x01\x00v\x00${text}\n`, "latin1")
  const values = Int32Array.from(labels.flatMap((label, i) => [label, right[i]!]))
  return Buffer.concat([head, new Uint8Array(values.buffer)])
}

const labels = Array.from({ length: 400 }, (_, i) => i % 2)
const right = (count: number) => labels.map((_, i) => (i < count ? 1 : 0))

test("runs that answered the same pictures are paired, and their intervals repeat", async () => {
  const runs = [
    writeRun("a", [{ key: "cifar10", labels, right: right(200) }]),
    writeRun("b", [{ key: "cifar10", labels, right: right(210) }]),
    writeRun("c", [{ key: "cifar10", labels: labels.toReversed(), right: right(210) }]),
  ]
  const comparison = await compareModels({ runs })
  const { cells, differences } = task(comparison, "cifar10")
  expect(cells.map((cell) => cell!.method)).toEqual(["bootstrap", "bootstrap", "bootstrap"])
  expect(differences.map((each) => each && [each.method, each.isChance])).toEqual([
    null,
    ["paired", false],
    ["unpaired", true],
  ])
  expect(differences[1]!.value).toBeCloseTo(0.025, 12)
  // 0.025 +- 1.96 * 0.0078
  expect(differences[1]!.interval!.low).toBeCloseTo(0.01, 2)
  expect(differences[1]!.interval!.high).toBeCloseTo(0.04, 2)
  expect(await compareModels({ runs })).toEqual(comparison)
  expect(comparison.notes).toContainEqual(expect.stringMatching(/^CIFAR-10: .* not asked the same pictures$/))
  // All below one folder are the same three.
  expect((await compareModels({ runs: [folder] })).models.map(({ name }) => name)).toEqual(["a", "b", "c"])
})

test("few pictures do not prove what their draws all agree on", async () => {
  const write = (name: string, right: number[]) =>
    writeRun(name, [{ key: "mine/one", labels: right.map(() => 0), right }])
  const runs = [write("none right", [0]), write("all right", [1])]
  // One picture that one model has right and the other does not.
  expect(task(await compareModels({ runs }), "mine/one").differences[1]).toMatchObject({ value: 1, isChance: true })
  // Two of 240 that became right could be chance; ten could not.
  const ofAll = (wrong: number) => Array.from({ length: 240 }, (_, i) => (i < wrong ? 0 : 1))
  const gained = async (wrong: number) => {
    const both = [write(`${wrong} wrong`, ofAll(wrong)), write(`none of ${wrong}`, ofAll(0))]
    return task(await compareModels({ runs: both }), "mine/one").differences[1]!
  }
  const [two, ten] = [await gained(2), await gained(10)]
  expect(two).toMatchObject({ value: expect.closeTo(2 / 240, 9), isChance: true, method: "unpaired" })
  expect(ten).toMatchObject({ value: expect.closeTo(10 / 240, 9), isChance: false, method: "paired" })
  const twice = [write("twice 1", right(200)), write("twice 2", right(200))]
  const { interval, isChance, method } = task(await compareModels({ runs: twice }), "mine/one").differences[1]!
  // None of 400 differs: Wilson's upper bound of 0 of 400, to both sides.
  expect({ interval, isChance, method }).toEqual({
    interval: { low: expect.closeTo(-0.0095, 4), high: expect.closeTo(0.0095, 4) },
    isChance: true,
    method: "paired",
  })
})

test("the mean of one task has the task's name", async () => {
  const comparison = await compareModels({ runs: [writeRun("only", [{ key: "cifar10", labels, right: right(200) }])] })
  expect(comparison.headline!.name).toBe("CIFAR-10")
  expect(verdictText(comparison)).toBe("only scores 50.00 in CIFAR-10")
})

test("averages are over the tasks that all have, and only one of 38 is called so", async () => {
  const a = writeRun("two", [
    { key: "cifar10", labels, right: right(200) },
    { key: "mnist", labels, right: right(300) },
  ])
  const comparison = await compareModels({ runs: [a, "MobileCLIP-S1"] })
  expect(comparison.averages.map(({ name, keys }) => [name, keys.length])).toEqual([
    ["Mean of the 2 of 38 that all have", 2],
  ])
  expect(comparison.headline!.cells[0]!.value).toBe(0.625)
  expect(comparison.notes).toContain("two has no result of Caltech-101 and 35 others, which are in no average")
  expect(
    comparison.notes.some((note) =>
      /^CIFAR-10, MNIST: not the same data, pictures are 400 of two, 10,000 of MobileCLIP-S1$/.test(note),
    ),
  ).toBe(true)
})

test("answers that do not give the reported score, and settings that differ, are said", async () => {
  const a = writeRun("liar", [{ key: "cifar10", labels, right: right(200) }])
  writeFileSync(join(a, "answers", "cifar10.npy"), int32Npy(labels, right(250)))
  const b = writeRun("other", [{ key: "cifar10", labels, right: right(200) }], { templates: ["{}"] })
  const { notes, tasks } = await compareModels({ runs: [a, b] })
  expect(notes[0]).toMatch(/^the runs were made with different settings \(liar, other\)/)
  expect(notes[1]).toMatch(/^CIFAR-10: the answers of liar give 62.50, and its results say 50.00/)
  expect(tasks[0]!.cells.map((cell) => cell!.method)).toEqual(["binomial", "bootstrap"])
})

test("answers with numbers that no task has are refused, and not counted in lists of their length", async () => {
  const path = writeRun("hostile", [{ key: "vtab/pets", labels, right: right(200) }])
  const file = join(path, "answers", "vtab--pets.npy")
  for (const [number, place] of [
    [2 ** 31 - 1, 0],
    [-2, 1],
    [1_000_001, 0],
  ] as const) {
    const numbers = [[...labels], right(200)]
    numbers[place]![7] = number
    writeFileSync(file, int32Npy(numbers[0]!, numbers[1]!))
    await expect(compareModels({ runs: [path] })).rejects.toThrow(`${file} holds ${number}, and numbers from -1 to`)
  }
})

test("a line that nests without end is named", async () => {
  const file = join(folder, "bomb.jsonl")
  writeFileSync(file, `{"key":"a","metrics":${"[".repeat(100_000)}${"]".repeat(100_000)}}\n`)
  await expect(compareModels({ runs: [file] })).rejects.toThrow(`${file}, line 1: it nests deeper than 128 levels`)
})

test("what is not a run, a result or a name is said in one line", async () => {
  const file = join(folder, "broken.jsonl")
  writeFileSync(file, '{"key":"a","metrics":{"acc1":NaN,"main_metric":0.5}}\n{"key":"b"}\n')
  await expect(compareModels({ runs: [file] })).rejects.toThrow(`${file}, line 2 is not a result: metrics`)
  await expect(compareModels({ runs: [join(folder, "nothing")] })).rejects.toThrow("no such file or folder")
  await expect(compareModels({ runs: [], published: ["MobileCLIP2-S1"] })).rejects.toThrow(
    "no results were published of",
  )
  writeFileSync(file, '{"key":"mine/birds","metrics":{"acc1":NaN,"main_metric":0.5}}\n')
  const { averages } = await compareModels({ runs: [file] })
  expect(averages.map(({ name }) => name)).toEqual(["mine/birds"])
})
