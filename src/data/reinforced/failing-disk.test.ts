/** A failing disk does not mean a damaged shard: its samples must not be left out for good. */
import { expect, test } from "vitest"
import { EnvironmentError } from "../../core/errors.ts"
import { openRandomAccess } from "../../host/files/files.ts"
import { type Compression, readLines } from "./jsonl/lines.ts"
import { readJsonl } from "./jsonl/read-jsonl.ts"
import { indexTar } from "./tar/tar-index.ts"

/** Linux cannot read the first page of a process: the system's own EIO. */
const failing = "/proc/self/mem"

async function errorOf(items: AsyncIterable<unknown>): Promise<unknown> {
  try {
    for await (const _ of items) expect.unreachable("nothing can be read")
  } catch (error) {
    return error
  }
  return null
}

test.each<Compression>(["none", "gzip", "zstd"])("lines (%s)", async (compression) => {
  const reports: unknown[] = []
  const found = [
    await errorOf(readLines(failing, compression)),
    await errorOf(readJsonl(failing, compression, (problem) => reports.push(problem))),
  ]
  for (const error of found) {
    expect(error).toBeInstanceOf(EnvironmentError)
    expect((error as Error).message).toBe(`the disk failed while reading ${failing}`)
  }
  expect(reports).toEqual([])
})

test("a tar archive's index", async () => {
  const file = openRandomAccess(failing)
  try {
    await expect(indexTar({ ...file, size: 1024 })).rejects.toBeInstanceOf(EnvironmentError)
  } finally {
    file.close()
  }
})
