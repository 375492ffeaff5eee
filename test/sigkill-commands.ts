/** Every command that writes, small enough to end within seconds, with what it reads. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { makeSelfSuite } from "../src/benchmark/layout/self-suite.ts"
import { Random } from "../src/core/arrays/random.ts"
import { encodeSamples } from "../src/data/reinforced/encode.ts"
import type { ReinforcedSample } from "../src/data/reinforced/sample.ts"
import { renderSample } from "../src/data/scenes/dataset.ts"
import { renderScene } from "../src/data/scenes/render.ts"
import { sampleScene } from "../src/data/scenes/scene.ts"
import { type Sample, writeShard } from "../src/data/shards.ts"
import { exportModel } from "../src/export/export.ts"
import { HubServer } from "./hub-server.ts"
import { program } from "./program.ts"
import type { KilledCommand } from "./sigkill.ts"
import { tinyCoca, tinyCocaInfo } from "./tiny-coca.ts"
import { tinyConfig, tinyInfo, tinyModel, writeCheckpoint, writeTrainable } from "./tiny-model.ts"
import { pictureSamples, writeSamples } from "./training-samples.ts"

export const commandNames = [
  ...["pull", "convert", "render", "reinforce caption", "reinforce embed", "reinforce join", "train", "finetune"],
  ...["evaluate", "evaluate pack", "embed", "bake-labels", "classify", "load by address"],
  ...["shards index", "reinforce verify"],
] as const

export type CommandName = (typeof commandNames)[number]

/** What the commands read, in one folder, and the hub that `pull` asks. */
export class Inputs implements AsyncDisposable {
  private constructor(
    private readonly folder: string,
    private readonly hub: HubServer,
  ) {}

  static async make(folder: string, names: readonly CommandName[]): Promise<Inputs> {
    mkdirSync(folder, { recursive: true })
    for (const [file, { readBy, write }] of Object.entries(inputFiles)) {
      if (readBy.some((name) => names.includes(name))) await write(join(folder, file))
    }
    return new Inputs(folder, await startHub(names.includes("load by address") ? filesIn(join(folder, "wide")) : {}))
  }

