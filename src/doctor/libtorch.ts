/** libtorch, which only training needs: where it is, whether our addon runs on it, its devices, threads and BLAS. */
import { blasText } from "../../torch/blas.ts"
import { findLibtorch, type Libtorch } from "../../torch/find.ts"
import { torchAddon } from "../../torch/paths.ts"
import { inChild, type Outcome } from "../host/child.ts"
import { builtAddon, isCompatible, setupCommand } from "../native/addon.ts"
import { type Check, checksOf } from "./check.ts"

const { ok, absent, problem, failed } = checksOf("libtorch (training)")

interface AddonFacts {
  readonly built: string
  readonly running: string | null
  readonly devices: readonly string[]
  readonly threads: number
  /** Files of the process whose names say BLAS; none where it is linked into libtorch. */
  readonly blas: readonly string[]
}

export async function libtorchChecks(): Promise<Check[]> {
  let found: Libtorch | null
  try {
    found = findLibtorch()
  } catch (error) {
    return [failed("libtorch", error)]
  }
  const built = builtAddon(torchAddon)
  const addon = built ? addonChecks(await inspectAddon(built.file)) : [notBuilt(found)]
  return [libtorchCheck(found), ...addon, ...(built ? [ok("matrix products", blasText(built.file))] : [])]
}

export function libtorchCheck(found: Libtorch | null): Check {
  if (!found) {
    return absent("libtorch", "not found: training is not possible, everything else is", {
      fix: "set LIBTORCH to its folder, or install PyTorch or Debian's libtorch-dev, then: npx mobileclip setup",
      facts: { found: false },
    })
  }
  const { version, origin, lib, cuda } = found
  return ok("libtorch", `${version}, ${origin}: ${lib}${cuda ? ", with CUDA" : ""}`, {
    facts: { found: true, ...found },
  })
}

function notBuilt(found: Libtorch | null): Check {
  const fix = found ? setupCommand : `${setupCommand}, when libtorch is there`
  return absent("addon", "not built: training is not possible, everything else is", { fix, facts: { built: false } })
}

export function addonChecks(outcome: Outcome<AddonFacts>): Check[] {
  if (!outcome.ok) return [problem("addon", `does not load: ${outcome.reason}`, { fix: setupCommand })]
  const { built, running, devices, threads, blas } = outcome.value
  if (running && !isCompatible(built, running)) {
    const text = `was built for libtorch ${built} but runs on ${running}`
    return [problem("addon", text, { fix: setupCommand, facts: { ...outcome.value } })]
  }
  return [
    ok("addon", `runs on libtorch ${running ?? built}`, { facts: { built, running } }),
    ok("devices", devices.join(", "), { facts: { devices } }),
    ok("threads", String(threads), { facts: { threads } }),
    ok("BLAS", blas.join(", ") || "not a library of its own", { facts: { blas } }),
  ]
}

function inspectAddon(file: string): Promise<Outcome<AddonFacts>> {
  const body = `const { readFileSync } = require("node:fs")
    const addon = require(args[0])
    const maps = process.platform === "linux" ? readFileSync("/proc/self/maps", "utf8") : ""
    const files = maps.split("\\n").map((line) => line.split("/").at(-1))
    const blas = new Set(files.filter((file) => /^lib(mkl|openblas|blis|blas|cblas|nvblas)/.test(file)))
    return { ...addon.version(), devices: addon.devices(), threads: addon.threads(), blas: [...blas] }`
  return inChild(body, { args: [file], timeoutSeconds: 60 })
}
