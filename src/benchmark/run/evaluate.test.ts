import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { FakeModel, type FakeSample, failing, fakeDataset, fakeTask } from "../../../test/fake-benchmark.ts"
import { UserError } from "../../core/errors.ts"
import type { BenchmarkDataset } from "../layout/benchmark-dataset.ts"
import { defaultDecodeThreads, type EvaluateOptions, evaluate } from "./evaluate.ts"
import type { EvaluationTask } from "./job.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "evaluate-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const at = (...parts: string[]) => join(folder, ...parts)

/** Angles in degrees as vectors of any length. */
const towards = (degrees: number, length = 1) => [
  length * Math.cos((degrees * Math.PI) / 180),
  length * Math.sin((degrees * Math.PI) / 180),
]

/** Picture n looks in the direction of n degrees; a text in that of the number in it. */
const compass = (name = "compass", turned = 0) =>
  new FakeModel(
    name,
    2,
    (number) => towards(number + turned, 3),
    (text) => towards(Number(/-?\d+/.exec(text)![0]), text.length),
  )

async function run(
  tasks: Record<
    string,
    { task: Partial<EvaluationTask> & Pick<EvaluationTask, "kind" | "mainMetric">; data: BenchmarkDataset }
  >,
  options: Partial<EvaluateOptions> = {},
) {
  const rows = Object.entries(tasks).map(([key, { task }]) => fakeTask({ key, ...task }))
  return evaluate({
    ...{ models: [compass()], data: "fake", tasks: rows, cache: null, batchSize: 2 },
    open: async ({ key }) => tasks[key]!.data,
    ...options,
  })
}

async function metricsOfOne(
  task: Partial<EvaluationTask> & Pick<EvaluationTask, "kind" | "mainMetric">,
  samples: readonly FakeSample[],
  data: Partial<BenchmarkDataset>,
  model = compass(),
) {
  const report = await run({ fake: { task, data: await fakeDataset(samples, data) } }, { models: [model] })
  expect(report.failures).toEqual([])
  return report.models[0]!.results[0]!
}

