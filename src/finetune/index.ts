/** Fine-tuning on one's own pictures, from code. */
export { UserError } from "../core/errors.ts"
export type { Progress, StartProgress } from "../core/progress.ts"
export { type FinetuneOptions, finetune, finetuneDefaults } from "./finetune.ts"
export { reportJson } from "./report.ts"
export type { FinetuneReport } from "./report-data.ts"
