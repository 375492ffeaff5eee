/** What the anatomy of a step counts and how it sorts: against the interpreter that counts on shapes alone, and by hand. */
import { spawnSync } from "node:child_process"
import { expect, test } from "vitest"
import { compare } from "../bench/anatomy/against.ts"
import { measureAnatomy, modelOf, withoutWaiting } from "../bench/anatomy/anatomy.ts"
import { placeIn, workOf } from "../bench/anatomy/classify.ts"
import { convolution, depthwise, parseArguments, product } from "../bench/anatomy/operations.ts"
import type { Kind } from "../bench/anatomy/operators.ts"
import { measureRecord } from "../bench/anatomy/record.ts"
import { randomBatch } from "../bench/step/random-batch.ts"
import { Clip } from "../src/model/clip.ts"
import { type LayerCost, measureCost } from "../src/tensor/cost.ts"
import { TorchInterpreter, type TorchTensor } from "../src/tensor/torch.ts"
import * as torch from "../torch/index.ts"

/** A rate of one everywhere: bounds are not looked at. */
const bounds = { operations: 1, bytes: 1 }
const common = { batch: 2, steps: 1, threads: 1, device: "cpu", precision: "float32" } as const

test("arguments are shapes and numbers", () => {
  expect(parseArguments("[8, 3, 64, 64] [] - 1 False 0.5")).toEqual([[8, 3, 64, 64], [], null, 1, null, 0.5])
})

test("operations by hand", () => {
  expect(product(parseArguments("[2, 3, 4, 5] [2, 3, 5, 6]"))).toBe(2 * 2 * 3 * 4 * 5 * 6)
  // 4 filters of 3 x 3 on 2 channels, at 5 x 5 places.
  expect(convolution(parseArguments("[1, 2, 10, 10] [4, 2, 3, 3] - [2, 2] [1, 1] [1, 1] 1"))).toBe(2 * 25 * 4 * 2 * 9)
  // A padding of 3 before and 2 after: 5 x 5 places.
  expect(depthwise(parseArguments("[1, 8, 10, 10] [8, 1, 7, 7] 2 [3, 2]"))).toBe(2 * 25 * 8 * 49)
})

test.each(["quickstart", "mobileclip2-s0", "mobileclip2-b"])(
  "the operations of a forward of %s are those that are counted on shapes, and no operator of a pass back is unknown",
  (name) => {
    const { config } = modelOf(name)
    const model = new Clip(config)
    // Values do not change what is counted, and drawing them takes longer than the forward.
    for (const parameter of model.namedParameters().values()) parameter.source = () => new Float32Array(parameter.size)
    const counted = forwardOperations(model)
    const interpreter = new TorchInterpreter(model, { training: true })
    const rows = torch.trace(() => torch.scope(() => pass(model, interpreter)))
    interpreter.free()
    const unknown = rows.filter((row) => workOf(row, "gradients").kind === "other")
    expect(unknown.map(({ path }) => path)).toEqual([])
    const forward = rows.filter(({ path }) => !path.startsWith("region:back"))
    const traced = forward.map((row) => workOf(row, "gradients"))
    expect(traced.reduce((sum, { operations }) => sum + operations, 0)).toBe(counted.all)
    const of = (kind: Kind) =>
      traced.filter((work) => work.kind === kind).reduce((sum, work) => sum + work.operations, 0)
    expect(of("attention")).toBe(counted.attention)
  },
)

function pass(model: Clip, interpreter: TorchInterpreter): void {
  const { imageSize, text } = model.config
  const { images } = randomBatch(model.config, { batch: 1, reinforced: false })
  // As long as captions can be: nothing is cut.
  const tokens = new BigInt64Array(text.contextLength).fill(1n)
  tokens[text.contextLength - 1] = 49407n
  const features = [
    model.encodeImage(interpreter.images(images, [1, 3, imageSize, imageSize])),
    model.encodeText(interpreter.tokens(tokens, [1, text.contextLength])),
  ] as TorchTensor[]
  torch.region("back", () => {
    for (const { value } of features) value.sum().backward()
  })
}

