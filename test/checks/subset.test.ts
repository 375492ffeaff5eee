/** Golden files with less in them than the references wrote are checked for what they hold. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, expect, test } from "vitest"
import type { Check } from "./check.ts"
import { checkDataCompDR } from "./datacompdr.ts"
import { checkLoss } from "./loss.ts"

const folder = mkdtempSync(join(tmpdir(), "golden-"))
afterAll(() => rmSync(folder, { recursive: true }))

const failures = (checks: readonly Check[]) => checks.filter(({ error, tolerance }) => !(error <= tolerance))

const inputs = {
  image: [
    [0.6, 0.8],
    [0.28, 0.96],
  ],
  text: [
    [1, 0],
    [0, 1],
  ],
  dist_image: [
    [0.6, 0, 0.8],
    [0, 1, 0],
  ],
  dist_text: [
    [0, 0.6, 0.8],
    [0.8, 0.6, 0],
  ],
}

/** Mean over both directions of the cross entropy of the students' softmax against the teacher's. */
function distillation(scale: number, teacherScale: number): number {
  const f32 = (rows: number[][]) => rows.map((row) => row.map(Math.fround))
  const cosines = (a: number[][], b: number[][]) =>
    f32(a).map((x) => f32(b).map((y) => x.reduce((sum, value, i) => sum + value * y[i]!, 0)))
  const softmax = (row: number[]) => {
    const exps = row.map(Math.exp)
    return exps.map((x) => x / exps.reduce((a, b) => a + b))
  }
  const direction = (student: number[][], teacher: number[][]) => {
    const rows = student.map((row, i) => {
      const wanted = softmax(teacher[i]!.map((x) => x * teacherScale))
      return softmax(row.map((x) => x * scale)).reduce((sum, p, j) => sum - wanted[j]! * Math.log(p), 0)
    })
    return rows.reduce((a, b) => a + b) / rows.length
  }
  const { image, text, dist_image, dist_text } = inputs
  return (
    (direction(cosines(image, text), cosines(dist_image, dist_text)) +
      direction(cosines(text, image), cosines(dist_text, dist_image))) /
    2
  )
}

/** @param widths of the file's teachers; the case has one that is as wide as all of them */
function lossFile(widths: readonly number[], teacherScale: number): string {
  const file = join(folder, "loss.json")
  const distill_loss = distillation(5, 7)
  const ctor = {
    teacher_dimension: [3],
    distill_loss_weights: [0, 1],
    average_after_softmax: true,
    dist_logit_scale: [teacherScale],
  }
  const f64 = { contrastive_loss: 0, distill_loss, total: distill_loss }
  const cases = [{ name: "one teacher", ctor, logit_scale_exp: 5, f64 }]
  writeFileSync(file, JSON.stringify({ teacher_dims: widths, inputs, cases }))
  return file
}

test("a case's teachers are as wide as it says, whatever the other cases' are", () => {
  for (const widths of [[3], [1, 2]]) {
    const checks = [...checkLoss(lossFile(widths, 7), "cpu")]
    expect(checks).toHaveLength(3)
    expect(failures(checks)).toEqual([])
    expect(failures([...checkLoss(lossFile(widths, 8), "cpu")])).toHaveLength(2)
  }
})

test("datacompdr without JSONL is checked for its tar files", async () => {
  cpSync(fileURLToPath(new URL("../golden/datacompdr", import.meta.url)), folder, { recursive: true })
  const file = join(folder, "expected.json")
  const { jsonl, shards, ...rest } = JSON.parse(readFileSync(file, "utf8"))
  for (const name of [jsonl.file, "info.json"]) rmSync(join(folder, name))
  const name = "extra_released_noimage.tar"
  const shard = shards[name]
  const checksOf = async () => {
    writeFileSync(file, JSON.stringify({ ...rest, shards: { [name]: shard } }))
    const checks: Check[] = []
    for await (const check of checkDataCompDR(file)) checks.push(check)
    return checks
  }
  const checks = await checksOf()
  expect(checks.length).toBeGreaterThan(20)
  expect(failures(checks)).toEqual([])
  shard.samples[0]["url.txt"] += "x"
  expect(failures(await checksOf())).toMatchObject([{ what: `${name}, 0, url` }])
})
