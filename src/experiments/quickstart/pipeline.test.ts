import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { cropScalesOf } from "../../../test/crop-scales.ts"
import { main } from "../../cli/main.ts"
import { decodeImage } from "../../host/image/images.ts"
import { lockFolder } from "../../host/locks/lock.ts"
import { createClassifier } from "../../run/labels/classify.ts"
import { loadModel } from "../../run/node.ts"
import { quickstart } from "./pipeline.ts"
import { presets } from "./recipe.ts"

const folder = await mkdtemp(join(tmpdir(), "mobileclip-quickstart-"))
afterAll(() => rm(folder, { recursive: true, force: true }))

/** The quickstart with its shortest preset. */
async function run(out: string, ...more: string[]) {
  const text: string[] = []
  const errors: string[] = []
  const argv = ["quickstart", "--out", out, "--preset", "tiny", "--threads", "2", "--progress", "none", ...more]
  const code = await main([...argv, "--json"], undefined, {
    out: (line) => text.push(line),
    err: (line) => errors.push(line),
  })
  const failures = errors.filter((line) => line.startsWith("mobileclip:"))
  return { code, printed: JSON.parse(text.join("") || "null"), errors: failures }
}

test("a folder with other content beside the model, or in use, is refused before anything is done", async () => {
  const [other, held] = [join(folder, "other"), join(folder, "held")]
  await mkdir(join(other, "model", "notes"), { recursive: true })
  expect((await run(other)).errors.join("")).toContain("has other content (notes/) and is not replaced")
  expect(await readdir(other)).toEqual(["model"])
  const own = join(folder, "own")
  await mkdir(own)
  await writeFile(join(own, "report.html"), "mine")
  expect((await run(own)).errors.join("")).toContain(
    "own holds report.html, which quickstart would replace and has not",
  )
  expect(await readdir(own)).toEqual(["report.html"])
  using _ = await lockFolder(held, "mobileclip train")
  expect((await run(held)).errors.join("")).toContain("held is in use: mobileclip train")
  expect(await readdir(held)).toEqual([".lock"])
})

test("an interrupted run leaves a page that says so, and the same command goes on from it", async () => {
  const out = join(folder, "interrupted")
  const stop = new AbortController()
  const lines: string[] = []
  const stopping = quickstart({
    ...{ out, recipe: presets.tiny, seed: 0, seeds: 1, threads: 1, command: "npx mobileclip quickstart --mine" },
    startProgress: () => ({ update: () => stop.abort(), done() {} }),
    say: (line) => lines.push(line),
    signal: stop.signal,
  })
  await expect(stopping).rejects.toMatchObject({ name: "AbortError" })
  expect(lines).toEqual([
    `to watch it, open ${join(out, "report.html")} in a browser: the page grows until it is the report`,
  ])
  const page = await readFile(join(out, "report.html"), "utf8")
  expect(page).toContain("It was interrupted in &#34;render&#34;, stage 1 of 9,")
  expect(page).toContain("<pre><code>npx mobileclip quickstart --mine</code></pre>")
  expect(page).not.toContain(`http-equiv="refresh"`)
  const { render } = JSON.parse(await readFile(join(out, "stages.json"), "utf8"))
  expect(render).toBeGreaterThan(0)
})

const isTeachers = ({ name }: { name: string }) => name === "teachers"

const tasks = ["shape", "colour", "pattern", "count", "relation"]

test("the quickstart runs the papers' loop, and the same command keeps what is there", {
  timeout: 600_000,
}, async () => {
  const out = join(folder, "run")
  const { code, printed } = await run(out)
  expect(code).toBe(0)

  const report = JSON.parse(await readFile(join(out, "report.json"), "utf8"))
  expect(report).toEqual(printed)
  expect(report).toMatchObject({ samplesSeen: 4 * 64, uniquePictures: 100, machine: { node: process.versions.node } })
  expect(Object.keys(report.versions)).toEqual(["mobileclip", "libtorch", "onnxruntime", "node"])
  for (const curve of [...report.plain, ...report.reinforced]) {
    expect(curve.map(({ samplesSeen }: { samplesSeen: number }) => samplesSeen)).toEqual([128, 256])
    expect(Object.keys(curve[0].tasks)).toEqual(tasks)
  }
  expect(report.efficiency.levels.map(({ level }: { level: number }) => level)).toEqual([0.8, 0.9, 0.95, 1])
  expect(report.stepTime).toMatchObject({ overPlain: expect.any(Number), overBothCaptions: expect.any(Number) })
  expect(report.stepTime.overPlain).toBeGreaterThan(0.2)
  const crops = await cropScalesOf(out, "plain-0")
  expect(crops.plain).toEqual(crops.reinforced)
  expect(report.teachers.map(({ name }: { name: string }) => name)).toEqual(["a", "b"])
  expect(report.captioner.captions.average).toBeGreaterThanOrEqual(0)
  expect(report.tasks.map(({ name }: { name: string }) => name)).toEqual(tasks)
  // The exported file and the model in training are scored by different engines.
  for (const { name, accuracy } of report.tasks)
    expect(Math.abs(accuracy - report.reinforced[0].at(-1).tasks[name]), name).toBeLessThan(0.02)
  const finished = await readFile(join(out, "report.html"), "utf8")
  expect(finished).toContain("What reinforcement is worth")
  expect(finished).not.toContain(`http-equiv="refresh"`)
  const times = JSON.parse(await readFile(join(out, "stages.json"), "utf8"))
  expect(Object.keys(times)).toEqual(report.stages.map(({ name }: { name: string }) => name))

  const [picture] = await readdir(join(out, "pictures"))
  await using model = await loadModel(join(out, "model"), { threads: 1 })
  const classifier = await createClassifier(model, ["red star", "blue circle"])
  const [scores] = await classifier.classify([await decodeImage(join(out, "pictures", picture!))])
  expect(scores!.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 5)

  // A student of four steps knows nothing, and the page does not say that it does.
  expect(report.suggestion).toBeNull()
  const page = await readFile(join(out, "report.html"), "utf8")
  expect(page).toContain(`npx mobileclip quickstart --preset standard --out ${out}-longer`)
  expect(page).not.toContain("npx mobileclip classify")

  const again = await run(out)
  expect(again.printed).toMatchObject({ plain: report.plain, reinforced: report.reinforced, tasks: report.tasks })
  const [before, after] = [report, again.printed].map(({ stages }) => stages.find(isTeachers).seconds)
  expect(after).toBeGreaterThan(before)
  // A run that fails does not take the finished report away.
  const kept = await readFile(join(out, "report.html"), "utf8")
  const other = await run(out, "--seed", "1")
  expect(other).toMatchObject({ code: 1, errors: [expect.stringContaining("from a run with other options")] })
  expect(await readFile(join(out, "report.html"), "utf8")).toBe(kept)
})
