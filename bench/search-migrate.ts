/**
 * An index that changes its model. First under load: a process asks it all the while, before, during and after the migration, and
 * each of its answers must be one model's, by positions and scores that were computed beforehand. Then what `--preview` says: the
 * recall of mapped vectors that samples of several sizes predict, beside the recall that they have over the whole index. Last, how
 * long a map of 512 values takes to be learnt.
 *
 *     npm run build && node dist/bench/search-migrate.js --pictures DIR [--from A --to B] [--count 2000] [--samples 100,500,2000]
 *
 * A and B are folders of models, which have to be trained for the recall to mean anything; without them weights are generated, and
 * the recall is left out. `--recall-count N` is how many pictures it is measured on (default: 10,000), `--seconds S` how long the
 * index is asked before and after the migration. Pictures are copied, spread evenly over DIR, into `--folder` (default: a temporary
 * folder), and `--parts load,preview,fit` chooses among the measurements. Rates count everything: opening the model and its threads, hashes, and the background.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { extname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { generatedClip } from "../src/benchmark/latency/generated.ts"
import { median, quantile } from "../src/core/arrays/quantile.ts"
import { Random } from "../src/core/arrays/random.ts"
import { l2Normalize } from "../src/core/arrays/similarity.ts"
import { type VariantName, variants } from "../src/core/family/variants.ts"
import { atOnce } from "../src/core/turns.ts"
import { exportModel } from "../src/export/export.ts"
import { imageFiles } from "../src/host/image/image-files.ts"
import { MobileCLIP } from "../src/index.ts"
import { backgroundPrompts } from "../src/search/calibrate/prompts.ts"
import { indexPictures } from "../src/search/indexing/index-pictures.ts"
import { sampleRows, withRows } from "../src/search/migrate/encode-rows.ts"
import { fitLinearMap } from "../src/search/migrate/linear-map.ts"
import { recallsOfMap } from "../src/search/migrate/map-recall.ts"
import { migrateIndex } from "../src/search/migrate/migrate-index.ts"
import { previewModel } from "../src/search/migrate/preview-model.ts"
import { SearchIndex } from "../src/search/search-index.ts"
import { IndexStore } from "../src/search/store/index-store.ts"

const program = fileURLToPath(import.meta.url)
const threads = availableParallelism()

const { values: options } = parseArgs({
  options: {
    pictures: { type: "string" },
    from: { type: "string" },
    to: { type: "string" },
    parts: { type: "string", default: "load,preview,fit" },
    count: { type: "string", default: "2000" },
    samples: { type: "string", default: "100,500,2000" },
    "recall-count": { type: "string", default: "10000" },
    seconds: { type: "string", default: "5" },
    folder: { type: "string" },
    ask: { type: "string" },
    migrate: { type: "string" },
  },
})

async function main(): Promise<void> {
  if (options.pictures === undefined) throw new Error("name a folder of pictures with --pictures")
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "search-migrate-"))
  mkdirSync(folder, { recursive: true })
  try {
    const files = await imageFiles([options.pictures])
    const isTrained = options.from !== undefined && options.to !== undefined
    const from = options.from ?? (await generated("mobileclip2-s0", folder))
    const to = options.to ?? (await generated("mobileclip2-s2", folder))
    const parts = options.parts.split(",")
    if (parts.includes("load")) await measureLoad(join(folder, "load"), spread(files, Number(options.count)), from, to)
    if (isTrained && parts.includes("preview"))
      await measurePreview(join(folder, "recall"), spread(files, Number(options["recall-count"])), from, to)
    if (parts.includes("fit")) for (const count of [2000, 10_000]) await measureFit(count, 512)
  } finally {
    if (options.folder === undefined) rmSync(folder, { recursive: true, force: true })
  }
}

async function generated(name: VariantName, folder: string): Promise<string> {
  const { model: config, preprocessing } = variants[name]
  const path = join(folder, name)
  await exportModel(generatedClip(config), { name, license: "MIT", samplesSeen: 0, preprocessing }, path)
  return path
}

function spread(files: readonly string[], count: number): string[] {
  if (files.length < count)
    throw new Error(`${options.pictures} has ${files.length} pictures, and ${count} are asked for`)
  return Array.from({ length: count }, (_, i) => files[Math.floor((i * files.length) / count)]!)
}

async function indexed(folder: string, files: readonly string[], model: string): Promise<string> {
  const [index, pictures] = [join(folder, "index"), join(folder, "pictures")]
  mkdirSync(pictures, { recursive: true })
  for (const [i, file] of files.entries()) copyFileSync(file, join(pictures, `${i}${extname(file)}`))
  const { failed } = await indexPictures(index, [pictures], { model, threads })
  if (failed > 0) throw new Error(`${failed} pictures cannot be read`)
  return index
}

function copyOf(index: string, name: string): string {
  const path = join(index, "..", name)
  cpSync(index, path, { recursive: true })
  return path
}

// ------------------------------------------------------------------------------------------------- under load

const texts = [
  "dog",
  "cat",
  "bird",
  "ship",
  "truck",
  "red car",
  "grey sky",
  "green field",
  "white horse",
  "frog",
].flatMap((thing) =>
  ["a photo of a", "a blurry", "a small", "a close-up of a", "two of a"].map((words) => `${words} ${thing}`),
)

/** What a search gave, so that answers are equal where positions and all scores are. */
async function answerTo(index: SearchIndex, text: string): Promise<string> {
  const { hits } = await index.search({ terms: [{ kind: "text", weight: 1, text }] })
  return JSON.stringify(hits.map(({ position, cosine, score, z }) => [position, cosine, score, z]))
}

