/** Errors of the operating system, said in one line with what to do. */
import { UserError } from "../core/errors.ts"
import { withoutNeighbours } from "./neighbour.ts"

type Action = "reading" | "writing"

interface Explanation {
  readonly message: (path: string, action: Action) => string
  readonly hint?: (action: Action) => string
}

const full: Explanation = {
  message: (path, action) => `disk full while ${action} ${path}`,
  hint: () => "free some space and run again; no half-written file was left",
}
const forbidden: Explanation = {
  message: (path, action) => `no permission for ${action} ${path}`,
  hint: (action) =>
    action === "writing" ? "choose another place, or change who may write there" : "change who may read it",
}

/** By the code that Node puts on such errors. */
const explanations: Readonly<Record<string, Explanation>> = {
  ENOSPC: full,
  EDQUOT: full,
  EACCES: forbidden,
  EPERM: forbidden,
  EROFS: { message: (path) => `${path} is on a read-only disk`, hint: () => "choose another place" },
  ENOENT: {
    message: (path, action) =>
      action === "writing" ? `the folder of ${path} does not exist` : `${path} does not exist`,
    hint: (action) => (action === "writing" ? "create it first" : "check the path"),
  },
  EISDIR: { message: (path) => `${path} is a folder, and a file was expected` },
  ENOTDIR: { message: (path) => `${path} is a file, or in one, where a folder was expected` },
  EEXIST: { message: (path) => `${path} is there already, and is not a folder` },
  ENAMETOOLONG: { message: (path) => `the name is too long: ${path}` },
  EMFILE: { message: (path, action) => `too many open files while ${action} ${path}`, hint: () => "raise ulimit -n" },
  EIO: { message: (path, action) => `the disk failed while ${action} ${path}` },
}

/** A UserError where the system's error is known; anything else comes back as it is. */
export function fileError(error: unknown, action: Action, path: string): unknown {
  const { code, path: place } = error as NodeJS.ErrnoException
  const explanation = explanations[code ?? ""]
  if (!explanation) return error
  const where = withoutNeighbours(place ?? path)
  return new UserError(explanation.message(where, action), explanation.hint?.(action), { cause: error })
}
