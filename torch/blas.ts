/**
 * Which kernels OpenBLAS multiplies with. It goes by the processor's model number: a version that is older than the
 * processor takes those of the first x86-64 (Debian 12's 0.3.21 on a Xeon of 2023: SSE3, a sixth of the speed).
 * Where libtorch's BLAS is OpenBLAS, those that the processor's flags allow are tried once: a set must compute what plain
 * loops compute, and be clearly faster than OpenBLAS's own choice. What came out is kept in the user's cache folder, because
 * a choice that differs from run to run would be training that does not repeat bit for bit.
 *
 * `OPENBLAS_CORETYPE` in the environment is the user's word and ends all of this.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { dirname, join } from "node:path"
import { ownCacheDir } from "../src/native/own-cache.ts"

/** A set of kernels, tried in a process of its own. */
export interface BlasTrial {
  /** As OpenBLAS names it: "Haswell". */
  readonly core: string
  /** Whether its products are those of plain loops. */
  readonly isRight: boolean
  /** 10^9 floating point operations a second on one thread, in a product of 768 x 768 matrices. */
  readonly gigaFlops: number
}

export interface BlasChoice {
  /** libopenblas; null: libtorch's BLAS is another one, and there is nothing to choose. */
  readonly library: string | null
  /** What OpenBLAS takes by itself; null without OpenBLAS, or where it could not be tried. */
  readonly own: BlasTrial | null
  readonly others: readonly BlasTrial[]
  /** The set for `OPENBLAS_CORETYPE`; null: OpenBLAS's own. */
  readonly chosen: string | null
}

/** Sets by the flag of /proc/cpuinfo that stands for what they need, the widest first. */
const coresByFlag = { avx512vl: "SkylakeX", avx2: "Haswell" } as const

/** OpenBLAS's own sets for what is as wide as `coresByFlag`'s: nothing is to be gained. */
const wideCores = /^(SkylakeX|Cooperlake|Sapphirerapids)$/i

/** Below this ratio of speeds OpenBLAS's own choice stays. */
const leastGain = 1.2

/**
 * Puts the choice into `env`, before the addon is loaded: OpenBLAS reads it then and never again. Children inherit it.
 *
 * @param addonFile the compiled addon, which brings libtorch and its BLAS
 */
export function useFastBlas(addonFile: string, env: NodeJS.ProcessEnv = process.env): void {
  if (env.OPENBLAS_CORETYPE !== undefined || !isSupported()) return
  const { chosen } = blasChoice(addonFile, env)
  if (!chosen) return
  env.OPENBLAS_CORETYPE = chosen
  ours = chosen
}

/** What `useFastBlas` put into this process's environment, which is then not the user's word. */
let ours: string | null = null

/** What is remembered, or what a second or two of trying finds. */
export function blasChoice(addonFile: string, env: NodeJS.ProcessEnv = process.env): BlasChoice {
  const key = choiceKey(addonFile)
  const file = join(ownCacheDir(env), "blas.json")
  const known = readChoice(file, key)
  if (known) return known
  const { choice, isComplete } = chooseAmong(addonFile, env)
  // What a busy machine did not finish is tried again by the next process.
  if (isComplete) writeChoice(file, key, choice)
  return choice
}

/** The fastest of those that compute rightly; `own` unless another is clearly faster, or `own` is wrong. */
export function fastestRight(own: BlasTrial, others: readonly BlasTrial[]): string | null {
  const bar = own.isRight ? own.gigaFlops * leastGain : 0
  const better = others.filter(({ isRight, gigaFlops }) => isRight && gigaFlops > bar)
  return better.sort((a, b) => b.gigaFlops - a.gigaFlops)[0]?.core ?? null
}

/** One line for people: "SkylakeX kernels, 5.8 times as fast as Prescott's, OpenBLAS's own choice". */
export function blasText(addonFile: string, env: NodeJS.ProcessEnv = process.env): string {
  const given = env.OPENBLAS_CORETYPE
  if (given !== undefined && given !== ours) return `OPENBLAS_CORETYPE=${given} is set`
  if (!isSupported()) return "as the BLAS library chooses"
  return choiceText(blasChoice(addonFile, env))
}

export function choiceText({ own, others, chosen }: BlasChoice): string {
  if (!own) return "not OpenBLAS's, so as the BLAS library chooses"
  const trial = others.find(({ core }) => core === chosen)
  if (!trial) return `${own.core} kernels, OpenBLAS's own choice`
  const ratio = (trial.gigaFlops / own.gigaFlops).toFixed(1)
  const gain = own.isRight ? `${ratio} times as fast as ${own.core}'s` : `because ${own.core}'s compute wrong values`
  return `${trial.core} kernels, ${gain}, OpenBLAS's own choice`
}

function isSupported(): boolean {
  return process.platform === "linux" && process.arch === "x64"
}

function chooseAmong(addonFile: string, env: NodeJS.ProcessEnv): { choice: BlasChoice; isComplete: boolean } {
  const first = tryCore(addonFile, null, env)
  if (!first.ended || !first.library) return { choice: nothingToChoose, isComplete: first.ended }
  const { library, ended: _, ...own } = first
  const trials = candidates(own.core).map((core) => ({ ...tryCore(addonFile, core, env), core }))
  const others = trials.filter(({ gigaFlops }) => gigaFlops > 0)
  const choice = { library, own, others: others.map(trialOf), chosen: fastestRight(own, others) }
  return { choice, isComplete: trials.every(({ ended }) => ended) }
}

const nothingToChoose: BlasChoice = { library: null, own: null, others: [], chosen: null }

