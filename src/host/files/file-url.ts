/** Paths that are written as addresses. */
import { fileURLToPath } from "node:url"
import { UserError } from "../../core/errors.ts"

/** @param what it is, for the message. Throws UserError where a `file:` URL is another machine's, or no path. */
export function pathOfFileUrl(address: string, what: string): string {
  try {
    return fileURLToPath(address)
  } catch (error) {
    throw new UserError(`${what} is a file: URL that names no file of this machine`, "write file:///folder/name", {
      cause: error,
    })
  }
}
