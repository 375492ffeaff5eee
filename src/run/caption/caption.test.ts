import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import type { CaptionDecoder } from "../../core/inference/caption-decoder.ts"
import { endOfText, startOfText, Tokenizer } from "../../core/text/tokenizer.ts"
import { beamSearch } from "./beam.ts"
import { captionText, generate } from "./generate.ts"
import { generateOptions } from "./options.ts"
import { applyRules, topKTokens, topPTokens } from "./processors.ts"

const vocabSize = endOfText + 1
/** Words of the language below. */
const words = [320, 1125, 539, 518, 5922, endOfText]

/** Logits that depend on the whole prefix and on the row's image: a few likely words, all others impossible. */
function logitsOf(prefix: readonly number[], image: number): Float32Array {
  const random = Random.of(image, prefix.join(" "))
  const logits = new Float32Array(vocabSize).fill(-50)
  for (const word of words) logits[word] = 3 * random.normal()
  return logits
}

/** Remembers what each row was fed, so a wrong parent gives wrong captions. */
function fakeDecoder(images: readonly number[]): CaptionDecoder & { rows: number[] } {
  let state = images.map((image) => ({ image, prefix: [] as number[] }))
  const rows: number[] = []
  return {
    vocabSize,
    contextLength: 76,
    rows,
    async step(tokens, parents) {
      state = (parents ?? state.map((_, i) => i)).map((parent, i) => {
        const { image, prefix } = state[parent]!
        return { image, prefix: [...prefix, tokens[i]!] }
      })
      rows.push(state.length)
      const logits = new Float32Array(state.length * vocabSize)
      state.forEach(({ image, prefix }, i) => {
        logits.set(logitsOf(prefix, image), i * vocabSize)
      })
      return logits
    },
  }
}

/** The reference's rule: in ascending order, what adds up to at most 1 - p is dropped, the last one never. */
function topPByDefinition(logits: Float32Array, topP: number): Set<number> {
  const exps = Array.from(logits, Math.exp)
  const total = exps.reduce((sum, value) => sum + value, 0)
  const order = [...logits.keys()].sort((a, b) => logits[a]! - logits[b]! || a - b)
  let sum = 0
  return new Set(
    order.filter((id, i) => {
      sum += exps[id]! / total
      return sum > 1 - topP || i === order.length - 1
    }),
  )
}

test("top-p keeps what the definition keeps, on flat and on peaked logits", () => {
  for (const [seed, scale] of [0.01, 0.5, 2, 8, 30].entries()) {
    const random = Random.of(seed, "logits")
    const logits = Float32Array.from({ length: 3000 }, () => scale * random.normal())
    for (const topP of [0, 0.1, 0.5, 0.9, 0.99]) {
      const kept = topPTokens(logits, topP)
      expect(new Set(kept), `scale ${scale}, p ${topP}`).toEqual(topPByDefinition(logits, topP))
      expect(new Set(kept).size).toBe(kept.length)
    }
  }
})

test("top-k keeps ties of the last one", () => {
  const logits = Float32Array.of(1, 5, 3, 3, 2)
  expect([...topKTokens(logits, 1)]).toEqual([1])
  expect([...topKTokens(logits, 2)]).toEqual([1, 2, 3])
  expect([...topKTokens(logits, 99)]).toEqual([0, 1, 2, 3, 4])
})

test("rules: no early end, and a penalty by the sign of the logit", () => {
  const logits = new Float32Array(vocabSize).fill(1)
  logits[320] = -2
  applyRules(logits, [startOfText, 320, 539], { minSeqLen: 5, repetitionPenalty: 2 })
  expect([logits[endOfText], logits[320], logits[539], logits[1125]]).toEqual([Number.NEGATIVE_INFINITY, -4, 0.5, 1])
})

test("greedy takes the most likely token, ends where it must, and pads", async () => {
  const captions = await generate(fakeDecoder([1, 2, 3]), [0, 0, 0], { generationType: "greedy", seqLen: 9 })
  expect(new Set(captions.map(({ length }) => length)).size).toBe(1)
  captions.forEach((caption, i) => {
    const end = caption.indexOf(endOfText)
    expect(caption.slice(end + 1).every((id) => id === 0)).toBe(true)
    for (let l = 1; l < Math.min(end, 8); l++) {
      const logits = logitsOf(caption.slice(0, l), i + 1)
      if (l < 5) logits[endOfText] = Number.NEGATIVE_INFINITY
      expect(caption[l]).toBe(logits.indexOf(Math.max(...words.map((word) => logits[word]!))))
    }
  })
})

