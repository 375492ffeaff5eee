/** What is built, what is missing and how `mobileclip setup` would build it. Nothing is changed. */
import { isJpegAddonBuilt } from "../../jpeg/build.ts"
import { jpegAddon } from "../../jpeg/paths.ts"
import { isScanAddonBuilt } from "../../scan/build.ts"
import { scanAddon } from "../../scan/paths.ts"
import { isTorchAddonBuilt, libtorchText } from "../../torch/build.ts"
import { findLibtorch, type Libtorch } from "../../torch/find.ts"
import { howToInstallLibtorch } from "../../torch/install.ts"
import { torchAddon } from "../../torch/paths.ts"
import { messageOf, UserError } from "../core/errors.ts"
import { inChild } from "../host/child.ts"
import { type Addon, addonToBuild, builtAddon } from "../native/addon.ts"
import { missingTools, toolsHint } from "../native/cmake.ts"

export interface SetupReport {
  /** Whether training works. */
  readonly ok: boolean
  readonly libtorch: LibtorchReport
  /** Programs that compiling needs and that are not there. */
  readonly missingTools: readonly string[]
  readonly addons: { readonly libtorch: AddonReport; readonly jpeg: AddonReport; readonly scan: AddonReport }
}

interface LibtorchReport {
  readonly found: boolean
  /** Which libtorch it is, what is wrong with `LIBTORCH`, or how to install one. */
  readonly text: string
}

interface AddonReport {
  /** "outdated": works, and `setup` builds it again. "broken": exists and does not load. */
  readonly state: "ready" | "outdated" | "broken" | "missing"
  /** What is loaded; null: nothing. */
  readonly file: string | null
  /** Why it does not load. */
  readonly reason?: string
  /** The folder where `setup` would build it; null where it has nothing to do. */
  readonly buildsIn: string | null
}

export async function checkSetup(): Promise<SetupReport> {
  const { libtorch, text } = findShown()
  const torch = await examine(torchAddon, () => libtorch !== null && isTorchAddonBuilt(libtorch))
  const jpeg = await examine(jpegAddon, isJpegAddonBuilt)
  const scan = await examine(scanAddon, isScanAddonBuilt)
  return {
    ok: torch.state === "ready" || torch.state === "outdated",
    libtorch: { found: libtorch !== null, text },
    missingTools: missingTools(),
    addons: { libtorch: torch, jpeg, scan },
  }
}

function findShown(): { readonly libtorch: Libtorch | null; readonly text: string } {
  try {
    const libtorch = findLibtorch()
    return { libtorch, text: libtorch ? libtorchText(libtorch) : `libtorch was not found: ${howToInstallLibtorch()}` }
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return { libtorch: null, text: `${messageOf(error)} (${error.hint})` }
  }
}

async function examine(addon: Addon, isUpToDate: () => boolean): Promise<AddonReport> {
  const file = builtAddon(addon)?.file ?? null
  const buildsIn = addonToBuild(addon).folder
  if (!file) return { state: "missing", file, buildsIn }
  const reason = await whyNotLoaded(file)
  if (reason) return { state: "broken", file, reason, buildsIn }
  return isUpToDate() ? { state: "ready", file, buildsIn: null } : { state: "outdated", file, buildsIn }
}

/** Loads the addon in another process, which a library that does not fit may crash. Null where it loads. */
async function whyNotLoaded(file: string): Promise<string | null> {
  const body = `const { built, running } = require(args[0]).version?.() ?? {}
    const minor = (version) => version.split(".").slice(0, 2).join(".")
    return running && minor(running) !== minor(built) ? "built for libtorch " + built + ", runs on " + running : null`
  const outcome = await inChild<string | null>(body, { args: [file], timeoutSeconds: 60 })
  return outcome.ok ? outcome.value : outcome.reason
}

/** For people: a line each. */
export function setupText({ libtorch, missingTools, addons }: SetupReport): string {
  const tools =
    missingTools.length > 0 ? [`compiling needs ${missingTools.join(", ")}: ${toolsHint(missingTools)}`] : []
  const lines = [
    libtorch.text,
    ...tools,
    `libtorch addon (training): ${addonText(addons.libtorch)}`,
    `JPEG addon (decodes faster): ${addonText(addons.jpeg)}`,
    `search addon (searches faster): ${addonText(addons.scan)}`,
  ]
  return `${lines.join("\n")}\n`
}

function addonText({ state, file, reason, buildsIn }: AddonReport): string {
  if (state === "ready") return `built: ${file}`
  const found = {
    missing: "not built",
    outdated: `built from other sources or for another library, and works: ${file}`,
    broken: `does not load (${reason}): ${file}`,
  }[state]
  return `${found}; mobileclip setup compiles it into ${buildsIn}`
}
