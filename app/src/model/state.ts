/** The model that all tabs use: one at a time. */
import { computed, signal } from "@preact/signals"
import { type LoadProgress, MobileCLIP, type ModelSource, weightsDigest } from "mobileclip/browser"
import { whenWatched } from "../offline/update.ts"
import { isAbort } from "../shared/words.ts"
import { type HostConfig, nothing, readConfig } from "./config.ts"

export type DeviceChoice = "auto" | "wasm" | "webgpu"

export interface Ready {
  readonly kind: "ready"
  readonly clip: MobileCLIP
  /** An address; null for files. */
  readonly address: string | null
  /** From the click to the first possible use. */
  readonly seconds: number
  /** The same for equal weights and pixels: vectors with one key are comparable. */
  readonly key: string
}

interface Unfinished {
  /** The model that is used until another one has opened. */
  readonly before: Ready | null
}

export type ModelState =
  | { readonly kind: "none" }
  | ({ readonly kind: "loading"; readonly progress: LoadProgress | null; readonly stop: () => void } & Unfinished)
  | Ready
  | ({ readonly kind: "failed"; readonly error: unknown } & Unfinished)

export const model = signal<ModelState>({ kind: "none" })
export const host = signal<HostConfig>(nothing)
export const device = signal<DeviceChoice>("auto")

/** The model that computes; null: none is open. */
export const ready = computed<Ready | null>(() => {
  const state = model.value
  if (state.kind === "ready") return state
  return state.kind === "none" ? null : state.before
})

const closed = new WeakSet<Ready>()

/** Whether its errors say only that another one took its place. */
export function isClosed(model: Ready): boolean {
  return closed.has(model)
}

/** What is opened now, so that one that comes late does not replace a newer one. */
let current = new AbortController()

/** As the page shows pictures: turned as the camera noted. */
const orientation = "apply"

/** Replaces the model that is open, which computes until then, and goes on where the other one cannot be opened. */
export async function openModel(source: ModelSource): Promise<void> {
  current.abort()
  const own = new AbortController()
  current = own
  const before = ready.value
  const began = performance.now()
  const stop = () => own.abort()
  model.value = { kind: "loading", progress: null, stop, before }
  try {
    await whenWatched()
    const onProgress = (progress: LoadProgress) => {
      if (current === own && model.value.kind === "loading") model.value = { kind: "loading", progress, stop, before }
    }
    const options = { device: device.value, orientation, signal: own.signal, onProgress } as const
    const clip = await MobileCLIP.load(source, options)
    if (current !== own) return void clip.dispose()
    const address = typeof source === "string" ? source : null
    model.value = {
      kind: "ready",
      clip,
      address,
      seconds: (performance.now() - began) / 1000,
      key: keyOf(clip, address),
    }
    if (before) close(before)
    if (address) remember(address)
  } catch (error) {
    if (current !== own) return
    model.value = isAbort(error) ? (before ?? { kind: "none" }) : { kind: "failed", error, before }
  }
}

function close(model: Ready): void {
  closed.add(model)
  void model.clip.dispose()
}

function keyOf({ info }: MobileCLIP, address: string | null): string {
  const { name, manifest, dtype, preprocessing } = info
  return JSON.stringify([name, weightsDigest(manifest) ?? address, dtype.image, preprocessing, orientation])
}

const rememberedKey = "mobileclip page: model"

/** The model of the last visit, else the first that the host names. */
export async function start(): Promise<void> {
  host.value = await readConfig()
  if (host.value.wantsToken) return
  const remembered = read()
  const first = host.value.models.find(({ url }) => url === remembered) ?? host.value.models[0]
  if (first) return openModel(first.url)
  if (remembered) return openModel(remembered)
}

function remember(address: string): void {
  try {
    localStorage.setItem(rememberedKey, address)
  } catch {
    // Full, or forbidden.
  }
}

function read(): string | null {
  try {
    return localStorage.getItem(rememberedKey)
  } catch {
    return null
  }
}
