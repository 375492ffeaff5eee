/** Inputs of the rows: made once, whole or not at all, so that a run that was stopped goes on with what is there. */
import { existsSync } from "node:fs"
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { Row, Size } from "./row.ts"

/** The folder of a size's inputs in `folder`; an empty one where the row needs none. */
export async function inputOf(
  { name: row, input }: Row,
  size: Size,
  folder: string,
  say: (line: string) => void,
): Promise<string> {
  const path = join(folder, input ? `${input.name}-${sizeName(size, input.uses)}` : "none")
  if (existsSync(path)) return path
  const part = `${path}.part`
  await rm(part, { recursive: true, force: true })
  await mkdir(part, { recursive: true })
  if (input) say(`${row}: making ${sizeText(size)}`)
  await input?.make(part, size)
  await writeFile(listOf(path), JSON.stringify(await readdir(part, { recursive: true })))
  await rename(part, path)
  return path
}

/** Removes what was put beside the inputs since they were made, such as index files. */
export async function forgetKept(path: string): Promise<void> {
  const made = new Set(JSON.parse(await readFile(listOf(path), "utf8")) as string[])
  const others = (await readdir(path, { recursive: true })).filter((name) => !made.has(name))
  await Promise.all(others.map((name) => rm(join(path, name), { recursive: true, force: true })))
}

function listOf(path: string): string {
  return `${path}.json`
}

function sizeName({ given }: Size, uses: readonly string[] | undefined): string {
  return Object.entries(given)
    .filter(([name]) => uses?.includes(name) ?? true)
    .map(([name, value]) => `${value}-${name.replaceAll(" ", "-")}`)
    .join("-")
}

/** "1,280 shards, 10,000 samples" */
export function sizeText({ given }: Size): string {
  return Object.entries(given)
    .map(([name, value]) => `${value.toLocaleString("en")} ${name}`)
    .join(", ")
}
