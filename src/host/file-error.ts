/** Errors of the operating system, said in one line with what to do. */
import { randomBytes } from "node:crypto"
import { basename, dirname, join, resolve } from "node:path"
import { UserError } from "../core/errors.ts"

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
  const where = (place ?? path).replace(neighbourName, "$1")
  return new UserError(explanation.message(where, action), explanation.hint?.(action), { cause: error })
}

const neighbourName = /\.([^/\\]+)\.[0-9a-f]{12}\.tmp/

/** A new hidden name in the folder of `path`, where that is built; error messages show `path` instead. */
export function neighbour(path: string): string {
  const whole = resolve(path)
  return join(dirname(whole), `.${basename(whole)}.${randomBytes(6).toString("hex")}.tmp`)
}
