/**
 * Milliseconds of the fused towers on ONNX Runtime at batch 1, and the multiply-adds a second. Weights are random, because
 * values do not change the time.
 *
 *     npm run build && node dist/bench/onnx-towers.js [VARIANT...]
 */
import { availableParallelism } from "node:os"
import * as ort from "onnxruntime-node"
import { type VariantName, variants } from "../src/core/family/variants.ts"
import { towers } from "../src/core/inference/manifest.ts"
import { type TowerName, traceTower } from "../src/export/towers.ts"
import { Clip } from "../src/model/clip.ts"
import { initialize } from "../src/model/module.ts"
import { fold, reparameterize } from "../src/model/reparameterize.ts"
import { measureCost } from "../src/tensor/cost.ts"

const shots = 30
const names = (process.argv.length > 2 ? process.argv.slice(2) : ["mobileclip-s0", "mobileclip2-s2"]) as VariantName[]

for (const name of names) {
  const trained = new Clip(variants[name].model)
  initialize(trained, 0)
  const model = fold(reparameterize(trained))
  for (const tower of ["image", "text"] as const) {
    for (const threads of new Set([1, availableParallelism()])) await report(name, model, tower, threads)
  }
}

async function report(name: string, model: Clip, tower: TowerName, threads: number): Promise<void> {
  const file = Buffer.concat([...traceTower(tower, model, towers[tower]).chunks()])
  const session = await ort.InferenceSession.create(file, { intraOpNumThreads: threads })
  const input = inputOf(model, tower)
  const times: number[] = []
  for (let i = 0; i < shots; i++) {
    const start = performance.now()
    await session.run({ [towers[tower].input]: input })
    times.push(performance.now() - start)
  }
  await session.release()
  times.sort((a, b) => a - b)
  const [best, median] = [times[0]!, times[shots / 2]!]
  const gmac = multiplyAdds(model, tower) / 1e9
  console.log(
    `${name} ${tower}, ${threads} threads: ${median.toFixed(1)} ms (best ${best.toFixed(1)}), ${gmac.toFixed(2)} GMAC, ${((gmac / best) * 1000).toFixed(0)} GMAC/s`,
  )
}

function inputOf({ config }: Clip, tower: TowerName): ort.Tensor {
  const { imageSize, text } = config
  if (tower === "image") {
    return new ort.Tensor("float32", new Float32Array(3 * imageSize * imageSize).fill(0.5), [
      1,
      3,
      imageSize,
      imageSize,
    ])
  }
  // Texts of full length, so that causal towers do all their work.
  const ids = new BigInt64Array(text.contextLength).fill(320n)
  ids[text.contextLength - 1] = 49407n
  return new ort.Tensor("int64", ids, [1, text.contextLength])
}

function multiplyAdds(model: Clip, tower: TowerName): number {
  const { imageSize, text } = model.config
  const shape = tower === "image" ? [1, 3, imageSize, imageSize] : [1, text.contextLength]
  const cost = measureCost(model.namedParameters(), [shape], (x) =>
    tower === "image" ? model.encodeImage(x!) : model.encodeText(x!),
  )
  return cost.multiplyAdds + cost.attentionMultiplyAdds
}
