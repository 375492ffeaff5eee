import { mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { EnvironmentError, isInputError, UserError } from "../../core/errors.ts"
import { fileError } from "./file-error.ts"
import { openRandomAccess, readBytes } from "./files.ts"

const systemError = (code: string, path?: string) => Object.assign(new Error(code), { code, ...(path && { path }) })

const machine = ["ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "EMFILE", "ENFILE", "EIO", "ESTALE", "ETIMEDOUT"]

test.each(machine)("%s is the machine's fault and not the file's", (code) => {
  const error = fileError(systemError(code), "writing", "/data/0.tar")
  expect(error).toBeInstanceOf(EnvironmentError)
  expect(error).toBeInstanceOf(UserError)
  expect(isInputError(error)).toBe(false)
  expect((error as UserError).message).toContain("/data/0.tar")
  expect((error as UserError).name).toBe("UserError")
})

test.each(["ENOENT", "EISDIR", "ENOTDIR", "EEXIST", "ENAMETOOLONG", "ELOOP", "EILSEQ"])(
  "%s is the path's fault everywhere",
  (code) => {
    const error = fileError(systemError(code, "/data/.0.tar.0123456789abcdef0123456789abcdef.tmp"), "writing", "/other")
    expect(error).toBeInstanceOf(UserError)
    expect(isInputError(error)).toBe(true)
    expect((error as UserError).message).toContain("/data/0.tar")
  },
)

test("the system's own error of a full disk", async () => {
  const error: unknown = await writeFile("/dev/full", "x").catch((error) => fileError(error, "writing", "/dev/full"))
  expect(error).toBeInstanceOf(EnvironmentError)
  expect((error as Error).message).toBe("disk full while writing /dev/full")
})

test("a link to itself and a name with a NUL character are the path's fault, whichever function reports it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "file-error-"))
  const [loop, nul] = [join(folder, "loop.jpg"), join(folder, "a\0b.jpg")]
  await symlink("loop.jpg", loop)
  try {
    const said = async (path: string) => {
      const errors = [stat(path).catch((error) => fileError(error, "reading", path)), readBytes(path).catch((e) => e)]
      const found = await Promise.all(errors)
      expect(found.every(isInputError)).toBe(true)
      return new Set(found.map(({ message }) => message))
    }
    expect(await said(loop)).toEqual(new Set([`${loop} is a link that leads back to itself`]))
    expect(await said(nul)).toEqual(new Set([`${folder}/a\\x00b.jpg has a NUL character, which no path may have`]))
  } finally {
    await rm(folder, { recursive: true })
  }
})

test("a wrong argument of ours keeps its stack", () => {
  const error = Object.assign(new TypeError("flag"), { code: "ERR_INVALID_ARG_VALUE" })
  expect(fileError(error, "reading", "/data/0.tar")).toBe(error)
})

test("a folder that may not be moved is not a shortage of memory", () => {
  const error = fileError(systemError("EBUSY", "/mnt/disk"), "writing", "/mnt/disk")
  expect(error).toBeInstanceOf(EnvironmentError)
  expect((error as UserError).message).toBe("/mnt/disk is a mount point, or in use by another program")
})

test("an unknown error is returned unchanged", () => {
  const error = new RangeError("of ours")
  expect(fileError(error, "reading", "x")).toBe(error)
  expect(isInputError(error)).toBe(false)
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