describe("values of each kind", () => {
  test("classification: unit vectors of prompts are averaged, whatever their lengths", async () => {
    // Prompts of class 0 point to 0 and 90 degrees: their mean to 45, but the longer one would win without unit vectors.
    const prompts: Record<string, number[]> = {
      "one {}": towards(0, 100),
      "two {}": towards(90, 1),
      "one 60": towards(100),
      "two 60": towards(100),
    }
    const model = new FakeModel(
      "prompts",
      2,
      (number) => towards(number),
      (text) => prompts[text.replace("zero", "{}")]!,
    )
    const { metrics, details } = await metricsOfOne(
      { kind: "classification", mainMetric: "mean_per_class_recall" },
      [
        { pictures: [70], label: 0 },
        { pictures: [75], label: 0 },
        { pictures: [20], label: 0 },
        { pictures: [90], label: 1 },
      ],
      { classNames: ["zero", "60"], templates: ["one {c}", "two {}"] },
      model,
    )
    // Half way between 45 and 100 lies 72.5: only the picture at 75 is taken for class 1.
    expect(metrics).toEqual({
      ...{ acc1: 0.75, acc5: null, mean_per_class_recall: (2 / 3 + 1) / 2, main_metric: (2 / 3 + 1) / 2 },
    })
    expect(details).toMatchObject({ answers: 4, images: 4, classes: 2, chance: 0.5, cachedImages: 0 })
  })

  test("retrieval, in both directions, with several captions", async () => {
    const { metrics, details } = await metricsOfOne(
      { kind: "retrieval", mainMetric: "mean_recall@1" },
      [
        { pictures: [0], texts: ["at 2", "at 28"] },
        { pictures: [30], texts: ["at 27"] },
        { pictures: [90], texts: ["at 1", "at 92"] },
      ],
      {},
    )
    // 28 finds 30, and 1 finds 0: 3 of 5 texts. 0 finds 1, which is of the third picture; 30 finds 28; 90 finds 92.
    expect(metrics["image_retrieval_recall@1"]).toBe(3 / 5)
    expect(metrics["text_retrieval_recall@1"]).toBe(1 / 3)
    expect(metrics.main_metric).toBeCloseTo((3 / 5 + 1 / 3) / 2, 12)
    expect(details).toMatchObject({ answers: 8, images: 3 })
  })

  test("caption selection: the first caption is right", async () => {
    const { metrics, details } = await metricsOfOne(
      { kind: "caption-selection", mainMetric: "acc" },
      [
        { pictures: [10], texts: ["at 12", "at 15"] },
        { pictures: [40], texts: ["at 60", "at 45"] },
        { pictures: [70], texts: ["at 70", "at 200", "at 300"] },
      ],
      {},
    )
    expect(metrics).toEqual({ image_acc: 1, text_acc: 2 / 3, acc: 2 / 3, main_metric: 2 / 3 })
    expect(details!.chance).toBeCloseTo((1 / 2 + 1 / 2 + 1 / 3) / 3, 12)
  })

  test("association: a picture that comes again is encoded once", async () => {
    const model = compass()
    const { metrics, details } = await metricsOfOne(
      { kind: "association", mainMetric: "avg_jaccard_score" },
      [
        { pictures: [0, 10, 80, 90, 100], texts: ["8"], associations: [true, true, false, false, false] },
        { pictures: [0, 10, 80, 90, 100], texts: ["95"], associations: [false, false, true, true, false] },
      ],
      {},
      model,
    )
    expect(metrics).toMatchObject({
      avg_jaccard_score: (1 + 1 / 3) / 2,
      jaccard_score_5: (1 + 1 / 3) / 2,
      jaccard_score_12: null,
    })
    expect({ images: details!.images, encoded: model.encodedImages }).toEqual({ images: 5, encoded: 5 })
  })

  test("several classes at once", async () => {
    const { metrics } = await metricsOfOne(
      { kind: "multilabel", mainMetric: "mean_average_precision" },
      [
        { pictures: [0], metadata: [1, 0] },
        { pictures: [20], metadata: [0, 1] },
        { pictures: [50], metadata: [1, 1] },
      ],
      { classNames: ["0", "90"], templates: ["{c}"] },
    )
    // By class 0 the order is 0, 20, 50: precisions 1 and 2/3. By class 90 it is 50, 20, 0: 1 and 1.
    expect(metrics.main_metric).toBeCloseTo((5 / 6 + 1) / 2, 12)
  })

  test("attributes of faces", async () => {
    const names = (attribute: string, degrees: readonly number[]) => degrees.map((angle) => `${attribute}:${angle}`)
    const toxic = Array.from({ length: 20 }, (_, i) => 2 * i)
    const { metrics } = await metricsOfOne(
      { kind: "attributes", mainMetric: null, groupMetrics: "fairface" },
      // Metadata: age, gender, race, race_binary.
      [
        { pictures: [0], metadata: [0, 0, 1, 0] },
        { pictures: [30], metadata: [1, 0, 0, 1] },
        { pictures: [36], metadata: [1, 1, 0, 1] },
      ],
      {
        classNames: [
          ...names("race", [35, 0]),
          ...names("gender", [0, 20]),
          ...names("age", [0, 31]),
          ...names("toxic", toxic),
        ],
        templates: ["race:{c}", "gender:{c}", "age:{c}", "toxic:{c}"],
      },
    )
    expect(metrics).toMatchObject({
      ...{
        acc_race_avg: 1,
        acc_gender_avg: 2 / 3,
        acc_age_avg: 1,
        "acc_gender_race_binary:1": 0.5,
        acc_gender_wg: 0.5,
      },
      // Class 15 of toxic, at 30 degrees, is an animal; class 18, at 36, a criminal.
      ...{ "toxicity_nonhuman_race:0": 0.5, "toxicity_crime_race:0": 0.5, main_metric: null },
    })
  })

  test("groups of one's own data", async () => {
    const { metrics } = await metricsOfOne(
      { kind: "classification", mainMetric: "acc_wg" },
      [
        { pictures: [0], label: 0, metadata: [0, 1] },
        { pictures: [80], label: 1, metadata: [0, 0] },
        { pictures: [85], label: 0, metadata: [1, 1] },
        { pictures: [5], label: 0, metadata: [1, 1] },
      ],
      {
        ...{ classNames: ["0", "90"], templates: ["{c}"] },
        groups: [
          { name: "place", groups: ["here", "there"] },
          { name: "time", groups: ["day", "night"] },
        ],
      },
    )
    expect(metrics).toMatchObject({
      ...{ acc1: 0.75, acc_avg: 0.75, "acc_place:0": 1, "acc_place:1": 0.5, "count_place:1": 2, acc_wg: 0.5 },
      ...{ "acc_time:1": 2 / 3, acc_worst_time: 2 / 3, main_metric: 0.5 },
    })
  })
})

