/** The recipes of the papers, as `--help` lists them. */
import { recipeNames } from "../train/recipe/load.ts"

const columns = 100

/** The names, in indented lines that fit. */
export function recipeList(): string {
  const lines: string[] = []
  for (const name of recipeNames) {
    const longer = `${lines.at(-1)}, ${name}`
    if (lines.length > 0 && longer.length <= columns) lines[lines.length - 1] = longer
    else lines.push(`  ${name}`)
  }
  return lines.join(",\n")
}
