/** mobileclip evaluate: the suite by itself, and what is done with its results. */
import type { Command } from "commander"
import type { CommandContext } from "../context.ts"
import * as compare from "../evaluate/compare.ts"
import * as curve from "../evaluate/curve.ts"
import * as pack from "../evaluate/pack.ts"
import * as suite from "../evaluate/suite.ts"

export function register(program: Command, context: CommandContext): void {
  // Options after the name of a command below are that command's, also where `evaluate` has the same ones.
  program.enablePositionalOptions()
  const evaluate = program
    .command("evaluate")
    .description("score models on the 38-dataset suite or on your own tasks")
    .enablePositionalOptions()
  suite.register(evaluate, context)
  for (const command of [compare, curve, pack]) command.register(evaluate, context)
}
