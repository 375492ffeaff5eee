import { describe, expect, test } from "vitest"
import { built, reportsOf, runRanks } from "../../../test/ranks.ts"
import * as torch from "../../../torch/index.ts"
import { contrastiveLoss, l2Normalize } from "../loss.ts"

/**
 * A tower of two layers on images and one of texts, its loss, and its gradients; the same text for the ranks and for the
 * one process they are compared with. `own` takes a rank's rows, `all` gathers them.
 */
const towers = `
  const make = (shape, seed) => torch.tensor(
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin((i + 1) * seed)), shape, { dtype })
  const parameters = [[5, 6], [4, 5], [3, 4], [4, 7], []].map((shape, i) => make(shape, 1.7 + i).requiresGrad_())
  const [w1, w2, w3, v, logScale] = parameters
  const unit = (x) => x.div(x.norm([-1], true))
  const image = (x) => unit(x.matmul(w1.transpose(0, 1)).gelu().matmul(w2.transpose(0, 1)))
  const text = (x) => unit(x.matmul(v.transpose(0, 1)))
  const [images, texts] = [make([8, 6], 0.37), make([8, 7], 0.53)]
  const localLoss = (i, t, allI, allT, first) => {
    const scale = logScale.exp()
    const targets = torch.arange(first, first + i.shape[0], 1, { dtype: "int64" })
    return torch.crossEntropy(i.matmul(allT.transpose(0, 1)).mul(scale), targets)
      .add(torch.crossEntropy(t.matmul(allI.transpose(0, 1)).mul(scale), targets)).div(2)
  }
  const w3Loss = (i) => i.matmul(w3.transpose(0, 1)).pow(2).mean()
  const numbers = (tensor) => Array.from(tensor.to({ dtype: "float64" }).data())
  const gradients = () => parameters.map((p) => numbers(p.grad))
`

type Gradients = number[][]

function largestDifference(a: Gradients, b: Gradients): number {
  expect(a.map((x) => x.length)).toEqual(b.map((x) => x.length))
  return Math.max(...a.flatMap((x, i) => x.map((value, k) => Math.abs(value - b[i]![k]!))))
}

/** The result of one process with the whole batch. */
const alone = `
  const i = image(images), t = text(texts)
  localLoss(i, t, i, t, 0).add(w3Loss(i)).backward()
`

async function gradientsOfOne(dtype: string): Promise<Gradients> {
  // A single rank needs no group.
  const run = new Function("torch", `const dtype = "${dtype}"; ${towers} ${alone} return gradients()`)
  return run(torch) as Gradients
}

describe("two ranks with half of the batch each equal one with all of it", () => {
  test.each([
    ["float64", 1e-12],
    ["float32", 1e-6],
  ])("gathered features and mean gradients, %s", async (dtype, tolerance) => {
    const reports = await reportsOf<{ loss: number; gradients: Gradients }>(
      2,
      `const dtype = "${dtype}"
       ${towers}
       const reducer = group.overlapGradients(parameters)
       const first = group.rank * 4
       const steps = []
       for (let step = 0; step < 3; step++) {
         for (const p of parameters) p.grad = null
         torch.scope(() => {
           const [i, t] = [image(images.narrow(0, first, 4)), text(texts.narrow(0, first, 4))]
           const loss = localLoss(i, t, group.gatherWithGradient(i), group.gatherWithGradient(t), first).add(w3Loss(i))
           reducer.arm()
           loss.backward()
           reducer.finish()
         })
         steps.push(gradients())
       }
       const same = steps.every((step) => JSON.stringify(step) === JSON.stringify(steps[0]))
       report({ same, gradients: steps[2] })
       reducer.free()`,
    )
    const expected = await gradientsOfOne(dtype)
    expect(Math.max(...expected.flat().map(Math.abs))).toBeGreaterThan(0.01)
    for (const report of reports) {
      expect(largestDifference(report.gradients, expected)).toBeLessThan(tolerance)
      // The first step finds out the order, the others send while they compute.
      expect(report).toMatchObject({ same: true })
    }
  })

  test("with several backward passes before the last, as gradient caching makes", async () => {
    const reports = await reportsOf<Gradients>(
      2,
      `const dtype = "float64"
       ${towers}
       const reducer = group.overlapGradients(parameters)
       const first = group.rank * 4
       const chunk = (k) => [image(images.narrow(0, first + 2 * k, 2)), text(texts.narrow(0, first + 2 * k, 2))]
       for (let step = 0; step < 2; step++) {
         for (const p of parameters) p.grad = null
         const cached = torch.noGrad(() => [0, 1].map(chunk))
         const [i, t] = [0, 1].map((side) => torch.cat(cached.map((c) => c[side])).requiresGrad_())
         localLoss(i, t, group.gatherWithGradient(i), group.gatherWithGradient(t), first).add(w3Loss(i)).backward()
         for (const k of [0, 1]) {
           if (k === 1) reducer.arm()
           const [ci, ct] = chunk(k)
           const part = (features, whole) => features.mul(whole.grad.narrow(0, 2 * k, 2)).sum()
           part(ci, i).add(part(ct, t)).backward()
         }
         reducer.finish()
       }
       report(gradients())`,
    )
    const expected = await gradientsOfOne("float64")
    for (const report of reports) expect(largestDifference(report, expected)).toBeLessThan(1e-12)
  })
})

