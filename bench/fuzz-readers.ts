/**
 * Damages small valid files and reads them: torch.save's (zip and pickle), safetensors, npz, tar, pickled NumPy
 * arrays, our compact embeddings, gzip'd torch.save, shards of reinforced samples, index files, and lists and tars that are read
 * by index. It also reads small files that
 * describe large contents (fuzz-amplify.ts, fuzz-hostile.ts). Every reading must end within a second of a processor in a UserError of one
 * line or in values that fit their description, and must not take more memory than the table of formats allows: a multiple of the file, and a
 * constant from the reader's own budgets.
 *
 *     node dist/bench/fuzz-readers.js [count=20000] [seed] [format]
 *
 * Memory: the seeds have 64 KiB to 1 MiB, so that a few times the size of a file is above the noise. What is allocated (V8's heap and
 * array buffers) is sampled before the reading, after it, and after each tensor or sample in between; nothing is collected
 * on purpose, so that garbage counts too. Where that is more than `times` the file and a constant
 * (`fixed`: budgets' own, read buffers, error stacks), the reading is repeated with a garbage collection after each sample, which
 * shows what the reader really needs at a time; if that is too much in three attempts, it is an error.
 * A separate thread ends the process where a reading does not return.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Worker } from "node:worker_threads"
import { Random } from "../src/core/arrays/random.ts"
import { readNumpyPickle } from "../src/core/containers/numpy-pickle.ts"
import { bytesAsSource } from "../src/core/containers/safetensors.ts"
import { messageOf, UserError } from "../src/core/errors.ts"
import { type EmbeddingKind, readEmbeddings } from "../src/data/reinforced/embeddings.ts"
import { readSamples } from "../src/data/reinforced/read.ts"
import type { Problem } from "../src/data/reinforced/sample.ts"
import { readShard } from "../src/data/shards.ts"
import { readNpz } from "../src/host/containers/npz.ts"
import { readTensorFile } from "../src/host/containers/open-tensor-file.ts"
import { csvSeeds, indexSeeds, jsonListSeeds, readByTable, readIndex, readList } from "./fuzz-indexes.ts"
import { mutate } from "./fuzz-mutate.ts"
import { compactSeeds, jsonlSeeds, numpySeeds, sampleSeeds, torchGzSeeds } from "./fuzz-reinforced.ts"
import { npzSeeds, type Seed, safetensorsSeeds, tarSeeds, torchSeeds } from "./fuzz-seeds.ts"

interface FuzzResult {
  readonly refused: number
  readonly read: number
  /** Milliseconds of a processor that the slowest reading took. */
  readonly slowest: number
  /** The most memory of a reading beyond the constant, per byte of its file. */
  readonly memory: number
}

interface Format {
  readonly seeds: () => Seed[] | Promise<Seed[]>
  /** Bytes that a reading may take for any file. */
  readonly fixed: number
  /** Bytes that it may also take for each byte of the file. */
  readonly times: number
  /** Reads everything; `sample` is called where much has just been allocated. Throws on values that do not fit. */
  read(bytes: Uint8Array, sample: () => void): Promise<void>
}

/** A name with which no other line begins. */
const fileName = "fuzzed file"
const folder = mkdtempSync(join(tmpdir(), "fuzz-"))
process.once("exit", () => rmSync(folder, { recursive: true, force: true }))

/** Garbage of small objects that V8 has not collected: with `smallHeap` it does so at each mebibyte. */
const dropped = 2 * 2 ** 20

export const formats = {
  // A mebibyte each for the directory and for a tensor, 16 for descriptions. Then a byte is read (1) as a float (4).
  torch: { seeds: torchSeeds, fixed: 18.5 * 2 ** 20 + dropped, times: 5, read: readTensors },
  // 8 MiB for the header.
  safetensors: { seeds: safetensorsSeeds, fixed: 8.5 * 2 ** 20 + dropped, times: 5, read: readTensors },
  // 4 MiB and 16 times the file inflated, and a second time where an array is stored by columns.
  npz: { seeds: npzSeeds, fixed: 9.5 * 2 ** 20 + dropped, times: 33, read: readArrays },
  // The stream reads 1 MiB at a time, and once more to see the end.
  tar: { seeds: tarSeeds, fixed: 3 * 2 ** 20, times: 4, read: readMembers },
  // Half a mebibyte for the rest of the pickle beside the array.
  numpy: { seeds: numpySeeds, fixed: 2 ** 19 + dropped, times: 5, read: readPickledArray },
  // Budgets of embeddings: 2 MiB and 16 times the stored bytes; what is unpacked is joined from pieces.
  compact: {
    seeds: compactSeeds,
    fixed: 3 * 2 ** 20,
    times: 17,
    read: (bytes, sample) => readMatrices("compact", bytes, sample),
  },
  torchGz: {
    seeds: torchGzSeeds,
    fixed: 6 * 2 ** 20,
    times: 33,
    read: (bytes, sample) => readMatrices("pth.gz", bytes, sample),
  },
  // Less than the budgets for values of JSON (15 MB) and descriptions of tensors (16 MiB), which files of this size do not
  // use up.
  samples: { seeds: sampleSeeds, fixed: 8 * 2 ** 20, times: 17, read: readReinforced },
  // Also windows of zstd, 8 MiB a frame, which V8 collects when some were dropped (a file of 2,000 frames takes 95 MiB
  // of resident memory, one of 4 takes 4), and the longest line of what was compressed.
  jsonl: { seeds: jsonlSeeds, fixed: (16 + 5 * 8) * 2 ** 20, times: 17, read: readReinforced },
  // The head's JSON; of one sample, 2^15 parts.
  index: { seeds: indexSeeds, fixed: 4 * 2 ** 20 + dropped, times: 17, read: readIndexFile },
  // Rows of a piece and their texts, two readings.
  csvList: {
    seeds: csvSeeds,
    fixed: 8 * 2 ** 20,
    times: 33,
    read: (bytes, sample) => readList(join(folder, fileName), bytes, "csv", sample),
  },
  jsonList: {
    seeds: jsonListSeeds,
    fixed: 8 * 2 ** 20,
    times: 33,
    read: (bytes, sample) => readList(join(folder, fileName), bytes, "jsonl", sample),
  },
  // A sample is read at once where it has a mebibyte or less.
  tarByIndex: { seeds: tarSeeds, fixed: 8 * 2 ** 20, times: 5, read: readTarByIndex },
} as const satisfies Record<string, Format>

