import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { tinyConfig, tinyConvolutions, tinyInfo } from "../../test/tiny-model.ts"
import { summary } from "../cli/finetune/summary.ts"
import { main } from "../cli/main.ts"
import { safetensorsChunks } from "../core/containers/safetensors.ts"
import { type ClipConfig, captioners } from "../core/family/variants.ts"
import type { StartProgress } from "../core/progress.ts"
import { Tokenizer } from "../core/text/tokenizer.ts"
import { renderScene } from "../data/scenes/render.ts"
import { sampleScene } from "../data/scenes/scene.ts"
import { openTrainingData } from "../data/training/training-data.ts"
import { writeAtomically } from "../host/files/files.ts"
import { lockFolder } from "../host/locks/lock.ts"
import { type CheckpointInfo, checkpointMetadata, checkpointTensors } from "../model/checkpoint/checkpoint.ts"
import { Clip } from "../model/clip.ts"
import { Coca } from "../model/coca.ts"
import { initialize, type Module } from "../model/module.ts"
import { reparameterize } from "../model/reparameterize.ts"
import { createClassifier } from "../run/labels/classify.ts"
import { loadCaptioner, loadModel } from "../run/node.ts"
import { loadTensors, modelChunks } from "../train/checkpoints/state.ts"
import { defaultTrainConfig, train } from "../train/train.ts"
import { withCheckpoint } from "../weights/open-checkpoint.ts"
import { type FinetuneOptions, finetune } from "./finetune.ts"

const config: ClipConfig = {
  ...tinyConfig,
  ...{ embedDim: 32, imageSize: 32, image: tinyConvolutions },
  text: { ...tinyConfig.text, contextLength: 16 },
}

const info: CheckpointInfo = {
  ...tinyInfo,
  ...{ config, preprocessing: { ...tinyInfo.preprocessing, size: 32 }, samplesSeen: 1000 },
}

const colours = ["blue", "green", "red"]
const perColour = 16

vi.setConfig({ testTimeout: 600_000 })

let folder: string
const at = (...parts: string[]) => join(folder, ...parts)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "finetune-"))
  await writePictures()
  await writeStart()
}, 600_000)

afterAll(() => rmSync(folder, { recursive: true }))

test("scores rise from chance; statistics stay; the export answers as the probe did", async () => {
  const { before, chosen, run, probe, verification } = await finetune(options("whole"))
  expect(before.score).toBeLessThanOrEqual(0.5)
  expect(chosen.score).toBeGreaterThanOrEqual(0.8)
  expect(run.evaluations).toHaveLength(20)
  expect(verification.reference).toMatch(/^libtorch/)

  const [start, tuned] = [await tensorsOf("start.safetensors"), await tensorsOf("whole", "model.safetensors")]
  const statistics = [...start.keys()].filter((path) => /running|numBatches/.test(path))
  expect(statistics.length).toBeGreaterThan(10)
  for (const path of statistics) expect(tuned.get(path)).toEqual(start.get(path))
  const embedding = [...start.keys()].find((path) => path.endsWith("tokenEmbedding"))!
  for (const path of ["image.stem.0.convKxk.0.conv.weight", embedding, "logitScale"])
    expect(tuned.get(path), path).not.toEqual(start.get(path))

  await using model = await loadModel(at("whole", "model"))
  expect(model.manifest).toMatchObject({ name: "tiny", samplesSeen: expect.any(Number) })
  const answers = await (await createClassifier(model, colours)).classify(probe.images)
  expect(answers.map(([best]) => best!.label)).toEqual(chosen.predictions.map(({ choice }) => choice))
})

