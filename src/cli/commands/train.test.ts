import { spawn } from "node:child_process"
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { setTimeout as sleep } from "node:timers/promises"
import sharp from "sharp"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { writeCheckpoint, writeTrainable } from "../../../test/tiny-model.ts"
import { pictureSamples, writeSamples } from "../../../test/training-samples.ts"
import * as torch from "../../../torch/index.ts"
import { latestCheckpoint, readCheckpoint, saveCheckpoint } from "../../train/checkpoints/folder.ts"
import { readMetrics } from "../../train/log/metrics.ts"
import { recipeOfRun } from "../../train/recipe/load.ts"
import { markRun } from "../../train/run/new-run.ts"
import { trainRecipe } from "../../train/run/recipe-run.ts"
import { checkpointInfo, withCheckpoint } from "../../weights/open-checkpoint.ts"
import { main } from "../main.ts"

const folder = await mkdtemp(join(tmpdir(), "mobileclip-train-"))
const shard = join(folder, "00000.tar")
beforeAll(async () => writeSamples(shard, await pictureSamples(24)))
afterAll(() => rm(folder, { recursive: true, force: true }))

const short = ["--model", "quickstart", "--threads", "1", "--progress", "none", "batch.size=8", "schedule.warmup=1"]
const distilled = ["--dataset-reinforcement", "loss.kind=distill", "loss.weights=[0,1]", "loss.teacherScales=[70,60]"]

async function run(...argv: string[]) {
  const out: string[] = []
  const err: string[] = []
  const code = await main(["train", ...argv], undefined, {
    out: (text) => out.push(text),
    err: (text) => err.push(text),
  })
  return { code, out: out.join(""), err: err.join("") }
}