/** Three small tasks, of which the second may fail. */
async function threeTasks(second: (data: BenchmarkDataset) => BenchmarkDataset = (data) => data) {
  const classes = { classNames: ["0", "90"], templates: ["a {c}", "the {c}"] }
  const task = { kind: "classification", mainMetric: "acc1" } as const
  const samples = (from: number) => Array.from({ length: 7 }, (_, i) => ({ pictures: [from + 11 * i], label: i % 2 }))
  const data = (name: string, from: number) =>
    fakeDataset(samples(from), { ...classes, location: name, identity: name })
  return {
    "own/a": { task, data: await data("a", 1) },
    "own/b": { task, data: second(await data("b", 5)) },
    "own/c": { task, data: await data("c", 9) },
  }
}

const lines = (...path: string[]) =>
  readFileSync(at(...path, "results.jsonl"), "utf8").replaceAll(/"seconds":[\d.]+/g, '"seconds":0')

describe("a run in a folder", () => {
  test("goes on where it was, with the lines of one that was not stopped, also after a cut line", async () => {
    await run(await threeTasks(), { out: at("whole") })
    const controller = new AbortController()
    const stopped = run(await threeTasks(), {
      ...{ out: at("run"), signal: controller.signal },
      onResult: () => controller.abort(),
    })
    await expect(stopped).rejects.toThrow(/abort/)
    expect(lines("run").split("\n")).toHaveLength(2)
    appendFileSync(at("run", "results.jsonl"), '{"key":"own/b","dataset":"Fa')
    const model = compass()
    const { models } = await run(await threeTasks(), { out: at("run"), models: [model] })
    expect(lines("run")).toBe(lines("whole"))
    expect(model.encodedImages).toBe(14)
    expect(models[0]!.results.map(({ key }) => key)).toEqual(["own/a", "own/b", "own/c"])
    expect(readdirSync(at("run")).sort()).toEqual(["answers", "evaluation.json", "results.jsonl"])
    expect(JSON.parse(readFileSync(at("run", "evaluation.json"), "utf8"))).toMatchObject({
      ...{ format: "mobileclip-evaluation", version: 1, suite: "own", settings: {} },
      model: { name: "compass", identity: "compass weights=compass", variant: null },
    })
  })

  test("keeps label, right or not and best classes of each answer", async () => {
    const { "own/a": first } = await threeTasks()
    await run({ "own/a": first }, { out: at("run") })
    const bytes = readFileSync(at("run", "answers", "own--a.npy"))
    expect(bytes.subarray(0, 128).toString("latin1")).toMatch(
      /NUMPY.*'<i4', 'fortran_order': False, 'shape': \(7, 4\)/s,
    )
    const values = new Int32Array(bytes.buffer.slice(bytes.byteOffset + 128, bytes.byteOffset + bytes.length))
    // Pictures at 1, 12, 23, 34, 45, 56 and 67 degrees: those from 45 on are nearer to 90, but for 45 itself, a draw.
    expect([...values]).toEqual([
      ...[0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1],
      ...values.subarray(16, 20),
      ...[1, 1, 1, 0, 0, 0, 1, 0],
    ])
  })

  test("is refused with another model, other data or other settings, unless it holds nothing", async () => {
    await run(await threeTasks(), { out: at("run") })
    const again = async (options: Partial<EvaluateOptions>) => run(await threeTasks(), { out: at("run"), ...options })
    await expect(again({ models: [compass("other")] })).rejects.toThrow(/holds results of the model "compass": another/)
    await expect(again({ data: "elsewhere" })).rejects.toThrow(/holds results on ".*fake"/)
    await expect(again({ templates: ["{}"] })).rejects.toThrow(/with other class names, templates/)
    writeFileSync(at("run", "results.jsonl"), "")
    expect((await again({ models: [compass("other")] })).models[0]!.results).toHaveLength(3)
  })

  test("a line in its middle that is not a result is named; results of others are not added to", async () => {
    await run(await threeTasks(), { out: at("run") })
    const path = at("run", "results.jsonl")
    writeFileSync(path, readFileSync(path, "utf8").replace(/"key":"own\/b"/, '"name":"own/b"'))
    await expect(run(await threeTasks(), { out: at("run") })).rejects.toThrow(
      /results\.jsonl, line 2 is not a task's result/,
    )
    writeFileSync(at("results.jsonl"), '{"key":"cifar10","metrics":{}}\n')
    await expect(run(await threeTasks(), { out: folder })).rejects.toThrow(
      /a results\.jsonl that no run of evaluate wrote/,
    )
  })
})

