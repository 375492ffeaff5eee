/** A checkpoint of any origin as a model directory: `node dist/examples/convert.js WEIGHTS OUT`. */
import { UserError } from "mobileclip"
import { convert, pull } from "mobileclip/convert"

const [weights = "run/model.safetensors", out = "model"] = process.argv.slice(2)
try {
  // By name, as `mobileclip pull --list` shows them, from the hub or its cache; a path stays as it is.
  const { path, license } = await pull(weights)
  if (license) console.error(license.notice)
  const converted = await convert(path, { out, onStage: (text) => console.error(text) })
  if (converted.kind === "directory") console.log(Object.keys(converted.manifest.files).join("\n"))
} catch (error) {
  if (!(error instanceof UserError)) throw error
  console.error(`${error.message}\n${error.hint ?? ""}`)
  process.exitCode = 1
}