export type FormatName = keyof typeof formats

async function readTensors(bytes: Uint8Array, sample: () => void): Promise<void> {
  const file = await readTensorFile(bytesAsSource(fileName, bytes))
  let total = 0
  for (const [name, { shape }] of file.tensors) {
    const { length, byteLength } = file.readFloat32(name)
    check(length, shape, name)
    total += byteLength
    sample()
  }
  checkTotal(total, 16 * bytes.length + 2 ** 20, bytes)
}

async function readArrays(bytes: Uint8Array, sample: () => void): Promise<void> {
  const arrays = await readNpz(bytes, fileName)
  sample()
  let total = 0
  for (const [name, { values, shape }] of arrays) {
    check(values.length, shape, name)
    total += values.byteLength
  }
  checkTotal(total, 16 * bytes.length + 2 ** 22, bytes)
}

async function readMembers(bytes: Uint8Array, sample: () => void): Promise<void> {
  const path = join(folder, fileName)
  writeFileSync(path, bytes)
  let total = 0
  for await (const { members } of readShard(path)) {
    for (const member of members.values()) total += member.length
    sample()
  }
  if (total > bytes.length) throw new Error(`samples of ${total} bytes in a file of ${bytes.length}`)
}

async function readIndexFile(bytes: Uint8Array, sample: () => void): Promise<void> {
  const path = join(folder, fileName)
  writeFileSync(path, bytes)
  if (readIndex(path, sample) === null) throw new UserError(`${fileName} does not count`)
}

async function readTarByIndex(bytes: Uint8Array, sample: () => void): Promise<void> {
  const path = join(folder, fileName)
  writeFileSync(path, bytes)
  readByTable(path, sample)
}

async function readPickledArray(bytes: Uint8Array, sample: () => void): Promise<void> {
  const { values, shape } = readNumpyPickle(bytes, fileName)
  sample()
  check(values.length, shape, "array")
}

async function readMatrices(kind: EmbeddingKind, bytes: Uint8Array, sample: () => void): Promise<void> {
  try {
    const matrices = await readEmbeddings(kind, bytes)
    sample()
    for (const [name, { values, rows, width }] of matrices) check(values.length, [rows, width], name)
  } catch (error) {
    throw error instanceof UserError ? new UserError(`${fileName}: ${error.message}`, error.hint) : error
  }
}

/** A shard with reported samples counts as refused. */
async function readReinforced(bytes: Uint8Array, sample: () => void): Promise<void> {
  const path = join(folder, fileName)
  writeFileSync(path, bytes)
  const problems: Problem[] = []
  for await (const { embeddings, paramAug } of readSamples(path, (problem) => problems.push(problem))) {
    sample()
    for (const [name, { values, rows, width }] of embeddings) {
      check(values.length, [rows, width], name)
      if (name === "image_emb" && paramAug?.length !== rows)
        throw new Error(`${rows} rows of ${paramAug?.length} views`)
    }
  }
  const broken = problems.find(({ reason }) => /[\n\r\u2028\u2029]/.test(reason)) ?? problems[0]
  if (broken) throw new UserError(`${fileName}: ${broken.reason}`)
}

function check(length: number, shape: readonly number[], name: string): void {
  const expected = shape.reduce((product, size) => product * size, 1)
  if (length !== expected) throw new Error(`${name}: ${length} values of [${shape}]`)
}

/** What a caller could keep of a file. */
function checkTotal(total: number, most: number, bytes: Uint8Array): void {
  if (total > most) throw new Error(`${total} bytes of values in a file of ${bytes.length}`)
}