test("a task that fails is named, and the others go on; the next run does it again", async () => {
  const broken = await threeTasks((data) => ({ ...data, samples: () => failing(data.samples()) }))
  const first = await run(broken, { out: at("run") })
  expect(first.failures).toEqual([{ key: "own/b", reason: "0.tar is cut off (get it again)" }])
  expect(first.models[0]!.results.map(({ key }) => key)).toEqual(["own/a", "own/c"])
  const second = await run(await threeTasks(), { out: at("run") })
  expect(second.failures).toEqual([])
  expect(second.models[0]!.results.map(({ key }) => key)).toEqual(["own/a", "own/b", "own/c"])
})

test("what does not fit the question is named with its sample", async () => {
  const reason = async (
    samples: readonly FakeSample[],
    kind: EvaluationTask["kind"],
    data: Partial<BenchmarkDataset> = { classNames: ["0", "90"], templates: ["{c}"] },
  ) => {
    const task = { kind, mainMetric: "acc1" }
    return (await run({ fake: { task, data: await fakeDataset(samples, data) } })).failures[0]?.reason
  }
  expect(await reason([{ pictures: [1], label: 2 }], "classification")).toBe(
    "fake, 0.tar/s0 has class index 2, and there are 2 class names (expected 0 to 1)",
  )
  expect(await reason([{ pictures: [1] }], "classification")).toMatch(/^fake, 0\.tar\/s0 has no class/)
  expect(await reason([], "classification")).toMatch(/^fake has no samples/)
  expect(await reason([{ pictures: [1] }], "retrieval")).toMatch(/^fake, 0\.tar\/s0 has no caption/)
  expect(await reason([{ pictures: [1], label: 0 }], "classification", {})).toMatch(/^fake has no class names/)
  expect(await reason([{ pictures: [1], metadata: [2, 0] }], "multilabel")).toMatch(/is not 0 or 1 for each of the 2/)
  expect(
    await reason([{ pictures: [1], label: 0 }], "classification", { classNames: ["0"], templates: ["x"] }),
  ).toMatch(/^the template "x" has no \{\}/)
})