function forwardOperations(model: Clip) {
  const { imageSize, text } = model.config
  const parameters = model.namedParameters()
  const layers = [
    ...measureCost(parameters, [[1, 3, imageSize, imageSize]], (x) => model.encodeImage(x!)).layers,
    ...measureCost(parameters, [[1, text.contextLength]], (ids) => model.encodeText(ids!)).layers,
  ].filter((layer) => !isFactor(layer))
  const attention = layers.reduce((sum, layer) => sum + 2 * layer.attentionMultiplyAdds, 0)
  return { attention, all: layers.reduce((sum, layer) => sum + 2 * layer.multiplyAdds, attention) }
}

/** A depthwise convolution of one pixel is a factor of each channel, which training leaves to the sum of norms. */
function isFactor({ convolution, shape }: LayerCost): boolean {
  if (!convolution || convolution.groups !== shape[1]) return false
  return String([...convolution.kernel, convolution.stride]) === "1,1,1"
}

test.each(["quickstart-student", "quickstart-teacher-b"])("a step of %s has no part that is not known", (name) => {
  const anatomy = measureAnatomy({ ...common, model: modelOf(name).model, reinforced: false }, bounds)
  const other = anatomy.parts.find(({ kind }) => kind === "other")!
  expect(other.share, JSON.stringify(anatomy.rows.filter(({ kind }) => kind === "other"))).toBeLessThan(0.01)
  expect(anatomy.parts.reduce((sum, { ms }) => sum + ms, 0)).toBeCloseTo(anatomy.stepMs, 6)
  for (const kind of ["products", "dense", "depthwise", "attention", "norms", "words", "optimizer", "loss"] as const)
    expect(anatomy.parts.find((part) => part.kind === kind)!.boundMs, kind).toBeGreaterThan(0)
})

test("the convolutions of a step are three times the forward's, without the gradient of the picture", () => {
  const { model: name, config } = modelOf("quickstart")
  const { parts } = measureAnatomy({ ...common, model: name, reinforced: false }, bounds)
  const model = new Clip(config)
  const size = config.imageSize
  const { layers } = measureCost(model.namedParameters(), [[2, 3, size, size]], (x) => model.encodeImage(x!))
  const convolutions = layers.filter((layer) => layer.convolution && !isFactor(layer))
  const operations = (found: typeof layers) => found.reduce((sum, { multiplyAdds }) => sum + 2 * multiplyAdds, 0)
  const ofPicture = convolutions.filter(({ path }) => path.startsWith("image.stem.0."))
  expect(ofPicture.length).toBeGreaterThan(0)
  const traced = parts.filter(({ kind }) => kind === "dense" || kind === "depthwise")
  expect(traced.reduce((sum, { gigaOperations }) => sum + gigaOperations * 1e9, 0)).toBeCloseTo(
    3 * operations(convolutions) - operations(ofPicture),
    0,
  )
})

const row = { calls: 2, seconds: 1, bytes: 120, forward: "", forwardArguments: "" } as const

test("a node's product is what its forward was, and an own operator's node computes twice its forward", () => {
  const path = "backward pass>autograd::engine::evaluate_function: BmmBackward0>backward:BmmBackward0>aten::bmm"
  const args = "[8, 4, 16] [8, 16, 32]"
  const layer = { ...row, path, arguments: args, forward: "aten::linear", forwardArguments: "[8, 4, 16] [32, 16] -" }
  expect(workOf(layer, "gradients")).toMatchObject({ kind: "products", operations: 2 * 2 * 8 * 4 * 16 * 32 })
  const scores = { ...layer, forward: "aten::matmul", forwardArguments: "[2, 4, 4, 16] [2, 4, 16, 32]" }
  expect(workOf(scores, "gradients").kind).toBe("attention")
  const node = "torch::autograd::CppNode<(anonymous namespace)::Depthwise>"
  const own = {
    ...{ ...row, path: `backward pass>autograd::engine::evaluate_function: ${node}>backward:${node}`, arguments: "" },
    ...{ forward: "mobileclip::depthwise_conv2d", forwardArguments: "[1, 8, 10, 10] [8, 1, 7, 7] 1 [3, 3]" },
  }
  expect(workOf(own, "gradients")).toMatchObject({ kind: "depthwise", operations: 2 * 2 * 2 * 800 * 49 })
})

