/**
 * `node dist/bench/reinforce-embed.js [--photos DIR] [--model NAME] [--samples N] [--views K]`: what `reinforce embed`
 * costs in addition to its teacher. Samples a second, from JPEGs in a shard to reinforced samples in another one, against the
 * teacher's own rate on prepared pixels and texts, in turn; and two workers on two cores against one worker on one core.
 *
 * `--shared [--device cuda] [--json]`: as the command shares this machine out (how many workers, threads that decode and
 * augment), with a checkpoint as the teacher, on libtorch, in bf16 on a GPU, where this is the only way. There the teacher's own
 * rate is that of one process that does nothing else. Without `--photos` pictures are rendered scenes, 500 x 400.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import sharp from "sharp"
import { median } from "../src/core/arrays/quantile.ts"
import { findVariant } from "../src/core/family/variant-name.ts"
import { variants } from "../src/core/family/variants.ts"
import type { Teacher } from "../src/core/inference/teacher.ts"
import { datacompdrAugmentation } from "../src/data/augment/config.ts"
import { renderSample } from "../src/data/scenes/dataset.ts"
import { type Sample, writeShard } from "../src/data/shards.ts"
import { openStorage } from "../src/data/stores/open.ts"
import { exportModel } from "../src/export/export.ts"
import { makeDirectory } from "../src/host/files/files.ts"
import { Clip } from "../src/model/clip.ts"
import { initialize } from "../src/model/module.ts"
import type { Job } from "../src/reinforce/job/job.ts"
import { planShards } from "../src/reinforce/job/plan.ts"
import { openPool } from "../src/reinforce/local/local.ts"
import { reinforceShard } from "../src/reinforce/local/reinforce-shard.ts"
import { type Resources, shareOut } from "../src/reinforce/local/resources.ts"
import { runShards } from "../src/reinforce/local/run-shards.ts"
import { bringModels, openStage, runtimeOptions } from "../src/reinforce/stages/open-stage.ts"
import { openTeachers } from "../src/teachers/teachers.ts"
import { checkDevice } from "../src/tensor/torch.ts"
import { tinyInfo, writeCheckpoint } from "../test/tiny-model.ts"
import { configOf } from "./cuda/measure-step.ts"

const { values } = parseArgs({
  options: {
    photos: { type: "string" },
    model: { type: "string", default: "mobileclip2-s0" },
    device: { type: "string", default: "cpu" },
    shared: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    samples: { type: "string", default: "8" },
    views: { type: "string", default: "30" },
    batch: { type: "string", default: "60" },
    rounds: { type: "string", default: "3" },
    shards: { type: "string", default: "4" },
  },
})
const [samplesPerShard, views, batchSize] = [Number(values.samples), Number(values.views), Number(values.batch)]
/** Synthetic captions of each sample, beside one original caption, as in the papers. */
const synthetic = 5
const folder = mkdtempSync(join(tmpdir(), "embed-bench-"))
const device = values.device === "cpu" ? "cpu" : "cuda"
const [isShared, isTiny] = [values.shared || device === "cuda", values.model === "tiny"]
const teacherPath = join(folder, isShared ? "teacher.safetensors" : "teacher")

