import { expect, test } from "vitest"
import { decodeCheck, encodeCheck } from "./check-file.ts"

const check = {
  samples: 2,
  problems: [{ at: 1, key: "ключ\n", reason: "its picture is not a picture" }, { at: 2, key: null, reason: "cut" }], // biome-ignore format: a list
  hashes: Uint32Array.of(0, 0xffff_ffff, 0x8000_0001, 7),
  chosen: ["ключ\n"],
}

test("what is found in a shard comes back from its file", () => {
  expect(decodeCheck(encodeCheck(check), "0.jsonl")).toEqual(check)
  const none = { samples: 0, problems: [], hashes: new Uint32Array(0), chosen: [] }
  expect(decodeCheck(encodeCheck(none), "0.jsonl")).toEqual(none)
})

test.each([
  ["nothing", ""],
  ["half of it", encodeCheck(check).subarray(0, 60)],
  ["another count", encodeCheck({ ...check, samples: 3 })],
  ["another file", '{"samples": 1, "problems": "none"}'],
  ["what nests without end", "[".repeat(100_000)],
])("%s is refused", (_, file) => {
  expect(() => decodeCheck(Buffer.from(file), "s3://b/0.jsonl")).toThrow("s3://b/0.jsonl is damaged")
})
