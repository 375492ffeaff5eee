/** What commands that read pictures have in common: which pictures, and how they are read. */
import { type Command, Option } from "commander"
import { namedPictures } from "../host/image/image-files.ts"
import { defaultMaxPixels } from "../host/image/images.ts"
import type { PixelOptions } from "../pictures/prepare-pixels.ts"
import {
  decodings,
  fastDeviation,
  orientations,
  type PictureReading,
  pixelOptions,
  readingDefaults,
} from "../pictures/reading.ts"
import { wholeNumber } from "./options.ts"

export interface PictureOptions {
  readonly filesFrom?: string
  readonly orientation: PictureReading["orientation"]
  /** Absent in commands that decode every pixel. */
  readonly decode?: PictureReading["decode"]
  readonly maxPixels: number
}

export const picturesHelp = "picture files, folders of them, or patterns ('photos/**/*.jpg'); - reads a list from stdin"

export function addPictureOptions(command: Command): Command {
  return command
    .option(
      "--files-from <file>",
      "a list of pictures: a path on each line, or with a NUL after each (find -print0); - is stdin",
    )
    .addOption(orientationOption())
    .option("--max-pixels <n>", "refuse larger pictures", wholeNumber(1), defaultMaxPixels)
}

/** The pictures that a command line names; none named is wrong usage. Notes go to stderr. */
export async function picturesNamed(
  paths: readonly string[],
  { filesFrom, decode }: PictureOptions,
  command: Command,
): Promise<string[]> {
  if (paths.length === 0 && filesFrom === undefined) command.error("error: name pictures, or a list with --files-from")
  const { writeErr } = command.configureOutput()
  if (decode === "fast") writeErr?.(`--decode fast: vectors of large JPEG files differ a little; ${fastDeviation}\n`)
  return namedPictures({ paths, ...(filesFrom !== undefined && { filesFrom }) }, (line) => writeErr?.(`${line}\n`))
}

export function orientationOption(): Option {
  return new Option("--orientation <what>", "apply: turn pictures as the camera noted; ignore: as training does")
    .choices(orientations)
    .default(readingDefaults.orientation)
}

export function decodeOption(): Option {
  return new Option(
    "--decode <how>",
    `fast: large JPEG files are made smaller by their decoder, so that vectors differ a little (${fastDeviation}); exact: as training does`,
  )
    .choices(decodings)
    .default(readingDefaults.decode)
}

/** How pictures are read, as results record it. */
export function readingOf({ orientation, decode = readingDefaults.decode }: PictureOptions): PictureReading {
  return { orientation, decode }
}

/** The same for the decoder. */
export function decodingOf(options: PictureOptions): PixelOptions {
  return pixelOptions(readingOf(options), options.maxPixels)
}
