/** mobileclip reinforce: a command with commands of its own. */
import type { Command } from "commander"
import type { CommandContext } from "../context.ts"
import * as caption from "../reinforce/commands/caption.ts"
import * as embed from "../reinforce/commands/embed.ts"
import * as join from "../reinforce/commands/join.ts"
import * as replay from "../reinforce/commands/replay.ts"
import * as run from "../reinforce/commands/run.ts"
import * as stats from "../reinforce/commands/stats.ts"
import * as status from "../reinforce/commands/status.ts"
import * as verify from "../reinforce/commands/verify.ts"
import * as worker from "../reinforce/commands/worker.ts"

const overview = `
As in the papers: captions first, then embeddings of pictures and captions.
  mobileclip reinforce caption --input data/shards --output data/captioned --model-name models/coca
  mobileclip reinforce embed --input data/captioned --output data/reinforced --model-name models/a,models/b --bfloat16
  mobileclip reinforce verify data/reinforced
  mobileclip reinforce stats data/reinforced --contact-sheet sheet.png
`

export function register(program: Command, context: CommandContext): void {
  const reinforce = program
    .command("reinforce")
    .description("store captioners' and teachers' knowledge in a dataset, on one machine or many")
    .addHelpText("after", overview)
  for (const command of [caption, embed, run, worker, status, join, verify, stats, replay]) {
    command.register(reinforce, context)
  }
}
