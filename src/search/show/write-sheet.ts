/** `--sheet FILE`: a page of results as a picture or a page, by the file's name. */
import { extname } from "node:path"
import { counted } from "../../core/counted.ts"
import { UserError } from "../../core/errors.ts"
import { prepareFile, writeAtomically } from "../../host/files/files.ts"
import type { Duplicates } from "../query/duplicates/find-duplicates.ts"
import type { SearchPage } from "../query/search-page.ts"
import { drawSheet, type SheetFormat } from "./contact-sheet.ts"
import { groupsPage } from "./groups-page.ts"
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
 * @param folder of the index, whose kept small pictures are shown
 * @returns what the sheet lacks, a line each
 */
export async function writeSheet(page: SearchPage, file: string, title: string, folder?: string): Promise<string[]> {
  const format = formatOf(file)
  if (format !== "html") {
    const { file: bytes, unread, notes } = await drawSheet(page, format, folder)
    await writeAtomically(file, [bytes])
    return [...unreadNotes(unread), ...notes]
  }
  let unread = 0
  await writeAtomically(
    file,
    sheetPage(page, title, folder, () => unread++),
  )
  return unreadNotes(unread)
}

/** Before any work: throws UserError where the name is not that of a page, or it could not be written. */
export async function prepareGroups(file: string): Promise<void> {
  if (formatOf(file) !== "html")
    throw new UserError("groups of duplicates are written as a page", "write --sheet groups.html")
  await prepareFile(file)
}

/** The same for groups of duplicates. */
export async function writeGroups(found: Duplicates, file: string, folder: string): Promise<string[]> {
  let unread = 0
  await writeAtomically(
    file,
    groupsPage(found, folder, () => unread++),
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
