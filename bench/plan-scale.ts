/**
 * Plans the reinforcement of a dataset: bytes of each layout, operations of the models from the cost interpreter,
 * GPU-hours, requests to the object store and messages of the queue. All of it is arithmetic, except what is marked as measured.
 *
 *     npx tsc -b && node dist/bench/plan-scale.js
 *     node dist/bench/plan-scale.js --samples 12.8e6 --shards 1024 --views 30 --gpus 64 --tflops 300
 *
 * Without `--samples`, the two datasets of the papers: 12.8 M samples with 30 views, and 1.28 B with 10.
 */
import { parseArgs } from "node:util"
import { gzipSync } from "node:zlib"
import { textTable } from "../src/cli/table.ts"
import { float32ToBfloat16 } from "../src/core/arrays/half.ts"
import { Random } from "../src/core/arrays/random.ts"
import { findVariant } from "../src/core/family/variant-name.ts"
import { captioners, variants } from "../src/core/family/variants.ts"
import { Coca } from "../src/model/coca.ts"
import { type CostReport, measureCost } from "../src/tensor/cost.ts"
import { towerCost } from "../src/train/plan/family.ts"

const { values } = parseArgs({
  options: {
    samples: { type: "string" },
    shards: { type: "string", default: "1024" },
    views: { type: "string", default: "30" },
    captions: { type: "string", default: "5" },
    /** Variants of this package, separated by commas. */
    teachers: { type: "string", default: "vit-l-14,vit-l-14" },
    gpus: { type: "string" },
    /** Sustained by one GPU in the teachers' precision, in 10^12 operations a second. */
    tflops: { type: "string", default: "150" },
    /** Bytes of an encoded picture: 0.9 TB for 12.8 M (published). */
    "image-bytes": { type: "string", default: "70000" },
    /** Views that a core prepares a second. */
    "views-per-core": { type: "string", default: "455" },
  },
})

interface Plan {
  readonly title: string
  readonly samples: number
  readonly shards: number
  readonly views: number
  readonly captions: number
  readonly gpus: number
}

const teachers = values.teachers.split(",").map(findVariant)
const sustained = Number(values.tflops) * 1e12
const imageBytes = Number(values["image-bytes"])
const viewsPerCore = Number(values["views-per-core"])

/** Bytes of a part of a large upload to the object store, and of a range of a large download. */
const partBytes = 16 * 2 ** 20
const ackWaitSeconds = 30
const presenceSeconds = 10
const captionTokens = 20

const plans: readonly Plan[] = values.samples
  ? [planOf(values.samples, Number(values.samples), values.shards, Number(values.views), Number(values.gpus ?? 64))]
  : [
      planOf("12.8 M", 12.8e6, "1024", 30, Number(values.gpus ?? 64)),
      planOf("1.28 B", 1.28e9, "65536", 10, Number(values.gpus ?? 2000)),
    ]

function planOf(title: string, samples: number, shards: string, views: number, gpus: number): Plan {
  return { title, samples, shards: Number(shards), views, captions: Number(values.captions), gpus }
}

// Operations

/** A multiply-add is two operations; attention's two products count, as a GPU has to compute them. */
function operations({ multiplyAdds, attentionMultiplyAdds }: CostReport): number {
  return 2 * (multiplyAdds + attentionMultiplyAdds)
}

function imageOperations(): number {
  return sum(teachers.map((name) => operations(towerCost(variants[name].model, "image", "fused"))))
}

function textOperations(): number {
  return sum(teachers.map((name) => operations(towerCost(variants[name].model, "text", "fused"))))
}

/** CoCa's image tower and the keys and values of its tokens once; then a step of the decoder for each token. */
function captionOperations(): { readonly image: number; readonly token: number } {
  const { model, preprocessing } = captioners["coca-vit-l-14"]
  const coca = new Coca(model)
  const parameters = coca.namedParameters()
  const { size } = preprocessing
  const tokens = model.pooler.queries - 1
  const image = measureCost(parameters, [[1, 3, size, size]], (x) => coca.imageMemory(coca.image.forward(x!).tokens))
  const half = captionTokens / 2
  const shapes = [
    [1, 1],
    [1, half, coca.cacheWidth],
    [1, tokens, coca.memoryWidth],
  ]
  const token = measureCost(parameters, shapes, (id, cache, memory) => coca.step(id!, cache!, memory!))
  return { image: operations(image), token: operations(token) }
}

function operationsTable(): Parameters<typeof textTable> {
  const { image, token } = captionOperations()
  return [
    [{ title: "operations (cost interpreter)" }, { title: "10^9", align: "right" }],
    [
      [`image, ${teachers.join(" + ")}`, billions(imageOperations())],
      [`text, ${teachers.join(" + ")}`, billions(textOperations())],
      ["captioner (coca-vit-l-14), image", billions(image)],
      ["captioner, a token of a caption", billions(token)],
    ],
  ]
}

// Bytes

interface LayoutBytes {
  readonly raw: number
  /** After gzip of unit vectors in bfloat16; measured on random ones, because no released ones are available. */
  readonly packed: number
}

const width = sum(teachers.map((name) => variants[name].model.embedDim))

/** Vectors of one sample as bytes, and their size after gzip. */
function bfloat16Bytes(rows: number): LayoutBytes {
  const random = new Random(1)
  const dims = width / teachers.length
  const values = Array.from({ length: rows * teachers.length }, () => unitVector(random, dims)).flat()
  const bytes = new Uint8Array(float32ToBfloat16(Float32Array.from(values)).buffer)
  return { raw: bytes.length, packed: gzipSync(bytes, { level: 9 }).length }
}