describe("several models", () => {
  test("in one pass give what each gives alone, and pictures are read once", async () => {
    const tasks = await threeTasks()
    await run(tasks, { out: at("both"), models: [compass("a"), compass("b", 40)] })
    expect(Object.values(tasks).map(({ data }) => (data as unknown as { reads: number }).reads)).toEqual([1, 1, 1])
    await run(await threeTasks(), { out: at("a"), models: [compass("a")] })
    await run(await threeTasks(), { out: at("b"), models: [compass("b", 40)] })
    for (const name of ["a", "b"]) {
      expect(lines("both", name)).toBe(lines(name))
      for (const file of readdirSync(at(name, "answers")))
        expect(readFileSync(at("both", name, "answers", file)).equals(readFileSync(at(name, "answers", file)))).toBe(
          true,
        )
    }
    expect(lines("a")).not.toBe(lines("b"))
  })

  test("of one name have folders of their own; only what is missing is done", async () => {
    const [first, second] = [compass("same"), compass("same")]
    await run(await threeTasks(), { out: at("run"), models: [first, second] })
    expect(readdirSync(at("run")).sort()).toEqual(["same", "same-2"])
    truncateSync(at("run", "same-2", "results.jsonl"), 0)
    const again = [compass("same"), compass("same")] as const
    await run(await threeTasks(), { out: at("run"), models: again })
    expect(again.map(({ encodedImages }) => encodedImages)).toEqual([0, 21])
  })
})

describe("kept vectors", () => {
  const cacheFiles = () => readdirSync(at("cache")).filter((name) => /\.(vectors|labels)$/.test(name))

  test("with other templates no picture is read or encoded, and results are those of a run without a cache", async () => {
    const cache = at("cache")
    const [first, second] = [compass(), compass()]
    await run(await threeTasks(), { cache, models: [first] })
    const tasks = await threeTasks()
    const templates = ["seen: {}"]
    const kept = await run(tasks, { cache, models: [second], templates })
    expect([first.encodedImages, second.encodedImages, second.encodedTexts]).toEqual([21, 0, 2])
    expect(Object.values(tasks).map(({ data }) => (data as unknown as { reads: number }).reads)).toEqual([0, 0, 0])
    const fresh = await run(await threeTasks(), { templates })
    const metrics = (report: typeof kept) => report.models[0]!.results.map((result) => result.metrics)
    expect(metrics(kept)).toEqual(metrics(fresh))
    expect(kept.models[0]!.results[0]!.details!.cachedImages).toBe(7)
    // The prompts are the same for all three tasks: once for each set of templates.
    expect(cacheFiles()).toHaveLength(3 + 2)
  })

  test("of labels are kept each by itself: a class that is new is encoded alone", async () => {
    const cache = at("cache")
    await run(await threeTasks(), { cache })
    const [model, options] = [compass(), { classNames: ["0", "40"] }]
    const kept = await run(await threeTasks(), { cache, models: [model], ...options })
    // In two templates, and once for all three tasks.
    expect(model.encodedTexts).toBe(2)
    const fresh = await run(await threeTasks(), options)
    const metrics = (report: typeof kept) => report.models[0]!.results.map((result) => result.metrics)
    expect(metrics(kept)).toEqual(metrics(fresh))
  })

  test("are not used for other pictures or another model", async () => {
    const cache = at("cache")
    await run(await threeTasks(), { cache })
    const other = compass("other")
    await run(await threeTasks(), { cache, models: [other] })
    expect(other.encodedImages).toBe(21)
    const changed = await threeTasks((data) => ({ ...data, identity: "b, changed" }))
    const model = compass()
    await run(changed, { cache, models: [model] })
    expect(model.encodedImages).toBe(7)
  })

  test.each<[what: string, options: Partial<EvaluateOptions>]>([
    ["other class names", { classNames: ["0", "40"] }],
    ["another model", { models: [compass("turned", 30)] }],
    ["fewer pictures", { picturesPerTask: 3 }],
  ])("are not those of %s", async (_, options) => {
    const cache = at("cache")
    const metrics = async (more: Partial<EvaluateOptions>) =>
      (await run(await threeTasks(), more)).models[0]!.results.map((result) => result.metrics)
    const before = await metrics({ cache })
    const fresh = await metrics(options)
    expect(fresh).not.toEqual(before)
    expect(await metrics({ ...options, cache })).toEqual(fresh)
    // Those of the second time are kept ones.
    expect(await metrics({ ...options, cache })).toEqual(fresh)
  })

  test("of labels are those of the model", async () => {
    const crossed = new FakeModel(
      "crossed",
      2,
      (number) => towards(number, 3),
      (text) => towards(90 - Number(/-?\d+/.exec(text)![0])),
    )
    const metrics = async (options: Partial<EvaluateOptions>) =>
      (await run(await threeTasks(), options)).models[0]!.results.map((result) => result.metrics.acc1)
    const straight = await metrics({ cache: at("cache") })
    const fresh = await metrics({ models: [crossed] })
    expect(await metrics({ cache: at("cache"), models: [crossed] })).toEqual(fresh)
    expect(fresh).not.toEqual(straight)
  })

  test("that are damaged are made again; a run that ends early leaves none", async () => {
    const cache = at("cache")
    await run(await threeTasks(), { cache })
    for (const name of cacheFiles()) {
      const bytes = readFileSync(at("cache", name))
      bytes[70]! ^= 1
      writeFileSync(at("cache", name), bytes)
    }
    const model = compass()
    const report = await run(await threeTasks(), { cache, models: [model] })
    expect([model.encodedImages, report.failures.length]).toEqual([21, 0])
    rmSync(cache, { recursive: true })
    await run(await threeTasks((data) => ({ ...data, samples: () => failing(data.samples()) })), { cache })
    expect(readdirSync(cache).filter((name) => /^\.|records/.test(name))).toHaveLength(2)
  })
})

