/** Photographs without captions, from a folder to a trained model by the commands that each one names next. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyCoca, tinyCocaInfo } from "../../test/tiny-coca.ts"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { exportModel } from "../export/export.ts"
import { main } from "./main.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "pictures-alone-"))
  mkdirSync(at("photos"))
  for (let i = 0; i < 12; i++) {
    const background = { r: 20 * i, g: 255 - 20 * i, b: 9 * i }
    await sharp({ create: { width: 40, height: 30, channels: 3, background } }).toFile(at("photos", `${i}.jpg`))
  }
  await exportModel(tinyCoca(), tinyCocaInfo, at("captioner"))
  await exportModel(tinyModel(), { ...tinyInfo, name: "tiny" }, at("teacher"))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function run(...words: string[]) {
  let [out, err] = ["", ""]
  const io = { out: (text: string) => (out += text), err: (text: string) => (err += text) }
  const code = await main([...words, "--progress", "none"], undefined, io)
  return { code, out, err }
}

test("photographs without captions: how they are packed is said, and a default is never null", async () => {
  const refused = await run("shards", at("photos"), "--out", at("loose"))
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("`mobileclip shards --no-captions`")])
  for (const command of [["shards"], ["reinforce", "caption"], ["reinforce", "embed"], ["reinforce", "join"]]) {
    const { out } = await run(...command, "--help")
    expect(out.replaceAll(/\s+/g, " ")).toContain("had to be left out (default: no limit)")
  }
})

test("shards, caption, embed, train: the end says that the captions are synthetic", { timeout: 120_000 }, async () => {
  const one = ["--workers", "1", "--threads", "1"]
  const stage = (name: string, input: string, output: string, model: string) =>
    run("reinforce", name, "--input", at(input), "--output", at(output), "--model-name", at(model), ...one)
  const packed = await run("shards", at("photos"), "--no-captions", "--out", at("packed"))
  expect([packed.code, packed.out]).toEqual([0, expect.stringContaining("next:   mobileclip reinforce caption ")])
  expect(await stage("caption", "packed", "captioned", "captioner")).toMatchObject({ code: 0 })
  const train = ["train", "--train-data", at("captioned"), "--dataset-reinforcement", "--model", "quickstart"]
  const small = ["--batch-size", "4", "--steps", "2", "--threads", "1", "schedule.warmup=0"]
  const early = await run(...train, ...small, "--out", at("run"))
  expect([early.code, early.err]).toEqual([
    1,
    expect.stringMatching(/none of its first 8 samples has stored views \(param_aug\)\n {2}make them/),
  ])
  expect(await stage("embed", "captioned", "reinforced", "teacher")).toMatchObject({ code: 0 })
  const words = train.map((word) => (word === at("captioned") ? at("reinforced") : word))
  const plain = await run(...words, ...small, "--dry-run")
  expect(plain.err).toContain("stored embeddings of teachers are not used, because loss.kind is clip")
  const several = await run(...words, ...small, "loss.kind=distill", "loss.teacherScales=[70,60]", "--out", at("two"))
  expect(several.err).toMatch(/teachers: 1, scales for them: 2;.*\n {2}give one .*: 'loss\.teacherScales=\[70\]'/)
  const distilled = ["loss.kind=distill", "loss.teacherScales=[70]"]
  const plan = await run(...words, ...small, ...distilled, "--dry-run", "--json")
  expect([plan.code, plan.err]).toEqual([0, expect.stringContaining("synthetic ones take their place")])
  expect(plan.err).not.toContain("are not used")
  // The folder of the run that was refused is free.
  const { code, out, err } = await run(...words, ...small, ...distilled, "--out", at("run"))
  expect([code, err]).toEqual([
    0,
    expect.stringContaining("pictures have no captions of their own; synthetic ones take"),
  ])
  expect(out).toContain("\ncaptions: synthetic ones alone\nweights: ")
  const resumed = await run("train", "--out", at("run"), "--resume", "--threads", "1", "--json")
  expect(JSON.parse(resumed.out)).toMatchObject({ steps: 2, resumedAt: 2, mixSynthetic: 1 })
})