/** Throws an Error that names the case where a reading does not end as allowed. */
async function fuzz(
  name: FormatName,
  count: number,
  seed: number,
  progress: (index: number) => void = () => {},
): Promise<FuzzResult> {
  const format: Format = formats[name]
  const seeds = await format.seeds()
  for (const { bytes } of seeds) await format.read(bytes, () => {})
  const result = { refused: 0, read: 0, slowest: 0, memory: 0 }
  for (let index = 0; index < count; index++) {
    progress(index)
    const random = Random.of(seed, name, index)
    const bytes = mutate(seeds[Math.min(random.int(seeds.length), random.int(seeds.length))]!, random)
    try {
      const { refused, time, memory } = await measured(format, bytes)
      result[refused ? "refused" : "read"]++
      result.slowest = Math.max(result.slowest, time)
      result.memory = Math.max(result.memory, memory)
    } catch (error) {
      throw new Error(`${name}, case ${index} of seed ${seed}: ${messageOf(error)}`, { cause: error })
    }
  }
  return result
}

interface Measurement {
  readonly refused: boolean
  readonly time: number
  readonly memory: number
}

/** Bytes after which a garbage collection is worthwhile: a file can have a thousand empty tensors. */
const garbage = 2 ** 18

/** A second and a third attempt, because other processes and other garbage can spoil one. */
async function measured(format: Format, bytes: Uint8Array): Promise<Measurement> {
  let last: Measurement | undefined
  for (let attempt = 0; attempt < 4; attempt++) {
    last = await measureOnce(format, bytes, attempt > 0)
    if (last.time < 1000 && last.memory <= format.times) return last
  }
  throw new Error(`${Math.round(last!.time)} ms and ${last!.memory.toFixed(1)} times the file's ${bytes.length} bytes`)
}

async function measureOnce(format: Format, bytes: Uint8Array, collect: boolean): Promise<Measurement> {
  if (collect) collectGarbage()
  const [start, before] = [processorTime(), allocated()]
  let [most, time, collected] = [before, 0, before]
  const sample = () => {
    const now = allocated()
    most = Math.max(most, now)
    if (!collect || now - collected < garbage) return
    const collecting = processorTime()
    collectGarbage()
    collected = allocated()
    time -= processorTime() - collecting
  }
  const refused = await isRefused(format, bytes, sample)
  most = Math.max(most, allocated())
  time += processorTime() - start
  return { refused, time, memory: Math.max(0, most - before - format.fixed) / Math.max(bytes.length, 1) }
}

async function isRefused(format: Format, bytes: Uint8Array, sample: () => void): Promise<boolean> {
  try {
    await format.read(bytes, sample)
    return false
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    if (!error.message.includes(fileName)) throw new Error(`it does not name the file: ${error.message}`)
    if (/[\n\r\u2028\u2029]/.test(`${error.message}${error.hint}`)) throw new Error(`not one line: ${error.message}`)
    return true
  }
}

/** Milliseconds: other processes take none of it. */
function processorTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function allocated(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

/** Ends the process where the count in the shared memory does not change for a minute. */
function watch(counter: Int32Array): Worker {
  const code = `
    const { workerData: counter } = require("node:worker_threads")
    let last = -1
    setInterval(() => {
      const now = Atomics.load(counter, 0)
      if (now === last) {
        require("node:fs").writeSync(2, "case " + now + " hangs\\n") // console.error waits for the thread that hangs
        process.kill(process.pid, "SIGKILL")
      }
      last = now
    }, 60_000)`
  return new Worker(code, { eval: true, workerData: counter })
}

/** Without it V8 leaves 16 MiB of garbage and more. */
const smallHeap = "--max-semi-space-size=1"

async function main(count: number, seed: number, names: readonly FormatName[]): Promise<void> {
  const counter = new Int32Array(new SharedArrayBuffer(4))
  const watchdog = watch(counter)
  for (const name of names) {
    const start = performance.now()
    const { refused, read, slowest, memory } = await fuzz(name, count, seed, (index) =>
      Atomics.store(counter, 0, index),
    )
    const seconds = ((performance.now() - start) / 1000).toFixed(0)
    const cost = `slowest ${slowest.toFixed(0)} ms, memory at most ${memory.toFixed(1)} times the file`
    console.log(`${name}: ${count} files, ${refused} refused, ${read} read; ${cost} (${seconds} s, seed ${seed})`)
  }
  console.log(`peak resident memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`)
  await watchdog.terminate()
}

/** The same in a process with a small heap. */
function again(count: string, seed: string, names: readonly string[]): number {
  const args = [smallHeap, fileURLToPath(import.meta.url), count, seed, ...names]
  return spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [count = "20000", seed = String(Date.now() % 1e6), only] = process.argv.slice(2)
  const names = (Object.keys(formats) as FormatName[]).filter((name) => only === undefined || name === only)
  if (process.execArgv.includes(smallHeap)) await main(Number(count), Number(seed), names)
  else process.exitCode = again(count, seed, names.length === 1 ? names : [])
}
