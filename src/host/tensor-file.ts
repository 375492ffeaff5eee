/** Opens a file of weights: its format is told by its first bytes, never by its name. */
import { UserError } from "../core/errors.ts"
import { type RandomAccess, SafetensorsFile } from "../core/safetensors.ts"
import type { TensorFile } from "../core/tensor-file.ts"
import { openRandomAccess } from "./files.ts"
import { openTorchFile } from "./torch-file.ts"

/** Close it when the last tensor has been read. Throws UserError, with advice, for anything but weights. */
export async function openTensorFile(path: string): Promise<TensorFile> {
  const file = openRandomAccess(path)
  try {
    const tensors = await readTensorFile(file)
    return Object.assign(tensors, { close: () => file.close() })
  } catch (error) {
    file.close()
    throw error
  }
}

/** The same for bytes from anywhere. */
export async function readTensorFile(source: RandomAccess): Promise<Omit<TensorFile, "close">> {
  const start = source.read(0, Math.min(source.size, 512))
  const foreign = foreignFormats.find(({ is }) => is(start))
  if (foreign) throw new UserError(`${source.name} is ${foreign.what}`, foreign.hint)
  if (startsWith(start, "PK")) return openTorchFile(source)
  const file = new SafetensorsFile(source)
  return {
    name: source.name,
    format: "safetensors",
    metadata: file.metadata,
    tensors: file.tensors,
    readFloat32: (name) => file.readFloat32(name),
  }
}

const saveAgain = "save it again with torch 1.6 or later, or use the model's safetensors file"

/** Files that are given in place of weights, and what to do. */
const foreignFormats: readonly {
  readonly what: string
  readonly hint: string
  is(start: Uint8Array): boolean
}[] = [
  { what: "empty", hint: "get the file again", is: (start) => start.length === 0 },
  {
    what: "a pointer of git-lfs, not the file it stands for",
    hint: "run `git lfs pull`, or `mobileclip pull`",
    is: (start) => startsWith(start, "version https://git-lfs"),
  },
  {
    what: "a web page",
    hint: "an address of the download page was saved; use `mobileclip pull`",
    is: (start) => /^\s*<(!doctype|html)/i.test(ascii(start)),
  },
  {
    what: "a tar archive of torch before 0.4, which is not read",
    hint: saveAgain,
    is: (start) => ascii(start.subarray(257, 262)) === "ustar",
  },
  {
    what: "a pickle of torch before 1.6, which is not read",
    hint: saveAgain,
    // A protocol mark, and no header length of safetensors is that large.
    is: (start) => start[0] === 0x80 && start[1]! >= 2 && start[1]! <= 5 && start[8] !== 0x7b,
  },
]

function startsWith(start: Uint8Array, text: string): boolean {
  return ascii(start.subarray(0, text.length)) === text
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}
