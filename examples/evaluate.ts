/** Scores a model on two rendered tasks, and keeps the results: `node dist/examples/evaluate.js MODEL OUT`. */
import { evaluateSuite, mainMetricOf, makeSelfSuite, UserError } from "mobileclip/evaluate"

const [model = "model", out = "evaluation"] = process.argv.slice(2)
try {
  // In place of it: a folder or a URL of one's own data, or of the benchmark's, and suite: "datacomp".
  const data = await makeSelfSuite("self-suite", { size: 48 })
  const { models, failures } = await evaluateSuite({
    ...{ models: [model], data, tasks: ["self/shape", "self/retrieval"], out, cache: null },
    say: (line) => console.error(line),
  })
  for (const result of models[0]!.results) {
    const { mainMetric, answers } = result.details!
    console.log(`${result.key}: ${(100 * mainMetricOf(result)!).toFixed(1)} % (${mainMetric}, ${answers} answers)`)
  }
  for (const { key, reason } of failures) console.error(`${key}: ${reason}`)
} catch (error) {
  if (!(error instanceof UserError)) throw error
  console.error(`${error.message}\n${error.hint ?? ""}`)
  process.exitCode = 1
}
