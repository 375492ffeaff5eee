/** A stage of data generation, run as its command is. */
import { Command } from "commander"
import { reinforceLocally } from "../../cli/reinforce/local.ts"
import {
  addResourceOptions,
  addShardOptions,
  type ResourceOptions,
  type ShardOptions,
} from "../../cli/reinforce/shard-options.ts"
import {
  addCaptionOptions,
  addEmbeddingOptions,
  type CaptionOptions,
  captionJob,
  type EmbeddingOptions,
  embeddingJob,
} from "../../cli/reinforce/stage-options.ts"
import { commandLine as shellCommand } from "../../core/shell-quote.ts"

export interface StageContext {
  /** Gets one line about what happens now. */
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

/** `mobileclip reinforce <stage> <argv>` in this process. */
export async function runStage(
  stage: "caption" | "embed",
  argv: readonly string[],
  { signal, say }: StageContext,
): Promise<void> {
  const command = addShardOptions(new Command(stage))
  const add = stage === "caption" ? addCaptionOptions : addEmbeddingOptions
  const parsed = addResourceOptions(add(command))
    .parse([...argv], { from: "user" })
    .opts()
  const options = parsed as ShardOptions & ResourceOptions & CaptionOptions & EmbeddingOptions
  const output = { writeOut: () => {}, writeErr: (text: string) => say(text.trimEnd()) }
  await reinforceLocally(stage === "caption" ? captionJob(options) : embeddingJob(options), options, signal, output)
}

/** What `runStage` does, as a user types it. */
export function commandLine(stage: string, argv: readonly string[]): string {
  return shellCommand(["npx", "mobileclip", "reinforce", stage, ...argv])
}
