/** Vectors of a folder's pictures to files, and labels to a file: `node dist/examples/embed.js MODEL PICTURES OUT`. */
import { writeFileSync } from "node:fs"
import { loadModel } from "mobileclip"
import { bakeLabels, classifyFiles, embed, fileInputs, namedPictures, serializeLabels } from "mobileclip/embed"

const [directory = "model", pictures = "pictures", out = "vectors"] = process.argv.slice(2)
const files = await namedPictures({ paths: [pictures] })
// Killed at any time and called again, it goes on.
const [vectors] = await embed({ models: [directory], inputs: fileInputs("pictures", files), out })
console.log(`${vectors!.folder}: ${vectors!.rows} vectors of ${vectors!.embedDim} values`)

const model = await loadModel(directory)
try {
  const labels = await bakeLabels(model, ["red", "blue"])
  writeFileSync("labels.json", serializeLabels(labels))
  // Pictures are decoded once for all models of the list.
  for await (const file of classifyFiles(files, [{ model: directory, encoder: model, labels }])) {
    if ("error" in file) console.error(file.error.message)
    else console.log(`${file.image}: ${file.results[0]!.labels[0]!.label}`)
  }
} finally {
  await model.dispose()
}
