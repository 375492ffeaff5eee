/** Addons that only make something faster: one that cannot be built is reported in a line and is not an error. */
import { rmSync } from "node:fs"
import { createRequire } from "node:module"
import { UserError } from "../core/errors.ts"
import { type Addon, type AddonFiles, builtAddon, isBuilt, sourceDigest } from "./addon.ts"
import { compileAddon } from "./cmake.ts"

export interface OptionalAddon {
  /** For messages: "search addon". */
  readonly name: string
  readonly addon: Addon
  /** What is slower without it; the reason follows. */
  readonly without: string
}

type Log = (line: string) => void

/** Whether the addon that is loaded was built from these sources, and loads: a library that it needs may be gone. */
export function isOptionalAddonBuilt({ addon }: OptionalAddon): boolean {
  const built = builtAddon(addon)
  return built !== null && isBuilt(built, stampOf(addon)) && loads(built)
}

/**
 * @param force builds it again where it is built already
 * @param compile throws UserError where it cannot be compiled; nothing is left then, because a build for other sources may not fit
 */
export async function buildOptionalAddon(
  optional: OptionalAddon,
  target: AddonFiles,
  { force, log }: { readonly force: boolean; readonly log: Log },
  compile = () => compileOptionalAddon(optional, target, log),
): Promise<void> {
  const { name, without } = optional
  if (!force && isOptionalAddonBuilt(optional)) return log(`${name}: up to date`)
  try {
    await compile()
    log(`${name}: compiled`)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    rmSync(target.file, { force: true })
    log(`${without}: ${error.message} (${error.hint})`)
  }
}

/** Throws UserError where it cannot be compiled. */
export function compileOptionalAddon({ name, addon }: OptionalAddon, target: AddonFiles, log: Log): Promise<void> {
  return compileAddon({ name, addon, target, definitions: {}, stamp: stampOf(addon), log })
}

function loads({ file }: AddonFiles): boolean {
  try {
    createRequire(import.meta.url)(file)
    return true
  } catch {
    return false
  }
}

function stampOf(addon: Addon): string {
  return `${sourceDigest(addon)} ${process.platform} ${process.arch}`
}
