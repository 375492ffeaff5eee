import { expect, test } from "vitest"
import { decodeCounts, encodeCounts } from "./count-file.ts"
import { type ShardCounts, uncounted } from "./count-shard.ts"

const counts: ShardCounts = {
  samples: 2,
  bytes: 10_240,
  members: new Map([["syn.json", { files: 2, bytes: 70 }]]),
  views: new Map([[10, 2]]),
  // A map keeps the order in which it was filled, and names that an object does not.
  captions: new Map([
    ["text", { perSample: new Map([[1, 2]]), tokens: new Map([[9, 1], [3, 1]]), empty: 1 }], // biome-ignore format: a list
    ["__proto__", { perSample: new Map(), tokens: new Map(), empty: 0 }],
  ]),
  pictures: { formats: new Map([["jpg", 2]]), width: new Map([[64, 2]]), height: new Map([[48, 2]]) },
  embeddings: new Map([["image_emb", { rows: new Map([[10, 2]]), width: new Map([[8, 2]]), dtypes: new Map([["float16", 2]]) }]]), // biome-ignore format: a list
  failures: [{ first: "picture 7 is too small", times: 3 }],
  chosen: ["ключ\n"],
}

test("what is counted in a shard comes back from its file, in its order", () => {
  const found = decodeCounts(encodeCounts(counts), "0.jsonl")
  expect(found).toEqual(counts)
  expect([...found.captions.get("text")!.tokens]).toEqual([[9, 1], [3, 1]]) // biome-ignore format: a list
  const none = uncounted("it is away")
  expect(decodeCounts(encodeCounts(none), "0.jsonl")).toEqual(none)
  expect(none.failures).toEqual([{ first: "it is away", times: 1 }])
})

test.each([
  ["nothing", ""],
  ["half of it", encodeCounts(counts).subarray(0, 60)],
  ["a map that is an object", encodeCounts({ ...counts, views: { 10: 2 } as never })],
  ["a negative count", encodeCounts({ ...counts, samples: -1 })],
  ["what nests without end", "[".repeat(100_000)],
])("%s is refused", (_, file) => {
  expect(() => decodeCounts(Buffer.from(file), "s3://b/0.jsonl")).toThrow("s3://b/0.jsonl is damaged")
})
