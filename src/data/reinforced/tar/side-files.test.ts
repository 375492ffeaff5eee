import { expect, test } from "vitest"
import { formatInfo, formatManifest, parseInfo, parseManifest } from "./side-files.ts"

test("counts in info.json are texts, and equal listings give equal bytes", () => {
  const info = { name: "dr", lengths: new Map([["a.jsonl", 2], ["b.jsonl", 3]]) } // biome-ignore format: pairs
  expect(formatInfo(info)).toBe('{"name":"dr","lengths":{"a.jsonl":"2","b.jsonl":"3"},"totalLength":"5"}\n')
  expect(parseInfo(formatInfo({ ...info, date: "2025-01-01T00:00:00" }), "info.json")).toEqual({
    ...info,
    date: "2025-01-01T00:00:00",
  })
  expect(parseInfo('{"lengths": {"a": 4}}', "x")).toEqual({ name: "", lengths: new Map([["a", 4]]) })
})

test("a manifest is sorted", () => {
  const entries = [{ shard: "00001", samples: 5 }, { shard: "00000", samples: 6 }] // biome-ignore format: pairs
  const text = formatManifest(entries)
  expect(text).toBe('{"shard":"00000","num_uids":6}\n{"shard":"00001","num_uids":5}\n')
  expect(parseManifest(`${text}\n`, "manifest.jsonl")).toEqual(entries.toReversed())
})

test.each([
  ["[]", "info.json lists no shards"],
  ['"name"\n"lengths"\n', "info.json is not JSON"],
  ['{"lengths": {"a": "many"}}', 'info.json: the count of "a" is not a number of samples'],
])("%s is not a listing", (text, message) => {
  expect(() => parseInfo(text, "info.json")).toThrow(message)
})

test("a damaged line of a manifest is named", () => {
  expect(() => parseManifest('{"shard":"0","num_uids":1}\n{"num_uids":1}', "m.jsonl")).toThrow(
    'm.jsonl, line 2 has no "shard"',
  )
  expect(() => parseManifest('{"shard":"0","num_uids":-1}', "m.jsonl")).toThrow(
    'count of "0" is not a number of samples',
  )
})
