/** mobileclip models */
import { type Command, Option } from "commander"
import { columnHelp } from "../models/table.ts"
import {
  familyView,
  freeView,
  type LayerOptions,
  layersView,
  memberView,
  type TableOptions,
  type View,
} from "../models/views.ts"
import { wholeNumber } from "../options.ts"
import { recipeList } from "../recipe-list.ts"

interface Options extends TableOptions, LayerOptions {
  readonly layers?: string
  readonly free?: true
  readonly json?: true
}

const more = `
Columns:
${columnHelp()}

Recipes of the papers, for mobileclip train --recipe:
${recipeList()}

Examples:
  mobileclip models --sort -imagenet                        the most accurate first
  mobileclip models --columns name,params,image-macs        what you want to know
  mobileclip models --free                                  what products may use
  mobileclip models MobileCLIP2-S0                          one model in full
  mobileclip models --layers mobileclip2-s0 --tower image   its image tower layer by layer
  mobileclip models --layers mobileclip2-s0 --depth 2       summed by stage
`

const tower = new Option("--tower <tower>", "for --layers").choices(["image", "text", "both"]).default("both")
const form = new Option("--form <form>", "for --layers").choices(["train", "fused"]).default("fused")

export function register(program: Command): void {
  program
    .command("models")
    .description("show the family: parameters, multiply-adds, licence, preprocessing, published accuracy")
    .argument("[name]", "one model, in full")
    .option("--columns <list>", "columns of the table, separated by commas (default: as many as fit)")
    .option("--sort <column>", "ascending by a column, descending by -<column>")
    .option("--free", "only weights whose licence allows commercial use, by the names that `pull` knows")
    .option("--layers <name>", "show a model layer by layer")
    .addOption(tower)
    .addOption(form)
    .option("--depth <n>", "for --layers: add up layers whose paths have the same first n parts", wholeNumber(0))
    .option("--json", "print everything, in single parameters, multiply-adds and bytes")
    .addHelpText("after", more)
    .action((name: string | undefined, options: Options, command: Command) => {
      const { data, text } = viewOf(name, options, command)
      command.configureOutput().writeOut?.(`${options.json ? JSON.stringify(data, null, 2) : text()}\n`)
    })
}

function viewOf(name: string | undefined, options: Options, command: Command): View {
  const { layers, free } = options
  if (name && layers) command.error("error: give a name, or --layers with a name")
  if (free && (name || layers)) command.error("error: --free lists weights; leave out the name")
  if (free) return freeView()
  if (layers) return layersView(layers, options)
  return name ? memberView(name) : familyView(options, process.stdout.columns ?? 120)
}
