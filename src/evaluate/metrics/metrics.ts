/** A task's metrics under the names of published result files: 0..1 or counts; null where a metric is not defined (acc5 of four classes, a group without pictures). */
export type Metrics = Readonly<Record<string, number | null>>