test("regions and phases come before operators; what is not known says so", () => {
  const kindOf = (path: string, phase: "gradients" | "update" = "gradients") =>
    workOf({ ...row, path, arguments: "[2, 3]" }, phase).kind
  expect(kindOf("region:loss>aten::mul")).toBe("loss")
  expect(kindOf("region:loss")).toBe("node")
  expect(kindOf("aten::mul", "update")).toBe("optimizer")
  expect(kindOf("aten::reshape>aten::clone>aten::copy_")).toBe("memory")
  expect(kindOf("aten::embedding_backward>aten::zeros>aten::fill_")).toBe("words")
  expect(kindOf("aten::view")).toBe("calls")
  expect(kindOf("mobileclip::unheard_of")).toBe("other")
  expect(kindOf("backward pass>autograd::engine::evaluate_function: AddBackward0")).toBe("autograd")
})

test("copies in a product are counted once, as copies", () => {
  const path = "aten::matmul>aten::reshape>aten::clone>aten::copy_"
  expect(workOf({ ...row, path, arguments: "[2, 3] [3, 4]" }, "gradients")).toMatchObject({ kind: "memory", bytes: 80 })
  const inner = { ...row, path: "aten::matmul>aten::mm", arguments: "[2, 3] [3, 4]" }
  expect(workOf(inner, "gradients")).toMatchObject({ kind: "products", operations: 0, bytes: 0 })
})

test("a thread that waits for the nodes of a backward pass has no time of its own", () => {
  const rows = [
    { ...row, path: "backward pass", arguments: "", seconds: 5 },
    { ...row, path: "autograd::engine::evaluate_function: AddBackward0", arguments: "", seconds: 4 },
  ]
  expect(withoutWaiting(rows).map(({ seconds }) => seconds)).toEqual([1, 4])
})

test("the record of a call is in the time of the call around it", () => {
  const of = (path: string) => placeIn({ ...row, path, arguments: "[2, 2, 2] [2, 2, 2]" }, "gradients")
  expect(of("aten::matmul")).toEqual({ around: "node", isNested: false })
  expect(of("region:loss>aten::mul")).toEqual({ around: "node", isNested: false })
  expect(of("aten::matmul>aten::bmm>aten::select")).toEqual({ around: "attention", isNested: true })
  const node = "backward pass>autograd::engine::evaluate_function: MulBackward0>backward:MulBackward0"
  expect(of(`${node}>aten::mul`)).toEqual({ around: "autograd", isNested: false })
  expect(of(node)).toEqual({ around: "autograd", isNested: true })
  const { outermost, nested } = measureRecord()
  // Microseconds: a millisecond would be a step's length in a few hundred calls.
  expect(outermost + nested).toBeLessThan(1e-3)
})

test("another checkout without this bench, and a model that is not there, are refused with what to do", () => {
  expect(() => compare("/nowhere", [], 1)).toThrow("/nowhere/dist/bench/anatomy.js is not there")
  expect(() => modelOf("mobileclip9")).toThrow('there is no model "mobileclip9"')
})

test.each([
  [["--bogus"], /^Unknown option '--bogus'.* \(--help lists the options\)\n$/],
  [["more"], /^Unexpected argument 'more'.* \(--help lists the options\)\n$/],
  [["--batch", "-1"], /^Option '--batch' argument is ambiguous.* \(--help lists the options\)\n$/],
  [["--batch=-1"], /^--batch -1 is not a whole number of at least 1: try --batch 8\n$/],
])("%j is refused in one line", (args, line) => {
  const { status, stderr } = spawnSync(process.execPath, ["dist/bench/anatomy.js", ...args], { encoding: "utf8" })
  expect(stderr).toMatch(line)
  expect(status).toBe(1)
})

test("a process that fails in a comparison is named after its own message, in one line", () => {
  const { status, stderr } = spawnSync(
    process.execPath,
    ["dist/bench/anatomy.js", "--model=quickstart-student", "--batch=-1", "--against=."],
    { encoding: "utf8" },
  )
  expect(stderr).toMatch(/^--batch -1 is not .*\n.*anatomy\.js ended with exit code 1: mend that first\n$/)
  expect(status).toBe(1)
})