  command(name: CommandName): KilledCommand {
    const at = (file: string) => join(this.folder, file)
    const quiet = ["--progress", "none"]
    const ours = (...args: string[]) => this.built(name, [...name.split(" "), ...args])
    switch (name) {
      case "pull":
        return { ...ours(repository, "--quiet"), env: hubEnvironment(this.hub.endpoint) }
      case "convert":
        return ours(at("tiny.safetensors"), "--out", "model")
      case "render":
        return ours(...["--out", "scenes", "--train", "120", "--test", "30", "--retrieval", "30"], "--samples-per-shard", "20", ...quiet) // biome-ignore format: a row
      case "reinforce caption":
        return ours(...stage(at("shards"), "captioned", at("captioner")), "--seq-len", "8", ...quiet)
      case "reinforce embed":
        return ours(...stage(at("shards"), "embedded", at("tiny.safetensors")), ...quiet)
      case "reinforce join":
        return ours(...joining(at("joinable")), ...quiet)
      case "train":
        return resumable(ours("--train-data", at("training.jsonl.gz"), ...training, ...quiet), "run")
      case "finetune":
        return resumable(ours(at("pictures"), "--model", at("start.safetensors"), ...tuning, ...quiet), "tuned")
      case "evaluate":
        return ours("--model", at("tiny.safetensors"), ...scoring(at("suite")), ...quiet)
      case "evaluate pack":
        return {
          ...ours(at("many-pictures"), "--out", "data/shapes", "--samples-per-shard", "60", ...quiet),
          wasDone: /data\/shapes has the split test already/,
        }
      case "embed":
        return ours(at("many-pictures"), "--model", at("towers"), ...embedding, ...quiet)
      case "bake-labels":
        return ours("--model", at("wide"), "--labels-file", at("labels.txt"), "--out", "labels.json")
      case "classify":
        return ours(at("pictures"), "--model", at("wide"), "--labels-file", at("labels.txt"), ...labelling, ...quiet)
      case "shards index":
        return this.goneOnWith(name, ["-e", inCopy(at("reinforced"), ["shards", "index", "copy", ...quiet])])
      case "reinforce verify":
        return ours(at("reinforced"), "--workers", "2", ...quiet)
      case "load by address":
        return this.goneOnWith(name, [loader, `${this.hub.endpoint}/${wideRepository}/resolve/main/`])
      default:
        return name satisfies never
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hub[Symbol.asyncDispose]()
  }

  /** One that goes on when it is given again as it was. */
  private built(name: CommandName, args: readonly string[]): KilledCommand {
    return this.goneOnWith(name, [program, ...args])
  }

  private goneOnWith(name: CommandName, begin: readonly string[]): KilledCommand {
    return { name, begin, goOn: () => begin, differing: differences[name] ?? none, inputs: this.folder }
  }
}

const none = { files: [], keys: [] }

/** Times in ledgers and logs; what has them at other places than JSON is compared by its name. */
const differences: Partial<Record<CommandName, KilledCommand["differing"]>> = {
  "reinforce caption": { files: [], keys: ["seconds", "time_seconds", "total_time_h"] },
  "reinforce embed": { files: [], keys: ["seconds", "time_seconds", "total_time_h"] },
  "reinforce join": { files: [], keys: ["seconds", "time_seconds", "total_time_h", "resumedShards"] },
  train: {
    files: [/(?<=\/)report\.html$/, /(?<=tensorboard\/)events\.[^/]*$/],
    keys: ["seconds", "dataSeconds", "memory", "samplesPerSecond"],
  },
  finetune: {
    files: [/(?<=\/)report\.html$/, /(?<=tensorboard\/)events\.[^/]*$/],
    keys: ["seconds", "dataSeconds", "memory", "samplesPerSecond"],
  },
  // When the files of a graph were written that is kept, or by which labels are known.
  "bake-labels": { files: [/(?<=vectors\/)[0-9a-f]+\.records$/], keys: ["state"] },
  classify: { files: [/(?<=vectors\/)[0-9a-f]+\.records$/], keys: ["state"] },
  "load by address": { files: [], keys: ["state"] },
  // Vectors of a task that was killed may have been kept.
  evaluate: { files: [], keys: ["seconds", "evaluation_time", "cachedImages"] },
}

const stage = (input: string, output: string, model: string) => [
  ...["--input", input, "--output", output, "--model-name", model, "--num-samples", "2"],
  ...["--workers", "2", "--threads", "1"],
]

const joining = (folder: string) => [
  ...["--images", join(folder, "images"), "--reinforcements", join(folder, "reinforcements"), "--output", "joined"],
]

const training = [
  ...["--out", "run", "--export", "run/model", "--model", "quickstart", "--threads", "1", "batch.size=4"],
  ...["schedule.steps=6", "schedule.warmup=1", "save.every=2"],
]

const tuning = [
  ...["--out", "tuned", "--steps", "6", "--batch-size", "8", "--average", "1", "--lr", "0.001", "--threads", "1"],
]

const scoring = (suite: string) => [
  ...["--suite", "self", "--data", suite, "--out", "scores", "--format", "mteb", "--threads", "1"],
]

const embedding = ["--out", "vectors", "--part-size", "40", "--threads", "1"]

const labelling = ["--csv", "--out", "labels.csv", "--threads", "1"]

/** A command that writes beside what it reads: a copy in the working folder, of the same times. */
function inCopy(folder: string, words: readonly string[]): string {
  const [source, argv] = [folder, [program, ...words]].map((value) => JSON.stringify(value))
  return `
    require("node:fs").cpSync(${source}, "copy", { recursive: true, preserveTimestamps: true })
    process.argv.splice(1, 0, ...${argv})
    import(process.argv[1])`
}

/** Loads a model, downloads it where it is not there, and uses both towers. */
const loader = fileURLToPath(new URL("load-address.js", import.meta.url)).replace(
  /(?<!\/dist)\/test\/(?=[^/]+$)/,
  "/dist/test/",
)

/** Goes on from its checkpoints where there are any: with `--resume`, which without them is refused. */
function resumable(command: KilledCommand, out: string): KilledCommand {
  const goOn = (work: string) => [...command.begin, ...(hasCheckpoint(join(work, out)) ? ["--resume"] : [])]
  return { ...command, goOn }
}

function hasCheckpoint(run: string): boolean {
  try {
    return readdirSync(join(run, "checkpoints")).some((name) => /^step-\d+\.safetensors$/.test(name))
  } catch {
    return false
  }
}

// ------------------------------------------------------------------------------------------------------ inputs

const inputFiles: Readonly<Record<string, { readBy: readonly CommandName[]; write(path: string): Promise<unknown> }>> =
  {
    "tiny.safetensors": {
      readBy: ["convert", "reinforce embed", "evaluate"],
      write: async (path) => writeCheckpoint(path),
    },
    "start.safetensors": { readBy: ["finetune"], write: async (path) => writeTrainable(path) },
    pictures: { readBy: ["finetune", "classify"], write: (path) => writePictures(path, 8) },
    "many-pictures": { readBy: ["evaluate pack", "embed"], write: (path) => writePictures(path, 100) },
    suite: { readBy: ["evaluate"], write: (path) => makeSelfSuite(path, { size: 120 }) },
    towers: { readBy: ["embed"], write: (path) => exportModel(tinyModel(), tinyInfo, path) },
    wide: {
      readBy: ["bake-labels", "classify", "load by address"],
      write: (path) => exportModel(wideModel(), wideInfo, path),
    },
    "labels.txt": { readBy: ["bake-labels", "classify"], write: async (path) => writeFileSync(path, manyLabels) },
    captioner: { readBy: ["reinforce caption"], write: (path) => exportModel(tinyCoca(), tinyCocaInfo, path) },
    shards: { readBy: ["reinforce caption", "reinforce embed"], write: (path) => writeShards(path, 3, 5) },
    reinforced: { readBy: ["shards index", "reinforce verify"], write: writeReinforced },
    joinable: { readBy: ["reinforce join"], write: writeJoinable },
    "training.jsonl.gz": {
      readBy: ["train"],
      write: async (path) => writeSamples(path, await pictureSamples(40), "jsonl"),
    },
  }

/** Large enough for its text tower's optimised graph to be kept. */
const wideInfo = { ...tinyInfo, name: "wide", config: { ...tinyConfig, text: { ...tinyConfig.text, width: 128 } } }

const wideModel = () => tinyModel({ width: 128 })

const manyLabels = Array.from({ length: 2000 }, (_, i) => `label ${i}\n`).join("")

const repository = "somebody/weights"
const wideRepository = "somebody/wide"

/** By their paths. */
function filesIn(folder: string): Record<string, Buffer> {
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
  return Object.fromEntries(paths.map((path) => [relative(folder, path), readFileSync(path)]))
}

/** The contents mean nothing; they come slowly enough to be killed in the middle. */
function startHub(wide: Record<string, Buffer>): Promise<HubServer> {
  const random = new Random(5)
  const weights = Buffer.from(Uint32Array.from({ length: 3_000_000 }, () => random.uint32()).buffer)
  const files = { "open_clip_model.safetensors": weights, "open_clip_config.json": Buffer.from("{}") }
  const commit = "a".repeat(40)
  const repositories = {
    [repository]: { commit, tags: ["license:mit"], files },
    [wideRepository]: { commit, files: wide },
  }
  return HubServer.start(repositories, { bytesPerSecond: 12_000_000 })
}

function hubEnvironment(endpoint: string): NodeJS.ProcessEnv {
  return { HF_ENDPOINT: endpoint, HF_TOKEN: "", HF_HUB_CACHE: "", HUGGINGFACE_HUB_CACHE: "", HF_HUB_OFFLINE: "", TRANSFORMERS_OFFLINE: "" } // biome-ignore format: a row
}

async function writeShards(folder: string, shards: number, samplesPerShard: number): Promise<void> {
  mkdirSync(folder)
  for (let shard = 0; shard < shards; shard++) {
    const samples: Sample[] = []
    for (let i = 0; i < samplesPerShard; i++) {
      samples.push(await renderSample(`${shard}${String(i).padStart(4, "0")}`, 1, "train", shard * samplesPerShard + i))
    }
    await writeShard(join(folder, `0000${shard}.tar`), samples)
  }
}

async function writeReinforced(folder: string): Promise<void> {
  mkdirSync(folder)
  for (let shard = 0; shard < 24; shard++) {
    await writeSamples(join(folder, `${shard}.tar`), await pictureSamples(20, `${shard}-`))
  }
}

/** Pictures with captions, and what teachers said of them, in JSONL that must be unpacked to be read at any place. */
async function writeJoinable(folder: string): Promise<void> {
  const [images, reinforcements] = [join(folder, "images"), join(folder, "reinforcements")]
  for (const path of [images, reinforcements]) mkdirSync(path, { recursive: true })
  for (let shard = 0; shard < 12; shard++) {
    const samples = await pictureSamples(60, `${shard}-`)
    await writeSamples(join(images, `${shard}.tar`), samples.map(withoutReinforcement))
    await writeWithoutImages(join(reinforcements, `${shard}.jsonl.gz`), samples)
  }
}

function withoutReinforcement(sample: ReinforcedSample): ReinforcedSample {
  return { ...sample, synTexts: new Map(), paramAug: null, embeddings: new Map() }
}

async function writeWithoutImages(path: string, samples: readonly ReinforcedSample[]): Promise<void> {
  const format = { output: "jsonl", embeddings: "npz", textEmbeddings: "separate", images: false } as const
  const chunks: Uint8Array[] = []
  for await (const chunk of encodeSamples(samples, format)) chunks.push(chunk)
  writeFileSync(path, gzipSync(Buffer.concat(chunks)))
}

async function writePictures(folder: string, ofEach: number): Promise<void> {
  for (const [index, name] of ["blue", "green", "red"].entries()) {
    mkdirSync(join(folder, name), { recursive: true })
    for (let i = 0; i < ofEach; i++) {
      writeFileSync(join(folder, name, `${i}.jpg`), await renderScene(sampleScene(7, "train", ofEach * index + i)))
    }
  }
}
