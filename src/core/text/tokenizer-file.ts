/**
 * Whether the tokenizer beside a text tower is CLIP's. Hugging Face's `tokenizer.json` holds the vocabulary and the
 * merges, so that two tokenizers can be compared without running either.
 */
import { z } from "zod"
import { quoted, UserError } from "../errors.ts"
import { longestSequence } from "../family/size-limits.ts"
import { endOfText, mergeTexts, startOfText, tokenTexts } from "./vocabulary.ts"

const tokenizerSchema = z.object({
  model: z.object({
    vocab: z.record(z.string(), z.number()),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
    end_of_word_suffix: z.string().nullish(),
  }),
  added_tokens: z.array(z.object({ id: z.number(), content: z.string() })).default([]),
  padding: z.object({ pad_id: z.number() }).nullish(),
})

const configSchema = z.object({
  pad_token: z.union([z.string(), z.object({ content: z.string() })]).nullish(),
  /** Some libraries write 10^30 for "no limit": what is more than any tower takes is none. */
  model_max_length: z.number().nullish(),
})

export interface TokenizerFacts {
  /** What texts are padded with; null where no file says. */
  readonly padding: number | null
  /** Tokens of a text; null where no file says. */
  readonly contextLength: number | null
}

/**
 * @param tokenizer of tokenizer.json
 * @param config of tokenizer_config.json; null where there is none
 * @throws UserError when it is not CLIP's byte-pair encoding of 49,408 tokens, or the files contradict each other
 */
export function checkTokenizer(tokenizer: unknown, config: unknown, where: string): TokenizerFacts {
  const { success, data } = tokenizerSchema.safeParse(tokenizer)
  if (!success) throw notClips(where, "it holds no byte-pair encoding")
  const ids = new Map([
    ...Object.entries(data.model.vocab),
    ...data.added_tokens.map(({ id, content }) => [content, id] as const),
  ])
  checkVocabulary(ids, where)
  checkMerges(data.model.merges, where)
  const settings = configSchema.safeParse(config ?? {})
  if (!settings.success) throw notClips(where, "tokenizer_config.json is damaged")
  const length = settings.data.model_max_length ?? null
  return {
    padding: paddingOf(data.padding?.pad_id ?? null, settings.data.pad_token ?? null, ids, where),
    contextLength: length !== null && length <= longestSequence ? length : null,
  }
}

function checkVocabulary(ids: ReadonlyMap<string, number>, where: string): void {
  const size = new Set(ids.values()).size
  if (size !== endOfText + 1) throw notClips(where, `it has ${size} tokens, and CLIP's has ${endOfText + 1}`)
  const wrong = tokenTexts().findIndex((token, id) => id < startOfText && ids.get(token) !== id)
  if (wrong !== -1) throw notClips(where, `token ${wrong} is another one`)
}

function checkMerges(merges: readonly (string | readonly string[])[], where: string): void {
  const expected = mergeTexts(tokenTexts())
  const found = merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" ")))
  // The first line of the published list is a comment that some converters kept.
  const rows = found[0]?.startsWith("#") ? found.slice(1) : found
  const wrong = expected.findIndex((merge, i) => rows[i] !== merge)
  if (wrong !== -1 || rows.length !== expected.length) throw notClips(where, "its merges are others")
}

function paddingOf(
  id: number | null,
  token: string | { readonly content: string } | null,
  ids: ReadonlyMap<string, number>,
  where: string,
): number | null {
  if (token === null) return id
  const content = typeof token === "string" ? token : token.content
  const named = ids.get(content)
  if (named === undefined)
    throw new UserError(`${where}: its padding ${quoted(content)} is not a token of its vocabulary`)
  if (id === null || id === named) return named
  throw new UserError(
    `${where}: tokenizer.json pads with ${id}, and tokenizer_config.json with ${named} (${quoted(content)})`,
    "correct the file that is wrong",
  )
}

function notClips(where: string, difference: string): UserError {
  return new UserError(
    `${where}: the tokenizer is not CLIP's: ${difference}`,
    "texts are encoded with CLIP's byte-pair encoding; a model with another tokenizer cannot be used",
  )
}
