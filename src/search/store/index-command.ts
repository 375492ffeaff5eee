/** Commands for one index, which people are told to copy. */
import { commandLine } from "../../core/shell-quote.ts"

/** `mobileclip index WORDS --index FOLDER`: without its folder it would be a command for the default index. */
export function indexCommand(folder: string, ...words: string[]): string {
  return commandLine(["mobileclip", "index", ...words, "--index", folder])
}

/** What helps where vectors are damaged or missing. */
export function repairHint(folder: string): string {
  return `${indexCommand(folder, "verify", "--repair")} encodes again what is lost`
}
