/**
 * Search of a file of float16 vectors: by the addon, which maps the file, or, where that is not built, by WebAssembly in
 * threads that read it in blocks. Both give the same order.
 */
import { scanAddonOrNull } from "../../../scan/index.ts"
import { requireOneOf } from "../../core/arguments.ts"
import { UserError } from "../../core/errors.ts"
import { AddonScanner } from "./addon-scanner.ts"
import { CheckedScanner } from "./checked-scanner.ts"
import { type RowLayout, requireLayout, type Scanner } from "./scan-request.ts"
import { WasmScanner } from "./wasm-scanner.ts"

export { codesFromRows } from "./open-codes.ts"
export type { Hits, Pairs, PairsRequest, Scanner, ScanRequest } from "./scan-request.ts"

export interface ScannerLayout extends RowLayout {
  /** The file of binary codes beside the vectors (`updateCodes`); it may be absent. */
  readonly codes?: string
  /**
   * "exact": codes are never used. "codes": always where there are some. "auto", the default: from `codesFromRows` rows on.
   * Codes need the addon; without it every scan is exact.
   */
  readonly use?: "auto" | "exact" | "codes"
  /** Default: the addon where it is built. */
  readonly kind?: "addon" | "wasm"
}

/** Throws UserError where the file cannot be opened, or an option is wrong. */
export function openScanner(path: string, layout: ScannerLayout): Scanner {
  const { dim, offset, codes, use = "auto", kind = scanAddonOrNull ? "addon" : "wasm" } = layout
  requireLayout(layout)
  requireOneOf("use", use, ["auto", "exact", "codes"])
  requireOneOf("kind", kind, ["addon", "wasm"])
  if (kind === "wasm") return new CheckedScanner(new WasmScanner(path, { dim, offset }))
  if (!scanAddonOrNull) throw new UserError("the search addon is not built", "npx mobileclip setup, which builds it")
  const choice = use === "exact" ? {} : { path: codes, use }
  return new CheckedScanner(new AddonScanner(scanAddonOrNull, path, { dim, offset }, choice))
}
