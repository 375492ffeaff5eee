/** Latency and throughput on this machine. */
export { bench } from "./bench.ts"
export { latencyPage, milliseconds, signed } from "./latency-page.ts"
export { type LatencyReport, type LatencyRow, modelLatencies, parseLatencyReport } from "./latency-report.ts"
export { type BenchOptions, benchDefaults, benchDevices, benchRuntimes } from "./options.ts"
export { familyNames, quickNames } from "./subjects.ts"
