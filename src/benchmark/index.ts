/** Evaluation from code: the suite, one's own tasks, probes; what results mean beside others'; latency on this machine. */
export { EnvironmentError, UserError } from "../core/errors.ts"
export type { Progress, StartProgress } from "../core/progress.ts"
export type { Metrics } from "../evaluate/metrics/metrics.ts"
export { type GroupAverage, groupAverages, mainMetricOf } from "../evaluate/suite/averages.ts"
export { type AveragePrediction, predictAverage, quickTasks } from "../evaluate/suite/quick.ts"
export type { GroupMetrics, SuiteTask, TaskKind } from "../evaluate/suite/suite-task.ts"
export { allTasks, findTask, suiteTasks } from "../evaluate/suite/tasks.ts"
export {
  cacheDefaults,
  defaultCacheFolder,
  VectorCache,
  type VectorCacheOptions,
} from "../vector-cache/vector-cache.ts"
export {
  type CompareOptions,
  type Comparison,
  compareModels,
  comparisonJson,
  comparisonPage,
  readLatencyReport,
  writeComparisonPage,
} from "./compare/index.ts"
export { type CurveOptions, type CurveReport, compareCurves, curvePage, writeCurvePage } from "./curve/index.ts"
export {
  type BenchOptions,
  bench,
  benchDefaults,
  type LatencyReport,
  latencyPage,
  modelLatencies,
  parseLatencyReport,
} from "./latency/index.ts"
export type { BenchmarkDataset, BenchmarkSample, GroupColumn } from "./layout/benchmark-dataset.ts"
export { type OpenDatasetOptions, openDataset } from "./layout/open-dataset.ts"
export { type Packed, type PackOptions, packDataset, packDefaults } from "./layout/pack.ts"
export { makeSelfSuite, type SelfSuiteOptions, selfSuite, selfSuiteDefaults } from "./layout/self-suite.ts"
export {
  type EvaluateOptions,
  type EvaluationReport,
  evaluate,
  evaluateDefaults,
  type ModelResults,
  type TaskProblem,
} from "./run/evaluate.ts"
export { type EvaluateSuiteOptions, evaluateSuite, type SuiteReport } from "./run/evaluate-suite.ts"
export {
  type EvaluatedModel,
  encoderModel,
  type ModelFacts,
  type PictureModel,
  type PixelModel,
} from "./run/evaluated-model.ts"
export type { EvaluationTask, OpenTask, ProbeSettings } from "./run/job.ts"
export {
  clipBenchmarkResult,
  mtebResult,
  type ResultFormat,
  resultFormats,
  writeFormatted,
} from "./run/result-formats.ts"
export { ownRow, type SuiteName, suiteNamed, suiteNames } from "./run/suites.ts"
export type { TaskDetails, TaskResult } from "./run/task-result.ts"
