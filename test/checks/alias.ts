/** A name that shares another file's architecture: our table must give both the same configuration. */
import { existsSync, readFileSync } from "node:fs"
import path from "node:path"
import { isDeepStrictEqual } from "node:util"
import { type Variant, variants } from "../../src/core/family/variants.ts"
import { type Check, exact } from "./check.ts"
import { clipConfig, type GoldenConfig } from "./modelConfig.ts"
import { NotYet } from "./notYet.ts"

interface Alias {
  readonly variant: string
  readonly same_architecture_as: string
  /** Given where the model it stands for has a file of its own elsewhere. */
  readonly config?: GoldenConfig["config"]
}

export function* checkAlias(file: string): Iterable<Check> {
  const alias = JSON.parse(readFileSync(file, "utf8")) as Alias
  const variant = findVariant(alias.variant)
  const expected = clipConfig(configOf(alias, file))
  yield exact(`"${alias.variant}" is in the variant table`, variant !== undefined)
  yield exact(
    `configuration equal to ${alias.same_architecture_as}`,
    isDeepStrictEqual(normal(variant?.model), normal(expected)),
  )
}

/** Its own, or that of the file it refers to. */
function configOf({ same_architecture_as, config }: Alias, file: string): GoldenConfig {
  const target = path.join(path.dirname(file), `${same_architecture_as}.json`)
  if (existsSync(target)) return JSON.parse(readFileSync(target, "utf8")) as GoldenConfig
  if (config) return { flavour: "openclip", config }
  throw new NotYet(`${same_architecture_as}.json is not in this directory`)
}

/** `MobileCLIP-L-14`, `mobileclip_blt (MobileCLIP-B LT)` -> `mobileclip-l14`, `mobileclip-blt`. */
export function findVariant(name: string): Variant | undefined {
  const wanted = letters(name.replace(/ \(.*/, ""))
  return Object.entries(variants).find(([key]) => letters(key) === wanted)?.[1]
}

function letters(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "")
}

/** Without the difference between an absent flag and a false one. */
export function normal(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null, (_, field) => (field === false ? undefined : field)))
}
