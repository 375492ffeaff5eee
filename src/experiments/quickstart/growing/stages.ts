/** The stages of the quickstart in their order, and about how long each takes: to say how much is left. */

export interface PlannedStage {
  readonly name: string
  /** What happens in it, as a clause for the page. */
  readonly happens: string
  /** Its share of the run's time, about; only the ratios count. */
  readonly share: number
}

/** Shares are about the seconds of a run on two quiet cores of an EPYC with AVX-512. */
const stages = [
  { name: "render", happens: "Scenes are rendered, with careless and with precise captions", share: 20 },
  { name: "teachers", happens: "Two teachers learn from pictures with precise captions", share: 78 },
  { name: "captioner", happens: "A captioner learns to describe pictures", share: 25 },
  {
    name: "reinforce",
    happens: "The captioner and the teachers write down what they know about other pictures",
    share: 18,
  },
  { name: "step times", happens: "A plain and a reinforced step are timed in turn", share: 8 },
  { name: "students", happens: "The same student learns twice: plain and reinforced", share: 70 },
  { name: "export", happens: "The reinforced student is exported to ONNX", share: 3 },
  { name: "evaluate", happens: "The exported student is scored on pictures that it has not seen", share: 4 },
  { name: "classify", happens: "It labels pictures", share: 2 },
] as const satisfies readonly PlannedStage[]

export type StageName = (typeof stages)[number]["name"]

/** @param seeds students of each kind, which train one pair after the other */
export function plannedStages(seeds: number, scheduled: readonly number[]): PlannedStage[] {
  const ofStudents = seeds * (1 + scheduled.reduce((sum, share) => sum + share, 0) / 2)
  return stages.map((stage) => (stage.name === "students" ? { ...stage, share: stage.share * ofStudents } : stage))
}
