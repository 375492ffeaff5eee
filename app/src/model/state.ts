/** The model that all tabs use: one at a time. */
import { computed, signal } from "@preact/signals"
import { type LoadProgress, MobileCLIP, type ModelSource, weightsDigest } from "mobileclip/browser"
import { whenWatched } from "../offline/update.ts"
import { isAbort } from "../shared/words.ts"
import { type HostConfig, readConfig } from "./config.ts"

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

export type ModelState =
  | { readonly kind: "none" }
  | { readonly kind: "loading"; readonly progress: LoadProgress | null; readonly stop: () => void }
  | Ready
  | { readonly kind: "failed"; readonly error: unknown }

export const model = signal<ModelState>({ kind: "none" })
export const host = signal<HostConfig>({ models: [], hasIndex: false })
export const device = signal<DeviceChoice>("auto")

/** Null unless it is open. */
export const ready = computed<Ready | null>(() => (model.value.kind === "ready" ? model.value : null))

/** What is opened now, so that one that comes late does not replace a newer one. */
let current = new AbortController()

/** Replaces the model that is open. */
export async function openModel(source: ModelSource): Promise<void> {
  current.abort()
  const own = new AbortController()
  current = own
  const before = ready.value
  const began = performance.now()
  const stop = () => own.abort()
  model.value = { kind: "loading", progress: null, stop }
  before?.clip.dispose()
  try {
    await whenWatched()
    const onProgress = (progress: LoadProgress) => {
      if (current === own && model.value.kind === "loading") model.value = { kind: "loading", progress, stop }
    }
    const clip = await MobileCLIP.load(source, { device: device.value, signal: own.signal, onProgress })
    if (current !== own) return void clip.dispose()
    const address = typeof source === "string" ? source : null
    model.value = {
      kind: "ready",
      clip,
      address,
      seconds: (performance.now() - began) / 1000,
      key: keyOf(clip, address),
    }
    if (address) remember(address)
  } catch (error) {
    if (current !== own) return
    model.value = isAbort(error) ? { kind: "none" } : { kind: "failed", error }
  }
}

function keyOf({ info }: MobileCLIP, address: string | null): string {
  const { name, manifest, dtype, preprocessing } = info
  return JSON.stringify([name, weightsDigest(manifest) ?? address, dtype.image, preprocessing])
}

const rememberedKey = "mobileclip page: model"

/** The model of the last visit, else the first that the host names. */
export async function start(): Promise<void> {
  host.value = await readConfig()
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
