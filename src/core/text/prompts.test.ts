import { expect, test } from "vitest"
import { l2Normalize } from "../arrays/similarity.ts"
import type { Encoder } from "../inference/encoder.ts"
import type { LabelTable } from "./label-store.ts"
import { fillTemplate, labelVectors } from "./prompts.ts"

test("templates are filled everywhere they say, with labels as they are", () => {
  expect(fillTemplate("a {} or {}", "$& cat")).toBe("a $& cat or $& cat")
  expect(fillTemplate("a {c}.", "dog")).toBe("a dog.")
  expect(() => fillTemplate("a photo", "dog")).toThrow(/has no \{\}/)
})

test("a label is the normalised mean of normalised prompts", async () => {
  const encoder: Encoder = {
    embedDim: 2,
    encodeImages: async () => new Float32Array(),
    encodeTexts: async (texts) =>
      Float32Array.from(texts.flatMap((text) => (text.startsWith("a ") ? [10, 0] : [0, text.length]))),
  }
  // means of (1, 0), (0, 1), (0, 1): (1, 2) / 3 for both labels
  const expected = [1, 2, 1, 2].map((value) => Math.fround(value / Math.sqrt(5)))
  const vectors = await labelVectors(encoder, ["cat", "crocodile"], ["a {}", "one {}", "two {}"])
  expect([...vectors].map((value) => value.toFixed(6))).toEqual(expected.map((value) => value.toFixed(6)))
})

test("many prompts are encoded some at a time, with the values of all at once", async () => {
  const calls: number[] = []
  const embedDim = 3
  const rowOf = (text: string) => [text.length, text.charCodeAt(text.length - 1) % 7, (text.charCodeAt(2) % 5) - 2]
  const encodeTexts = async (texts: readonly string[]) => {
    calls.push(texts.length)
    return Float32Array.from(texts.flatMap(rowOf))
  }
  const labels = Array.from({ length: 40 }, (_, i) => `${"x".repeat(i)}${i}`)
  // The labels' prompts do not end where the pieces do.
  const templates = Array.from({ length: 35 }, (_, i) => `${"y".repeat(i)} {} of ${i}`)
  const vectors = await labelVectors({ embedDim, encodeTexts }, labels, templates)
  const expected = labels.map((label) => {
    const prompts = templates.map((template) => fillTemplate(template, label))
    const mean = new Float32Array(embedDim)
    for (const prompt of prompts)
      l2Normalize(Float32Array.from(rowOf(prompt)), embedDim).forEach((value, i) => {
        mean[i]! += value / templates.length
      })
    return [...l2Normalize(mean, embedDim)]
  })
  expect([...vectors]).toEqual(expected.flat())
  expect(calls.reduce((sum, count) => sum + count, 0)).toBe(1400)
  expect(Math.max(...calls)).toBeLessThanOrEqual(512)
  calls.length = 0
  // More templates than prompts at a time.
  const many = Array.from({ length: 1100 }, (_, i) => `{} ${i}`)
  const [both, alone] = [labels.slice(0, 2), labels.slice(1, 2)]
  const two = await labelVectors({ embedDim, encodeTexts }, both, many)
  expect([...two.slice(embedDim)]).toEqual([...(await labelVectors({ embedDim, encodeTexts }, alone, many))])
  expect(Math.max(...calls)).toBeLessThanOrEqual(512)
  calls.length = 0
  await expect(labelVectors({ embedDim, encodeTexts }, labels, [...templates, "none"])).rejects.toThrow(/has no \{\}/)
  expect(calls).toEqual([])
})

test("labels that are kept are not encoded, and what is encoded is kept as soon as it is there", async () => {
  const kept = new Map([["b", 7]])
  const log: unknown[] = []
  const table: LabelTable = {
    find: async (labels, vectors) => {
      labels.forEach((label, row) => {
        vectors[row] = kept.get(label) ?? 0
      })
      return labels.flatMap((label, row) => (kept.has(label) ? [] : [row]))
    },
    keep: async (labels, vectors) => void log.push([labels.length, labels[0], [...vectors].slice(0, 2)]),
    end: async () => void log.push("end"),
  }
  const store = {
    open: async (...about: unknown[]) => {
      log.push(about)
      return table
    },
  }
  const encodeTexts = async (texts: readonly string[]) => {
    log.push(texts.length)
    return new Float32Array(texts.length).fill(2)
  }
  const options = {
    store,
    onKept: (...counts: number[]) => void log.push(counts),
    onPrompts: (...counts: number[]) => void log.push(counts),
  }
  const labels = ["a", "b", ...Array.from({ length: 300 }, (_, i) => `c${i}`)]
  const vectors = await labelVectors({ embedDim: 1, encodeTexts }, labels, ["{}", "a {}"], options)
  expect([...vectors]).toEqual(labels.map((label) => kept.get(label) ?? 1))
  expect(log).toEqual([
    [302, ["{}", "a {}"], 1],
    [1, 302, 604],
    [0, 602],
    512,
    [512, 602],
    [256, "a", [1, 1]],
    90,
    [602, 602],
    [45, "c255", [1, 1]],
    "end",
  ])
  log.length = 0
  await labelVectors({ embedDim: 1, encodeTexts }, ["b"], ["{}", "a {}"], options)
  expect(log).toEqual([
    [1, ["{}", "a {}"], 1],
    [1, 1, 2],
  ])
})
