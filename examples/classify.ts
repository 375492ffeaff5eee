/** Which label fits each picture best: `node dist/examples/classify.js MODEL LABELS PICTURE...`. */
import { MobileCLIP } from "mobileclip"

const [source = "model", labels = "star,heart", ...pictures] = process.argv.slice(2)
const clip = await MobileCLIP.load(source)
const results = await clip.classify(pictures, labels.split(","), { top: 1 })
results.forEach(([best], i) => {
  console.log(`${pictures[i]}: ${best!.label} ${(100 * best!.score).toFixed(1)} %`)
})
await clip.dispose()
