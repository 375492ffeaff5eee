/** Lists of pictures with captions: rows by program, which name a few pictures again and again. */
import { createWriteStream } from "node:fs"
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { jpegs } from "./pictures.ts"

/** How many pictures the rows name, and how many rows are written at a time. */
const [pictures, side, rowsAtOnce] = [1000, 48, 10_000]

/** `list.csv` with the columns filepath and title, and its pictures. */
export function makeCsv(folder: string, rows: number): Promise<void> {
  const row = (i: number) => `${pictureOf(i)},"a photo of number ${i}, and more"\n`
  return makeList(join(folder, "list.csv"), folder, "filepath,title\n", rows, row)
}

/** `list.jsonl` with `image` and `caption`, and its pictures. */
export function makeJsonl(folder: string, rows: number): Promise<void> {
  const row = (i: number) => `{"image":"${pictureOf(i)}","caption":"a photo of number ${i}, and more"}\n`
  return makeList(join(folder, "list.jsonl"), folder, "", rows, row)
}

function pictureOf(row: number): string {
  return `pictures/${String(row % pictures).padStart(6, "0")}.jpg`
}

async function makeList(
  path: string,
  folder: string,
  head: string,
  rows: number,
  rowOf: (row: number) => string,
): Promise<void> {
  await mkdir(join(folder, "pictures"))
  const files = await jpegs(pictures, side)
  await Promise.all(files.map((bytes, i) => writeFile(join(folder, pictureOf(i)), bytes)))
  await pipeline(Readable.from(blocksOf(head, rows, rowOf)), createWriteStream(path))
}

function* blocksOf(head: string, rows: number, rowOf: (row: number) => string): Generator<string> {
  yield head
  for (let first = 0; first < rows; first += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, rows - first)
    yield Array.from({ length: count }, (_, i) => rowOf(first + i)).join("")
  }
}