describe("mobileclip train", { timeout: 120_000 }, () => {
  test("a reinforced run leaves checkpoint, metrics, events, recipe, report and a model directory", async () => {
    const out = join(folder, "reinforced")
    const argv = ["--train-data", shard, "--out", out, ...short, ...distilled, "schedule.steps=3", "--json"]
    const { code, out: printed } = await run(...argv, "--export", join(out, "model"))
    expect(code).toBe(0)
    expect(JSON.parse(printed)).toMatchObject({ steps: 3, samplesSeen: 24, exported: join(out, "model") })
    const losses = (await readMetrics(join(out, "metrics.jsonl"))).map((entry) => "losses" in entry && entry.losses)
    // Lambda is 1, so the contrastive loss is logged but does not count.
    expect(losses).toEqual(Array(3).fill({ contrastive: 0, distillation: expect.any(Number) }))
    const recipe = JSON.parse(await readFile(join(out, "config.json"), "utf8"))
    expect(recipe).toMatchObject({ model: "quickstart", data: { view: "stored" }, loss: { kind: "distill" } })
    expect(await readdir(out)).toEqual(
      expect.arrayContaining(["checkpoints", "model.safetensors", "report.html", "tensorboard"]),
    )
    expect(await readdir(join(out, "model"))).toContain("mobileclip.json")
  })

  // A newer libtorch has it.
  test.skipIf(torch.hasAutocast({ device: "cpu", dtype: "float16" }))(
    "a precision that this libtorch lacks is refused before anything is written",
    async () => {
      const out = join(folder, "half")
      expect(await run("--train-data", shard, "--out", out, ...short, "--precision", "amp_fp16")).toEqual({
        ...{ code: 1, out: "" },
        err:
          `mobileclip: precision amp_fp16 is not possible on cpu with libtorch ${torch.version()}\n` +
          "  use --precision amp_bf16 or fp32, or a newer libtorch\n",
      })
      expect(await readdir(folder)).not.toContain("half")
    },
  )

  test("a finished run is refused, and resumed it is kept", async () => {
    const argv = ["--train-data", shard, "--out", join(folder, "reinforced"), ...short, ...distilled]
    expect(await run(...argv, "schedule.steps=3")).toMatchObject({
      code: 1,
      err: expect.stringContaining("holds a training run already"),
    })
    const quiet = ["--threads", "1", "--progress", "none"]
    const again = await run("--out", join(folder, "reinforced"), "--resume", ...quiet)
    expect(again).toMatchObject({
      code: 0,
      out: expect.stringContaining("was finished before: it has all of its 3 steps"),
    })
    const started: unknown[] = []
    await trainRecipe((await recipeOfRun(join(folder, "reinforced")))!.recipe, {
      ...{ out: join(folder, "reinforced"), resume: "latest", threads: 1 },
      startProgress(...words) {
        started.push(words)
        return { update() {}, done() {} }
      },
    })
    expect(started).toEqual([["train", 24, { unit: "samples", from: 24 }]])
    const other = await run(...argv, "--resume", "schedule.steps=4")
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining("was made with steps 3 (now 4)") })
    expect(other.err).toMatch(
      /finished; for more steps begin another run with its weights: --pretrained .*model\.safetensors/,
    )
    // The command that is printed for more steps, as it is.
    const longer = /^longer: +mobileclip train (.*)$/m.exec(again.out)![1]!.split(" ")
    const made = await run(...longer, ...quiet)
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^3 steps: 24 pairs seen, .*; loss \d/) })
    expect(made.out).toContain(`${join(folder, "reinforced")}-longer/report.html`)
  })

  test("the licence: the user's own, his name for it, and that of research weights it began with or learned from", async () => {
    const made = async (out: string, ...argv: string[]) => {
      const words = ["--train-data", shard, "--out", join(folder, out), ...short, "schedule.steps=1", ...argv]
      const { code, err } = await run(...words)
      expect(code, err).toBe(0)
      return checkpointInfo(join(folder, out, "model.safetensors")).license
    }
    expect(await made("own")).toBe("your own")
    expect(await made("named", "--license", "Acme-1.0")).toBe("Acme-1.0")
    const other = await run("--out", join(folder, "named"), "--resume", "--license", "MIT", "--progress", "none")
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining('was begun with the licence "Acme-1.0"') })

    const research = await withCheckpoint(join(folder, "own", "model.safetensors"), async ({ model, info }) =>
      writeCheckpoint(join(folder, "research.safetensors"), model, { ...info, license: "apple-amlr" }),
    )
    expect(await made("tuned", "--pretrained", research)).toBe("apple-amlr")
    const taught = ["loss.kind=distill", "loss.teacherScales=[70]", `teachers=["${research}"]`]
    expect(await made("licensed-by-teacher", ...taught)).toBe("apple-amlr")
    const words = ["--train-data", shard, "--out", join(folder, "refused"), ...short, "schedule.steps=1", ...taught]
    expect(await run(...words, "--license", "MIT")).toMatchObject({
      code: 1,
      err: expect.stringContaining("research.safetensors is under apple-amlr, which is for research only"),
    })
  })

  test("a run goes on with its own data, wherever it is, and with other data only with --allow-other-data", async () => {
    const [out, data] = [join(folder, "same-data"), join(folder, "data")]
    await mkdir(data)
    await cp(shard, join(data, "00000.tar"))
    const resume = (...argv: string[]) => run("--out", out, "--resume", "--threads", "1", "--progress", "none", ...argv)
    expect(await run("--train-data", data, "--out", out, ...short, "schedule.steps=2")).toMatchObject({ code: 0 })
    await rename(data, join(folder, "moved"))
    expect(await resume("--train-data", join(folder, "moved"))).toMatchObject({ code: 0, err: "" })

    await writeSamples(join(folder, "moved", "00001.tar"), await pictureSamples(16, "more"))
    const other = await resume("--train-data", join(folder, "moved"))
    const change =
      "was made with data 24 samples in 1 shard, \\d+ bytes \\(\\w+\\) \\(now 40 samples in 2 shards, .*\\)"
    expect(other).toMatchObject({ code: 1, err: expect.stringMatching(change) })
    expect(other.err).toContain("or say that the change is meant: --allow-other-data\n")
    const meant = await resume("--train-data", join(folder, "moved"), "--allow-other-data")
    expect(meant).toMatchObject({ code: 0, err: expect.stringMatching(/had data 24 samples .* and goes on with 40/) })
    const settings = await resume("--train-data", shard, "--allow-other-data", "schedule.steps=3")
    expect(settings).toMatchObject({ code: 1, err: expect.stringContaining("was made with steps 2 (now 3)") })
    const refusing = await resume("--train-data", shard, "--allow-other-data", "--truncated", "refuse")
    expect(refusing).toMatchObject({
      code: 1,
      err: expect.stringContaining("was made with truncated accept (the default) (now refuse)"),
    })

    // A checkpoint that does not identify its data.
    const state = readCheckpoint((await latestCheckpoint(out))!)
    const { data: _, ...older } = state.settings
    await saveCheckpoint(out, { ...state, settings: older }, 1)
    const unknown = await resume("--train-data", shard)
    expect(unknown).toMatchObject({
      code: 0,
      err: expect.stringContaining("does not say its data, and goes on with 24"),
    })
  })

  test("a run of so many samples that their order has changed goes on where that is meant", async () => {
    const [out, list] = [join(folder, "many"), join(folder, "many.jsonl")]
    const picture = join(folder, "many.png")
    await sharp({ create: { width: 64, height: 64, channels: 3, background: "red" } })
      .png()
      .toFile(picture)
    await writeFile(list, `${JSON.stringify({ image: picture, captions: ["red"] })}\n`.repeat(2 ** 16 + 1))
    expect(await run("--train-data", list, "--out", out, ...short, "schedule.steps=4")).toMatchObject({
      code: 0,
    })
    const latest = readCheckpoint((await latestCheckpoint(out))!)
    expect(latest.settings.order).toBe("keyed")
    // As an earlier version has written it, in the middle of the run.
    await rm(join(out, "checkpoints"), { recursive: true })
    const { order: _, ...older } = latest.settings
    await saveCheckpoint(out, { ...latest, step: 2, settings: older }, 1)
    const resume = (...argv: string[]) => run("--out", out, "--resume", "--threads", "1", "--progress", "none", ...argv)
    expect(await resume("--train-data", list)).toEqual({
      code: 1,
      out: "",
      err: `mobileclip: the run in ${out} was made with order shuffled (now keyed)\n  finish it with the version that began it, which shuffles so many samples in another way, choose another directory, or say that the change is meant: --allow-other-data\n`,
    })
    const meant = await resume("--train-data", list, "--allow-other-data")
    expect(meant).toMatchObject({
      code: 0,
      err: expect.stringContaining(`the run in ${out} had order shuffled, and goes on with keyed\n`),
    })
    expect(readCheckpoint((await latestCheckpoint(out))!).settings.order).toBe("keyed")
  })

  test("ranks with other data than rank 0's end with an error that names the setting", async () => {
    const other = await writeSamples(join(folder, "other.tar"), await pictureSamples(25))
    const argv = [...short, "schedule.steps=1", "--out", join(folder, "unlike")]
    const ends = [shard, other].map(async (data, rank) => {
      const place = { RANK: `${rank}`, LOCAL_RANK: `${rank}`, WORLD_SIZE: "2" }
      const env = { ...process.env, ...place, MOBILECLIP_RENDEZVOUS: join(folder, "ranks") }
      const words = ["bin/mobileclip.js", "train", "--train-data", data, ...argv]
      const child = spawn(process.execPath, words, { env, stdio: ["ignore", "ignore", "pipe"] })
      const ended = new Promise((resolve) => child.once("exit", resolve))
      return { err: await text(child.stderr), code: await ended }
    })
    for (const { code, err } of await Promise.all(ends)) {
      expect(code).toBe(1)
      expect(err).toMatch(/rank 1 of 2 has another data than rank 0 \(here, on rank [01]: 2[45] samples in 1 shard/)
    }
  })

  test("bad samples are counted over all ranks, by reason; too many stop all at one step, with a checkpoint", async () => {
    const broken = (await pictureSamples(24, "b")).map((sample, i) =>
      i % 6 === 0 ? { ...sample, image: { extension: "jpg", bytes: Buffer.from("no picture") } } : sample,
    )
    const data = await writeSamples(join(folder, "broken.tar"), broken)
    const start = async (name: string, limit: string) => {
      const argv = ["--train-data", data, "--out", join(folder, name), ...short, "schedule.steps=7", "--json"]
      const words = ["bin/mobileclip.js", "train", ...argv, "--nproc", "2", "--max-bad-samples", limit]
      const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] })
      const ended = new Promise((resolve) => child.once("exit", resolve))
      const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
      return { code, out, err }
    }
    const allowed = await start("bad-allowed", "4")
    expect(allowed).toMatchObject({
      code: 0,
      err: expect.stringMatching(/^samples .* and were replaced: 4: 4 x damaged picture \(.*broken\.tar: b\d+.*\)\n$/),
    })
    expect(JSON.parse(allowed.out)).toMatchObject({ steps: 7, badSamples: { "damaged picture": 4 } })
    const last = (await readMetrics(join(folder, "bad-allowed", "metrics.jsonl"))).at(-1)
    expect(last).toMatchObject({ step: 7, badSamples: 4 })
    expect(await readFile(join(folder, "bad-allowed", "report.html"), "utf8")).toContain("4: 4 damaged picture")

    const stopped = await start("bad-stopped", "3")
    expect(stopped.code).toBe(1)
    expect(stopped.err).toMatch(/4 samples cannot be used, more than the 3 allowed: 4 x damaged picture/)
    // Its four bad samples are in the first epoch, which has three steps.
    expect(await readdir(join(folder, "bad-stopped", "checkpoints"))).toEqual([
      expect.stringMatching(/^step-0000000[123].safetensors$/),
    ])
  })

  test("SigLIP's loss learns its bias, and teachers may run along instead of being stored", async () => {
    const out = join(folder, "siglip")
    const teacher = join(folder, "reinforced", "model.safetensors")
    const argv = ["--train-data", shard, "--out", out, ...short, "schedule.steps=2", "loss.kind=siglip"]
    const online = [
      `teachers=["${join(folder, "reinforced")}","${teacher}"]`,
      "loss.weights=[0.5,0.5]",
      "loss.teacherScales=[20,20]",
    ]
    expect(await run(...argv, ...online, "loss.teacherBiases=[-5,-5]")).toMatchObject({ code: 0, err: "" })
    const [first] = await readMetrics(join(out, "metrics.jsonl"))
    expect(first).toMatchObject({ losses: { contrastive: expect.any(Number), distillation: expect.any(Number) } })
    const other = await run(
      "--out",
      out,
      "--resume",
      "--progress",
      "none",
      `teachers=["${join(folder, "reinforced")}","${out}/model.safetensors"]`,
    )
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining("was made with teachers ") })
  })

  test("a teacher whose file has changed is another teacher", async () => {
    const [out, teacher] = [join(folder, "taught"), join(folder, "teacher.safetensors")]
    await cp(join(folder, "reinforced", "model.safetensors"), teacher)
    const online = ["--distill-model", teacher, "--distill-logit-scale", "20", "--distill-loss-weights", "0.5", "0.5"]
    const argv = ["--train-data", shard, "--out", out, ...short, "schedule.steps=1", ...online]
    expect(await run(...argv)).toMatchObject({ code: 0, err: "" })
    await cp(join(folder, "siglip", "model.safetensors"), teacher)
    const other = await run("--out", out, "--resume", "--threads", "1", "--progress", "none")
    expect(other).toMatchObject({
      code: 1,
      err: expect.stringMatching(/was made with teacherWeights \w{16} \(now \w{16}\)/),
    })
  })

  test("a captioner learns pairs and captions and is exported with its decoder", async () => {
    const out = join(folder, "captioner")
    const argv = ["--train-data", shard, "--out", out, ...short, "--model", "quickstart-captioner"]
    const loss = ["--coca-caption-loss-weight", "2", "loss.sampledWords=64"]
    const { code, err } = await run(
      ...argv,
      ...loss,
      "schedule.steps=3",
      "--export",
      join(out, "model"),
      "--lr",
      "0.01",
    )
    expect({ code, err }).toEqual({ code: 0, err: "" })
    const steps = (await readMetrics(join(out, "metrics.jsonl"))).flatMap((entry) => ("losses" in entry ? [entry] : []))
    // Before anything is learned a logit's variance is 1, which adds a half to the logarithm of 49,408 words.
    expect(steps[0]!.losses.caption).toBeCloseTo(2 * (Math.log(49408) + 0.5), 0)
    expect(steps[0]!.losses.contrastive).toBeGreaterThan(Math.log(8) - 0.5)
    expect(steps[2]!.losses.caption).toBeLessThan(steps[0]!.losses.caption! - 1)
    const manifest = JSON.parse(await readFile(join(out, "model", "mobileclip.json"), "utf8"))
    expect(manifest).toMatchObject({
      name: "quickstart-captioner",
      decoder: { vocabSize: 49408, contextLength: 32 },
      verification: { reference: expect.stringMatching(/^libtorch/), decoderError: expect.any(Number) },
    })
    expect(await run("--out", out, "--resume", "--threads", "1", "--progress", "none")).toMatchObject({ code: 0 })
    const other = await run("--out", out, "--resume", "--progress", "none", "loss.sampledWords=32")
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining('"sampledWords":64') })
  })

  test("a captioner that is trained further and exported is used for captions, by its own name", async () => {
    const [start, out] = [join(folder, "captioner", "model.safetensors"), join(folder, "captioner-longer")]
    const argv = ["--train-data", shard, ...short.slice(2), "--pretrained", start, "--coca-caption-loss-weight", "2"]
    const to = ["--out", out, "--export", join(out, "model")]
    const ended = await run(...argv, ...to, "schedule.steps=1")
    expect(ended.code, ended.err).toBe(0)
    expect(ended.out).toMatch(/^next: +mobileclip caption PICTURE --model \S+\n$/m)
    expect(await readFile(join(out, "report.html"), "utf8")).toContain("mobileclip caption PICTURE --model ")
    const again = await run("--out", out, "--resume", "--json", "--threads", "1", "--progress", "none")
    expect(JSON.parse(again.out)).toMatchObject({ model: "quickstart-captioner", steps: 1 })
  })

  test("a captioner's dry run", async () => {
    const argv = ["--model", "quickstart-captioner", "--coca-caption-loss-weight", "1", "batch.size=8"]
    const rate = ["schedule.steps=10", "--samples-per-second", "4"]
    const { code, out } = await run("--dry-run", "--json", ...argv, ...rate)
    expect(code).toBe(0)
    const plan = JSON.parse(out)
    const block = { self: 4 * 64 * 64 + 4 * 64, norm: 2 * 64, mlp: 8 * 64 * 64 + 5 * 64 }
    const own = block.self + 2 * block.norm + block.mlp
    const crossing = own + block.norm
    expect(plan.decoder.parameters.train).toBe(own + crossing + block.norm + 64 * 49408)
    expect(plan).toMatchObject({ model: "quickstart-captioner", time: { seconds: 20, kind: "measured" } })
    const { total, ...parts } = plan.memory
    expect(total).toBe(Object.values<number>(parts).reduce((sum, bytes) => sum + bytes, 0))
    const perPair = plan.image.activationBytes + plan.text.activationBytes + plan.decoder.activationBytes
    expect(parts.activations).toBeCloseTo(0.7 * 8 * perPair)
  })

  test("a run begins with the weights it is given, and a locked tower keeps them; resuming does not need the file", async () => {
    const given = join(folder, "given.safetensors")
    await cp(join(folder, "reinforced", "model.safetensors"), given)
    const [start, still, locked] = [given, join(folder, "still"), join(folder, "locked")]
    const argv = ["--train-data", shard, ...short, "--pretrained", start, "--lock-image", "schedule.steps=2"]
    expect(await run(...argv, "--out", still, "--lr", "0")).toMatchObject({ code: 0, err: "" })
    const before = await tensorsOf(start)
    // Text towers have no statistics, and the locked tower's stay.
    expect(changedPaths(before, await tensorsOf(join(still, "model.safetensors")))).toEqual([])
    expect(await run(...argv, "--out", locked)).toMatchObject({ code: 0 })
    const changed = changedPaths(before, await tensorsOf(join(locked, "model.safetensors")))
    expect(changed.filter((path) => path.startsWith("image."))).toEqual([])
    expect(changed).toEqual(expect.arrayContaining(["text.tokenEmbedding", "text.projection", "logitScale"]))
    expect(JSON.parse(await readFile(join(locked, "config.json"), "utf8"))).toMatchObject({ start, lock: ["image"] })
    await rm(given)
    expect(await run("--out", locked, "--resume", "--threads", "1", "--progress", "none")).toMatchObject({ code: 0 })
  })

  test("weights of a model that no table has say what they are: trained on, resumed without the file, planned", async () => {
    const given = writeTrainable(join(folder, "unknown.safetensors"))
    const out = join(folder, "continued")
    const argv = ["--train-data", shard, ...short.slice(2), "--pretrained", given, "schedule.steps=2"]
    expect(await run(...argv, "--out", out, "--lr", "0")).toMatchObject({ code: 0, err: "" })
    const [before, after] = [given, join(out, "model.safetensors")].map(checkpointInfo)
    expect(after).toEqual({ ...before, samplesSeen: 16 })
    expect(before).toMatchObject({ name: "tiny", config: { text: { contextLength: 16 } } })
    expect(JSON.parse(await readFile(join(out, "config.json"), "utf8"))).toMatchObject({ model: "start", start: given })
    expect(await readFile(join(out, "report.html"), "utf8")).toMatch(/class="lede">The model is tiny, /)
    const planned = await run(...argv, "--dry-run", "--json")
    expect(JSON.parse(planned.out)).toMatchObject({ model: "tiny", batch: { size: 8 }, length: { steps: 2 } })
    const shown = (await run(...argv, "--dry-run")).out
    expect(shown).toMatch(/^model +tiny$/m)
    expect(shown).toMatch(/^tiny +trained, M /m)
    await rm(given)
    const goesOn = await run("--out", out, "--resume", "--dry-run", "--json", "--samples-per-second", "10")
    expect(JSON.parse(goesOn.out)).toMatchObject({ model: "tiny", batch: { size: 8 }, length: { steps: 2 } })
    expect(await run("--out", out, "--resume", "--threads", "1", "--progress", "none")).toMatchObject({ code: 0 })
    const alone = await run("--train-data", shard, "--out", join(folder, "none"), "--model", "start")
    expect(alone.err).toContain("--model: model is that of the weights to begin with, and none are named")
  })

  test("a run that was begun with relative paths goes on from another folder", async () => {
    const before = process.cwd()
    const own = join(folder, "own")
    await mkdir(join(own, "data"), { recursive: true })
    await cp(shard, join(own, "data", "00000.tar"))
    writeTrainable(join(own, "start.safetensors"))
    try {
      process.chdir(own)
      const argv = [
        "--train-data",
        "data::data/{00000..00000}.tar",
        ...short.slice(2),
        "--pretrained",
        "start.safetensors",
      ]
      expect(await run(...argv, "--out", "../own/run", "schedule.steps=1")).toMatchObject({ code: 0 })
      process.chdir(join(own, "data"))
      const again = await run("--out", "../run", "--resume", "--threads", "1", "--progress", "none")
      expect(again).toMatchObject({ code: 0, err: "" })
    } finally {
      process.chdir(before)
    }
    const { data, start } = JSON.parse(await readFile(join(own, "run", "config.json"), "utf8"))
    expect([data.train, start]).toEqual([
      `${join(own, "data")}::${join(own, "data", "{00000..00000}.tar")}`,
      join(own, "start.safetensors"),
    ])
  })

  test("SigLIP's bias is initialised where the weights have none; another architecture is one line", async () => {
    const argv = ["--train-data", shard, ...short, "--pretrained", join(folder, "reinforced"), "schedule.steps=1"]
    const out = join(folder, "biased")
    expect(await run(...argv, "--out", out, "--siglip", "--lr", "0")).toMatchObject({ code: 0 })
    expect((await tensorsOf(join(out, "model.safetensors"))).get("logitBias")).toEqual(Float32Array.of(-10))
    const other = await run(...argv, "--out", join(folder, "other"), "--model", "mobileclip2-s0")
    expect(other.code).toBe(1)
    expect(other.err).toContain("holds quickstart, which is another model than mobileclip2-s0: they differ in")
    expect(other.err).toContain("imageSize, embedDim, image, text, preprocessing")
    expect(other.err.trim().split("\n")).toHaveLength(2)
  })

  test("a run of two processes goes on in one process, and notes the difference", async () => {
    const out = join(folder, "two")
    const argv = ["--train-data", shard, "--out", out, ...short, "schedule.steps=1"]
    const made = spawn(process.execPath, ["bin/mobileclip.js", "train", ...argv, "--nproc", "2"], { stdio: "ignore" })
    expect(await new Promise((resolve) => made.once("exit", resolve))).toBe(0)
    const { code, err } = await run("--out", out, "--resume", "--threads", "1", "--progress", "none")
    expect({ code, err }).toEqual({
      code: 0,
      err: expect.stringMatching(/had 2 processes and goes on with 1: batch norm/),
    })
  })

  test("scores class folders along the way, with a locked tower and an average", async () => {
    const tasks = join(folder, "tasks")
    for (const [name, background] of [
      ["red", "#f00"],
      ["blue", "#00f"],
    ] as const) {
      await mkdir(join(tasks, name), { recursive: true })
      const create = { width: 32, height: 32, channels: 3, background } as const
      await sharp({ create })
        .png()
        .toFile(join(tasks, name, "0.png"))
    }
    const out = join(folder, "scored")
    const start = ["--pretrained", join(folder, "reinforced"), "--lock-image"]
    const argv = ["--train-data", shard, "--out", out, ...short, "schedule.steps=2", ...start, "ema=0.9"]
    expect(await run(...argv, `evaluate.tasks=${tasks}`, "evaluate.every=1")).toMatchObject({ code: 0 })
    const entries = await readMetrics(join(out, "metrics.jsonl"))
    const scores = entries.flatMap((entry) => ("tasks" in entry ? [[entry.step, Object.keys(entry.tasks)]] : []))
    expect(scores).toEqual([
      [1, ["tasks"]],
      [2, ["tasks"]],
    ])
    await writeFile(join(tasks, (await readdir(tasks))[0]!, "old.bmp"), "")
    const broken = join(tasks, (await readdir(tasks))[0]!, "broken.png")
    await writeFile(broken, "no picture")
    const failed = await run(...argv, "--out", join(folder, "failed"), `evaluate.tasks=${tasks}`, "evaluate.every=1")
    expect(failed).toMatchObject({ code: 1, err: expect.stringContaining(broken) })
    expect(failed.err).toContain(`${tasks}: passed over 1 file of other kinds (1 .bmp)`)
    expect(await readdir(join(folder, "failed", "checkpoints"))).toEqual(["step-00000001.safetensors"])
  })

  test("SIGTERM saves after the step and exits with 143; the run goes on from there", async () => {
    const out = join(folder, "stopped")
    const argv = ["--train-data", shard, "--out", out, ...short, "schedule.steps=100000"]
    const words = ["bin/mobileclip.js", "train", ...argv]
    const child = spawn(process.execPath, words, { stdio: ["ignore", "ignore", "pipe"] })
    const [code, err] = [new Promise((resolve) => child.once("exit", resolve)), text(child.stderr)]
    while ((await readMetrics(join(out, "metrics.jsonl"))).length < 2) await sleep(50)
    child.kill("SIGTERM")
    expect(await code).toBe(143)
    expect(await err).toMatch(
      /saved after step \d+; to go on:\n {2}mobileclip train --out \S+stopped --resume --threads 1 --progress none\n$/,
    )
    const made = (await readMetrics(join(out, "metrics.jsonl"))).at(-1)!.step
    expect(await readdir(join(out, "checkpoints"))).toEqual([`step-${String(made).padStart(8, "0")}.safetensors`])
  })

  test("a second run in the same folder is refused in one line, and the first one goes on", async () => {
    const out = join(folder, "held")
    const argv = ["--train-data", shard, "--out", out, ...short, "schedule.steps=100000", "save.every=1"]
    const first = spawn(process.execPath, ["bin/mobileclip.js", "train", ...argv], { stdio: "ignore" })
    const code = new Promise((resolve) => first.once("exit", resolve))
    while ((await readMetrics(join(out, "metrics.jsonl"))).length < 2) await sleep(50)
    for (const again of [argv, ["--out", out, "--resume", "--threads", "1", "--progress", "none"]]) {
      const second = await run(...again)
      expect(second).toMatchObject({
        code: 1,
        err: expect.stringMatching(
          new RegExp(`held is in use: mobileclip train \\(process ${first.pid}\\) works there`),
        ),
      })
      expect(second.err.trim().split("\n")).toHaveLength(2)
    }
    const seen = (await readMetrics(join(out, "metrics.jsonl"))).length
    while ((await readMetrics(join(out, "metrics.jsonl"))).length < seen + 2) await sleep(50)
    first.kill("SIGTERM")
    expect(await code).toBe(143)
    const steps = (await readMetrics(join(out, "metrics.jsonl"))).map(({ step }) => step)
    expect(steps).toEqual(steps.map((_, i) => i + 1))
    expect(await readdir(join(out, "checkpoints"))).toEqual([
      `step-${String(steps.length).padStart(8, "0")}.safetensors`,
    ])
    expect(await readdir(out)).not.toContain(".lock")
  })

  test("a folder with another model is refused, and its files stay", async () => {
    const out = join(folder, "other-model")
    const argv = ["--train-data", shard, "--out", out, ...short, "schedule.steps=1"]
    await mkdir(out)
    await writeFile(join(out, "config.json"), '{"model_type": "clip"}')
    expect(await run(...argv)).toMatchObject({
      code: 1,
      err: expect.stringContaining("holds config.json, which a run would replace"),
    })
    await writeFile(join(out, "model.safetensors"), "weights")
    expect(await run(...argv)).toMatchObject({
      code: 1,
      err: expect.stringContaining("holds config.json, model.safetensors, which"),
    })
    expect(await readdir(out)).toEqual(["config.json", "model.safetensors"])
    expect(await readFile(join(out, "config.json"), "utf8")).toBe('{"model_type": "clip"}')
  })

  test("a user's files with a run's names are refused before the data is read, and stay", async () => {
    const out = join(folder, "files-of-others")
    const argv = ["--train-data", "nowhere.tar", "--out", out, ...short, "schedule.steps=1"]
    await mkdir(out)
    for (const name of ["report.html", "metrics.jsonl", "notes.txt"]) await writeFile(join(out, name), `my ${name}`)
    const expected = `${out} has no checkpoints of a run, and holds metrics.jsonl, report.html, which a run would replace`
    expect(await run(...argv)).toMatchObject({ code: 1, err: expect.stringContaining(expected) })
    expect((await readdir(out)).sort()).toEqual(["metrics.jsonl", "notes.txt", "report.html"])
    expect(await readFile(join(out, "metrics.jsonl"), "utf8")).toBe("my metrics.jsonl")
  })

  test("a finished run without its checkpoints is not replaced; one that ended before its first is begun again", async () => {
    const out = join(folder, "without-checkpoints")
    const argv = ["--train-data", shard, "--out", out, ...short, "schedule.steps=1"]
    await mkdir(out)
    await markRun(out, false)
    await writeFile(join(out, "metrics.jsonl"), '{"step": 1, "los')
    expect(await run(...argv)).toMatchObject({ code: 0 })
    expect(await readdir(out)).not.toContain(".begun")
    const model = await readFile(join(out, "model.safetensors"))
    await rm(join(out, "checkpoints"), { recursive: true })
    expect(await run(...argv, "seed=5")).toMatchObject({ code: 1, err: expect.stringContaining("model.safetensors") })
    expect((await readFile(join(out, "model.safetensors"))).equals(model)).toBe(true)
    expect(await readdir(out)).not.toContain(".lock")
  })

  test("a run that died before its first step binds nobody: a corrected command begins in its folder", async () => {
    const [out, path] = [join(folder, "died"), join(folder, "died.tar")]
    const [first, ...others] = await pictureSamples(8)
    await writeSamples(path, [{ ...first!, image: { extension: "jpg", bytes: Buffer.from("damaged") } }, ...others])
    const argv = ["--train-data", path, "--out", out, ...short, "schedule.steps=1"]
    expect(await run(...argv, "--max-bad-samples", "0")).toMatchObject({
      code: 1,
      err: expect.stringContaining("1 samples cannot be used, more than the 0 allowed"),
    })
    expect(await readdir(out)).toContain(".begun")
    expect(await run("--out", out, "--resume")).toMatchObject({
      code: 1,
      err: expect.stringContaining("there is no run to resume in"),
    })
    expect(await run(...argv, "--lr", "1e-4", "--max-bad-samples", "1")).toMatchObject({ code: 0 })
    expect(await readdir(join(out, "checkpoints"))).toEqual(["step-00000001.safetensors"])
  })

  test("the export of a run refuses, before it trains, a folder with other content", async () => {
    const [out, model] = [join(folder, "unexported"), join(folder, "reinforced", "model")]
    await mkdir(join(model, "notes"), { recursive: true })
    const argv = ["--train-data", shard, "--out", out, ...short, "schedule.steps=1", "--export", model]
    expect(await run(...argv)).toMatchObject({ code: 1, err: expect.stringContaining("has other content (notes/)") })
    await rm(join(model, "notes"), { recursive: true })
    await expect(readdir(out)).rejects.toThrow("ENOENT")
  })

  test("bad input is one line that says what to do", async () => {
    const out = ["--out", join(folder, "none"), ...short]
    const lostTask = join(folder, "lost-task.json")
    await writeFile(lostTask, JSON.stringify([{ name: "lost", images: "nowhere" }]))
    const cases: [string[], string][] = [
      [["--train-data", join(folder, "nothing"), ...out], "nothing"],
      [["--train-data", shard, ...out, "--model", "quickstrat"], 'there is no model named "quickstrat"'],
      [["--train-data", shard, ...out, "schedule.step=3"], "steps"],
      [
        [
          "--train-data",
          shard,
          ...out,
          "loss.kind=distill",
          "loss.weights=[0,1]",
          "loss.teacherScales=[70,60]",
          "schedule.steps=1",
        ],
        "teacher",
      ],
      [["--train-data", shard, ...out, "evaluate.tasks=/nowhere", "schedule.steps=1"], "no such task list"],
      [["--train-data", shard, ...out, "--evaluate", shard, "schedule.steps=1"], "00000.tar is not a task list"],
      [["--train-data", shard, ...out, "--evaluate", lostTask, "schedule.steps=1"], "nowhere does not exist"],
      [["--train-data", shard, ...out, "--export", folder, "schedule.steps=1"], "has other content"],
      [["--train-data", shard, ...out, "--export", out[1]!, "schedule.steps=1"], "--export and --out both name"],
      [["--out", join(folder, "none"), "--resume"], "there is no run to resume in"],
      [out, "name the data"],
    ]
    for (const [argv, text] of cases) {
      const { code, err } = await run(...argv)
      expect([code, err]).toEqual([1, expect.stringContaining(text)])
      expect(err.trim().split("\n").length).toBeLessThanOrEqual(2)
    }
  })

  test("a truncated checkpoint is refused by name", async () => {
    const out = join(folder, "cut")
    await cp(join(folder, "reinforced"), out, { recursive: true })
    const [name] = await readdir(join(out, "checkpoints"))
    const path = join(out, "checkpoints", name!)
    await writeFile(path, (await readFile(path)).subarray(0, 5000))
    expect(await run("--out", out, "--resume", "--progress", "none")).toMatchObject({
      code: 1,
      err: expect.stringContaining(name!),
    })
  })
})

/** Values by path, of parameters and buffers. */
function tensorsOf(path: string): Promise<Map<string, Float32Array>> {
  return withCheckpoint(
    path,
    async ({ model }) => new Map([...model.namedParameters()].map(([name, parameter]) => [name, parameter.read()])),
  )
}

function changedPaths(before: Map<string, Float32Array>, after: Map<string, Float32Array>): string[] {
  expect([...after.keys()]).toEqual([...before.keys()])
  return [...before].flatMap(([path, values]) => (bytesOf(values).equals(bytesOf(after.get(path)!)) ? [] : [path]))
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}
