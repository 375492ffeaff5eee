/** Errors of the operating system, explained in one line with what to do. */
import { EnvironmentError, oneLine, UserError } from "../../core/errors.ts"
import { withoutStagingNames } from "./staging.ts"

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
const exhausted: Explanation = {
  message: (path, action) => `too many open files while ${action} ${path}`,
  hint: () => "raise ulimit -n",
}
const failed: Explanation = { message: (path, action) => `the disk failed while ${action} ${path}` }
const away: Explanation = {
  message: (path, action) => `the disk or network share went away while ${action} ${path}`,
  hint: () => "look whether it is mounted, and run again",
}
const short: Explanation = {
  message: (path, action) => `the system is short of memory or other resources while ${action} ${path}`,
  hint: () => "run again when less is running",
}

const busy: Explanation = {
  message: (path) => `${path} is a mount point, or in use by another program`,
  hint: (action) =>
    action === "writing" ? "write to a folder in it or to another one, or close what uses it" : "close what uses it",
}

/** The machine's fault: the same path may work later or on another machine. By Node's code for the error. */
const environmentErrors: Readonly<Record<string, Explanation>> = {
  ENOSPC: full,
  EDQUOT: full,
  EACCES: forbidden,
  EPERM: forbidden,
  EROFS: { message: (path) => `${path} is on a read-only disk`, hint: () => "choose another place" },
  EFBIG: {
    message: (path) => `${path} is larger than the disk or ulimit -f takes`,
    hint: () => "choose another place",
  },
  EMFILE: exhausted,
  ENFILE: exhausted,
  EIO: failed,
  EREMOTEIO: failed,
  ENXIO: failed,
  ENODEV: away,
  ESTALE: away,
  ETIMEDOUT: away,
  ENOTCONN: away,
  EHOSTDOWN: away,
  EHOSTUNREACH: away,
  ECONNABORTED: away,
  ENOMEM: short,
  EAGAIN: short,
  EBUSY: busy,
  ENOLCK: short,
}

/** The path's fault, on every machine. By Node's code for the error. */
const pathErrors: Readonly<Record<string, Explanation>> = {
  ENOENT: {
    message: (path, action) =>
      action === "writing" ? `the folder of ${path} does not exist` : `${path} does not exist`,
    hint: (action) => (action === "writing" ? "create it first" : "check the path"),
  },
  EISDIR: { message: (path) => `${path} is a folder, and a file was expected` },
  ENOTDIR: { message: (path) => `${path} is a file, or in one, where a folder was expected` },
  EEXIST: { message: (path) => `${path} is there already, and is not a folder` },
  ENAMETOOLONG: { message: (path) => `the name is too long: ${oneLine(path, 200)}` },
  ELOOP: { message: (path) => `${path} is a link that leads back to itself` },
  EILSEQ: { message: (path) => `${path} is not a name that this disk takes` },
}

/** A letter that stands for bytes which are not UTF-8: no file is found by the name that it is in. */
const unnameable: Explanation = {
  message: (path) => `${path} cannot be read: its name is not UTF-8`,
  hint: () => "rename it",
}

/** Node refuses such a path before the system sees it. */
const withNul: Explanation = {
  message: (path) => `${oneLine(path, 4096)} has a NUL character, which no path may have`,
}

/** An EnvironmentError or UserError where the system's error is known; anything else comes back as it is. */
export function fileError(error: unknown, action: Action, path: string): unknown {
  const { code = "", path: place = path } = error as NodeJS.ErrnoException
  const explain = ({ message, hint }: Explanation) =>
    [message(withoutStagingNames(place), action), hint?.(action), { cause: error }] as const
  const isOfNul = code === "ERR_INVALID_ARG_VALUE" && place.includes("\0")
  const isUnnameable = code === "ENOENT" && action === "reading" && place.includes("\ufffd")
  const fault = isOfNul ? withNul : isUnnameable ? unnameable : pathErrors[code]
  const machine = environmentErrors[code]
  if (machine) return new EnvironmentError(...explain(machine))
  return fault ? new UserError(...explain(fault)) : error
}
