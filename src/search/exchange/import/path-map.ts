/** Paths of another machine as they are here: `/usr/src/app/upload=/mnt/photos`. */
import { dirname, isAbsolute, resolve, sep } from "node:path"
import { UserError } from "../../../core/errors.ts"
import { isWithin } from "../../indexing/roots.ts"

export interface PathPrefix {
  readonly from: string
  readonly to: string
}

/** Throws UserError where it is not `FROM=TO`. */
export function parsePathPrefix(text: string): PathPrefix {
  const at = text.indexOf("=")
  const [from, to] = [text.slice(0, at), text.slice(at + 1)]
  if (at > 0 && to !== "") return { from: withoutEnd(from), to: withoutEnd(resolve(to)) }
  throw new UserError(
    `${text} is not FROM=TO`,
    "write the beginning of paths there and here: --map /usr/src/app/upload=/mnt/photos",
  )
}

/** The longest prefix that a path begins with is replaced, at the end of a folder's name; what is relative lies below `base`. */
export function mapPath(path: string, prefixes: readonly PathPrefix[], base: string): string {
  const fitting = prefixes.filter(
    ({ from }) => path === from || path.startsWith(`${from}/`) || path.startsWith(`${from}\\`),
  )
  const best = fitting.reduce<PathPrefix | null>((a, b) => (a === null || b.from.length > a.from.length ? b : a), null)
  const mapped = best === null ? path : best.to + path.slice(best.from.length).replaceAll("\\", sep)
  return isAbsolute(mapped) ? resolve(mapped) : resolve(base, mapped)
}

/** The deepest folder that two paths of folders have in common. */
export function commonFolder(a: string, b: string): string {
  let common = a
  while (!isWithin(b, common)) common = dirname(common)
  return common
}

function withoutEnd(path: string): string {
  return path.length > 1 ? path.replace(/[\\/]+$/, "") : path
}