test("the report has both scores, the pictures and the curves, and loads nothing", async () => {
  const page = readFileSync(at("whole", "report.html"), "utf8")
  for (const text of ["Before and after", "became right", "data:image/jpeg", "Probe over pairs seen", "33.3%"])
    expect(page).toContain(text)
  // The verdict, by counts; the classes; every held-out picture, also those that did not change; what chose the figure.
  expect(page).toMatch(/<h1>Better than before: 1[0-2] of 12 pictures are right, 4 were before<\/h1>/)
  expect(page).toMatch(/right before, 33\.3%<\/dt><dd>4 of 12</)
  expect(page).toMatch(/by guessing, 33\.3%<\/dt><dd>4 of 12</)
  expect(page.match(/<figure class="card/g)).toHaveLength(12)
  expect(page).toMatch(/<h2>By class<\/h2>[\s\S]*<th scope="row">red<\/th>[\s\S]*<td>4<\/td>/)
  expect(page).toContain("The held-out pictures also chose the step, so that new pictures may score a little lower.")
  expect(page).not.toMatch(/NaN|undefined|https?:\/\/(?!www\.w3\.org)/)
  const report = JSON.parse(readFileSync(at("whole", "report.json"), "utf8"))
  expect(report).toMatchObject({
    pictures: { train: 36, heldOut: 12, withoutCaption: 0, damaged: 0, cutOff: 0 },
    classes: colours,
    before: { figures: { accuracy: 1 / 3 } },
    chance: { accuracy: 1 / 3 },
    steps: 40,
  })
  expect(report.evaluations[0]).toMatchObject({ step: 0, average: report.before.score })
  expect(report.becameRight - report.becameWrong).toBe(Math.round(12 * (report.after.score - report.before.score)))
  expect(readFileSync(at("whole", "labels.txt"), "utf8")).toBe("blue\ngreen\nred\n")
  const lists = ["train.jsonl", "held-out.jsonl"].map((name) =>
    readFileSync(at("whole", name), "utf8").trim().split("\n"),
  )
  expect(lists.map(({ length }) => length)).toEqual([36, 12])
  expect(new Set(lists.flat()).size).toBe(48)
})

test("a locked tower stays as it is", async () => {
  // A path relative to where the command runs, not to the run's folder.
  await finetune(options("locked", { steps: 3, lock: "text", source: relative(process.cwd(), at("pictures")) }))
  const [start, tuned] = [await tensorsOf("start.safetensors"), await tensorsOf("locked", "model.safetensors")]
  for (const path of [...start.keys()].filter((path) => path.startsWith("text.")))
    expect(tuned.get(path), path).toEqual(start.get(path))
  expect(tuned.get("image.head.weight")).not.toEqual(start.get("image.head.weight"))
})

test("a run that was stopped at an evaluation goes on to the same model, bit for bit", async () => {
  const whole = await finetune(options("straight", { steps: 5 }))
  const stop = new AbortController()
  const startProgress: StartProgress = () => ({ update: (done) => done === 3 * 16 && stop.abort(), done() {} })
  const stopped = finetune(options("parts", { steps: 5, startProgress, signal: stop.signal }))
  await expect(stopped).rejects.toMatchObject({ name: "AbortError" })
  expect(readdirSync(at("parts", "checkpoints"))).toEqual(["step-00000003.safetensors"])
  // The pictures may be told from another folder than at the beginning.
  const source = relative(process.cwd(), at("pictures"))
  const rest = await finetune(options("parts", { steps: 5, resume: true, source }))
  expect(rest.run.evaluations).toEqual(whole.run.evaluations)
  const files = ["model.safetensors", "best.safetensors"]
  for (const file of files)
    expect(readFileSync(at("parts", file)).equals(readFileSync(at("straight", file)))).toBe(true)

  const changed = at("changed")
  cpSync(at("pictures"), changed, { recursive: true })
  const [name] = readdirSync(changed, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.(jpe?g|png)$/.test(name),
  )
  appendFileSync(join(changed, name!), "more")
  await expect(finetune(options("parts", { steps: 5, resume: true, source: changed }))).rejects.toMatchObject({
    message: expect.stringMatching(/was made with (data|heldOut) \d+ pictures, \d+ bytes/),
    hint: "go on with its own data, or choose another directory",
  })
})

test("it stops when the probe's scores stall, and takes the average of both models where the scores are equal", async () => {
  const report = await finetune(options("still", { learningRate: 0, patience: 2, average: null }))
  expect(report.run.step).toBe(4)
  expect(report.run.evaluations.map(({ step }) => step)).toEqual([2, 4])
  expect(report.candidates.map(({ alpha }) => alpha)).toEqual([0.5, 0.75, 0.25, 1, 0])
  expect(report.chosen.alpha).toBe(0.5)
  // Nothing changed: said in a sentence, with all pictures, and none of them "wrong now".
  const page = readFileSync(at("still", "report.html"), "utf8")
  expect(page).toContain("<h1>No better than before: 4 of 12 pictures are right, as many as before</h1>")
  expect(page).toContain("Guessing gets about 4 of 12 right, so this is not more than guessing.")
  expect(page.match(/✗ still wrong/g)).toHaveLength(8)
  expect(page.match(/✓ still right/g)).toHaveLength(4)
  expect(page).not.toContain("wrong now")
  expect(summary(report, "report.html")).toContain(
    "the held-out pictures also chose the step and the share of the tuned weights",
  )
})

test("captions of a list: the probe finds captions and pictures; the result as JSON", async () => {
  const rows = colours.flatMap((colour) =>
    [1, 2, 3, 4].map((i) => `pictures/${colour}/${i}.jpg,a ${colour} thing, number ${i}`.replace(", n", " n")),
  )
  writeFileSync(at("pairs.csv"), ["file,words", ...rows].join("\n"))
  const columns = ["--image-column", "file", "--caption-column", "words"]
  const { code, out, err } = await command(at("pairs.csv"), "--steps", "2", "--batch-size", "4", ...columns, "--json")
  expect(err).toContain("12 pictures with captions of their own: 10 to train on, 2 held out")
  expect(code).toBe(0)
  const report = JSON.parse(out)
  expect(report).toMatchObject({ classes: null, chance: { "find the caption": 0.5, "find the picture": 0.5 } })
  expect(report.config).toMatchObject({ steps: 2, batchSize: 4, frozenStatistics: true, layerDecay: 0.9 })
})

test("a captioner learns its captions too, is scored by its embeddings, and exported with its decoder", async () => {
  const { model: config, preprocessing } = captioners["quickstart-captioner"]
  const captioner = new Coca(config)
  initialize(captioner, 3)
  const given = { name: "quickstart-captioner", config, preprocessing, license: "MIT", samplesSeen: 0 }
  await writeAtomically(at("captioner.safetensors"), modelChunks(given, valuesOf(captioner)))
  const tuning = { model: at("captioner.safetensors"), steps: 6, layerDecay: 0.9 }
  const { before, chosen, run, probe } = await finetune(options("captions", tuning))
  expect(before.tasks).toEqual({ accuracy: expect.any(Number) })
  expect(chosen.predictions).toHaveLength(probe.pictures.length)
  const captions = run.steps.map(({ losses }) => losses.caption!)
  expect(captions[0]).toBeCloseTo(2 * (Math.log(49408) + 0.5), 0)
  expect(captions.at(-1)).toBeLessThan(captions[0]! - 1)
  const report = JSON.parse(readFileSync(at("captions", "report.json"), "utf8"))
  expect(report.config.objective).toEqual({ kind: "coca", clipWeight: 1, captionWeight: 2 })
  expect(report.verification.decoderError).toEqual(expect.any(Number))
  await using written = await loadCaptioner(at("captions", "model"))
  expect(written.manifest).toMatchObject({ name: "quickstart-captioner", samplesSeen: 16 * report.bestStep })
})

test("impossible requests are one line that says what to do", async () => {
  mkdirSync(at("loose"))
  for (const name of ["a", "b"]) writeFileSync(at("loose", `${name}.jpg`), "")
  mkdirSync(at("one", "cats"), { recursive: true })
  for (let i = 0; i < 12; i++) writeFileSync(at("one", "cats", `${i}.jpg`), "")
  const complaints = [
    [await command(at("loose")), /loose.a\.jpg has no caption/],
    [await command(at("one")), /all pictures are "cats"/],
    [await command(at("pictures", "red", "1.jpg")), /./],
    [await command(at("nowhere")), /no such file or folder/],
    [
      await command(at("pictures"), "--batch-size", "64"),
      /do not fill a batch of 64\n {2}choose a --batch-size of at most/,
    ],
    [await command(at("pictures"), "--model", at("fused.safetensors")), /is fused: .* cannot be undone/],
    [
      await command(at("pictures"), "--model", at("whole", "model")),
      /is an exported model, .*\n {2}name the checkpoint that it was made from: .*whole.model\.safetensors/,
    ],
    [await command(at("pictures"), "--out", at("whole")), /holds a training run already/],
    [await command(at("pictures"), "--out", at("fresh"), "--resume"), /no run to resume/],
  ] as const
  for (const [{ code, err }, message] of complaints) {
    expect(err).toMatch(message)
    expect({ code, lines: err.trim().split("\n").length }).toEqual({ code: 1, lines: expect.closeTo(2, 0) })
  }
  expect(existsSync(at("refused"))).toBe(false)
})

function options(out: string, more: Partial<FinetuneOptions> = {}): FinetuneOptions {
  return {
    ...{ source: at("pictures"), model: at("start.safetensors"), out: at(out) },
    ...{ steps: 40, batchSize: 16, learningRate: 3e-3, layerDecay: 1, seed: 0, device: "cpu", threads: 1 },
    ...{ holdOut: 0.25, average: 1, patience: 0, resume: false },
    startProgress: () => ({ update() {}, done() {} }),
    say: () => {},
    signal: new AbortController().signal,
    ...more,
  }
}

async function command(source: string, ...more: string[]) {
  let [out, err] = ["", ""]
  const given = (name: string) => more.includes(name)
  const argv = [
    ...["finetune", source, "--threads", "1", "--progress", "none", ...more],
    ...(given("--model") ? [] : ["--model", at("start.safetensors")]),
    ...(given("--out") ? [] : ["--out", at("refused")]),
  ]
  const code = await main(argv, undefined, { out: (text) => (out += text), err: (text) => (err += text) })
  if (code === 0) rmSync(at("refused"), { recursive: true })
  return { code, out, err }
}

function tensorsOf(...path: string[]): Promise<Map<string, Float32Array>> {
  return withCheckpoint(at(...path), async ({ model }) => valuesOf(model))
}

function valuesOf(model: Module): Map<string, Float32Array> {
  return new Map([...model.namedParameters()].map(([name, parameter]) => [name, parameter.read()]))
}

/** `pictures/red/1.jpg` and so on: scenes with one object of the colour. */
async function writePictures(): Promise<void> {
  for (const colour of colours) mkdirSync(at("pictures", colour), { recursive: true })
  const left = new Map(colours.map((colour) => [colour, perColour]))
  for (let i = 0; [...left.values()].some((count) => count > 0); i++) {
    const scene = sampleScene(7, "train", i)
    const { colour } = scene.objects[0]!
    const count = left.get(colour) ?? 0
    if (scene.layout !== "single" || count === 0) continue
    left.set(colour, count - 1)
    writeFileSync(at("pictures", colour, `${count}.jpg`), await renderScene(scene))
  }
}

/** An untrained model whose batch norm has the statistics of the pictures, and the same model fused. */
async function writeStart(): Promise<void> {
  const data = await openTrainingData({
    ...{ source: at("pictures"), view: "crop", rank: 0, ranks: 1, workers: 0, prefetch: 0, batchSize: 16, seed: 0 },
    ...{ preprocessing: info.preprocessing, tokenizer: new Tokenizer(), contextLength: 16, maxBadSamples: 0 },
  })
  // A model as narrow as this one leaves its plateau at another step for each seed: in 40 for two of five.
  const still = {
    ...defaultTrainConfig,
    seed: 2,
    learningRate: 0,
    warmupSteps: 0,
    steps: 20,
    batchSize: 16,
    threads: 1,
  }
  const { tensors } = await train(info, still, { batches: (step) => data.batches(step), save: () => {} })
  await data.close()
  await writeAtomically(at("start.safetensors"), modelChunks(info, tensors))
  const model = new Clip(config)
  loadTensors(model, tensors)
  const chunks = safetensorsChunks(
    checkpointTensors(reparameterize(model)),
    checkpointMetadata(info, "reparameterized"),
  )
  writeFileSync(at("fused.safetensors"), Buffer.concat([...chunks].map((chunk) => Uint8Array.from(chunk))))
}

test("other content beside the model is named before anything is read; a folder in use is refused", async () => {
  mkdirSync(at("other", "model", "notes"), { recursive: true })
  await expect(finetune({ ...options("other"), source: at("nowhere") })).rejects.toThrow("other content (notes/)")
  expect(readdirSync(at("other"))).toEqual(["model"])
  using _ = await lockFolder(at("held"), "mobileclip train")
  await expect(finetune(options("held"))).rejects.toThrow("held is in use: mobileclip train")
})

test("a list in the place of the lists of its parts is refused, and so are weights that no run wrote", async () => {
  mkdirSync(at("lists"))
  writeFileSync(at("lists", "train.jsonl"), "mine")
  const source = at("lists", "train.jsonl")
  await expect(finetune({ ...options("lists"), source })).rejects.toThrow("would be both read and written")
  expect(readFileSync(source, "utf8")).toBe("mine")
  mkdirSync(at("weights"))
  writeFileSync(at("weights", "model.safetensors"), "mine")
  await expect(finetune(options("weights"))).rejects.toThrow(
    "weights has no checkpoints of a run, and holds model.safetensors",
  )
  expect(readdirSync(at("weights"))).toEqual(["model.safetensors"])
})

test("a user's files with its names are refused before the pictures are read, and stay", async () => {
  mkdirSync(at("own"))
  const names = ["best.safetensors", "held-out.jsonl", "labels.txt", "report.html", "report.json", "train.jsonl"]
  for (const name of names) writeFileSync(at("own", name), `my ${name}`)
  await expect(finetune({ ...options("own"), source: at("nowhere") })).rejects.toThrow(
    `holds ${names.slice(0, 5).join(", ")} and 1 more, which`,
  )
  expect(readdirSync(at("own"))).toEqual(names)
  expect(names.map((name) => readFileSync(at("own", name), "utf8"))).toEqual(names.map((name) => `my ${name}`))
})
