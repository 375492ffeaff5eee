/** The style of reports. There is one accent colour; right and wrong also differ in mark and border. */
export const style = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f5f6f7; --ink: #1b2126; --soft: #5d6870; --line: #dfe3e6;
  --accent: #1f6feb; --fill: #a9c8f5; --right: #1a7f4b; --wrong: #b4540a; --fourth: #7a4bb5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181b; --panel: #1d2327; --ink: #e6eaed; --soft: #9aa6ae; --line: #313a40;
    --accent: #6aa7ff; --fill: #2b4f80; --right: #4cc38a; --wrong: #f0a35e; --fourth: #b594ee;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 920px; margin: 0 auto; padding: 48px 20px 64px; }
section { margin-top: 56px; }
h1 { margin: 4px 0 12px; font-size: clamp(26px, 5vw, 38px); line-height: 1.15; letter-spacing: -0.015em; font-weight: 650; text-wrap: balance; }
h2 { margin: 0 0 4px; font-size: 21px; letter-spacing: -0.01em; font-weight: 650; }
h3 { margin: 28px 0 0; font-size: 16px; font-weight: 650; }
p { margin: 0 0 14px; max-width: 72ch; text-wrap: pretty; }
section > p { color: var(--soft); }
.eyebrow { margin: 0; color: var(--soft); font-size: 14px; }
.lede { font-size: 18px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: 500; text-align: left; }
thead th { color: var(--soft); font-size: 13px; font-weight: 400; }
dl, dd, figure, ol { margin: 0; padding: 0; }

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 14px 16px; margin-top: 24px; padding: 14px 0; border-block: 1px solid var(--line); }
.figures dt { color: var(--soft); font-size: 13px; }
.figures dd { font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }

.bars { width: 100%; }
.bars th, .bars td { padding: 6px 0 6px 16px; text-align: right; white-space: nowrap; }
.bars th:first-child { padding-left: 0; text-align: left; }
.bars .bar { width: 100%; }
.bars .bar div { position: relative; height: 14px; background: var(--panel); border-radius: 2px; }
.bars i { position: absolute; inset: 0 auto 0 0; background: var(--accent); border-radius: 2px; }
.bars s { position: absolute; top: -4px; bottom: -4px; width: 2px; margin-left: -1px; background: var(--ink); outline: 1px solid var(--page); }
.bars tfoot th, .bars tfoot td { border-top: 1px solid var(--line); font-weight: 600; }
.plain th, .plain td { padding: 5px 24px 5px 0; border-bottom: 1px solid var(--line); text-align: right; }
.plain th:first-child { text-align: left; }
.plain .headline th, .plain .headline td { font-weight: 600; }

.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 24px 18px; }
.card { display: flex; flex-direction: column; min-width: 0; }
.card img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--panel); border: 2px solid var(--right); border-radius: 4px; }
.card.wrong img { border-color: var(--wrong); border-style: dashed; }
.card p { margin: 6px 0 0; font-size: 13px; line-height: 1.35; }
.card .verdict { color: var(--right); font-weight: 600; }
.card.wrong .verdict { color: var(--wrong); }
.card .caption { margin-top: 0; }
.card ol { margin-top: 6px; list-style: none; font-size: 12px; }
.card li { position: relative; display: flex; justify-content: space-between; gap: 8px; padding: 2px 0 5px; color: var(--soft); }
.card li.true { color: var(--ink); font-weight: 600; }
.card li span { min-width: 0; overflow-wrap: anywhere; }
.card li b { font-weight: inherit; white-space: nowrap; font-variant-numeric: tabular-nums; }
.card li i { position: absolute; left: 0; bottom: 1px; height: 3px; min-width: 1px; background: var(--fill); }
.card li.true i { background: var(--accent); }

.chart svg { display: block; width: 100%; height: auto; }
.chart text { fill: var(--soft); }
.chart figcaption { font-size: 13px; color: var(--soft); margin-bottom: 4px; }
.chart.small { max-width: 560px; }
.chart.narrow { display: none; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(380px, 100%), 1fr)); gap: 28px 24px; margin-top: 16px; }
.charts .wide, .charts .narrow { grid-column: 1 / -1; }
.chart + table, .charts + table { margin-top: 20px; }
table + p, .scroll + p { margin-top: 16px; }

.scroll { overflow-x: auto; }
.confusion { font-size: 12px; }
.confusion th { padding: 0 8px 0 0; font-size: 13px; font-weight: 400; color: var(--ink); white-space: nowrap; }
.confusion thead th { padding: 0 0 6px; vertical-align: bottom; }
.confusion thead span { writing-mode: vertical-rl; transform: rotate(180deg); display: block; margin: 0 auto; }
.confusion tbody td { width: 44px; height: 30px; border: 1px solid var(--page); text-align: center; background: color-mix(in srgb, var(--wrong) var(--share), var(--panel)); }
.confusion tbody td.diagonal { background: color-mix(in srgb, var(--accent) var(--share), var(--panel)); }

.facts div { display: grid; grid-template-columns: 110px 1fr; gap: 12px; padding: 5px 0; border-bottom: 1px solid var(--line); }
.facts dt { color: var(--soft); }
.facts dd { overflow-wrap: anywhere; }
.next { margin: 14px 0 4px; }
pre { margin: 0; padding: 10px 14px; white-space: pre-wrap; overflow-wrap: anywhere; background: var(--panel); border-radius: 4px; font: 14px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }

@media (max-width: 620px) {
  main { padding-top: 28px; }
  section { margin-top: 44px; }
  .lede { font-size: 16px; }
  .chart.wide { display: none; }
  .chart.narrow { display: block; }
  .pictures { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 18px 12px; }
  .bars th, .bars td { padding-left: 10px; }
  .bars .bar { min-width: 70px; }
  .plain th, .plain td { padding-right: 12px; }
  .confusion tbody td { width: 26px; min-width: 24px; height: 26px; font-size: 11px; }
  .facts div { grid-template-columns: 1fr; gap: 0; }
}
@media print { section { break-inside: avoid; } }
`
