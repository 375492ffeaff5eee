import { writeFile } from "node:fs/promises"
import { expect, test } from "vitest"
import { EnvironmentError, isOfInput, UserError } from "../core/errors.ts"
import { fileError } from "./file-error.ts"
import { openRandomAccess } from "./files.ts"

const systemError = (code: string, path?: string) => Object.assign(new Error(code), { code, ...(path && { path }) })

const machine = ["ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "EMFILE", "ENFILE", "EIO", "ESTALE", "ETIMEDOUT"]

test.each(machine)("%s is the machine's fault and not the file's", (code) => {
  const error = fileError(systemError(code), "writing", "/data/0.tar")
  expect(error).toBeInstanceOf(EnvironmentError)
  expect(error).toBeInstanceOf(UserError)
  expect(isOfInput(error)).toBe(false)
  expect((error as UserError).message).toContain("/data/0.tar")
  expect((error as UserError).name).toBe("UserError")
})

test.each(["ENOENT", "EISDIR", "ENOTDIR", "EEXIST", "ENAMETOOLONG"])("%s is the path's fault everywhere", (code) => {
  const error = fileError(systemError(code, "/data/.0.tar.0123456789abcdef0123456789abcdef.tmp"), "writing", "/other")
  expect(error).toBeInstanceOf(UserError)
  expect(isOfInput(error)).toBe(true)
  expect((error as UserError).message).toContain("/data/0.tar")
})

test("the system's own error of a full disk", async () => {
  const error: unknown = await writeFile("/dev/full", "x").catch((error) => fileError(error, "writing", "/dev/full"))
  expect(error).toBeInstanceOf(EnvironmentError)
  expect((error as Error).message).toBe("disk full while writing /dev/full")
})

test("what is not known comes back as it is", () => {
  const error = new RangeError("of ours")
  expect(fileError(error, "reading", "x")).toBe(error)
  expect(isOfInput(error)).toBe(false)
})

// Linux cannot read the first page of a process: the system's own EIO.
test("a disk that fails while a file is read", () => {
  const file = openRandomAccess("/proc/self/mem")
  const error = (() => {
    try {
      return file.read(0, 10)
    } catch (error) {
      return error
    } finally {
      file.close()
    }
  })()
  expect(error).toBeInstanceOf(EnvironmentError)
  expect((error as Error).message).toBe("the disk failed while reading /proc/self/mem")
})