try {
  await main()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function main(): Promise<void> {
  checkDevice(values.device)
  await writeTeacher()
  await writeShards()
  if (isShared) return sharedOut()
  await againstTeacher()
  await twoWorkers()
}

async function writeTeacher(): Promise<void> {
  const model = new Clip(configOf(values.model))
  initialize(model, 1)
  const preprocessing = isTiny ? tinyInfo.preprocessing : variants[findVariant(values.model)].preprocessing
  const info = { name: values.model, license: "none", preprocessing, samplesSeen: 0 }
  if (isShared) writeCheckpoint(teacherPath, model, { ...info, config: model.config })
  else await exportModel(model, info, teacherPath)
}

async function writeShards(): Promise<void> {
  await makeDirectory(join(folder, "in"))
  const enlarged = isShared && !values.photos
  const photos = values.photos ? readdirSync(values.photos).filter((name) => /\.jpe?g$/i.test(name)) : null
  for (let shard = 0; shard < Number(values.shards); shard++) {
    const samples: Sample[] = []
    for (let i = 0; i < samplesPerShard; i++) {
      const index = shard * samplesPerShard + i
      samples.push(
        await sample(
          String(index),
          photos && readFileSync(join(values.photos!, photos[index % photos.length]!)),
          enlarged,
        ),
      )
    }
    await writeShard(join(folder, "in", `${shard}.tar`), samples)
  }
}

async function sample(key: string, given: Uint8Array | null, isEnlarged: boolean): Promise<Sample> {
  const { members } = await renderSample(key, 1, "train", Number(key))
  const photo = isEnlarged ? await asPhoto(members.get("jpg")!) : given
  const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
  const captions = Array.from(
    { length: synthetic },
    (_, n) => `a photo of what is seen in picture ${key}, caption ${n}`,
  )
  return {
    key,
    members: new Map([
      ["jpg", photo ?? members.get("jpg")!],
      ["txt", members.get("txt")!],
      ["syn.json", text({ syn_text: captions })],
    ]),
  }
}

function asPhoto(scene: Uint8Array): Promise<Uint8Array> {
  return sharp(scene).resize(500, 400, { fit: "fill" }).jpeg({ quality: 85 }).toBuffer()
}

function job(): Job {
  const { randomResizedCrop, randAugment } = datacompdrAugmentation
  return {
    stage: {
      ...{
        kind: "embedding",
        modelName: teacherPath,
        pretrained: null,
        dtype: device === "cuda" ? "bf16" : null,
        views,
      },
      ...{ augmentation: { randomResizedCrop, randAugment }, normalize: null, synTextKeyRegex: "syn_text", suffix: "" },
    },
    format: { output: "webdataset", embeddings: "pth.gz", textEmbeddings: "separate", images: true },
    seed: 0,
    minImageSize: 16,
  }
}

function resources(threads: number): Resources {
  return { batchSize, threads, augmentThreads: 0, runtime: "onnxruntime", device: "cpu" }
}

async function againstTeacher(): Promise<void> {
  const models = await bringModels(job(), resources(1))
  const [teacher] = (await openTeachers(models, { threads: 1 })) as [Teacher]
  await using stage = await openStage(job(), models, resources(1))
  const storage = openStorage()
  const work = { storage, ledger: { folder, record: async () => {} }, stage, format: job().format }
  const task = { index: 0, input: join(folder, "in", "0.tar"), output: join(folder, "out.tar") }
  const [bare, whole]: [number[], number[]] = [[], []]
  await bareRate(teacher)
  for (let round = 0; round < Number(values.rounds); round++) {
    bare.push(await bareRate(teacher))
    whole.push(samplesPerShard / (await seconds(() => reinforceShard(task, work))))
  }
  await teacher[Symbol.asyncDispose]()
  console.log(`${values.model}, ${views} views and ${1 + synthetic} texts a sample, batch ${batchSize}, 1 thread`)
  report("reinforce embed against its teacher alone", whole, bare)
}

/** Rates of rounds in turn. The machine's speed drifts, so each ratio compares figures of one round. */
function report(what: string, rates: readonly number[], against: readonly number[]): void {
  const ratios = rates.map((rate, i) => rate / against[i]!)
  const [rate, other] = [median(rates).toFixed(3), median(against).toFixed(3)]
  const all = ratios.map((ratio) => ratio.toFixed(2)).join(", ")
  console.log(`${what}: ${rate} against ${other} samples/s, median ratio ${median(ratios).toFixed(3)} (${all})`)
}

/** Samples a second that the teacher embeds in the stage's own batches, without any other work. */
async function bareRate(teacher: Teacher): Promise<number> {
  const { size } = teacher.preprocessing
  const perGroup = Math.max(1, Math.floor(batchSize / views))
  const pixels = new Float32Array(perGroup * views * 3 * size * size).map((_, i) => ((i * 2654435761) % 256) / 255)
  const texts = Array.from(
    { length: perGroup * (1 + synthetic) },
    (_, n) => `a photo of what is seen in picture ${n}, caption ${n}`,
  )
  const taken = await seconds(async () => {
    for (let done = 0; done < samplesPerShard; done += perGroup) {
      const samples = Math.min(perGroup, samplesPerShard - done)
      for (let view = 0; view < samples * views; view += batchSize) {
        const count = Math.min(batchSize, samples * views - view)
        await teacher.encodePixels(pixels.subarray(0, count * 3 * size * size), count)
      }
      await teacher.encodeTexts(texts.slice(0, samples * (1 + synthetic)))
    }
  })
  return samplesPerShard / taken
}

/** All shards by the pool, against the teacher in this process, in turn. */
async function sharedOut(): Promise<void> {
  const request = { device, runtime: "libtorch", batchSize } as const
  const { workers, resources } = shareOut(request, Number(values.shards))
  const models = await bringModels(job(), resources)
  const [teacher] = (await openTeachers(models, runtimeOptions(job().stage, resources))) as [Teacher]
  const [bare, whole]: [number[], number[]] = [[], []]
  await bareRate(teacher)
  for (let round = 0; round < Number(values.rounds); round++) {
    bare.push(await bareRate(teacher))
    whole.push(await poolRate(workers, resources))
  }
  await teacher[Symbol.asyncDispose]()
  const how = { workers, threads: resources.threads, augmentThreads: resources.augmentThreads }
  const ratios = whole.map((rate, i) => rate / bare[i]!)
  const rates = { samplesPerSecond: median(whole), teacherSamplesPerSecond: median(bare), overTeacher: median(ratios) }
  if (values.json) console.log(JSON.stringify({ ...values, ...how, ...rates }))
  else {
    console.log(
      `${values.model} on ${values.device}, ${views} views and ${1 + synthetic} texts a sample, ${JSON.stringify(how)}`,
    )
    report("reinforce embed against its teacher alone", whole, bare)
  }
}

async function twoWorkers(): Promise<void> {
  const [one, two]: [number[], number[]] = [[], []]
  for (let round = 0; round < Number(values.rounds); round++) {
    one.push(await onProcessors("0", () => poolRate(1)))
    two.push(await onProcessors("0,1", () => poolRate(2)))
  }
  report("2 workers on 2 cores against 1 on 1, 1 thread each", two, one)
}

/** Workers inherit the processors of the process that starts them. */
async function onProcessors<T>(list: string, work: () => Promise<T>): Promise<T> {
  execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", list, String(process.pid)], { stdio: "ignore" })
  return work()
}

async function poolRate(workers: number, given = resources(1)): Promise<number> {
  const inputs = readdirSync(join(folder, "in")).map((name) => join(folder, "in", name))
  const output = join(folder, `out-${workers}`)
  await using pool = await openPool(job(), output, { workers, resources: given }, {})
  const tasks = planShards(inputs, output, job().format)
  // The first shards are a warm-up, because sessions are created when they are first used.
  const half = tasks.length / 2
  const options = { maxFailures: 0, tries: 1 }
  await runShards(isShared ? tasks : tasks.slice(half, half + workers), pool, new Map(), options)
  rmSync(output, { recursive: true })
  await makeDirectory(output)
  const taken = await seconds(() => runShards(tasks, pool, new Map(), options))
  rmSync(output, { recursive: true })
  return (tasks.length * samplesPerShard) / taken
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}
