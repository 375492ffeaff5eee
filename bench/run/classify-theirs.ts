/**
 * What `classify` does, as a program of @huggingface/transformers: its pipeline for this task reads one file with both towers,
 * so the two towers are used by themselves.
 *
 *     node dist/bench/run/classify-theirs.js MODEL PICTURE LABEL...
 */
import { basename, dirname } from "node:path"
import {
  AutoProcessor,
  AutoTokenizer,
  CLIPTextModelWithProjection,
  CLIPVisionModelWithProjection,
  cos_sim,
  env,
  RawImage,
  softmax,
} from "@huggingface/transformers"

const [folder = "", picture = "", ...labels] = process.argv.slice(2)
env.allowRemoteModels = false
env.localModelPath = dirname(folder)
const name = basename(folder)
const options = { dtype: "fp32" } as const

const [processor, vision, tokenizer, text, image] = await Promise.all([
  AutoProcessor.from_pretrained(name),
  CLIPVisionModelWithProjection.from_pretrained(name, options),
  AutoTokenizer.from_pretrained(name),
  CLIPTextModelWithProjection.from_pretrained(name, options),
  RawImage.read(picture),
])
const prompts = labels.map((label) => `a photo of a ${label}.`)
const { image_embeds } = await vision(await processor(image))
const { text_embeds } = await text(tokenizer(prompts, { padding: "max_length", truncation: true }))
const [query, ...rows] = [image_embeds, ...labels.map((_, i) => text_embeds[i])].map(
  (rows) => [...rows.data] as number[],
)
const scores = softmax(rows.map((row) => 100 * cos_sim(query!, row)))
console.log(JSON.stringify(labels.map((label, i) => ({ label, score: scores[i] }))))
