import { mkdtempSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { encodeEvent } from "./events.ts"
import { crc32c, EventFile, maskedCrc32c, tfRecord } from "./writer.ts"

const ascii = (text: string) => new TextEncoder().encode(text)
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

test("CRC-32C of RFC 3720's vectors and of the check string", () => {
  expect(crc32c(ascii("123456789"))).toBe(0xe3069283)
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43)
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e)
})

test("a record as TensorFlow's documentation describes it", () => {
  // The masked checksum of 24 little-endian in 8 bytes begins every event file ever written: a3 7f 4b 22.
  const record = tfRecord(new Uint8Array(24))
  expect(hex(record.subarray(0, 12))).toBe("1800000000000000a37f4b22")
  expect(record).toHaveLength(12 + 24 + 4)
  expect(Buffer.from(record).readUInt32LE(36)).toBe(maskedCrc32c(new Uint8Array(24)))
})

test("events byte by byte", () => {
  const version = encodeEvent({ wallTime: 1, step: 0, content: { kind: "version" } })
  expect(hex(version)).toBe(`09000000000000f03f1a0d${hex(ascii("brain.Event:2"))}`)
  const restart = encodeEvent({ wallTime: 1, step: 300, content: { kind: "restart" } })
  expect(hex(restart)).toBe("09000000000000f03f10ac023a020801")
  const scalar = encodeEvent({ wallTime: 1, step: 2, content: { kind: "summary", values: { ab: 0.5 } } })
  expect(hex(scalar)).toBe("09000000000000f03f10022a0b0a090a026162150000003f")
  const picture = { width: 2, height: 1, file: Uint8Array.of(7, 8) }
  const image = encodeEvent({ wallTime: 1, step: 2, content: { kind: "summary", values: { p: picture } } })
  expect(hex(image)).toBe("09000000000000f03f10022a110a0f0a0170220a08011002180322020708")
})

test("a file: version, restart, scalars, picture, each with right checksums", async () => {
  const folder = join(mkdtempSync(join(tmpdir(), "events-")), "tensorboard")
  const file = await EventFile.open(folder, { resumeStep: 10, now: () => 1234.5 })
  const step = { step: 11, samplesSeen: 704, learningRate: 1e-3, losses: { real: 2, synthetic: 1 } }
  file.add({ ...step, gradNorm: 1, logitScale: 14, seconds: 0.5, dataSeconds: 0.1 })
  file.add({ step: 11, samplesSeen: 704, tasks: { colour: 0.25 }, average: 0.25 })
  file.addPicture(11, "samples", { width: 1, height: 1, file: Uint8Array.of(1) })
  file.close()
  expect(file.path).toMatch(/events\.out\.tfevents\.1234\./)
  const records = readRecords(readFileSync(file.path))
  expect(records).toHaveLength(5)
  expect(hex(records[1]!)).toMatch(/100b3a020801$/)
  const text = records.map((record) => Buffer.from(record).toString("latin1"))
  for (const tag of ["train/loss", "train/loss/real", "train/logit_scale", "time/data_wait"])
    expect(text[2]).toContain(tag)
  expect(text[3]).toContain("zero_shot/colour")
  expect(text[4]).toContain("samples")
})

function readRecords(bytes: Buffer): Uint8Array[] {
  const records: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at))
    expect(bytes.readUInt32LE(at + 8)).toBe(maskedCrc32c(bytes.subarray(at, at + 8)))
    const data = bytes.subarray(at + 12, at + 12 + length)
    expect(bytes.readUInt32LE(at + 12 + length)).toBe(maskedCrc32c(data))
    records.push(data)
    at += length + 16
  }
  return records
}
