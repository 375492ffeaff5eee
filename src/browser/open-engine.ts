/**
 * A model on the device that computes it right: the graphics processor where there is one and its self-test passes, else
 * WebAssembly. What was chosen, and why, is in the notes.
 */
import { isAbort, messageOf, UserError } from "../core/errors.ts"
import type { TowerSelfTest } from "../core/inference/manifest.ts"
import type { ClipInfo } from "../run/clip-host.ts"
import { agreement, summarize } from "../run/self-test.ts"
import { Engine } from "./engine.ts"
import { findGraphics, type Graphics, type Verdict, Verdicts } from "./graphics.ts"
import { type BrowserLoadOptions, wasmUrl } from "./load-options.ts"
import { pageUrl } from "./page-url.ts"
import type { Device, Found, TowerName } from "./protocol.ts"
import type { ModelSource } from "./weights/model-source.ts"
import { sendableSource } from "./weights/place.ts"

/** A worker with a model in it that is ready. */
interface OpenEngine {
  readonly engine: Engine
  readonly info: ClipInfo
}

/** The lowest agreement of a tower with its reference; float16 alone stays above 0.9999. */
const lowestCosine = 0.999

interface LoadRequest {
  readonly source: ModelSource
  readonly options: BrowserLoadOptions
}

/** Throws UserError where there is no such model, or nothing here can compute it; the signal's reason. */
export async function openEngine(request: LoadRequest): Promise<OpenEngine> {
  const { device = "auto" } = request.options
  if (device === "wasm") return openWasm(request, [])
  const graphics = await findGraphics()
  if (typeof graphics === "string") {
    if (device === "auto") return openWasm(request, [`${graphics}: WASM computes`])
    throw new UserError(graphics, 'leave out device, or write device: "wasm"')
  }
  if (device === "auto" && graphics.isSoftware)
    return openWasm(request, [`WebGPU would be computed in software (${graphics.name}): WASM computes`])
  const opened = await openWebgpu(request, graphics)
  return typeof opened === "string" ? openWasm(request, [`${opened}: WASM computes`]) : opened
}

async function openWasm(request: LoadRequest, notes: readonly string[]): Promise<OpenEngine> {
  const { options } = request
  const { threads, note } = chooseThreads(options.threads)
  const all = note ? [...notes, note] : notes
  return withEngine("wasm", options, async (engine) => {
    // Weights in float16 take no more time than those in float32 (measured, MobileCLIP2-S0), and half the download.
    await find(engine, request, true)
    const info = await start(engine, "wasm", threads, options)
    return { engine, info: { ...info, notes: [...all, ...info.notes] } }
  })
}

/** More would be the slow cores of a phone, and take memory. */
const mostThreads = 4

function chooseThreads(wanted = Math.min(mostThreads, navigator.hardwareConcurrency)): {
  readonly threads: number
  readonly note: string | null
} {
  if (crossOriginIsolated || wanted === 1) return { threads: wanted, note: null }
  const headers = "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp"
  return { threads: 1, note: `one thread instead of ${wanted}: the page is not cross-origin isolated (${headers})` }
}

// --------------------------------------------------------------------------------------------------------- WebGPU

/** A text says why the graphics processor cannot be used for this model. */
async function openWebgpu(request: LoadRequest, graphics: Graphics): Promise<OpenEngine | string> {
  return withEngine("webgpu", request.options, async (engine) => {
    const found = await find(engine, request, graphics.hasFloat16)
    if (found.needsFloat16 && !graphics.hasFloat16)
      return refused(engine, `WebGPU has no float16 here (${graphics.name}), and the model's weights have`)
    const verdicts = new Verdicts(graphics, found.runtime, found.identity!)
    const known = verdicts.recall()
    if (known && !known.passed)
      return refused(engine, `WebGPU failed its self-test earlier (${verdictText(known)}, ${graphics.name})`)
    return startTested(engine, found, request, known, (verdict) => verdicts.remember(verdict))
  })
}

