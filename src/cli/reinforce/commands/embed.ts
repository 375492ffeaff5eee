/** mobileclip reinforce embed */
import type { Command } from "commander"
import { embeddingJob } from "../../../reinforce/job/stage-jobs.ts"
import type { CommandContext } from "../../context.ts"
import { addResourceOptions, addShardOptions, type ResourceOptions, type ShardOptions } from "../shard-options.ts"
import { addEmbeddingOptions, type EmbeddingOptions, embeddingRequest } from "../stage-options.ts"
import { outputOf } from "../summary.ts"

const examples = `
Examples:
  mobileclip reinforce embed --input data/captioned --output data/reinforced --num-samples 30 --bfloat16 \\
    --model-name models/vit-l-14-openai,models/vit-l-14-datacomp
  mobileclip reinforce embed --input data/captioned --output data/reinforced --model-name Xenova/clip-vit-base-patch32
  mobileclip reinforce embed --input data/captioned --output out --compact --workers 2 --model-name models/s4

Adds param_aug, image_emb, text_emb and an embedding of every synthetic caption. Each teacher gets pixels of its own
size, mean and std; its vectors are of unit length and lie side by side. The same seed gives the same views.
Ctrl-C finishes the shards under way; the same command goes on. Exit code 3: done, and some samples were left out.
`

export function register(parent: Command, context: CommandContext): void {
  const command = parent
    .command("embed")
    .description("store augmentations and the teachers' embeddings beside the samples of shards")
  addResourceOptions(addEmbeddingOptions(addShardOptions(command)))
    .addHelpText("after", examples)
    .action(async (options: ShardOptions & ResourceOptions & EmbeddingOptions) => {
      const { runHere } = await import("../local.ts")
      await runHere(
        embeddingJob(embeddingRequest(options)),
        options,
        context.abortOnInterrupt("finishing the shards under way"),
        outputOf(command),
      )
    })
}
