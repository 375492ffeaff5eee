/** A checkpoint of any origin as a model directory: `node dist/examples/convert.js WEIGHTS OUT`. */
import { UserError } from "mobileclip"
import { convert } from "mobileclip/convert"

const [weights = "run/model.safetensors", out = "model"] = process.argv.slice(2)
try {
  const converted = await convert(weights, { out, onStage: (text) => console.error(text) })
  if (converted.kind === "directory") console.log(Object.keys(converted.manifest.files).join("\n"))
} catch (error) {
  if (!(error instanceof UserError)) throw error
  console.error(`${error.message}\n${error.hint ?? ""}`)
  process.exitCode = 1
}
