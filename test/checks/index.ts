/** Which checker a golden file needs: by its name where the name is fixed, else by what is in it. */
import { readFileSync } from "node:fs"
import path from "node:path"
import { checkAlias } from "./alias.ts"
import { checkAugment } from "./augment.ts"
import type { Checker } from "./check.ts"
import { checkCrossCheck, checkKeyMap } from "./crosscheck.ts"
import { checkDataCompDR } from "./datacompdr.ts"
import { checkEval } from "./eval.ts"
import { checkFill } from "./fill.ts"
import { checkLoss } from "./loss.ts"
import { checkManifest } from "./manifest.ts"
import { checkModel } from "./models.ts"
import { NotYet } from "./notYet.ts"
import { checkPreprocess } from "./preprocess.ts"
import { checkTokenizer } from "./tokenizer.ts"
import { checkTrainStep } from "./trainstep.ts"

export type { Check } from "./check.ts"
export { NotYet }

const byName: Readonly<Record<string, Checker>> = {
  "augment.json": checkAugment,
  "crosscheck_apple_vs_openclip.json": checkCrossCheck,
  "eval.json": checkEval,
  "expected.json": checkDataCompDR,
  "fill.json": checkFill,
  "keymap_mobileclip_b_to_MobileCLIP-B.json": checkKeyMap,
  "loss.json": checkLoss,
  "manifest.json": checkManifest,
  "preprocess.json": checkPreprocess,
  "tokenizer.json": checkTokenizer,
  "trainstep.json": checkTrainStep,
}

/** `"data"` for JSON that belongs to another file's check (shard listings). */
export function checkerFor(file: string): Checker | "data" {
  const name = path.basename(file)
  const known = byName[name]
  if (known) return known
  if (name.endsWith(".alias.json")) return checkAlias
  // Shard listings, one of them as the reference writes it, which is not JSON.
  if (name.startsWith("info.")) return "data"
  const content = parse(file)
  if ("flavour" in content && "outputs" in content) return checkModel
  if ("lengths" in content) return "data"
  throw new NotYet(`no check for ${name}`)
}

function parse(file: string): object {
  const content = parseJson(file)
  if (typeof content !== "object" || content === null) throw new NotYet(`${path.basename(file)} is not a JSON object`)
  return content
}

function parseJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"))
  } catch {
    throw new NotYet(`${path.basename(file)} is not JSON`)
  }
}
