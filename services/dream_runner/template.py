"""The commented experiment that `ligand dream new` writes."""

TEXT = """\
# An experiment: what may be tuned, how it is measured, and when another setting counts as better.
# `ligand config check` says what is wrong with it; `ligand dream run {name}` runs it.
about: what is tuned here, and why

target:
  file: semantic_dedup.yaml            # relative to this configuration folder, or absolute
  format: yaml                         # yaml, json, toml, env or ini
  keys:
    near: embeddings.near              # parameter: dotted key in the file, which must stand there
  daemon: semantic_dedup               # a daemon of Ligand, which reads the file again when a winner is put in
  # reload: [systemctl, reload, x.service]   # or a command, word by word; with neither nothing is reloaded
  # health: {{command: [/usr/local/bin/is-well], windows: 3, window_s: 10}}   # must succeed after a change

search_space:
  near: {{type: float, low: 0.2, high: 0.95}}
  # threads: {{type: int, low: 1, high: 64, log: true}}
  # way: {{type: categorical, choices: [plain, grams]}}
  # size: {{type: int, low: 1, high: 8, step: 1, when: {{way: grams}}}}   # takes part only then

# constraints: ["near >= 0.3"]         # CEL, over the parameters

evaluate:
  # Gets the parameters as JSON on standard input, and as LIGAND_PARAM_NEAR and so on; the case is in LIGAND_CASE.
  # Prints one JSON object of metrics, such as {{"f1": 0.91, "precision": 0.97}}. Runs in the folder of this file.
  # When it could not measure it must end with a status that is not 0: a failure is never a number.
  # The files named here are part of the experiment: once one is edited, all is measured anew.
  command: [./{name}.py]
  # python: "module:function"          # instead: function(params, case), which returns the metrics
  timeout_s: 30
  memory_mib: 256                      # for each of its processes
  repeats: 3                           # times that a setting is measured on each case
  cases:
    tuning: [january, february]        # what candidates are compared on
    held_out: [march, april, may, june, july]   # what the best one is proven on

objective:
  metrics: {{f1: maximize}}              # up to four; a winner is better in one and worse in none
  guardrails: {{precision: {{min: 0.9}}}}  # no winner may cross these
  alpha: 0.05                          # how often chance alone may look like a winner
  least_effect: 0.01                   # a share of the value in use

budget: {{trials: 40, wall_clock_s: 600, concurrency: 1}}

autonomy: ask                          # deploy: by itself; ask: after a person approved; report: never
"""
