/** Which label fits each picture best: `node dist/examples/classify.js MODEL LABELS PICTURE...`. */
import { createClassifier, decodeImage, loadModel } from "mobileclip"

const [directory = "model", labels = "star,heart", ...paths] = process.argv.slice(2)
const model = await loadModel(directory)
try {
  const classifier = await createClassifier(model, labels.split(","), ["a photo of a {}."])
  const pictures = await Promise.all(paths.map((path) => decodeImage(path)))
  const results = await classifier.classify(pictures)
  results.forEach(([best], i) => {
    console.log(`${paths[i]}: ${best!.label} ${(100 * best!.score).toFixed(1)} %`)
  })
} finally {
  await model.dispose()
}
