/**
 * From the start of a process to the vector of one text, with the text tower alone.
 *
 *     node dist/bench/run/text-query.js LIBRARY MODEL
 */
import { basename, dirname } from "node:path"

const text = "a photo of a cat"
const [library, folder = ""] = process.argv.slice(2)

if (library === "mobileclip") {
  await (await import("./ours.ts")).embedText(folder, text)
} else {
  const { AutoTokenizer, CLIPTextModelWithProjection, env } = await import("@huggingface/transformers")
  env.allowRemoteModels = false
  env.localModelPath = dirname(folder)
  const tokenizer = await AutoTokenizer.from_pretrained(basename(folder))
  const model = await CLIPTextModelWithProjection.from_pretrained(basename(folder), { dtype: "fp32" })
  await model(tokenizer([text], { padding: "max_length", truncation: true }))
}
