import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterAll, expect, test } from "vitest"
import { cropScalesOf } from "../../../test/crop-scales.ts"
import { readShard } from "../../data/shards.ts"
import { classNames } from "./classes.ts"
import { compareOnCifar10 } from "./pipeline.ts"
import { type Cifar10Recipe, presets } from "./recipe.ts"

const folder = await mkdtemp(join(tmpdir(), "mobileclip-cifar10-"))
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Simple pictures: a colour for each class, with small differences. */
async function drawClassFolders(split: string, perClass: number): Promise<void> {
  for (const [i, label] of classNames.entries()) {
    const own = join(folder, "data", split, label)
    await mkdir(own, { recursive: true })
    for (let n = 0; n < perClass; n++) {
      const background = { r: (i % 3) * 120, g: (Math.floor(i / 3) % 3) * 120, b: i === 9 ? 255 : 5 * n }
      const picture = sharp({ create: { width: 32, height: 32, channels: 3, background } })
      await picture.jpeg().toFile(join(own, `${n}.jpg`))
    }
  }
}

const { standard } = presets
const brief = { ...standard.student.training, batchSize: 8, steps: 3, warmupSteps: 1 }
const recipe: Cifar10Recipe = {
  ...standard,
  pictures: { unique: 20, precise: 20 },
  teachers: standard.teachers.map((teacher) => ({ ...teacher, training: brief })),
  captioner: {
    ...standard.captioner,
    training: { ...standard.captioner.training, batchSize: 8, steps: 3, warmupSteps: 1 },
  },
  reinforcement: { ...standard.reinforcement, views: 2 },
  // The smallest subset has two pictures, which must fill a batch.
  student: { ...standard.student, training: { ...brief, batchSize: 2 } },
  evaluations: 2,
}

test("class folders become teachers, reinforced shards, two students and a report", { timeout: 300_000 }, async () => {
  await drawClassFolders("train", 4)
  await drawClassFolders("test", 2)
  const out = join(folder, "run")
  const run = () =>
    compareOnCifar10({
      ...{ data: join(folder, "data"), out, recipe, seed: 1, seeds: 1, subsets: true, threads: 1 },
      startProgress: () => ({ update() {}, done() {} }),
      say: () => {},
      signal: new AbortController().signal,
    })
  const report = await run()
  for (const curves of [report.plain, report.reinforced]) {
    expect(curves.map((curve) => curve.map(({ samplesSeen }) => samplesSeen))).toEqual([[4, 6]])
    // Shares of twenty pictures.
    for (const { average } of curves.flat()) expect(20 * average).toBeCloseTo(Math.round(20 * average), 6)
  }
  expect(report).toMatchObject({ guessing: 0.1, samplesSeen: 6, pictures: { test: 20 } })
  expect(report.teachers.map(({ name, samplesSeen }) => [name, samplesSeen])).toEqual(
    recipe.teachers.map(({ name }) => [name, 24]),
  )
  expect(JSON.parse(await readFile(join(out, "report.json"), "utf8"))).toMatchObject({ plain: report.plain })
  const page = await readFile(join(out, "report.html"), "utf8")
  expect(page).toContain("Zero-shot accuracy over samples seen")
  expect(page.match(/<figure class="card/g)).toHaveLength(20)

  // The two students differ in their objective.
  const losses = async (name: string) => {
    const [line] = (await readFile(join(out, "students", name, "metrics.jsonl"), "utf8")).split("\n")
    return Object.keys(JSON.parse(line!).losses)
  }
  expect(await losses("plain-1")).toEqual(["contrastive"])
  expect(await losses("reinforced-1")).toContain("distillation")

  const crops = await cropScalesOf(out, "plain-1")
  expect(crops.plain).toEqual(crops.reinforced)

  // Subsets are the first pictures, the same for both students, who see as many samples as those of all pictures.
  expect(report.subsets.map(({ unique }) => unique)).toEqual([2, 5, 20])
  for (const { plain, reinforced } of report.subsets)
    for (const [curve] of [plain, reinforced]) expect(curve!.map(({ samplesSeen }) => samplesSeen)).toEqual([4, 6])
  expect(report.subsets[2]).toMatchObject({ plain: report.plain, reinforced: report.reinforced })
  const keysOf = async (...path: string[]) => {
    const keys: string[] = []
    for await (const { key } of readShard(join(out, ...path))) keys.push(key)
    return keys
  }
  const all = await keysOf("careless", "00000.tar")
  for (const kind of ["careless.tar", "reinforced.tar"]) {
    expect(await keysOf("subsets", "2", kind)).toEqual(all.slice(0, 2))
    expect(await keysOf("subsets", "5", kind)).toEqual(all.slice(0, 5))
  }
  expect(page).toContain("Accuracy over different pictures")
  expect(page).toContain("trained on 20 other pictures")

  // A second run trains nothing and gives the same report.
  const again = await run()
  expect([again.plain, again.reinforced, again.teachers]).toEqual([report.plain, report.reinforced, report.teachers])
  expect(again.subsets).toEqual(report.subsets)
})
