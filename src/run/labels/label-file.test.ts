import { expect, test } from "vitest"
import type { Manifest } from "../../core/inference/manifest.ts"
import { parseLabels, requireLabelsOf, requireRoomFor, serializeLabels } from "./label-file.ts"
import type { LabelVectors } from "./label-vectors.ts"

const labels: LabelVectors = {
  ...{
    model: "tiny",
    weights: "ab",
    embedDim: 2,
    logitScale: 100,
    labels: ["cat", "déjà \u202e"],
    templates: ["a {}"],
  },
  vectors: Float32Array.of(0.6, 0.8, -1, 1e-30),
}

test("a file gives back every bit; its vectors are little-endian float32 in base64", () => {
  const text = serializeLabels(labels)
  expect(parseLabels(text, "labels.json")).toEqual(labels)
  expect(serializeLabels(parseLabels(text, ""))).toBe(text)
  const { vectors, ...about } = JSON.parse(text)
  expect(about).toEqual({
    ...{ format: "mobileclip-labels-1", model: "tiny", weights: "ab", embedDim: 2, logitScale: 100 },
    ...{ labels: ["cat", "déjà \u202e"], templates: ["a {}"] },
  })
  const bytes = Buffer.from(vectors, "base64")
  expect([0, 4, 8, 12].map((at) => bytes.readFloatLE(at))).toEqual([...labels.vectors])
})

test("many labels: more bytes than a call takes arguments", () => {
  const names = Array.from({ length: 9000 }, (_, i) => `label ${i}`)
  const vectors = Float32Array.from({ length: 18_000 }, (_, i) => (i % 2 === 0 ? Math.sin : Math.cos)(i >> 1))
  const many = { ...labels, labels: names, vectors }
  expect(parseLabels(serializeLabels(many), "").vectors).toEqual(vectors)
})

const changed = (fields: object) => JSON.stringify({ ...JSON.parse(serializeLabels(labels)), ...fields })

test.each([
  ["cat\ndog\n", /^f is not a file of labels' vectors of format "mobileclip-labels-1": it is not a JSON object$/],
  ["[]", /it is not a JSON object/],
  [
    changed({ format: "mobileclip-labels-2" }),
    /f is not a file of .*: format: Invalid input: expected "mobileclip-labels-1"/,
  ],
  [changed({ labels: [] }), /labels: Too small/],
  [changed({ embedDim: 1e9 }), /embedDim: Too big/],
  [changed({ embedDim: 3 }), /^f: the vectors are 4 values, and 2 labels of 3 were expected$/],
  [changed({ vectors: "AAAA" }), /^f: the vectors are not base64 of float32, and 2 labels of 2 were expected$/],
  [changed({ vectors: "*" }), /not base64 of float32/],
  [
    changed({ vectors: Buffer.from(Float32Array.of(1, 2, 3, Number.NaN).buffer).toString("base64") }),
    /values that are not numbers/,
  ],
  [
    changed({ vectors: Buffer.from(Float32Array.of(0.6, 0.8, 3e38, 3e38).buffer).toString("base64") }),
    /^f: the vector of label 2 is not of length 1$/,
  ],
  [serializeLabels(labels).slice(0, -20), /it is not a JSON object/],
])("what is not such a file is told in a line: %#", (text, message) => {
  expect(() => parseLabels(text, "f")).toThrow(message)
})

test("labels of other weights or another width are refused, with the command that makes them again", () => {
  const manifest = { source: { file: "x.safetensors", sha256: "ab" } } as Manifest
  const model = { name: "tiny", embedDim: 2, manifest }
  requireLabelsOf(labels, model, "f")
  requireLabelsOf(labels, { ...model, manifest: null }, "f")
  for (const [given, message] of [
    [{ ...labels, weights: "cd" }, "f: the label vectors were made by other weights of tiny, and this model is tiny"],
    [{ ...labels, embedDim: 4 }, "f: the label vectors have 4 values for 2 labels, and the model's are 2 wide"],
  ] as const) {
    const hint = expect.stringContaining("`mobileclip bake-labels --model MODEL")
    expect(() => requireLabelsOf(given, model, "f")).toThrow(expect.objectContaining({ message, hint }))
  }
})

test("what is no base64 is refused wherever it stands, in the first piece that is decoded as in a later one", () => {
  const many = { ...labels, labels: Array.from({ length: 9000 }, (_, i) => `label ${i}`) }
  const circle = Float32Array.from({ length: 18_000 }, (_, i) => (i % 2 ? Math.sin(i - 1) : Math.cos(i)))
  const text = serializeLabels({ ...many, vectors: circle })
  const { vectors, ...about } = JSON.parse(text)
  expect(vectors).toBe(Buffer.from(parseLabels(text, "f").vectors.buffer, 0, 72_000).toString("base64"))
  for (const at of [0, 10_000, 16_382, 50_000, vectors.length - 1])
    for (const letter of ["*", "="]) {
      const damaged = { ...about, vectors: vectors.slice(0, at) + letter + vectors.slice(at + 1) }
      expect(() => parseLabels(JSON.stringify(damaged), "f")).toThrow(/^f: the vectors are not base64 of float32/)
    }
})

test("labels whose vectors no text could hold are refused before they are encoded", () => {
  requireRoomFor(100_000, 768)
  expect(() => requireRoomFor(200_000, 512)).toThrow(
    expect.objectContaining({
      message: "the vectors of 200000 labels, 512 values each, do not fit into a file",
      hint: "give 175781 labels at most",
    }),
  )
})
