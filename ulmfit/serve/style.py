"""The style of the page: light and dark, phone and desktop."""

STYLE = """
:root { --accent: var(--c0); --on-accent: var(--on-c0); }
body { max-width: 46rem; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .4rem; }
p { margin: .4rem 0; overflow-wrap: anywhere; }
a { color: var(--accent); }
.note { color: var(--muted); font-size: .9rem; }
.error { border-left: .25rem solid var(--wrong); padding: .5rem .8rem; background: var(--panel); }
label { display: block; font-weight: 600; margin: .6rem 0 .25rem; }
textarea, input[type=text], input[type=file] {
  width: 100%; font: inherit; color: inherit; background: var(--panel);
  border: 1px solid var(--rule); border-radius: .4rem; padding: .6rem;
}
textarea { min-height: 9rem; resize: vertical; }
button {
  font: inherit; font-weight: 600; margin: .8rem 0 0; padding: .6rem 1.4rem; border: 0;
  border-radius: .4rem; background: var(--accent); color: var(--on-accent); cursor: pointer;
}
:is(textarea, input, button, a, summary):focus-visible {
  outline: 3px solid var(--accent); outline-offset: 2px;
}
.skip { position: absolute; left: -99rem; }
.skip:focus { position: static; }
.top {
  display: flex; flex-wrap: wrap; align-items: center; gap: .3rem 1.2rem; margin-bottom: 1rem;
}
nav { display: flex; gap: 1.2rem; }
nav a { padding: .3rem 0; }
nav a[aria-current] { color: inherit; font-weight: 600; text-decoration: none; }
.switch { margin-left: auto; display: flex; align-items: center; font-size: .85rem; }
.switch span { margin-right: .6rem; color: var(--muted); }
.switch button {
  margin: 0 0 0 -1px; padding: .25rem .7rem; border: 1px solid var(--rule); border-radius: 0;
  background: transparent; color: inherit; font-weight: 400;
}
.switch button:first-of-type { border-radius: .4rem 0 0 .4rem; }
.switch button:last-of-type { border-radius: 0 .4rem .4rem 0; }
.switch button[aria-pressed=true] { background: var(--accent); color: var(--on-accent); }
.examples { margin: 1.2rem 0 0; font-size: .9rem; color: var(--muted); }
.examples button {
  display: block; width: 100%; text-align: start; font-weight: 400; margin: .4rem 0 0;
  padding: .5rem .7rem; background: var(--panel); color: var(--ink);
  border: 1px solid var(--line); overflow-wrap: anywhere;
}
.examples button:hover { border-color: var(--accent); }
.steps > :not(:last-child) { display: none; }
progress { width: 100%; accent-color: var(--accent); height: 1.2rem; }
ul { padding-left: 1.2rem; }
:is(button.word, button.plain) {
  background: transparent; color: var(--accent); border: 1px solid var(--rule); font-weight: 400;
}
button.word { margin: 0; padding: .05rem .5rem; max-width: 100%; overflow-wrap: anywhere; }
.result {
  background: var(--panel); border-radius: .5rem; padding: .3rem 1rem 1rem; margin: 1rem 0;
}
.result h2 { margin-top: 1rem; }
.label { font-size: 1.6rem; font-weight: 700; overflow-wrap: anywhere; }
.bar {
  display: grid; grid-template-columns: 9rem 1fr 4.2rem; gap: .7rem;
  align-items: center; margin: .25rem 0; font-variant-numeric: tabular-nums;
}
.bar span:first-child { overflow-wrap: anywhere; }
.bar span:last-child { text-align: right; white-space: nowrap; }
.bar div { height: .8rem; border-radius: .4rem; background: var(--line); overflow: hidden; }
.bar div i { display: block; height: 100%; background: var(--accent); }
.result summary { margin-top: 1.25rem; font-weight: 600; cursor: pointer; }
.words p { padding: .7rem; border-radius: .4rem; margin: .5rem 0; }
.legend span { color: #000; padding: .05rem .4rem; border-radius: .2rem; }
@media (max-width: 30rem) { .bar { grid-template-columns: 5.5rem 1fr 4.2rem; } }
#words .bar { grid-template-columns: 9rem 1fr 4.2rem; }
footer { margin: 2.5rem 0 1rem; border-top: 1px solid var(--line); }
"""