function trialOf({ core, isRight, gigaFlops }: BlasTrial): BlasTrial {
  return { core, isRight, gigaFlops }
}

function candidates(own: string): string[] {
  if (wideCores.test(own)) return []
  const flags = new Set(processorFlags())
  const fitting = Object.entries(coresByFlag).filter(([flag]) => flags.has(flag))
  return fitting.map(([, core]) => core).filter((core) => core !== own)
}

function processorFlags(): string[] {
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? ""
  return flags.trim().split(/\s+/)
}

interface TriedCore extends BlasTrial {
  readonly library: string | null
  /** Whether it ran to its end, or failed by itself, as it does where the kernels need what the processor lacks. */
  readonly ended: boolean
}

/** A speed of 0: the process failed. */
function tryCore(addonFile: string, core: string | null, env: NodeJS.ProcessEnv): TriedCore {
  const { OPENBLAS_CORETYPE: _, ...rest } = env
  const { status, error, stdout, stderr } = spawnSync(
    process.execPath,
    ["-e", `(${trial})(process.argv[1])`, addonFile],
    {
      env: { ...rest, ...(core ? { OPENBLAS_CORETYPE: core } : {}), OPENBLAS_VERBOSE: "2", OMP_NUM_THREADS: "1" },
      encoding: "utf8",
      timeout: 30_000,
    },
  )
  const failed = { core: core ?? "unknown", library: null, isRight: false, gigaFlops: 0 }
  if (status !== 0) return { ...failed, ended: error === undefined }
  const measured: { library: string | null; isRight: boolean; gigaFlops: number } = JSON.parse(stdout)
  return { core: /^Core: (\S+)/m.exec(stderr)?.[1] ?? "unknown", ...measured, ended: true }
}

/** Runs in a process of its own, from its text: it may use nothing of this file. */
function trial(addonFile: string): void {
  const { readFileSync } = require("node:fs")
  const addon = require(addonFile)
  const key = Symbol()
  addon.setTensorClass(
    class {
      constructor(handle: number) {
        Object.assign(this, { [key]: handle })
      }
    },
    key,
  )
  const mm = addon.find("aten::mm", "").id
  const t = addon.find("aten::t", "").id
  const values = (count: number, seed: number) =>
    Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898 + seed))
  const matrix = (data: Float32Array, rows: number, columns: number) =>
    addon.fromData(data, [rows, columns], "float32", false)

  // Two products of terms up to 1 differ by the order of their sums: a few units in the last place of the sum of sizes.
  function isProduct(m: number, n: number, k: number, turnA: boolean, turnB: boolean): boolean {
    const [a, b] = [values(m * k, 1), values(k * n, 2)]
    const left = turnA ? addon.call(t, matrix(a, k, m)) : matrix(a, m, k)
    const right = turnB ? addon.call(t, matrix(b, n, k)) : matrix(b, k, n)
    const product: Float32Array = addon.toData(addon.call(mm, left, right))
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0
        for (let l = 0; l < k; l++) sum += a[turnA ? l * m + i : i * k + l]! * b[turnB ? j * k + l : l * n + j]!
        if (!(Math.abs(product[i * n + j]! - sum) <= k * 1e-6)) return false
      }
    }
    return true
  }

  const sizes = [
    [1, 1, 1],
    [64, 64, 64],
    [37, 53, 29],
    [1, 129, 65],
    [130, 1, 77],
    [255, 66, 257],
  ] as const
  const turns = [false, true]
  const isRight = sizes.every(([m, n, k]) => turns.every((a) => turns.every((b) => isProduct(m, n, k, a, b))))

  const size = 768
  const square = matrix(values(size * size, 3), size, size)
  let seconds = Number.POSITIVE_INFINITY
  for (let turn = 0; turn < 8; turn++) {
    const start = performance.now()
    addon.free(addon.call(mm, square, square))
    seconds = Math.min(seconds, (performance.now() - start) / 1000)
  }
  const library = /\/\S*openblas\S*\.so\S*/i.exec(readFileSync("/proc/self/maps", "utf8"))?.[0] ?? null
  console.log(JSON.stringify({ library, isRight, gigaFlops: (2 * size ** 3) / seconds / 1e9 }))
}

/** Another processor, another build of the addon: another choice. A library is known by its size and time (below). */
function choiceKey(addonFile: string): string {
  return JSON.stringify([cpus()[0]?.model ?? "", processorFlags().length, addonFile, fileKey(addonFile)])
}

function fileKey(path: string): string {
  const { size, mtimeMs } = statSync(path)
  return `${size} ${mtimeMs}`
}

/** Choices by key: several installations on one machine keep theirs. */
type Remembered = Readonly<Record<string, { readonly library: string; readonly choice: BlasChoice }>>

function readChoice(file: string, key: string): BlasChoice | null {
  try {
    const known = remembered(file)[key]
    return known && known.library === libraryKey(known.choice) ? known.choice : null
  } catch {
    return null
  }
}

function remembered(file: string): Remembered {
  try {
    return JSON.parse(readFileSync(file, "utf8"))
  } catch {
    return {}
  }
}

/** Where nothing can be written, the next process tries again. */
function writeChoice(file: string, key: string, choice: BlasChoice): void {
  const beside = `${file}.${process.pid}`
  try {
    mkdirSync(dirname(file), { recursive: true })
    const all: Remembered = { ...remembered(file), [key]: { library: libraryKey(choice), choice } }
    writeFileSync(beside, JSON.stringify(all))
    renameSync(beside, file)
  } catch {}
}

function libraryKey({ library }: BlasChoice): string {
  return library ? fileKey(library) : ""
}
