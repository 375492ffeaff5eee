/** Opens a file of weights by its content: safetensors or torch.save. Its extension does not matter. */

import { SafetensorsFile } from "../../core/containers/safetensors.ts"
import type { TensorFile } from "../../core/containers/tensor-file.ts"
import { UserError } from "../../core/errors.ts"
import type { RandomAccess } from "../../core/random-access.ts"
import { openRandomAccess } from "../files/files.ts"
import { TorchFile } from "./torch-file.ts"

/**
 * Opens a file and reads what it says about its tensors; their values are read when asked for, until `close`.
 * Throws UserError on a missing, empty or damaged file, and on every other kind of file, saying what to use instead.
 */
export async function openTensorFile(path: string): Promise<TensorFile> {
  const file = openRandomAccess(path)
  try {
    return await readTensorFile(file, () => file.close())
  } catch (error) {
    file.close()
    throw error
  }
}

/** The same for bytes, or anything else that can be read at any offset. */
export async function readTensorFile(source: RandomAccess, close: () => void = () => {}): Promise<TensorFile> {
  const format = formatOf(source)
  const file = format === "torch" ? await TorchFile.open(source) : new SafetensorsFile(source)
  return {
    name: source.name,
    format,
    metadata: file instanceof SafetensorsFile ? file.metadata : {},
    tensors: file.tensors,
    readFloat32: (name) => file.readFloat32(name),
    close,
  }
}

const expected = "a file of safetensors or of torch.save (torch 1.6 or newer) was expected"

/** What is often taken for weights -> how it begins, and what to say. */
const mistaken: readonly { begins: (head: Uint8Array, text: string) => boolean; message: string; hint: string }[] = [
  {
    begins: (_, text) => text.startsWith("version https://git-lfs"),
    message: "is a git-lfs pointer, not the file it points to",
    hint: "run `git lfs pull` in its repository, or download the file itself",
  },
  {
    begins: (_, text) => /^\s*<(!doctype|html|\?xml|head|body)/i.test(text),
    message: "is a web page, not weights: the download went wrong",
    hint: "look at the page in a browser (a login or a licence to accept?), and download the file again",
  },
  {
    begins: (head, text) => (head[0] === 0x80 && head[1]! >= 1 && head[1]! <= 5) || text.slice(257, 262) === "ustar",
    message: "is a legacy pickle, as torch wrote it before 1.6",
    hint: "save it again with torch 1.6 or newer: torch.save(torch.load(path), path); or use the safetensors file",
  },
]

function formatOf(source: RandomAccess): TensorFile["format"] {
  if (source.size === 0) throw new UserError(`${source.name} is empty`, expected)
  const head = source.read(0, Math.min(source.size, 512))
  if (head[0] === 0x50 && head[1] === 0x4b && head[2]! <= 8 && head[3]! <= 8) return "torch"
  if (isSafetensors(head)) return "safetensors"
  const text = Buffer.from(head).toString("latin1")
  const stranger = mistaken.find(({ begins }) => begins(head, text))
  if (stranger) throw new UserError(`${source.name} ${stranger.message}`, stranger.hint)
  throw new UserError(`${source.name} is neither safetensors nor a file of torch.save`, expected)
}

/** A header's length below 4 GiB, and JSON, which is cut off where the file is. */
function isSafetensors(head: Uint8Array): boolean {
  return head.length >= 8 && head.subarray(4, 8).every((byte) => byte === 0) && (head[8] ?? 0x7b) === 0x7b
}