function unitVector(random: Random, size: number): number[] {
  const vector = Array.from({ length: size }, () => random.normal())
  const norm = Math.hypot(...vector)
  return vector.map((value) => value / norm)
}

/** The other members of a sample in a tar: url.txt, txt, syn.json, paug.json, json; and a header and padding for each. */
function otherBytes({ views, captions }: Plan): number {
  const contents = [90, 60, 20 + 60 * captions, 20 + 75 * views, 120]
  return sum(contents.map((bytes) => 512 + roundUp(bytes, 512))) + 512
}

function embeddingBytes(plan: Plan) {
  const rows = plan.views + plan.captions + 1
  const bfloat16 = bfloat16Bytes(rows)
  return {
    npz: roundUp(rows * width * 4 + 700, 512),
    "pth.gz": roundUp(bfloat16.packed + 600, 512),
    compact: roundUp(Math.floor((bfloat16.packed + 600) * 0.6), 512),
  }
}

function bytesTable(): Parameters<typeof textTable> {
  const columns = ["layout", ...plans.flatMap(({ title }) => [`${title}: bytes a sample`, "TB"])]
  const layouts = ["npz", "pth.gz", "compact"] as const
  const notes = {
    npz: "npz (float32)",
    "pth.gz": "pth.gz (bf16; gzip measured on random vectors)",
    compact: "compact (its bound: 60 % of pth.gz)",
  }
  const rows = layouts.map((layout) => [
    notes[layout],
    ...plans.flatMap((plan) => sizes(plan, embeddingBytes(plan)[layout] + otherBytes(plan))),
  ])
  rows.push(["images, as they came", ...plans.flatMap((plan) => sizes(plan, imageBytes))])
  return [columns.map((title, i) => ({ title, align: i === 0 ? "left" : "right" })), rows]
}

function sizes({ samples }: Plan, bytes: number): string[] {
  return [bytes.toLocaleString("en"), ((samples * bytes) / 1e12).toFixed(2)]
}

// Time, requests, messages

function planTable(): Parameters<typeof textTable> {
  const columns = plans.map(figures)
  const titles = Object.keys(columns[0]!)
  return [
    [{ title: "" }, ...plans.map(({ title }) => ({ title, align: "right" as const }))],
    titles.map((title) => [title, ...columns.map((column) => column[title]!)]),
  ]
}

function figures(plan: Plan): Record<string, string> {
  const { samples, shards, views, captions, gpus } = plan
  const embed = views * imageOperations() + (captions + 1) * textOperations()
  const { image, token } = captionOperations()
  const caption = image + captions * captionTokens * token
  const perShard = samples / shards
  const shardSeconds = (perShard * embed) / sustained
  const written = perShard * (embeddingBytes(plan)["pth.gz"] + otherBytes(plan) + imageBytes)
  const read = perShard * (imageBytes + 2000)
  const viewsPerSecond = (views * sustained) / embed
  const requests = Math.ceil(read / partBytes) + Math.ceil(written / partBytes) + 6
  const working = gpus / shardSeconds
  return {
    views: String(views),
    shards: count(shards),
    "samples a shard": count(perShard),
    "embed: 10^12 operations a sample": (embed / 1e12).toFixed(2),
    "embed: GPU-hours": count((samples * embed) / sustained / 3600),
    "embed: minutes a shard on one GPU": (shardSeconds / 60).toFixed(1),
    [`caption: 10^12 operations a sample (${captionTokens} tokens)`]: (caption / 1e12).toFixed(2),
    "caption: GPU-hours": count((samples * caption) / sustained / 3600),
    GPUs: count(gpus),
    "embed: hours, all GPUs busy": ((samples * embed) / sustained / 3600 / gpus).toFixed(1),
    "the last shards: at most so much longer": `${((100 * gpus) / shards).toFixed(1)} %`,
    "views a second that a GPU takes": count(viewsPerSecond),
    [`cores a GPU needs at ${viewsPerCore} views/s`]: (viewsPerSecond / viewsPerCore).toFixed(2),
    "MB/s a GPU reads and writes": ((read + written) / shardSeconds / 1e6).toFixed(1),
    "GB/s of the object store": (((read + written) * working) / 1e9).toFixed(2),
    "requests a shard (parts of 16 MiB)": count(requests),
    "requests a second": (requests * working).toFixed(1),
    "shards a second": working.toFixed(3),
    "queue: messages a shard": messagesPerShard(shardSeconds).toFixed(0),
    "queue: messages a second": (messagesPerShard(shardSeconds) * working + (4 * gpus) / presenceSeconds).toFixed(0),
    "queue: MB of shards and completions": ((shards * (190 + 450)) / 1e6).toFixed(1),
  }
}

/** Request, delivery, completion and its answer, acknowledgement; and a heartbeat each third of the time to acknowledge. */
function messagesPerShard(seconds: number): number {
  return 5 + Math.floor(seconds / (ackWaitSeconds / 3))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function roundUp(bytes: number, to: number): number {
  return Math.ceil(bytes / to) * to
}

function billions(value: number): string {
  return (value / 1e9).toFixed(1)
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en")
}

console.log(`${textTable(...operationsTable())}\n`)
console.log(`${textTable(...bytesTable())}\n`)
console.log(textTable(...planTable()))
