/**
 * Augmented, normalised 224-pixel views per second of processor time, from JPEG files to float32, one thread:
 *
 *     npm run build && node dist/bench/augment.js [FOLDER] [--python python3] [--rounds 15] [--files 40]
 *
 * FOLDER holds the photographs (*.jpg); without it, 500 x 400 JPEGs are made from the scenes dataset. With `--python` (a
 * Python with Pillow and torchvision), the same is done there (`pytorch/augment.py`), in turn, because a shared machine's
 * speed changes within seconds; ratios compare neighbours in time. Fails where Python is faster.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import sharp from "sharp"
import { median } from "../src/core/arrays/quantile.ts"
import { UserError } from "../src/core/errors.ts"
import { datacompdrAugmentation as config } from "../src/data/augment/config.ts"
import { makeViews } from "../src/data/augment/views.ts"
import { renderScene } from "../src/data/scenes/render.ts"
import { sampleScene } from "../src/data/scenes/scene.ts"
import { decodeHere } from "../src/host/image/images.ts"

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: "string" },
    rounds: { type: "string", default: "15" },
    files: { type: "string", default: "40" },
  },
})
const rounds = Number(options.rounds)
const perRound = Number(options.files)
const targets = [{ size: 224, interpolation: "bicubic", ...config.normalize }] as const
const minRatio = 1

/** Files per round, and views of each; 0 views mean decoding alone. */
const modes = [
  { what: "decode", files: perRound, views: 0 },
  { what: "one view per decode", files: perRound, views: 1 },
  { what: "30 views per decode", files: Math.ceil(perRound / 15), views: 30 },
]

type Seconds = (first: number, count: number, views: number) => Promise<number>

async function main(folder: string): Promise<void> {
  if (positionals.length === 0) await writeScenes(folder)
  const files = readFolder(folder)
  const theirs = options.python ? startPython(options.python, folder) : null
  try {
    if (theirs) console.log(`Pillow and torchvision: ${await theirs.versions}`)
    for (const mode of modes) await compare(mode, oursFor(files), theirs?.seconds ?? null)
  } finally {
    theirs?.end()
  }
}

async function compare({ what, files, views }: (typeof modes)[number], ours: Seconds, theirs: Seconds | null) {
  // The first rounds compile and warm up.
  for (let i = 0; i < 2; i++) for (const side of [ours, theirs]) await side?.(i * files, files, views)
  const rates: { ours: number; theirs: number }[] = []
  for (let i = 0; i < rounds; i++) {
    const made = files * Math.max(views, 1)
    const our = made / (await ours(i * files, files, views))
    rates.push({ ours: our, theirs: theirs ? made / (await theirs(i * files, files, views)) : Number.NaN })
  }
  const [our, their] = [median(rates.map((rate) => rate.ours)), median(rates.map((rate) => rate.theirs))]
  if (!theirs) return console.log(`${what}: ${our.toFixed(0)} a second per core`)
  const ratios = rates.map((rate) => rate.ours / rate.theirs)
  const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`
  const ratio = `${median(ratios).toFixed(2)} times (${spread} in ${rounds} pairs)`
  console.log(`${what}: ${our.toFixed(0)} a second per core, theirs ${their.toFixed(0)}: ${ratio}`)
  if (views > 0 && median(ratios) < minRatio) process.exitCode = 1
}

function oursFor(files: readonly Uint8Array[]): Seconds {
  return async (first, count, views) => {
    const start = process.cpuUsage()
    for (let i = first; i < first + count; i++) {
      const bytes = files[i % files.length]!
      if (views === 0) await decodeHere(bytes)
      else {
        const drawn = { count: views, config, seed: 1, path: [i] }
        const { pixels } = await makeViews({ name: `file ${i}`, bytes, views: drawn, targets }, spares)
        spares.push(...pixels)
      }
    }
    const { user, system } = process.cpuUsage(start)
    return (user + system) / 1e6
  }
}

/** Arrays that are filled again in every round. */
const spares: Float32Array<ArrayBuffer>[] = []

function startPython(program: string, folder: string) {
  const script = fileURLToPath(new URL("../../bench/pytorch/augment.py", import.meta.url))
  const child = spawn(program, [script, folder], { stdio: ["pipe", "pipe", "inherit"] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done) throw new UserError(`${program} ended early`, "its own message is above")
    return value
  }
  const seconds: Seconds = async (...request) => {
    child.stdin.write(`${JSON.stringify(request)}\n`)
    return Number(await line())
  }
  return { versions: line(), seconds, end: () => child.stdin.end() }
}

function readFolder(folder: string): Uint8Array[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".jpg"))
  if (names.length === 0) throw new UserError(`${folder} holds no .jpg files`, "name a folder with photographs")
  return names.sort().map((name) => readFileSync(join(folder, name)))
}

/** Scenes of the quickstart, enlarged. */
async function writeScenes(folder: string): Promise<void> {
  for (let i = 0; i < perRound; i++) {
    const scene = await renderScene(sampleScene(1, "train", i))
    const jpeg = await sharp(scene).resize(500, 400, { fit: "fill" }).jpeg({ quality: 85 }).toBuffer()
    writeFileSync(join(folder, `${String(i).padStart(4, "0")}.jpg`), jpeg)
  }
}

const temporary = mkdtempSync(join(tmpdir(), "augment-bench-"))
try {
  await main(positionals[0] ?? temporary)
} catch (error) {
  if (!(error instanceof UserError)) throw error
  console.error(`error: ${error.message}\n  ${error.hint}`)
  process.exitCode = 1
} finally {
  rmSync(temporary, { recursive: true })
}
