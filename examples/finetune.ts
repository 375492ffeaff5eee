/** Tunes weights on pictures in class folders: `node dist/examples/finetune.js PICTURES WEIGHTS OUT`. */
import { finetune } from "mobileclip/finetune"

const [source = "pictures", model = "run/model.safetensors", out = "tuned"] = process.argv.slice(2)
const report = await finetune({ source, model, out, steps: 2, batchSize: 4, threads: 1, say: console.error })
const percent = (share: number) => `${(100 * share).toFixed(1)} %`
console.log(`${percent(report.before.score)} before, ${percent(report.chosen.score)} after; ${out}/report.html`)
