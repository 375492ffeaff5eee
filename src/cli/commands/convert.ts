/** mobileclip convert */
import { type Command, Option } from "commander"
import { directoryDtypes } from "../../core/precision.ts"
import { convertDefaults, convertLayouts } from "../../weights/convert.ts"
import type { CommandContext } from "../context.ts"
import { type ConvertCommandOptions, runConvert } from "../converting.ts"

const examples = `
Examples:
  mobileclip convert mobileclip_s0.pt --out models/s0               Apple's file
  mobileclip convert MobileCLIP2-S4 --out models/s4 --dtype fp16    by name, from the hub or its cache
  mobileclip convert mobileclip2-s0 --out public/s0 --dtype mixed   for a page: mobileclip/browser loads ./s0/
  mobileclip convert downloads/MobileCLIP-S1 --out m                the folder of a repository
  mobileclip convert open_clip_model.safetensors --out m --layout immich
  mobileclip convert runs/mine/model.safetensors --out m --layout open_clip

What the file holds is told by its contents. The result is compared with it on fixed inputs before it is kept.
`

export function register(program: Command, context: CommandContext): void {
  program
    .command("convert")
    .description("turn a checkpoint of any origin into a model directory, without libtorch")
    .argument(
      "<source>",
      "a file (.pt, .bin, .safetensors), a folder with one, a model's name, or a repository on the hub",
    )
    .requiredOption("--out <dir>", "the model directory to write")
    .option("--model <name>", "which member of the family it is, where its contents leave a choice")
    .addOption(
      new Option("--dtype <type>", "type of the weights; mixed is for browsers: pictures in fp16, texts in fp32")
        .choices(directoryDtypes)
        .default(convertDefaults.dtype),
    )
    .addOption(
      new Option("--layout <name>", "how the directory is laid out")
        .choices(convertLayouts)
        .default(convertDefaults.layout),
    )
    .option("--json", "print the manifest")
    .addHelpText("after", examples)
    .action((source: string, options: ConvertCommandOptions, command: Command) => {
      // A download is kept for the next time; what is written is complete or absent.
      return runConvert(source, options, context.abortOnInterrupt(), command.configureOutput())
    })
}