async function answersOf(folder: string): Promise<string[]> {
  await using index = await SearchIndex.open(folder, { cache: false })
  const answers: string[] = []
  for (const text of texts) answers.push(await answerTo(index, text))
  return answers
}

interface Asked {
  /** Milliseconds since 1970, when the answer was there. */
  readonly at: number
  readonly ms: number
  readonly text: number
  /** Null: it failed. */
  readonly answer: string | null
}

/** Asks until the standard input ends, and prints a line for each time. */
async function ask(folder: string): Promise<void> {
  let isEnding = false
  process.stdin.on("end", () => {
    isEnding = true
  })
  process.stdin.resume()
  await using index = await SearchIndex.open(folder, { cache: false })
  for (let i = 0; !isEnding; i++) {
    const [text, before] = [i % texts.length, performance.now()]
    const answer = await answerTo(index, texts[text]!).catch((error) => void process.stderr.write(`${error}\n`))
    const asked: Asked = { at: Date.now(), ms: performance.now() - before, text, answer: answer ?? null }
    process.stdout.write(`${JSON.stringify(asked)}\n`)
  }
}

interface Migrated {
  readonly began: number
  readonly ended: number
  readonly encoded: number
}

async function migrate(index: string, model: string): Promise<void> {
  const began = Date.now()
  const { encoded } = await migrateIndex(index, { model, threads })
  const result: Migrated = { began, ended: Date.now(), encoded }
  process.stdout.write(JSON.stringify(result))
}

