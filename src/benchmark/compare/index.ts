/** Comparing the results of models, for programs. */
export { type BootstrapOptions, bootstrapDefaults } from "./bootstrap.ts"
export {
  type AverageRow,
  type CompareOptions,
  type Comparison,
  compareModels,
  type TaskOrder,
  taskOrders,
} from "./compare.ts"
export type { ComparedModel } from "./compared-model.ts"
export { comparisonJson } from "./comparison-json.ts"
export { comparisonPage, readLatencyReport, writeComparisonPage } from "./page.ts"
export { type Cell, type Difference, points, type TaskRow } from "./task-rows.ts"
export { differenceCell, methodTexts, scoreText, verdictText, worthRange, worthText } from "./words.ts"
