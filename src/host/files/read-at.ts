/** Reads at any place of an open file, by its descriptor. */
import { constants, openSync, readSync } from "node:fs"
import { UserError } from "../../core/errors.ts"
import { fileError } from "./file-error.ts"

/** Flags of `open`: without them, opening a pipe that has no writer would block. They make no difference for files. */
export const readWithoutBlocking = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/** The descriptor of a file. Throws UserError where it cannot be opened. */
export function openToRead(path: string): number {
  try {
    return openSync(path, readWithoutBlocking)
  } catch (error) {
    throw fileError(error, "reading", path)
  }
}

/** A single read of 2 GiB or more is refused by the system. */
export const mostAtOnce = 2 ** 30

/**
 * Fills `bytes` with what begins at byte `position`. Throws UserError where the file cannot be read.
 *
 * @param path of the file, for messages
 * @param ended what is thrown where the file ends before that
 */
export function readAt(
  descriptor: number,
  path: string,
  position: number,
  bytes: Uint8Array,
  ended: (at: number) => Error = (at) =>
    new UserError(`${path} ends at byte ${at}, before byte ${position + bytes.length}`),
): void {
  for (let done = 0; done < bytes.length; ) {
    const count = readSome(descriptor, path, position, bytes, done)
    if (count === 0) throw ended(position + done)
    done += count
  }
}

function readSome(descriptor: number, path: string, position: number, bytes: Uint8Array, done: number): number {
  try {
    return readSync(descriptor, bytes, done, Math.min(bytes.length - done, mostAtOnce), position + done)
  } catch (error) {
    throw fileError(error, "reading", path)
  }
}
