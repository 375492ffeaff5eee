/** Names from outside (a download's list, a shard's metadata, a message) that become files: they stay in their folder. */
import { quoted, UserError } from "./errors.ts"

const doNotUse = "do not use that source"

/**
 * Returns `name`, a relative path with "/" between its parts, where every part is a plain name.
 *
 * @param source who gave the name, for the message: "info.json of https://..."
 * @throws UserError where joined to a folder it could lead out of it, on any system
 */
export function requireInside(name: string, source: string, hint = doNotUse): string {
  if (isInside(name)) return name
  throw new UserError(`${source} names ${quoted(name)}, which could be outside of its folder`, hint)
}

export function isInside(name: string): boolean {
  return name.split("/").every(isPlainName)
}

/** Returns `name` where it is that of a file in any folder: one part. @throws UserError like `requireInside` */
export function requireFileName(name: string, source: string): string {
  if (isPlainName(name)) return name
  throw new UserError(`${source} names ${quoted(name)}, which is not a file name`, doNotUse)
}

/** Backslashes and colons divide paths on Windows; control characters end a path or disturb a terminal. */
function isPlainName(part: string): boolean {
  return part !== "" && part !== "." && part !== ".." && !/[/\\:\p{Cc}]/u.test(part)
}
