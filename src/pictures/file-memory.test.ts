import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { FileMemory } from "./file-memory.ts"

test("files and bytes are read into memory that was given back, and are as long as they are", async () => {
  const folder = mkdtempSync(join(tmpdir(), "file-memory-"))
  try {
    const memory = new FileMemory()
    const path = join(folder, "a")
    writeFileSync(path, "a long file")
    const first = await memory.read(path)
    expect([first.name, Buffer.from(first.bytes).toString()]).toEqual([path, "a long file"])
    const buffer = first.bytes.buffer as ArrayBuffer
    memory.giveBack([buffer])
    const given = new TextEncoder().encode("bytes")
    const second = await memory.read({ name: "b", bytes: given })
    expect(second.bytes.buffer).toBe(buffer)
    expect([second.name, Buffer.from(second.bytes).toString()]).toEqual(["b", "bytes"])
    expect((await memory.read(path)).bytes.buffer).not.toBe(buffer)
    expect(Buffer.from(given).toString()).toBe("bytes")
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test("a file that is larger than all memory gets its own, and an empty one none; what cannot be read is told", async () => {
  const memory = new FileMemory()
  memory.giveBack([new ArrayBuffer(8)])
  const large = new Uint8Array(300_000).fill(7)
  const { bytes } = await memory.read({ name: "large", bytes: large })
  expect(bytes).toEqual(large)
  expect((await memory.read({ name: "empty", bytes: new Uint8Array() })).bytes).toHaveLength(0)
  await expect(memory.read(join(tmpdir(), "no-such-file"))).rejects.toThrow(/no-such-file/)
  await expect(memory.read(tmpdir())).rejects.toThrow(/is a folder, and a file was expected/)
})
