"""The look of report.html: system fonts, one accent, light or dark as the reader's machine is."""

CSS = """
:root { color-scheme: light dark; --ink: #1f2933; --soft: #616e7c; --page: #f7f9fb; --card: #fff; --line: #e1e7ec;
  --accent: #0072b2; --warn: #d55e00; --mark: #e6f2f9 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ee; --soft: #9aa8b5; --page: #12181e; --card: #1b232b; --line: #2c3742;
    --accent: #56b4e9; --warn: #f0883e; --mark: #1d3444 }
  img { filter: brightness(.93) }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 66rem; color: var(--ink); background: var(--page);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif }
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; letter-spacing: -.01em; overflow-wrap: anywhere }
h1::first-letter { text-transform: uppercase }
header p { margin: .4rem 0 1.5rem; color: var(--soft); overflow-wrap: anywhere }
h2 { margin: 0 0 .9rem; font-size: 1.1rem }
section, .tiles > div { background: var(--card); border: 1px solid var(--line); border-radius: 12px }
section { margin-top: 1.25rem; padding: 1.3rem 1.5rem 1.5rem }
section p { margin: 0 0 .8rem; color: var(--soft); overflow-wrap: anywhere }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem }
.tiles > div { padding: 1rem 1.25rem }
.tiles strong { display: block; font-size: 1.75rem; line-height: 1.3; font-variant-numeric: tabular-nums }
.tiles div:first-child strong { color: var(--accent) }
small, .finding span { color: var(--soft); font-size: .83rem }
.note, .finding { border-left: 4px solid var(--warn); padding: .7rem 1rem; border-radius: 0 8px 8px 0 }
.note { margin: 1.25rem 0 0; background: var(--card) }
.finding { margin-top: .8rem; background: var(--page) }
.finding h3 { margin: 0 0 .3rem; font-size: 1rem }
.finding span { margin-left: .7rem; font-weight: normal }
.finding p { margin: .15rem 0; color: var(--ink) }
.finding b { display: inline-block; min-width: 3.6rem; color: var(--warn) }
img { display: block; max-width: 100%; max-height: 40rem; margin: 0 auto; padding: .6rem;
  border-radius: 8px; background: #fff }
img + dl { margin-top: 1.2rem }
.scroll { overflow: auto; max-height: 32rem }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th { position: sticky; top: 0; background: var(--card); color: var(--soft); font-weight: 500; font-size: .83rem }
th, td { padding: .35rem .8rem .35rem 0; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line) }
td:last-child { white-space: normal; padding-right: 0 }
.best { background: var(--mark); font-weight: 600 }
summary { cursor: pointer; color: var(--soft); margin-bottom: .5rem }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .3rem 1.5rem; margin: 0 }
dt { color: var(--soft) }
dd { margin: 0; overflow-wrap: anywhere }
pre { margin: 0; padding: 1rem; overflow: auto; max-height: 40rem; background: var(--page); border-radius: 8px;
  font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace }
"""