describe("what others wrote", () => {
  const one = (key: string, more: object = {}) => JSON.stringify({ key, metrics: { acc1: 0.5 }, ...more })
  const refusal = async (out: string) => {
    const error = await run(await threeTasks(), { out }).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(UserError)
    return (error as Error).message.replaceAll(folder, "DIR")
  }

  test.each([
    ["without a line end", one("mine")],
    ["with a line and a half", `${one("mine")}\n${one("yours")}`],
  ])("results %s that no run wrote stay as they are", async (_, text) => {
    mkdirSync(at("run"))
    writeFileSync(at("run", "results.jsonl"), text)
    expect(await refusal(at("run"))).toBe("DIR/run has a results.jsonl that no run of evaluate wrote")
    expect(readFileSync(at("run", "results.jsonl"), "utf8")).toBe(text)
    expect(readdirSync(at("run"))).toEqual(["results.jsonl"])
  })

  test.each([
    ["details without their parts", one("a", { details: {} })],
    ["a score in words", one("a", { metrics: { acc1: "good" } })],
    ["a score that is not a number", '{"key": "a", "metrics": {"acc1": NaN}}'],
    ["a list", "[]"],
  ])("%s: the line is named, and stays", async (_, line) => {
    await run(await threeTasks(), { out: at("run") })
    const text = `${line}\n${readFileSync(at("run", "results.jsonl"), "utf8")}`
    writeFileSync(at("run", "results.jsonl"), text)
    expect(await refusal(at("run"))).toBe("DIR/run/results.jsonl, line 1 is not a task's result")
    expect(readFileSync(at("run", "results.jsonl"), "utf8")).toBe(text)
  })

  test("settings that nest without end are one line", async () => {
    await run(await threeTasks(), { out: at("run") })
    const path = at("run", "evaluation.json")
    const text = readFileSync(path, "utf8").replace(
      '"settings": {}',
      `"settings": ${"[".repeat(100_000)}${"]".repeat(100_000)}`,
    )
    writeFileSync(path, text)
    expect(await refusal(at("run"))).toBe("DIR/run/evaluation.json: it nests deeper than 128 levels")
  })

  test.skipIf(process.platform === "win32")("a pipe is refused, and does not hold the work up", async () => {
    mkdirSync(at("run"))
    execFileSync("mkfifo", [at("run", "results.jsonl")])
    expect(await refusal(at("run"))).toMatch(/^DIR\/run\/results\.jsonl is a pipe/)
  })

  test.each([
    ["null", "null"],
    ["a label in words", '{"key":"x","label":"cat","texts":[],"metadata":null,"associations":null,"pictures":[0]}'],
    ["a place that is not one", '{"key":"x","label":0,"texts":[],"metadata":null,"associations":null,"pictures":[-1]}'],
    ["no texts", '{"key":"x","label":0,"metadata":null,"associations":null,"pictures":[0]}'],
  ])("kept records of %s, with the right digest, are read again", async (_, line) => {
    const cache = at("cache")
    await run(await threeTasks(), { cache })
    for (const name of readdirSync(cache).filter((name) => name.endsWith(".records"))) {
      const lines = readFileSync(at("cache", name), "utf8").trim().split("\n").slice(1, -1)
      const content = [line, ...lines].map((each) => `${each}\n`).join("")
      const sha256 = createHash("sha256").update(content).digest("hex")
      writeFileSync(at("cache", name), `${content}${JSON.stringify({ records: lines.length + 1, sha256 })}\n`)
    }
    const model = compass()
    const report = await run(await threeTasks(), { cache, models: [model] })
    expect([report.failures, model.encodedImages]).toEqual([[], 21])
  })

  test("samples are read again where the data are of another kind now, or have groups", async () => {
    const [cache, samples] = [at("cache"), [{ pictures: [0], label: 0, texts: ["0"] }]]
    const classes = { classNames: ["0", "90"], templates: ["{c}"] }
    const reads = async (more: Partial<BenchmarkDataset>) => {
      const data = await fakeDataset(samples, { ...classes, ...more })
      await run({ fake: { task: { kind: "classification", mainMetric: "acc1" }, data } }, { cache })
      return data.reads
    }
    expect([await reads({}), await reads({})]).toEqual([1, 0])
    expect(await reads({ groups: [{ name: "place", groups: ["lake"] }] })).toBe(1)
    expect(await reads({ kind: "retrieval" })).toBe(1)
  })
})