test("a caption depends on its image and its seed, not on the batch; ended rows are not computed", async () => {
  const options = { generationType: "top_p", topP: 0.9, seqLen: 20, fixedOutputLength: true } as const
  const decoder = fakeDecoder([5, 6, 7, 8])
  const together = await generate(decoder, [1, 2, 3, 4], options)
  const reversed = await generate(fakeDecoder([8, 7, 6, 5]), [4, 3, 2, 1], options)
  expect(reversed.toReversed()).toEqual(together)
  for (const i of [0, 1, 2, 3]) expect(await generate(fakeDecoder([5 + i]), [1 + i], options)).toEqual([together[i]])
  expect(decoder.rows.at(-1)).toBeLessThan(4)
  expect(decoder.rows).toEqual(decoder.rows.toSorted((a, b) => b - a))
})

test("drawing follows the softmax over the temperature, of the tokens that are kept", async () => {
  const seeds = Array.from({ length: 4000 }, (_, i) => i)
  const logits = new Float32Array(vocabSize).fill(Number.NEGATIVE_INFINITY)
  logits.set([2, 1, 0], 320)
  const decoder: CaptionDecoder = {
    vocabSize,
    contextLength: 76,
    step: async (tokens) => {
      const rows = new Float32Array(tokens.length * vocabSize)
      for (let i = 0; i < tokens.length; i++) rows.set(logits, i * vocabSize)
      return rows
    },
  }
  const draws: number[] = []
  for (let start = 0; start < seeds.length; start += 100) {
    const batch = seeds.slice(start, start + 100)
    const options = { generationType: "top_k", topK: 2, temperature: 2, seqLen: 3, minSeqLen: 0 } as const
    draws.push(...(await generate(decoder, batch, options)).map((caption) => caption[1]!))
  }
  const share = draws.filter((id) => id === 320).length / draws.length
  const expected = 1 / (1 + Math.exp(-0.5))
  expect(draws.every((id) => id === 320 || id === 321)).toBe(true)
  // Four standard errors.
  expect(Math.abs(share - expected)).toBeLessThan(4 * Math.sqrt((expected * (1 - expected)) / draws.length))
})

test("id 0 ends a caption, as in the reference", async () => {
  const decoder: CaptionDecoder = {
    vocabSize,
    contextLength: 76,
    step: async (tokens) => {
      const rows = new Float32Array(tokens.length * vocabSize)
      rows[0] = 9
      return rows
    },
  }
  const options = { generationType: "greedy", seqLen: 7, minSeqLen: 0 } as const
  expect(await generate(decoder, [0], options)).toEqual([[startOfText, 0]])
  expect(await generate(decoder, [0], { ...options, fixedOutputLength: true })).toEqual([
    [startOfText, 0, 0, 0, 0, 0, 0],
  ])
})

test("a beam wide enough for everything finds the caption with the best score", async () => {
  const options = generateOptions({ seqLen: 4, minSeqLen: 0, numBeams: 300, numBeamGroups: 1 }, 76)
  for (const image of [1, 2, 3]) {
    const rows = new Array<number>(300).fill(image)
    const [found] = await beamSearch(fakeDecoder(rows), 1, options)
    expect(found).toEqual(bestOfAll(image, 4))
  }
})

/** Every caption of the language, its score the sum of logits over the length with its end, or without where it is cut. */
function bestOfAll(image: number, seqLen: number): number[] {
  let best: { score: number; caption: number[] } = { score: Number.NEGATIVE_INFINITY, caption: [] }
  const visit = (caption: number[], sum: number): void => {
    if (caption.length === seqLen) {
      if (sum / seqLen > best.score) best = { score: sum / seqLen, caption }
      return
    }
    const logits = logitsOf(caption, image)
    for (const word of words) {
      const next = sum + logits[word]!
      if (word !== endOfText) visit([...caption, word], next)
      else if (next / (caption.length + 1) > best.score) {
        best = { score: next / (caption.length + 1), caption: [...caption, endOfText] }
      }
    }
  }
  visit([startOfText], 0)
  return best.caption
}

test("beam search: a batch gives what each image gives alone", async () => {
  const options = generateOptions({ seqLen: 12, numBeams: 6, numBeamGroups: 3 }, 76)
  const together = await beamSearch(fakeDecoder([1, 1, 2, 2, 3, 3]), 3, options)
  for (const i of [1, 2, 3]) expect(await beamSearch(fakeDecoder([i, i]), 1, options)).toEqual([together[i - 1]])
})

test.each([
  ["seqLen", { seqLen: 90 }],
  ["minSeqLen", { minSeqLen: 30 }],
  ["topP", { topP: 1.1 }],
  ["temperature", { temperature: 0 }],
  ["numBeamGroups", { numBeamGroups: 4 }],
])("%s out of range is one line", (name, options) => {
  expect(() => generateOptions(options, 76)).toThrow(new RegExp(`^${name} is .*; expected is `))
})

test("text: between start and end, up to the first full stop", () => {
  const tokenizer = new Tokenizer()
  const ids = tokenizer.encodeBatch(["a cat. a dog"], 12).ids
  expect(captionText(Array.from(ids, Number), tokenizer)).toBe("a cat")
  expect(captionText(Array.from(ids, Number), tokenizer, { whole: true })).toBe("a cat . a dog")
})
