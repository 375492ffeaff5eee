/** mobileclip train */
import type { Command } from "commander"
import type { CommandContext } from "../context.ts"
import { Exit } from "../errors.ts"
import { recipeList } from "../recipe-list.ts"
import { addTrainOptions, trainArgumentsOf } from "../train/arguments.ts"
import { trainCommand } from "../train/run.ts"

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
  command.addHelpText("after", examples).action(async () => {
    const { writeOut = () => {}, writeErr = () => {} } = command.configureOutput()
    const argv = context.argv.slice(context.argv.indexOf("train") + 1)
    const code = await trainCommand(trainArgumentsOf(command), argv, context.abortOnInterrupt, { writeOut, writeErr })
    if (code !== 0) throw new Exit(code)
  })
}
