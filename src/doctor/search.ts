/** The search addon: whether it is built, with which instructions it computes, and whether it finds what is there. */
import { closeSync, openSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type ScanAddon, scanAddonOrNull } from "../../scan/index.ts"
import { float32ToFloat16 } from "../core/arrays/half.ts"
import { messageOf } from "../core/errors.ts"
import { temporaryFolder } from "../host/files/temporary.ts"
import { setupCommand } from "../native/addon.ts"
import { type Check, checksOf } from "./check.ts"

const { ok, absent, problem } = checksOf("Search")

export async function searchChecks(addon: ScanAddon | null = scanAddonOrNull): Promise<Check[]> {
  const fix = `${setupCommand}, which builds it`
  if (!addon) return [absent("search addon", "not built: search uses WebAssembly, several times slower", { fix })]
  const [kernel] = addon.kernels()
  try {
    const found = await searched(addon)
    if (found === 1) return [ok("search addon", `finds vectors with ${kernel}`, { facts: { kernel } })]
    return [problem("search addon", `finds vector ${found} where 1 is the nearest, with ${kernel}`, { fix })]
  } catch (error) {
    return [problem("search addon", `does not work: ${messageOf(error)}`, { fix })]
  }
}

/** The position of the nearest of three vectors. */
async function searched(addon: ScanAddon): Promise<number | undefined> {
  using folder = temporaryFolder("doctor")
  const path = join(folder.path, "vectors.f16")
  writeFileSync(path, new Uint8Array(float32ToFloat16(Float32Array.of(1, 0, 0, 0.6, 0.8, 0, 0, 0, 1)).buffer))
  const descriptor = openSync(path, "r")
  const file = new addon.VectorFile(descriptor, 3, 0, "")
  closeSync(descriptor)
  const [hits] = await file.scan(Float32Array.of(0, 1, 0), { count: 3, k: 1, threads: 1 })
  file.close()
  return hits?.positions[0]
}
