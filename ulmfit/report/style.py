"""The style of a report, light and dark, wide and narrow, with the colours of the figures.

The series c0 to c5 are Okabe & Ito's colours (2008), which the colour-blind can distinguish. They
are darkened on white paper and brightened on dark paper.
"""

# Of every page; the server's page has it, too.
_DARK = """
    color-scheme: dark;
    --paper: #14181c; --panel: #1d2329; --ink: #e4e8ec; --muted: #a3adb7; --rule: #8a949e;
    --line: #39424b; --c0: #56b4e9; --c1: #f08a45; --c2: #2fc295; --c3: #e29ac6; --c4: #efb73e;
    --c5: #a9d6f2; --c6: #8f8f8f; --on-c0: #10202b; --wrong: #ff8a80;
"""
# A reader's choice, as `data-theme` of <html>, counts for more than that of the system.
BASE = f"""
:root {{
  color-scheme: light;
  --paper: #ffffff; --panel: #f4f6f8; --ink: #1b1f23; --muted: #57606a; --rule: #767e87;
  --line: #d5dae0; --c0: #0072b2; --c1: #b84e00; --c2: #00805d; --c3: #b0508a; --c4: #a87000;
  --c5: #3388bb; --c6: #888888; --on-c0: #ffffff; --wrong: #b3261e;
}}
@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{{_DARK}}} }}
:root[data-theme=dark] {{{_DARK}}}
* {{ box-sizing: border-box; }}
html {{ -webkit-text-size-adjust: 100%; }}
body {{
  margin: 0 auto; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}}
"""

STYLE = """
html { scroll-behavior: smooth; }
body { max-width: 64rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.25rem 0 .4rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--c0); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 1rem 0; }
.note, figcaption, .base { color: var(--muted); }
.note, figcaption { font-size: .9rem; }
.base { font-size: .85em; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; }
.tile { background: var(--panel); border-radius: .5rem; padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.tile span { display: block; }
.grid {
  display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr));
}
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td {
  padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line);
}
th { font-weight: 600; }
code { font-size: .85em; overflow-wrap: anywhere; }
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; max-width: 34rem; }
svg text { font-family: inherit; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
details { margin: .4rem 0; }
summary { cursor: pointer; color: var(--c0); }
.card {
  background: var(--panel); border-radius: .5rem; padding: .7rem .9rem; margin: .75rem 0;
  min-width: 0;
}
.card h3 { margin-top: 0; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; max-width: 54rem; margin: .4rem 0; }
.verdict { display: flex; flex-wrap: wrap; gap: 0 1rem; max-width: none; }
.wrong { color: var(--c1); font-weight: 600; }
.right { color: var(--c2); font-weight: 600; }
@media (max-width: 30rem) {
  table { font-size: .85rem; }
  th, td { padding-right: .55rem; }
}
@media print { nav { display: none; } .card, figure { break-inside: avoid; } }
"""
