/** How many pixels a picture may have: the limit that a user gives, before any memory is taken. */
import { UserError } from "../../core/errors.ts"

/** Throws UserError, beginning with `name`, where it has more. */
export function requireAllowedSize(name: string, width: number, height: number, maxPixels: number): void {
  if (width * height <= maxPixels) return
  throw new UserError(
    `${name} has ${width} x ${height} pixels, more than the limit of ${maxPixels.toLocaleString("en")}`,
    "make it smaller first, or raise the limit (maxPixels, --max-pixels)",
  )
}
