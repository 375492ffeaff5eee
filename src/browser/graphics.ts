/** What a page can learn of the graphics processor, and what is remembered of it. */
import { messageOf } from "../core/errors.ts"

export interface Graphics {
  /** The processor and its driver, as far as the browser tells. */
  readonly name: string
  /** Whether shaders compute in float16. */
  readonly hasFloat16: boolean
  /** The processor computes graphics in software, more slowly than WebAssembly would. */
  readonly isSoftware: boolean
}

/** What is needed here of WebGPU; TypeScript's own declarations have none of it. */
interface Gpu {
  requestAdapter(options: { powerPreference: "high-performance" }): Promise<Adapter | null>
}

interface Adapter {
  readonly features: { has(name: string): boolean }
  readonly info: Readonly<Record<"vendor" | "architecture" | "device" | "description", string>> & {
    readonly isFallbackAdapter?: boolean
  }
}

/** A text says why there is none. */
export async function findGraphics(): Promise<Graphics | string> {
  const { gpu } = navigator as { gpu?: Gpu }
  if (!gpu) return isSecureContext ? "this browser has no WebGPU" : "WebGPU needs a page from https or localhost"
  try {
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" })
    return adapter ? describeAdapter(adapter) : "this browser gives no WebGPU adapter"
  } catch (error) {
    return `WebGPU fails (${messageOf(error)})`
  }
}

function describeAdapter({ info, features }: Adapter): Graphics {
  const { vendor, architecture, device, description, isFallbackAdapter = false } = info
  const name = [vendor, architecture, device, description].filter((part) => part !== "").join(" ")
  return { name: name || "unknown", hasFloat16: features.has("shader-f16"), isSoftware: isFallbackAdapter }
}

/** What a self-test showed on this device, kept by the browser. */
export interface Verdict {
  /** The lowest agreement with the expected vectors; null: a value was not a number, or nothing was computed. */
  readonly cosine: number | null
  readonly passed: boolean
}

const prefix = "mobileclip self-test "

/**
 * Verdicts by what they depend on: the device, its driver and the browser, the runtime, the model. Where the browser keeps
 * nothing, each load tests again.
 */
export class Verdicts {
  private readonly key: string

  constructor({ name }: Graphics, ...dependsOn: readonly string[]) {
    this.key = prefix + JSON.stringify([name, navigator.userAgent, ...dependsOn])
  }

  recall(): Verdict | null {
    try {
      return JSON.parse(localStorage.getItem(this.key) ?? "null")
    } catch {
      return null
    }
  }

  remember(verdict: Verdict): void {
    try {
      localStorage.setItem(this.key, JSON.stringify(verdict))
    } catch {
      // Full, or forbidden.
    }
  }
}
