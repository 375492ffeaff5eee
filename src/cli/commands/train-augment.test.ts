/** What a run says and keeps of its average, its ranges and the pictures that it passes over. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { pictureSamples, writeSamples } from "../../../test/training-samples.ts"
import { latestCheckpoint, readCheckpoint } from "../../train/checkpoints/folder.ts"
import { isStep } from "../../train/log/entries.ts"
import { readMetrics } from "../../train/log/metrics.ts"
import { main } from "../main.ts"

const folder = await mkdtemp(join(tmpdir(), "mobileclip-train-augment-"))
const shard = join(folder, "00000.tar")
beforeAll(async () => writeSamples(shard, await pictureSamples(24)))
afterAll(() => rm(folder, { recursive: true, force: true }))

const short = ["--model", "quickstart", "--threads", "1", "--progress", "none", "batch.size=8", "schedule.warmup=1"]

async function run(name: string, ...argv: string[]) {
  const err: string[] = []
  const out = join(folder, name)
  const code = await main(["train", "--train-data", shard, "--out", out, ...short, ...argv], undefined, {
    out() {},
    err: (text) => err.push(text),
  })
  return { out, code, err: err.join("") }
}

describe("mobileclip train", { timeout: 120_000 }, () => {
  test("says before it trains how much of the average stays what it was, and how to change that", async () => {
    const plain = await run("average", "--steps", "2", "--ema", "0.9995")
    expect(plain).toMatchObject({ code: 0, err: expect.stringContaining("ema 0.9995 over 2 steps: 100 % of the") })
    expect(plain.err).toContain("--ema-warmup (ema.warmup=true)")
    expect(await run("ramp", "--steps", "20", "--ema", "0.9995", "--ema-warmup")).toMatchObject({ code: 0, err: "" })
  })

  test("reinforced pictures with learned ranges: a loss of their own, and a run that goes on with them", async () => {
    const argv = ["--dataset-reinforcement", "loss.kind=distill", "loss.teacherScales=[70,60]", "--steps", "3"]
    const { out, code } = await run("ranges", ...argv, "--range-augment", "40", "20")
    expect(code).toBe(0)
    const losses = (await readMetrics(join(out, "metrics.jsonl"))).filter(isStep).map((entry) => entry.losses)
    const each = { contrastive: 0, distillation: expect.any(Number), augmentation: expect.any(Number) }
    expect(losses).toEqual([each, each, each])
    expect(readCheckpoint((await latestCheckpoint(out))!).rangeAugment).toMatchObject({ updates: 3 })
    const other = await run("ranges", ...argv, "--range-augment", "40", "25", "--resume")
    expect(other.err).toContain("was made with rangeAugment [40,20] (now [40,25])")
  })

  test("says how many pictures it passed over because of their size, and is not ended by them", async () => {
    const { code, err } = await run("sizes", "--epochs", "1", "--max-bad-samples", "0", "data.minImageSize=35")
    expect(code).toBe(0)
    expect(err).toMatch(/[1-9]\d* samples of an epoch, with pictures smaller than 35 pixels were replaced by others/)
  })

  test("what is not done says so by name", async () => {
    expect(await run("turn", "--dataset-reinforcement-sample-sequential")).toMatchObject({
      err: expect.stringContaining("views in turn, one each epoch, are not done here"),
    })
    const records = await run("records", "--train-data", join(folder, "{0..1}.tfrecord"))
    expect(records.err).toContain("0.tfrecord: TFRecord is not read here")
  })
})
