/** What an owner of a machine allows a job to write: folders and URLs, in which the job's output must be. */
import { quoted, UserError } from "../../../core/errors.ts"
import { requireInside } from "../../../core/inside.ts"
import { pathOf } from "../../../data/stores/local.ts"
import { isAtOrBelow, realPlace } from "../../../host/real-place.ts"
import { isLocal } from "../../job/output.ts"

/**
 * @param output URL of the job's output
 * @param roots none: everything is allowed
 * @throws UserError where the output is in none of them
 */
export async function requireInRoots(output: string, roots: readonly string[]): Promise<void> {
  if (roots.length === 0) return
  for (const root of roots) if (await isIn(output, root)) return
  throw new UserError(
    `the job writes to ${quoted(output)}, which is not inside of ${roots.map(quoted).join(" or ")} (--output-root)`,
    "start the worker with another --output-root if the job is to be trusted",
  )
}

async function isIn(output: string, root: string): Promise<boolean> {
  if (!isLocal(output) || !isLocal(root)) return isBelow(output, root)
  const [place, allowed] = await Promise.all([realPlace(pathOf(output)), realPlace(pathOf(root))])
  return isAtOrBelow(place, allowed)
}

/** By their text: a store may take ".." for a part of a name or not, so that no name may have it. */
function isBelow(output: string, root: string): boolean {
  const [place, allowed] = [output, root].map((url) => url.replace(/\/+$/, "")) as [string, string]
  if (place === allowed) return true
  if (!place.startsWith(`${allowed}/`)) return false
  try {
    requireInside(decodeURIComponent(place.slice(allowed.length + 1)), "the job")
    return true
  } catch {
    return false
  }
}
