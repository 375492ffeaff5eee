/** Learning curves of training runs, compared, for programs. */
export { type CurveOptions, type CurveReport, compareCurves, type Side, type SideComparison } from "./compare-curves.ts"
export { curvePage, writeCurvePage } from "./page.ts"
export { caveatText, levelRows, plateauText, sideRows, uniqueTitle, verdictText } from "./words.ts"