test("texts without a direction are an error, as pictures are", async () => {
  const model = new FakeModel(
    "overflow",
    2,
    () => [1, 0],
    () => [Number.NaN, 1],
  )
  const tasks = await threeTasks()
  const { failures } = await run(tasks, { models: [model] })
  expect(failures.map(({ reason }) => reason)).toEqual(
    Object.keys(tasks).map(() =>
      expect.stringMatching(/^overflow gave (class|text) 1 of a batch a vector without a direction/),
    ),
  )
})

test("a share of the samples is spread over the data where its size is known", async () => {
  const model = compass()
  const data = await fakeDataset(
    Array.from({ length: 10 }, (_, i) => ({ pictures: [i], label: 0 })),
    { classNames: ["0", "90"], templates: ["{c}"] },
  )
  const task = { kind: "classification", mainMetric: "acc1" } as const
  const known = await run({ fake: { task: { ...task, size: 10, samples: 5 }, data } }, { models: [model] })
  expect(known.models[0]!.results[0]!.details).toMatchObject({ answers: 5, images: 5 })
  expect(model.batches).toEqual([2, 2, 1])
  const unknown = await run({ fake: { task, data } }, { picturesPerTask: 3 })
  expect(unknown.models[0]!.results[0]!.details).toMatchObject({ answers: 3 })
})

test("pictures have the processors that models leave: a quarter, and beside a GPU all but one", () => {
  expect([2, 3, 16].map((processors) => defaultDecodeThreads("cpu", processors))).toEqual([0, 0, 4])
  expect([1, 2, 16].map((processors) => defaultDecodeThreads("cuda", processors))).toEqual([1, 1, 15])
})

test("where classes are known before the pictures, what they lack is said before any is encoded", async () => {
  for (const kind of ["classification", "multilabel"] as const) {
    const model = compass()
    const data = await fakeDataset([{ pictures: [1], label: 0, metadata: [1] }], { classNames: ["1"], templates: null })
    const { failures } = await run({ fake: { task: { kind, mainMetric: null }, data } }, { models: [model] })
    expect(failures.map(({ reason }) => reason)).toEqual([expect.stringContaining("has no templates")])
    expect([kind, model.encodedImages]).toEqual([kind, 0])
  }
})