async function migrated(index: string, model: string): Promise<Migrated> {
  const child = spawn(process.execPath, [program, "--migrate", index, "--to", model], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  let output = ""
  child.stdout.on("data", (data) => {
    output += data
  })
  const [code] = await once(child, "close")
  if (code !== 0) throw new Error(`a migration ended with ${code}`)
  return JSON.parse(output)
}

async function measureLoad(folder: string, files: readonly string[], from: string, to: string): Promise<void> {
  const index = await indexed(folder, files, from)
  const switched = copyOf(index, "switched")
  const alone = await migrated(switched, to)
  const expected = [await answersOf(index), await answersOf(switched)]
  const { asked, migration } = await migrateWhileAsked(index, to)
  console.log(
    `${files.length} pictures, ${threads} threads: ${rateOf(alone)} pictures/s alone, ${rateOf(migration)} under load`,
  )
  const failed = asked.filter(({ answer }) => answer === null)
  const answered = asked.filter(({ answer }) => answer !== null)
  const models = answered.map(({ text, answer }) => expected.findIndex((answers) => answers[text] === answer))
  const backwards = models.filter((model, i) => model === 0 && models[i - 1] === 1)
  const mixed = models.filter((model) => model < 0)
  console.log(
    `${asked.length} queries: ${failed.length} failed, ${mixed.length} of neither model, ${backwards.length} of the old one after the new one`,
  )
  const phaseOf = ({ at }: Asked) => (at < migration.began ? "before" : at < migration.ended ? "during" : "after")
  for (const phase of ["before", "during", "after"]) {
    const times = asked.filter((each) => phaseOf(each) === phase).map(({ ms }) => ms)
    console.log(
      `  ${phase}: ${times.length} queries, median ${median(times).toFixed(1)} ms, 95 % ${quantile(times, 0.95).toFixed(1)} ms`,
    )
  }
  if (failed.length + mixed.length + backwards.length > 0) process.exitCode = 1
}

const rateOf = ({ encoded, began, ended }: Migrated) => ((1000 * encoded) / (ended - began)).toFixed(0)

async function migrateWhileAsked(index: string, to: string): Promise<{ asked: Asked[]; migration: Migrated }> {
  const asking = spawn(process.execPath, [program, "--ask", index], { stdio: ["pipe", "pipe", "inherit"] })
  const ended = once(asking, "close")
  let output = ""
  asking.stdout.on("data", (data) => {
    output += data
  })
  await once(asking.stdout, "data")
  await sleep(1000 * Number(options.seconds))
  const migration = await migrated(index, to)
  await sleep(1000 * Number(options.seconds))
  asking.stdin.end()
  const [code] = await ended
  if (code !== 0) throw new Error(`the process that asks ended with ${code}`)
  return {
    asked: output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
    migration,
  }
}

// ------------------------------------------------------------------------------------------------- the preview

async function measurePreview(folder: string, files: readonly string[], from: string, to: string): Promise<void> {
  const index = await indexed(folder, files, from)
  const encoded = copyOf(index, "encoded")
  await migrateIndex(encoded, { model: to, threads })
  const { vectors: truth, dim } = await vectorsOf(encoded)
  const prompts = await vectorsOfTexts(to, dim)
  console.log(`recall at 10 of mapped vectors, ${files.length} pictures, from ${from} to ${to}`)
  for (const sample of options.samples.split(",").map(Number)) {
    const mapped = copyOf(index, `mapped-${sample}`)
    const preview = await previewModel(mapped, { model: to, threads, sample, apply: true })
    const { vectors } = await vectorsOf(mapped)
    const reached = recallsOfMap(prompts, truth, vectors, dim, files.length)
    const line = (kind: "text" | "picture") => {
      const { at10, margin10, ofAll10 } = preview[kind]
      const { at10: found, margin10: margin } = reached[kind]
      return `${kind} ${shareOf(at10, margin10)} in the sample, ${ofAll10.toFixed(3)} predicted, ${shareOf(found, margin)} reached`
    }
    console.log(
      `  sample of ${sample} (${preview.kind}, cosine ${preview.meanCosine.toFixed(3)}): ${line("text")}; ${line("picture")}`,
    )
  }
}

const shareOf = (share: number, margin: number) => `${share.toFixed(3)} +- ${margin.toFixed(3)}`

/** In the order of samples, backwards: the first ones are in none of them. */
async function vectorsOf(index: string): Promise<{ vectors: Float32Array; dim: number }> {
  using store = IndexStore.open(index)
  const active = store.active()
  const rows = sampleRows(store, store.count).reverse()
  return { vectors: await withRows(store, active, (stored) => stored.read(Uint32Array.from(rows))), dim: active.dim }
}

async function vectorsOfTexts(model: string, dim: number): Promise<Float32Array> {
  const clip = await MobileCLIP.load(model)
  try {
    return l2Normalize(await clip.encodeTexts(backgroundPrompts), dim)
  } finally {
    await clip.dispose()
  }
}

// ------------------------------------------------------------------------------------------------- the map

/** Vectors that are related by a rotation, and noise. */
async function measureFit(count: number, dim: number): Promise<void> {
  const random = Random.of(0, "search-migrate")
  const x = l2Normalize(
    Float32Array.from({ length: count * dim }, () => random.normal()),
    dim,
  )
  const y = l2Normalize(
    x.map((_, i) => x[i - (i % dim) + ((i + 1) % dim)]! + 0.02 * random.normal()),
    dim,
  )
  const before = process.cpuUsage()
  const { map } = atOnce(fitLinearMap(x, y, dim, dim))
  console.log(
    `a map of ${dim} values from ${count} pictures: ${(process.cpuUsage(before).user / 1e6).toFixed(1)} s of a processor (${map.kind})`,
  )
}

if (options.ask !== undefined) await ask(options.ask)
else if (options.migrate !== undefined) await migrate(options.migrate, options.to!)
else await main()
