/** mobileclip train */
import type { Command } from "commander"
import * as torch from "../../../torch/index.ts"
import { libtorchInUse } from "../../doctor/computing.ts"
import { rankInfoFrom } from "../../train/distributed/environment.ts"
import type { CommandContext } from "../context.ts"
import { Exit } from "../errors.ts"
import { verboseOption } from "../options.ts"
import { recipeList } from "../recipe-list.ts"
import { addTrainOptions, type Launch, trainArgumentsOf } from "../train/arguments.ts"
import { trainCommand, withOwnThreads } from "../train/run.ts"

const examples = `
Examples:
  mobileclip train --train-data runs/quickstart/reinforced --dataset-reinforcement --out runs/mine loss.kind=distill \\
    'loss.teacherScales=[70,60]' schedule.steps=2000
  mobileclip train --recipe dfndr-12m --train-data 'data/{00000..04095}.tar' --device cuda --nproc 8 --out runs/b
  mobileclip train --recipe mobileclip2-s0 --dry-run          parameters, memory, steps, time
  mobileclip train --recipe mobileclip2-s0 --print-config > mine.json
  mobileclip train --train-data pictures.csv --model mobileclip2-s0 --out runs/csv schedule.epochs=10
  mobileclip train --train-data 'data/{0000..0127}.tar' --model coca-vit-l-14 --coca-caption-loss-weight 2 \\
    --out runs/coca
  mobileclip train --train-data pictures.csv --model mobileclip2-s0 --pretrained mobileclip2-s0 --lock-image --out runs/lit
  mobileclip train --out runs/mine --resume                   goes on from the last checkpoint

Recipes of the papers:
${recipeList()}

A recipe is data: key=value sets any of its keys, and open_clip's flags are short forms. Ctrl-C, SIGTERM and a
terminal that is closed save after the current step (exit codes 130, 143 and 129). --nproc opens ports on the loopback
interface only; torchrun's and SLURM's ranks meet at a port without a password, for a trusted network.
`

export function register(program: Command, context: CommandContext): void {
  const command = addTrainOptions(
    program.command("train").description("train a model from a recipe, plain or reinforced"),
  )
  command.addOption(verboseOption().helpGroup("Run:"))
  command.addHelpText("after", examples).action(async () => {
    const { writeOut = () => {}, writeErr = () => {} } = command.configureOutput()
    const given = context.argv.slice(context.argv.indexOf("train") + 1)
    // One process speaks for all that it starts.
    const argv = given.filter((word) => word !== "--verbose")
    const args = trainArgumentsOf(command)
    if (command.opts().verbose) writeErr(computing(args.launch, argv))
    const code = await trainCommand(args, argv, context.abortOnInterrupt, { writeOut, writeErr })
    if (code !== 0) throw new Exit(code)
  })
}

/** A line from the first of the processes that a launcher started; nothing from the others. */
function computing(launch: Launch, argv: readonly string[]): string {
  if ((rankInfoFrom(process.env)?.rank ?? 0) > 0) return ""
  return `${libtorchInUse(torch.version(), withOwnThreads(launch, argv))}\n`
}