test("three ranks: gather, broadcast, means, flags, buckets of every size and unlike ranks", async () => {
  const reports = await reportsOf<Record<string, unknown>>(
    3,
    `const { rank } = group
     const rows = torch.tensor(Float32Array.of(rank, 10 + rank), [1, 2])
     const gathered = Array.from(group.gather(rows).data())
     const tensors = [torch.full([2], rank + 5), torch.tensor(BigInt64Array.of(BigInt(rank)), [1])]
     group.broadcast(tensors)
     const sameForAll = (bytes) => {
       const parameters = [[2], [3, 2], [1], []].map((shape) => torch.zeros(shape, { requiresGrad: true }))
       const reducer = new torch.distributed.Reducer(parameters, bytes)
       for (let step = 0; step < 2; step++) {
         reducer.arm()
         for (const p of parameters) p.grad = null
         parameters.map((p, i) => p.mul((rank + 1) * (i + 1)).sum()).reduce((a, b) => a.add(b)).backward()
         reducer.finish()
       }
       reducer.free()
       return parameters.map((p) => Array.from(p.grad.data()))
     }
     const [mean, few] = [group.mean([rank, 1 / 3]), group.any(rank === 2)]
     group.any(false)
     report({ gathered, mean, any: [few, group.any(false)], broadcast: tensors.map((t) => Number(t.data()[0])),
       reduced: [1, 16, 1 << 20].map(sameForAll) })`,
  )
  const reduced = [[2, 2], [4, 4, 4, 4, 4, 4], [6], [8]]
  for (const report of reports) {
    expect(report).toMatchObject({
      gathered: [0, 10, 1, 11, 2, 12],
      any: [true, false],
      broadcast: [5, 0],
      reduced: [reduced, reduced, reduced],
    })
    expect((report.mean as number[])[0]).toBeCloseTo(1, 14)
    expect((report.mean as number[])[1]).toBeCloseTo(1 / 3, 14)
  }
})

test("misuse is an error, and the group goes on", async () => {
  const reports = await reportsOf<string[]>(
    2,
    `const messages = []
     const attempt = (fn) => { try { fn(); messages.push("nothing") } catch (error) { messages.push(error.message) } }
     attempt(() => torch.distributed.join({ backend: "gloo", address: "127.0.0.1", port: 1, rank: 0, size: 1, timeoutSeconds: 1 }))
     attempt(() => group.gather(torch.full([], 1)))
     attempt(() => group.gather(torch.zeros([2 - group.rank, 3])))
     attempt(() => torch.distributed.gather("rows"))
     attempt(() => group.gather(torch.zeros([1]).to({ dtype: "bfloat16" })))
     attempt(() => torch.distributed.allReduce(torch.zeros([3, 2]).transpose(0, 1)))
     attempt(() => group.broadcast([torch.zeros([1]), null]))
     attempt(() => group.overlapGradients([]))
     attempt(() => group.overlapGradients([torch.zeros([2])]))
     const weight = torch.zeros([2], { requiresGrad: true })
     const reducer = group.overlapGradients([weight])
     attempt(() => reducer.finish())
     reducer.arm()
     attempt(() => reducer.finish())
     reducer.arm()
     weight.sum().backward()
     attempt(() => weight.sum().backward())
     reducer.free()
     reducer.free()
     attempt(() => reducer.arm())
     weight.sum().backward()
     group.any(false)
     group.close()
     attempt(() => group.any(false))
     report(messages)`,
  )
  const unlike = ["rank 0 has [2,3] to gather, rank 1 has [1,3]", "rank 1 has [1,3] to gather, rank 0 has [2,3]"]
  for (const [rank, messages] of reports.entries()) {
    expect(messages).toEqual([
      "this process is in a process group already",
      "expected rows, got a tensor of shape []",
      `${unlike[rank]}: shapes must be equal`,
      'expected a Tensor, got "rows"',
      "expected a contiguous tensor on cpu, not of bfloat16, got bfloat16[1] on cpu",
      "expected a contiguous tensor on cpu, not of bfloat16, got float32[2, 3] on cpu",
      "expected a Tensor, got null",
      "expected parameters, got none",
      "expected parameters: leaves that require gradients",
      "finish() without arm()",
      "a parameter of shape [2] got no gradient",
      "a gradient came twice after arm(): arm before the last backward pass",
      "no reducer has this number",
      "this process is in no process group",
    ])
  }
})

