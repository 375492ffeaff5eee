import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { decodeImage } from "../../host/images.ts"
import { createClassifier } from "../../run/classify.ts"
import { loadModel } from "../../run/node.ts"
import type { StepReport } from "../../train/train.ts"
import { main } from "../main.ts"

const folder = await mkdtemp(join(tmpdir(), "mobileclip-quickstart-"))
afterAll(() => rm(folder, { recursive: true, force: true }))

/** The whole command, as short as it can be. */
async function run(out: string, steps: number) {
  const text: string[] = []
  const errors: string[] = []
  const argv = [
    "quickstart",
    "--out",
    out,
    "--steps",
    `${steps}`,
    "--pictures",
    "96",
    "--threads",
    "1",
    "--progress",
    "none",
  ]
  const code = await main([...argv, "--json"], undefined, {
    out: (line) => text.push(line),
    err: (line) => errors.push(line),
  })
  const failures = errors.filter((line) => !line.startsWith("exported to"))
  return { code, printed: JSON.parse(text.join("") || "null"), errors: failures }
}

test("quickstart renders, trains, exports, evaluates, classifies and reports", { timeout: 300_000 }, async () => {
  const out = join(folder, "run")
  const { code, printed } = await run(out, 3)
  expect(code).toBe(0)

  const report = JSON.parse(await readFile(join(out, "report.json"), "utf8"))
  expect(report).toEqual(printed)
  expect(report).toMatchObject({ samplesSeen: 3 * 96, machine: { node: process.versions.node } })
  expect(Object.keys(report.versions)).toEqual(["mobileclip", "libtorch", "onnxruntime", "node"])
  expect(report.seconds).toBeGreaterThan(0)
  for (const { name, accuracy, chance, images } of report.tasks) {
    expect([name, accuracy >= 0 && accuracy <= 1, chance <= 0.25, images > 300]).toEqual([name, true, true, true])
  }
  expect(report.tasks.map(({ name }: { name: string }) => name)).toEqual([
    "shape",
    "colour",
    "pattern",
    "count",
    "relation",
  ])
  expect(await readFile(join(out, "report.html"), "utf8")).toContain("Zero-shot accuracy")

  const [picture] = await readdir(join(out, "pictures"))
  await using model = await loadModel(join(out, "model"), { threads: 1 })
  const classifier = await createClassifier(model, ["red star", "blue circle"])
  const [scores] = await classifier.classify([await decodeImage(join(out, "pictures", picture!))])
  expect(scores!.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 5)

  // The same command again keeps the pictures and the training; other options are refused, as they would be another run.
  const again = await run(out, 3)
  expect(again.printed).toMatchObject({ samplesSeen: 3 * 96, tasks: report.tasks })
  const log = (await readFile(join(out, "training", "log.jsonl"), "utf8")).trim().split("\n")
  expect(log.map((line) => (JSON.parse(line) as StepReport).step)).toEqual([1, 2, 3])
  const other = await run(out, 4)
  expect(other).toMatchObject({ code: 1, errors: [expect.stringContaining("was made with steps 3 (now 4)")] })
})
