/**
 * Time of attention with its gradients on the processor: the addon's operator, and products by head of libtorch, in turn,
 * at the sizes of some towers; and what part of a large matrix product's rate the operator reaches:
 *
 *     node dist/bench/attention.js [--rounds 21] [--threads 1]
 *
 * Prints medians in milliseconds. A causal operator computes about half of the scores; all of them count as work.
 */
import { parseArgs } from "node:util"
import { median } from "../src/core/arrays/quantile.ts"
import * as torch from "../torch/index.ts"

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "21" }, threads: { type: "string", default: "1" } },
})

/** Self-attention of a tower. */
interface Size {
  readonly name: string
  readonly batch: number
  readonly length: number
  readonly heads: number
  /** Values of a head. */
  readonly width: number
  readonly causal: boolean
}

const sizes: readonly Size[] = [
  { name: "MobileCLIP2-B, pictures", batch: 8, length: 197, heads: 12, width: 64, causal: false },
  { name: "MobileCLIP2-B, texts", batch: 8, length: 77, heads: 8, width: 64, causal: true },
  { name: "MobileCLIP2-S0, pictures", batch: 8, length: 64, heads: 16, width: 32, causal: false },
  { name: "quickstart, texts", batch: 96, length: 14, heads: 8, width: 32, causal: true },
]

/** Products of a head: 2 forward; 5 backward, because the scores are computed again. */
const products = 7

type Inputs = readonly [q: torch.Tensor, k: torch.Tensor, v: torch.Tensor]
type Form = (inputs: Inputs, size: Size) => torch.Tensor

const forms: Readonly<Record<"libtorch" | "addon", Form>> = {
  libtorch: (inputs, { heads, width, batch, length, causal }) => {
    const byHead = (x: torch.Tensor) => x.reshape([batch, length, heads, width]).permute([0, 2, 1, 3])
    const mixed = torch.scaledDotProductAttention(...(inputs.map(byHead) as [...Inputs]), { causal })
    return mixed.permute([0, 2, 1, 3]).reshape([batch, length, heads * width])
  },
  addon: (inputs, { heads, causal }) => torch.attention(...inputs, heads, causal),
}

function main(): void {
  torch.setThreads(Number(options.threads))
  const peak = productRate()
  console.log(
    `libtorch ${torch.version()}, threads ${torch.threads()}: ${peak.toFixed(0)} G products/s at 1,536 x 1,536`,
  )
  for (const size of sizes) console.log(row(size, peak))
}

function row(size: Size, peak: number): string {
  const { batch, length, heads, width } = size
  const [libtorch, addon] = compare(size)
  const rate = (products * batch * heads * length ** 2 * width) / addon / 1e6
  const times = `libtorch ${libtorch.toFixed(2)} ms, addon ${addon.toFixed(2)} ms (${(libtorch / addon).toFixed(1)}x)`
  return `  ${size.name.padEnd(26)} ${times}, ${rate.toFixed(0)} G products/s: ${((100 * rate) / peak).toFixed(0)} %`
}

/** Milliseconds of a forward and a backward pass. */
function compare(size: Size): [libtorch: number, addon: number] {
  const { batch, length, heads, width } = size
  const whole = torch.randn([batch, length, 3 * heads * width])
  const gradient = torch.randn([batch, length, heads * width])
  const run = (form: Form) => {
    const qkv = whole.detach().requiresGrad_()
    const parts = [0, 1, 2].map((i) => qkv.narrow(2, i * heads * width, heads * width)) as [...Inputs]
    const start = performance.now()
    torch.grad([form(parts, size)], parts, [gradient])
    return performance.now() - start
  }
  const rounds = Array.from({ length: Number(options.rounds) }, () =>
    torch.scope(() => [run(forms.libtorch), run(forms.addon)] as const),
  )
  return [median(rounds.map(([time]) => time)), median(rounds.map(([, time]) => time))]
}

/** G multiplications with additions a second, of a large matrix product. */
function productRate(): number {
  const n = 1536
  const [a, b] = [torch.randn([n, n]), torch.randn([n, n])]
  const times = Array.from({ length: 15 }, () => {
    const start = performance.now()
    torch.scope(() => a.matmul(b))
    return performance.now() - start
  })
  return n ** 3 / median(times) / 1e6
}

main()
