/** `--sheet FILE`: a page of results as a picture or a page, by the file's name. */
import { extname } from "node:path"
import { counted } from "../../core/counted.ts"
import { UserError } from "../../core/errors.ts"
import { prepareFile, writeAtomically } from "../../host/files/files.ts"
import type { SearchPage } from "../query/search-page.ts"
import { drawSheet, type SheetFormat } from "./contact-sheet.ts"
import { sheetPage } from "./sheet-page.ts"

const formats: Readonly<Record<string, SheetFormat | "html">> = {
  ...{ ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".html": "html", ".htm": "html" },
}

/** Before any work: throws UserError where the name is of no format, or the file could not be written. */
export async function prepareSheet(file: string): Promise<void> {
  formatOf(file)
  await prepareFile(file)
}

/**
 * Writes the file, which is complete or absent.
 *
 * @param title the query, for a page
 * @returns what the sheet lacks, a line each
 */
export async function writeSheet(page: SearchPage, file: string, title: string): Promise<string[]> {
  const format = formatOf(file)
  if (format !== "html") {
    const { file: bytes, unread, notes } = await drawSheet(page, format)
    await writeAtomically(file, [bytes])
    return [...unreadNotes(unread), ...notes]
  }
  let unread = 0
  await writeAtomically(
    file,
    sheetPage(page, title, () => unread++),
  )
  return unreadNotes(unread)
}

function unreadNotes(unread: number): string[] {
  return unread === 0 ? [] : [`${counted(unread, "picture")} on the sheet could not be read`]
}

function formatOf(file: string): SheetFormat | "html" {
  const format = formats[extname(file).toLowerCase()]
  if (format !== undefined) return format
  throw new UserError(`${file} is not the name of a sheet`, "a sheet is a .png, .jpg, .webp or .html file")
}
