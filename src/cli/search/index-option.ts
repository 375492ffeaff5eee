/** `--index`, as all commands of an index have it. */
import { Option } from "commander"
import { defaultIndexFolder } from "../../search/indexing/index-folder.ts"

export function indexOption(): Option {
  return new Option("--index <dir>", "the index's folder (also MOBILECLIP_INDEX)").default(defaultIndexFolder())
}