describe("a lost rank", () => {
  test.each(["group.mean([1])", "reducer.arm(); weight.sum().backward(); reducer.finish()"])(
    "ends the others at once: %s",
    async (operation) => {
      const start = performance.now()
      const ends = await runRanks(
        3,
        `const weight = torch.zeros([1000], { requiresGrad: true })
         const reducer = group.overlapGradients([weight])
         group.any(false)
         if (group.rank === 1) process.kill(process.pid, "SIGKILL")
         ${operation}`,
        600,
      )
      // Far below the ten minutes that a rank may be late; processes start slowly on a busy machine.
      expect(performance.now() - start).toBeLessThan(60_000)
      expect(ends.map(({ code, signal }) => code ?? signal)).toEqual([1, "SIGKILL", 1])
      for (const rank of [0, 2]) {
        expect(ends[rank]!.stderr).toMatch(
          new RegExp(`rank ${rank} of 3 on .*: another rank was lost, or did not come`),
        )
      }
    },
  )

  test("that only hangs is waited for until the timeout", async () => {
    const hang = "await new Promise((resolve) => setTimeout(resolve, 7000))"
    const ends = await runRanks(2, `group.rank === 1 ? ${hang} : group.any(false)`, 5)
    expect(ends[0]!.code).toBe(1)
    expect(ends[0]!.stderr).toContain("another rank was lost, or did not come within 5 seconds")
  })
})

test("the loss of a rank with its rows against all columns is the whole batch's on average", () => {
  const [a, b] = [3, 4].map((seed) =>
    l2Normalize(
      torch.tensor(
        Float64Array.from({ length: 24 }, (_, i) => Math.sin(i * seed + 1)),
        [6, 4],
      ),
    ),
  ) as [torch.Tensor, torch.Tensor]
  const scale = torch.tensor(Float64Array.of(14), [])
  const side = (all: torch.Tensor, rank: number) => ({ rows: all.narrow(0, 3 * rank, 3), all })
  const local = [0, 1].map((rank) =>
    contrastiveLoss({ image: side(a, rank), text: side(b, rank) }, scale, 3 * rank).item(),
  )
  const whole = contrastiveLoss({ image: { rows: a, all: a }, text: { rows: b, all: b } }, scale).item()
  expect((local[0]! + local[1]!) / 2).toBeCloseTo(whole, 12)
})

test("other settings or data on one rank are an error on all, which names it", async () => {
  const errors = await reportsOf<string[]>(
    3,
    `const { requireSameSettings } = await import(${built("src/train/distributed/same-settings.js")})
     const attempt = (settings) => { try { requireSameSettings(settings, group) } catch (e) { return e.message } return "none" }
     const { rank } = group
     report([
       attempt({ seed: 1, data: "40 samples" }),
       attempt({ seed: 1, data: rank === 1 ? "64 samples" : "40 samples" }),
       attempt({ seed: 1, ...(rank === 2 && { extra: 1 }) }),
     ])`,
  )
  for (const [rank, [same, data, names]] of errors.entries()) {
    expect(same).toBe("none")
    const own = rank === 1 ? "64 samples" : "40 samples"
    expect(data).toBe(`rank 1 of 3 has another data than rank 0 (here, on rank ${rank}: ${own})`)
    expect(names).toMatch(/^rank 2 of 3 has other settings than rank 0/)
  }
})