async function startTested(
  engine: Engine,
  found: Found,
  request: LoadRequest,
  known: Verdict | null,
  remember: (verdict: Verdict) => void,
): Promise<OpenEngine | string> {
  try {
    const info = await start(engine, "webgpu", 1, request.options)
    if (known) return { engine, info: noted(info, `WebGPU passed its self-test earlier (${verdictText(known)})`) }
    const verdict = await selfTest(engine, found.towers, info, request)
    remember(verdict)
    if (verdict.passed) return { engine, info: noted(info, `WebGPU passed its self-test (${verdictText(verdict)})`) }
    return refused(engine, `WebGPU failed its self-test (${verdictText(verdict)})`)
  } catch (error) {
    request.options.signal?.throwIfAborted()
    return refused(engine, `WebGPU does not compute this model (${messageOf(error)})`)
  }
}

/** Throws UserError where a tower does not run. */
async function selfTest(
  engine: Engine,
  towers: readonly TowerName[],
  { manifest }: ClipInfo,
  request: LoadRequest,
): Promise<Verdict> {
  const { signal, onProgress } = request.options
  const listed = manifest?.selfTest
  const expected = listed && towers.every((tower) => listed[tower]) ? listed : await byWasm(towers, request)
  let lowest = 1
  for (const tower of towers) {
    onProgress?.({ stage: "self-test", file: `${tower} tower`, loaded: 0, total: null, from: "disk" })
    const rows = await engine.call("probe", [tower], { signal })
    lowest = Math.min(lowest, rows.every(Number.isFinite) ? agreement(summarize(rows), expected[tower]!) : Number.NaN)
  }
  return { cosine: Number.isNaN(lowest) ? null : lowest, passed: lowest >= lowestCosine }
}

/** What to compare with where no manifest says it. */
async function byWasm(towers: readonly TowerName[], request: LoadRequest) {
  const { engine } = await openWasm(request, [])
  const expected: Partial<Record<TowerName, TowerSelfTest>> = {}
  for (const tower of towers) expected[tower] = summarize(await engine.call("probe", [tower], request.options))
  engine.fail(new UserError("the self-test has ended"))
  return expected
}

function verdictText({ cosine }: Verdict): string {
  return cosine === null ? "values that are not numbers" : `cosine ${cosine.toFixed(4)}`
}

function noted(info: ClipInfo, note: string): ClipInfo {
  return { ...info, notes: [...info.notes, note] }
}

function refused(engine: Engine, why: string): string {
  engine.fail(new UserError(why))
  return why
}

// ----------------------------------------------------------------------------------------------------------- both

/** The worker ends where `use` fails. */
async function withEngine<T>(
  device: Device,
  { worker = startWorker }: BrowserLoadOptions,
  use: (engine: Engine) => Promise<T>,
): Promise<T> {
  const engine = new Engine(worker(device))
  try {
    return await use(engine)
  } catch (error) {
    engine.fail(error instanceof Error && !isAbort(error) ? error : new UserError("loading was stopped"))
    throw error
  }
}

/** As bundlers want to see it. */
function startWorker(device: Device): Worker {
  if (device === "webgpu") return new Worker(new URL("./worker/webgpu.js", import.meta.url), { type: "module" })
  return new Worker(new URL("./worker/wasm.js", import.meta.url), { type: "module" })
}

function find(engine: Engine, { source, options }: LoadRequest, hasFloat16: boolean): Promise<Found> {
  const { towers = "both", dtype, hub, revalidate, signal, onProgress } = options
  const asked = { source: sendableSource(source), baseUrl: pageUrl(), towers, dtype, hub, revalidate, hasFloat16 }
  return engine.call("find", [asked], { signal, onProgress })
}

function start(engine: Engine, device: Device, threads: number, options: BrowserLoadOptions): Promise<ClipInfo> {
  const { decode = "exact", orientation = "ignore", maxPixels = 100_000_000, wasmPaths, signal, onProgress } = options
  const urls = { runtimeUrl: wasmUrl(wasmPaths, device), jpegUrl: wasmUrl(wasmPaths, "jpeg") }
  const request = { threads, decode, orientation, maxPixels, ...urls }
  return engine.call("start", [request], { signal, onProgress })
}
